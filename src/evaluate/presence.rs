//! Whether a class is in a frame at all: how well the confidence ranks frames, and how much it can be believed.

use serde::Serialize;

/// Bins of a reliability diagram.
pub const BINS: usize = 15;

/// Frames by falling confidence, each with whether the class is there.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Confidence, presence, and which frame it is.
    frames: Vec<(f32, bool, usize)>,
}

/// A point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RocPoint {
    /// Confidence from which frames are called present; null at the point where none is.
    pub confidence: Option<f32>,
    /// Of the frames without the class, the part that is called present.
    pub fpr: f64,
    /// Of the frames with the class, the part that is called present.
    pub tpr: f64,
}

/// Frames of about the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// How many there are.
    pub frames: u64,
    /// Their mean confidence; 0 where there are none.
    pub confidence: f64,
    /// The part of them that has the class; 0 where there are none.
    pub present: f64,
}

impl Ranking {
    /// Of frames with a confidence in 0..=1 and the truth.
    pub fn new(frames: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut frames: Vec<_> = frames.into_iter().enumerate().map(|(i, (c, there))| (c, there, i)).collect();
        frames.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { frames }
    }

    /// Area under the ROC curve, where frame `i` counts `weight(i)` times: the chance that a frame with the class has a higher
    /// confidence than one without, where equals count one half; nothing where one of the two kinds is missing.
    ///
    /// # References
    /// Mann & Whitney, "On a test of whether one of two random variables is stochastically larger than the other", Annals of
    /// Mathematical Statistics 18, 1947; that it is the area: Hanley & McNeil, Radiology 143, 1982.
    pub fn auc(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        // Twice the pairs that are in order, in whole numbers.
        let (mut above, mut below, mut pairs) = (0u64, 0u64, 0u128);
        for group in self.frames.chunk_by(|a, b| a.0 == b.0) {
            let of = |there: bool| group.iter().filter(|f| f.1 == there).map(|f| weight(f.2)).sum::<u64>();
            let (with, without) = (of(true), of(false));
            pairs += u128::from(without) * u128::from(2 * above + with);
            (above, below) = (above + with, below + without);
        }
        let all = u128::from(above) * u128::from(below);
        (all > 0).then(|| pairs as f64 / (2 * all) as f64)
    }

    /// The corners of the ROC curve, from none called present to all; empty where one of the two kinds is missing.
    pub fn roc(&self) -> Vec<RocPoint> {
        let total = |there: bool| self.frames.iter().filter(|f| f.1 == there).count() as f64;
        let (with, without) = (total(true), total(false));
        if with == 0.0 || without == 0.0 {
            return Vec::new();
        }
        let (mut tp, mut fp) = (0.0, 0.0);
        let mut points = vec![RocPoint { confidence: None, fpr: 0.0, tpr: 0.0 }];
        for group in self.frames.chunk_by(|a, b| a.0 == b.0) {
            let there = group.iter().filter(|f| f.1).count() as f64;
            (tp, fp) = (tp + there, fp + group.len() as f64 - there);
            points.push(RocPoint { confidence: Some(group[0].0), fpr: fp / without, tpr: tp / with });
        }
        points
    }

    /// The frames in [`BINS`] bins of equal width, where frame `i` counts `weight(i)` times; 1 belongs to the last.
    pub fn bins(&self, weight: impl Fn(usize) -> u64) -> [Bin; BINS] {
        let mut bins = [Bin::default(); BINS];
        for &(confidence, there, i) in &self.frames {
            let (bin, n) = (&mut bins[bin_of(confidence)], weight(i));
            bin.frames += n;
            bin.confidence += n as f64 * f64::from(confidence);
            bin.present += n as f64 * f64::from(u8::from(there));
        }
        for bin in bins.iter_mut().filter(|b| b.frames > 0) {
            bin.confidence /= bin.frames as f64;
            bin.present /= bin.frames as f64;
        }
        bins
    }
}

fn bin_of(confidence: f32) -> usize {
    ((f64::from(confidence) * BINS as f64) as usize).min(BINS - 1)
}

/// Expected calibration error: the mean over frames of how far the confidence of their bin is from the part that has the
/// class; nothing without frames.
///
/// # References
/// Naeini, Cooper & Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015, for a class that
/// is there or not; the number of bins as in Guo et al., "On calibration of modern neural networks", ICML 2017.
pub fn ece(bins: &[Bin; BINS]) -> Option<f64> {
    let all: u64 = bins.iter().map(|b| b.frames).sum();
    let gap = bins.iter().map(|b| b.frames as f64 * (b.present - b.confidence).abs()).sum::<f64>();
    (all > 0).then(|| gap / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_count_one_half_and_weights_repeat_frames() {
        let once = |_| 1;
        let ranking = Ranking::new([(0.9, true), (0.4, true), (0.4, false), (0.1, false)]);
        assert_eq!(ranking.auc(once), Some(0.875));
        assert_eq!(ranking.auc(|i| [1, 0, 1, 1][i]), Some(1.0));
        assert_eq!(ranking.auc(|i| [1, 1, 0, 0][i]), None);
        let equal = Ranking::new([(0.0, true), (0.0, false), (0.0, false)]);
        assert_eq!(equal.auc(once), Some(0.5));
        assert_eq!(equal.roc().last().map(|p| (p.fpr, p.tpr)), Some((1.0, 1.0)));
        assert!(Ranking::new([(0.3, true)]).roc().is_empty());
    }

    #[test]
    fn a_confidence_that_is_right_on_average_has_no_error() {
        let quarter = Ranking::new((0..4).map(|i| (0.25, i == 0)));
        assert_eq!(ece(&quarter.bins(|_| 1)), Some(0.0));
        let sure = Ranking::new([(1.0, false), (0.0, false)]);
        assert_eq!(ece(&sure.bins(|_| 1)), Some(0.5));
        assert_eq!(ece(&Ranking::new([]).bins(|_| 1)), None);
    }
}
