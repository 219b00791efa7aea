//! Which class every pixel belongs to, and how well two such answers agree.

use crate::geometry::Size;

/// One class index a pixel: 0 is background, 1 the first class of the model (the nerve), and so on.
///
/// # Shapes
/// `labels` is `height × width`, row-major.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mask {
    /// Width and height.
    pub size: Size,
    /// The class of every pixel.
    pub labels: Vec<u8>,
}

impl Mask {
    /// A mask without any class.
    pub fn empty(size: Size) -> Self {
        Self { size, labels: vec![0; size.area()] }
    }

    /// Changes the size and clears it; allocates only when it has never been as large.
    pub fn reset(&mut self, size: Size) {
        self.size = size;
        self.labels.clear();
        self.labels.resize(size.area(), 0);
    }

    /// Pixels of `class`.
    pub fn area(&self, class: u8) -> usize {
        self.labels.iter().filter(|&&l| l == class).count()
    }

    /// Dice coefficient of one class, 2|X∩Y| / (|X|+|Y|); 1 when both are empty.
    ///
    /// # References
    /// Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945; the empty case as the
    /// Kaggle Ultrasound Nerve Segmentation competition (2016) defines it.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn dice(&self, other: &Mask, class: u8) -> f64 {
        self.dice_between(class, other, class)
    }

    /// The same of a class here and a class there, which may have different numbers.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn dice_between(&self, class: u8, other: &Mask, other_class: u8) -> f64 {
        self.overlap(class, other, other_class).dice()
    }

    /// Pixels of a class here and a class there.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn overlap(&self, class: u8, other: &Mask, other_class: u8) -> Overlap {
        assert_eq!(self.size, other.size, "masks to compare");
        let mut overlap = Overlap::default();
        for (&a, &b) in self.labels.iter().zip(&other.labels) {
            let (a, b) = (u64::from(a == class), u64::from(b == other_class));
            overlap.both += a & b;
            overlap.sum += a + b;
        }
        overlap
    }

    /// Number of pixels whose class differs.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn differing(&self, other: &Mask) -> usize {
        assert_eq!(self.size, other.size, "masks to compare");
        self.labels.iter().zip(&other.labels).filter(|(a, b)| a != b).count()
    }
}

/// Pixels of one class in two masks, or in many pairs of masks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In both masks.
    pub both: u64,
    /// In the one and in the other, added up.
    pub sum: u64,
}

impl Overlap {
    /// Dice coefficient as [`Mask::dice`] has it.
    pub fn dice(self) -> f64 {
        if self.sum == 0 { 1.0 } else { 2.0 * self.both as f64 / self.sum as f64 }
    }
}

impl std::ops::AddAssign for Overlap {
    fn add_assign(&mut self, other: Self) {
        (self.both, self.sum) = (self.both + other.both, self.sum + other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_of_overlap_of_nothing_and_of_disjoint() {
        let mut a = Mask::empty(Size::new(4, 1));
        let mut b = a.clone();
        assert_eq!(a.dice(&b, 1), 1.0);
        a.labels = vec![1, 1, 0, 2];
        b.labels = vec![0, 1, 1, 2];
        assert_eq!(a.dice(&b, 1), 0.5);
        assert_eq!(a.dice(&b, 2), 1.0);
        assert_eq!(a.differing(&b), 2);
        b.labels = vec![0, 0, 1, 0];
        assert_eq!(a.dice(&b, 1), 0.0);
    }
}
