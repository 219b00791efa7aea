//! Which class of the truth is which class of the model, and how well they agree.

use crate::frame::Frame;
use crate::segmentation::{Class, Segmentation};

/// Pairs of classes of the same name: those that can be scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scoring {
    pairs: Vec<Pair>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    name: String,
    model: u8,
    truth: u8,
}

impl Scoring {
    /// Pairs the classes of a model with those of a truth by their names.
    pub fn new(model: &[Class], truth: &[Class]) -> Self {
        let indexed = |classes: &[Class]| -> Vec<(u8, String)> {
            (1u8..).zip(classes).map(|(i, c)| (i, c.name.to_lowercase())).collect()
        };
        let truth = indexed(truth);
        let pairs = indexed(model).into_iter().filter_map(|(model, name)| {
            let truth = truth.iter().find(|(_, t)| *t == name)?.0;
            Some(Pair { name, model, truth })
        });
        Self { pairs: pairs.collect() }
    }

    /// Names of the classes that are scored, in the order of [`Scoring::dice`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|p| p.name.as_str())
    }

    /// Dice of every class that is scored; nothing where the truth of the frame is unknown or of another size.
    pub fn dice<'a>(
        &'a self,
        frame: &'a Frame,
        segmentation: &'a Segmentation,
    ) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        let truth = frame.truth.as_deref().filter(|t| t.size == segmentation.mask.size);
        truth.into_iter().flat_map(move |truth| {
            self.pairs.iter().map(move |p| (p.name.as_str(), segmentation.mask.dice_between(p.model, truth, p.truth)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::mask::Mask;

    #[test]
    fn classes_are_paired_by_name_and_not_by_number() {
        let class = |name: &str| Class { name: name.to_owned(), color: [0; 3] };
        let scoring = Scoring::new(&[class("nerve"), class("vessel")], &[class("Vessel"), class("bone")]);
        assert_eq!(scoring.names().collect::<Vec<_>>(), ["vessel"]);
        let size = Size::new(2, 1);
        let a = Mask { size, labels: vec![2, 1] };
        let b = Mask { size, labels: vec![1, 1] };
        assert_eq!(a.dice_between(2, &b, 1), 2.0 / 3.0);
        assert_eq!(a.dice_between(2, &a, 2), a.dice(&a, 2));
    }
}
