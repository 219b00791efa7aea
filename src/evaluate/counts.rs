//! Pixels of one class in a mask and in its truth, and what follows from their numbers.

use crate::mask::Mask;

/// Pixels of a class, by where it is; of one frame, or of many together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the mask and in the truth: true positives.
    pub both: u64,
    /// In the mask alone: false positives.
    pub found: u64,
    /// In the truth alone: false negatives.
    pub missed: u64,
    /// In neither: true negatives.
    pub neither: u64,
}

/// The part that `n` is of `of`; nothing where that is nothing.
fn part(n: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| n as f64 / of as f64)
}

impl Counts {
    /// Of class `class` of `mask` and class `other` of `truth`, which may have different numbers.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn of((mask, class): (&Mask, u8), (truth, other): (&Mask, u8)) -> Self {
        assert_eq!(mask.size, truth.size, "masks to compare");
        let mut cells = [0u64; 4];
        for (&m, &t) in mask.labels.iter().zip(&truth.labels) {
            cells[usize::from(m == class) << 1 | usize::from(t == other)] += 1;
        }
        let [neither, missed, found, both] = cells;
        Self { both, found, missed, neither }
    }

    /// What these pixels would be to a predictor that answers nothing.
    pub fn of_nothing(self) -> Self {
        Self { both: 0, found: 0, missed: self.truth(), neither: self.found + self.neither }
    }

    /// The same pixels `n` times.
    pub fn times(self, n: u64) -> Self {
        let Self { both, found, missed, neither } = self;
        Self { both: both * n, found: found * n, missed: missed * n, neither: neither * n }
    }

    /// Pixels of the class in the truth.
    pub fn truth(self) -> u64 {
        self.both + self.missed
    }

    /// Pixels of the class in the mask.
    pub fn mask(self) -> u64 {
        self.both + self.found
    }

    /// 2 TP / (2 TP + FP + FN); 1 where both are empty.
    ///
    /// # References
    /// As [`Mask::dice`].
    pub fn dice(self) -> f64 {
        part(2 * self.both, self.truth() + self.mask()).unwrap_or(1.0)
    }

    /// Intersection over union, TP / (TP + FP + FN); 1 where both are empty.
    ///
    /// # References
    /// Jaccard, "Distribution de la flore alpine dans le bassin des Dranses", Bulletin de la Société Vaudoise des Sciences
    /// Naturelles 37, 1901.
    pub fn iou(self) -> f64 {
        part(self.both, self.both + self.found + self.missed).unwrap_or(1.0)
    }

    /// TP / (TP + FP): of what was found, the part that is there.
    ///
    /// # References
    /// This and the next: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006, figure 1.
    pub fn precision(self) -> Option<f64> {
        part(self.both, self.mask())
    }

    /// TP / (TP + FN), the sensitivity: of what is there, the part that was found.
    pub fn recall(self) -> Option<f64> {
        part(self.both, self.truth())
    }

    /// TN / (TN + FP): of what is not there, the part that was left alone.
    pub fn specificity(self) -> Option<f64> {
        part(self.neither, self.neither + self.found)
    }

    /// (TP + TN) / all.
    pub fn accuracy(self) -> Option<f64> {
        part(self.both + self.neither, self.both + self.found + self.missed + self.neither)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.both += other.both;
        self.found += other.found;
        self.missed += other.missed;
        self.neither += other.neither;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn the_four_cells_and_what_nothing_would_make_of_them() {
        let size = Size::new(5, 1);
        let (mask, truth) = (Mask { size, labels: vec![2, 2, 0, 1, 0] }, Mask { size, labels: vec![1, 0, 1, 2, 0] });
        let counts = Counts::of((&mask, 2), (&truth, 1));
        assert_eq!(counts, Counts { both: 1, found: 1, missed: 1, neither: 2 });
        assert_eq!((counts.dice(), counts.iou(), counts.accuracy()), (0.5, 1.0 / 3.0, Some(0.6)));
        assert_eq!(
            (counts.precision(), counts.recall(), counts.specificity()),
            (Some(0.5), Some(0.5), Some(2.0 / 3.0))
        );
        let nothing = counts.of_nothing();
        assert_eq!(nothing, Counts { both: 0, found: 0, missed: 2, neither: 3 });
        assert_eq!((nothing.dice(), nothing.precision(), nothing.accuracy()), (0.0, None, Some(0.6)));
        assert_eq!(Counts::of((&mask, 7), (&truth, 7)).dice(), 1.0);
    }
}
