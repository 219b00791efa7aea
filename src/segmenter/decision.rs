//! From probabilities to a word: nerve, uncertain, or none.

use crate::geometry::Size;
use crate::segmentation::State;

/// Pixels whose mean is the confidence where the model has no presence output; at most so many where it has one.
pub const TOP: usize = 100;

/// Where the words change, in confidence 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Below it there is none.
    pub absent: f32,
    /// From it on there is one; between the two it is uncertain.
    pub present: f32,
    /// A word that was said is kept until the confidence is this far beyond the threshold.
    pub hysteresis: f32,
}

/// As sure as the less sure of the two: what the presence output says, and the mean of the highest probabilities. Either alone is
/// often sure of what the other doubts; what is not a number stays so.
pub fn both(said: f32, seen: f32) -> f32 {
    if said > seen { seen } else { said }
}

/// The mean of the `top` highest probabilities, 0..=1, in the rows of a plane of bytes; of all where there are fewer.
pub fn confidence<'a>(rows: impl IntoIterator<Item = &'a [u8]>, top: usize) -> f32 {
    // Neighbours are alike, and counting the same level twice in a row waits for memory: hence four histograms.
    let mut counts = [[0u32; 256]; 4];
    for row in rows {
        let mut quads = row.chunks_exact(4);
        for quad in &mut quads {
            counts.iter_mut().zip(quad).for_each(|(c, &p)| c[p as usize] += 1);
        }
        quads.remainder().iter().for_each(|&p| counts[0][p as usize] += 1);
    }
    let histogram: [usize; 256] = std::array::from_fn(|level| counts.iter().map(|c| c[level] as usize).sum());
    let (mut left, mut sum, mut count) = (top, 0usize, 0usize);
    for (level, &n) in histogram.iter().enumerate().rev() {
        let taken = n.min(left);
        sum += taken * level;
        count += taken;
        left -= taken;
        if left == 0 {
            break;
        }
    }
    if count == 0 { 0.0 } else { sum as f32 / count as f32 / 255.0 }
}

/// Pixels that a region has at least, in a crop of that size, where it must be the part `part` of it.
pub fn least_area(part: f32, crop: Size) -> usize {
    (f64::from(part) * crop.area() as f64).ceil().max(1.0) as usize
}

/// What is said of one class, from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decision {
    said: Option<State>,
}

impl Decision {
    /// Forgets what was said.
    pub fn reset(&mut self) {
        self.said = None;
    }

    /// The word for this frame; `drawn` says whether a region is left to show, without which nothing is present.
    pub fn update(&mut self, confidence: f32, drawn: bool, t: &Thresholds) -> State {
        // A word that was said moves its own threshold away, and so stays.
        let present = t.present - if self.said == Some(State::Nerve) { t.hysteresis } else { 0.0 };
        let absent = t.absent + if self.said == Some(State::NoNerve) { t.hysteresis } else { 0.0 };
        let state = if confidence >= present.max(absent) {
            State::Nerve
        } else if confidence >= absent {
            State::Uncertain
        } else {
            State::NoNerve
        };
        let state = if state == State::Nerve && !drawn { State::Uncertain } else { state };
        self.said = Some(state);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Thresholds = Thresholds { absent: 0.5, present: 0.8, hysteresis: 0.05 };

    #[test]
    fn the_mean_of_the_hundred_highest() {
        assert_eq!(confidence([], TOP), 0.0);
        assert_eq!(confidence([&[255][..]], TOP), 1.0);
        let rows: [&[u8]; 2] = [&[255; 50], &[51; 501]];
        assert!((confidence(rows, TOP) - 0.6).abs() < 1e-6);
        assert_eq!(confidence(rows, 50), 1.0);
    }

    #[test]
    fn as_sure_as_the_less_sure() {
        assert_eq!((both(0.9, 0.4), both(0.2, 1.0)), (0.4, 0.2));
        assert!(both(f32::NAN, 0.9).is_nan());
    }

    #[test]
    fn words_change_late_and_not_back_at_once() {
        let mut d = Decision::default();
        let series = [(0.3, "no_nerve"), (0.52, "no_nerve"), (0.56, "uncertain"), (0.49, "no_nerve"), (0.81, "nerve")];
        for (c, word) in series.into_iter().chain([(0.76, "nerve"), (0.74, "uncertain"), (0.79, "uncertain")]) {
            assert_eq!(d.update(c, true, &T).as_str(), word, "{c}");
        }
        d.reset();
        assert_eq!(d.update(0.52, true, &T), State::Uncertain);
    }

    #[test]
    fn nothing_drawn_is_never_a_nerve() {
        assert_eq!(Decision::default().update(0.99, false, &T), State::Uncertain);
    }
}
