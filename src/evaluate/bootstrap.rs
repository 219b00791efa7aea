//! Intervals of the measures, from drawing the subjects again.

use super::chance::Chance;
use super::measures::{Measure, Measures, Row};
use super::presence::Ranking;
use super::surface::percentile;

/// How often subjects are drawn.
pub const RESAMPLES: usize = 2000;
/// Fewer subjects than that say nothing about others.
pub const FEWEST: usize = 3;
/// Starts the drawing: the same frames have the same intervals.
const SEED: u64 = 1;

/// The 2.5th and the 97.5th percentile of each measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals([Option<[f64; 2]>; Measure::ALL.len()]);

impl Intervals {
    /// Of rows whose subjects are numbered from 0 to below `subjects`; nothing where these are fewer than [`FEWEST`].
    ///
    /// As many subjects as there are, are drawn with repetition [`RESAMPLES`] times, each with all its frames: frames of one
    /// subject are alike, and drawing them one by one would make intervals that are too narrow. A measure that exists in less
    /// than half of the drawings has no interval; one that exists in the others has that of these.
    ///
    /// # References
    /// The percentile interval: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3; of clusters:
    /// Davison & Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    pub fn of(rows: &[&Row], ranking: &Ranking, (subject, subjects): (&[usize], usize)) -> Option<Self> {
        if subjects < FEWEST {
            return None;
        }
        let mut chance = Chance(SEED);
        let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); Measure::ALL.len()];
        let mut times = vec![0u64; subjects];
        for _ in 0..RESAMPLES {
            times.fill(0);
            (0..subjects).for_each(|_| times[below(&mut chance, subjects)] += 1);
            let measures = Measures::of(rows, ranking, |i| times[subject[i]]);
            for (drawn, measure) in drawn.iter_mut().zip(Measure::ALL) {
                drawn.extend(measures.get(measure));
            }
        }
        Some(Self(Measure::ALL.map(|measure| {
            let values = &mut drawn[measure as usize];
            (values.len() >= RESAMPLES / 2).then(|| [0.025, 0.975].map(|q| percentile(values, q)))
        })))
    }

    /// That of one measure.
    pub fn get(&self, measure: Measure) -> Option<[f64; 2]> {
        self.0[measure as usize]
    }
}

/// Uniform in `0..n`.
fn below(chance: &mut Chance, n: usize) -> usize {
    // The high half of a product: no division, and no bias that 2,000 drawings could show.
    ((u128::from(chance.bits()) * n as u128) >> 64) as usize
}
