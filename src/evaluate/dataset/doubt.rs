//! Near-identical pictures whose masks contradict each other: one of them is wrong, and nobody knows which.

use super::likeness::{Thumbnail, pairs};
use crate::mask::Mask;

/// Correlation above which two pictures are the same to an eye.
const SAME: f32 = 0.985;
/// Dice below which their masks contradict each other.
const CONTRADICT: f64 = 0.5;
/// Near-copies of one picture that are compared.
const MOST_COPIES: usize = 16;

/// A mask in runs of one label, since all masks of a data set are kept while they are compared.
pub(super) struct Runs(Vec<(u8, u32)>);

impl Runs {
    pub fn new(mask: &Mask) -> Self {
        let runs = mask.labels.chunk_by(|a, b| a == b);
        Self(runs.map(|run| (run[0], run.len() as u32)).collect())
    }

    /// Pixels of label 1, 2, … up to the largest that there is.
    pub fn areas(&self) -> Vec<usize> {
        let most = self.0.iter().map(|r| r.0).max().unwrap_or(0);
        let area = |label| self.0.iter().filter(|r| r.0 == label).map(|r| r.1 as usize).sum();
        (1..=most).map(area).collect()
    }

    /// The lowest Dice of all classes; nothing where the masks differ in size.
    fn dice(&self, other: &Self, classes: usize) -> Option<f64> {
        let mut overlap = vec![crate::mask::Overlap::default(); classes + 1];
        let (mut a, mut b) = (self.0.iter().copied(), other.0.iter().copied());
        let (mut left, mut right) = (a.next(), b.next());
        while let (Some((of, n)), Some((with, m))) = (left, right) {
            let both = n.min(m);
            overlap[usize::from(of)].sum += u64::from(both);
            overlap[usize::from(with)].sum += u64::from(both);
            if of == with {
                overlap[usize::from(of)].both += u64::from(both);
            }
            left = if n > both { Some((of, n - both)) } else { a.next() };
            right = if m > both { Some((with, m - both)) } else { b.next() };
        }
        if left.is_some() || right.is_some() {
            return None;
        }
        overlap[1..].iter().map(|o| o.dice()).reduce(f64::min)
    }
}

/// For each picture, why its mask is not to be trusted: at least as many of its near-copies contradict it as agree.
///
/// `pictures` are thumbnail and mask; labels go up to `classes`.
pub(super) fn doubts(names: &[String], pictures: &[(&Thumbnail, &Runs)], classes: usize) -> Vec<Option<String>> {
    let thumbnails: Vec<&Thumbnail> = pictures.iter().map(|p| p.0).collect();
    // Agreeing copies, contradicting ones, and the worst of these.
    let mut votes = vec![(0, 0, None::<(f64, f32, usize)>); pictures.len()];
    for pair in pairs(&thumbnails, 0..thumbnails.len(), (SAME, MOST_COPIES), |_, _| true) {
        let Some(dice) = pictures[pair.first].1.dice(pictures[pair.second].1, classes) else { continue };
        for (own, other) in [(pair.first, pair.second), (pair.second, pair.first)] {
            let (agree, contradict, worst) = &mut votes[own];
            if dice >= CONTRADICT {
                *agree += 1;
                continue;
            }
            *contradict += 1;
            if worst.is_none_or(|(least, ..)| dice < least) {
                *worst = Some((dice, pair.correlation, other));
            }
        }
    }
    let doubt = |(agree, contradict, worst): (usize, usize, Option<(f64, f32, usize)>)| {
        let (dice, correlation, other) = worst.filter(|_| contradict >= agree)?;
        let other = &names[other];
        Some(format!(
            "`{other}` shows the same (correlation {correlation:.3}), and their masks contradict (Dice {dice:.2})"
        ))
    };
    votes.into_iter().map(doubt).collect()
}
