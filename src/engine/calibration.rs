//! What tensors hold on real frames: the ranges that bytes have to reach over.
//!
//! # References
//! Migacz, "8-bit Inference with TensorRT", GTC 2017, for [`Threshold::Entropy`]; Wu et al., "Integer Quantization for
//! Deep Learning Inference: Principles and Empirical Evaluation", 2020, section 4.1, for [`Threshold::Percentile`].

use std::collections::{BTreeMap, BTreeSet};

use super::context::ExecutionContext;
use super::engine::EngineError;

/// What [`super::Precision::Int8`] needs beside the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Lowest and highest value of tensors, by name.
    pub ranges: BTreeMap<String, [f32; 2]>,
    /// Convolutions, by the name of their step, that do not multiply bytes.
    pub kept: BTreeSet<String>,
}

/// Where a range ends: beyond it values are cut, within it they are told apart more finely the narrower it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threshold {
    /// At the lowest and the highest value.
    Max,
    /// Where one value in ten thousand lies beyond.
    #[default]
    Percentile,
    /// Where the distribution of the codes tells least else from that of the values (Kullback-Leibler).
    Entropy,
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::Percentile => "percentile",
            Self::Entropy => "entropy",
        })
    }
}

impl std::str::FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Max, Self::Percentile, Self::Entropy];
        let found = known.into_iter().find(|t| t.to_string() == text);
        found.ok_or_else(|| format!("expected `max`, `percentile` or `entropy`, found `{text}`"))
    }
}

/// Collects what tensors hold while a plan of full precision runs.
#[derive(Clone, Debug, Default)]
pub struct Calibrator {
    seen: BTreeMap<String, Histogram>,
}

impl Calibrator {
    /// Runs `context` once more on what is bound, and looks at every tensor.
    ///
    /// # Errors
    /// As [`ExecutionContext::enqueue`].
    pub fn observe(&mut self, context: &mut ExecutionContext) -> Result<(), EngineError> {
        context.enqueue_observed(&mut |name, values| match self.seen.get_mut(name) {
            Some(histogram) => histogram.add(values),
            None => {
                let mut histogram = Histogram::default();
                histogram.add(values);
                self.seen.insert(name.to_owned(), histogram);
            }
        })
    }

    /// The ranges, and no convolution that is kept.
    pub fn calibration(&self, threshold: Threshold) -> Calibration {
        let ranges = self.seen.iter().map(|(name, seen)| (name.clone(), seen.range(threshold))).collect();
        Calibration { ranges, kept: BTreeSet::new() }
    }
}

/// Bins on either side of zero.
const HALF: usize = 2048;
/// Share of the values that may lie beyond each end of a range.
const BEYOND: f64 = 1e-4;
/// Codes of a byte.
const CODES: usize = 256;

/// How often values fell into bins of equal width around zero; the bins widen as larger values come.
#[derive(Clone, Debug)]
struct Histogram {
    bins: Vec<u64>,
    /// The bins reach from -limit to limit; 0 before the first value that is not zero.
    limit: f32,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![0; 2 * HALF], limit: 0.0, low: 0.0, high: 0.0 }
    }
}

impl Histogram {
    fn add(&mut self, values: &[f32]) {
        let finite = || values.iter().filter(|v| v.is_finite());
        let largest = finite().fold(0.0f32, |m, v| m.max(v.abs()));
        if self.limit == 0.0 {
            self.limit = largest;
        }
        while largest > self.limit && self.limit > 0.0 {
            self.widen();
        }
        let to_bin = if self.limit > 0.0 { HALF as f32 / self.limit } else { 0.0 };
        for &v in finite() {
            (self.low, self.high) = (self.low.min(v), self.high.max(v));
            let bin = (v * to_bin + HALF as f32) as usize;
            self.bins[bin.min(2 * HALF - 1)] += 1;
        }
    }

    /// Twice the reach: two bins become one.
    fn widen(&mut self) {
        let mut wide = vec![0; 2 * HALF];
        for (i, count) in self.bins.iter().enumerate() {
            wide[HALF / 2 + i / 2] += count;
        }
        (self.bins, self.limit) = (wide, 2.0 * self.limit);
    }

    fn range(&self, threshold: Threshold) -> [f32; 2] {
        let [low, high] = match threshold {
            Threshold::Max => [self.low, self.high],
            Threshold::Percentile => self.percentiles(),
            Threshold::Entropy => self.least_divergent(),
        };
        [low.max(self.low).min(0.0), high.min(self.high).max(0.0)]
    }

    /// The lower edge of a bin.
    fn edge(&self, bin: usize) -> f32 {
        (bin as f32 - HALF as f32) * self.limit / HALF as f32
    }

    fn percentiles(&self) -> [f32; 2] {
        let most = (self.bins.iter().sum::<u64>() as f64 * BEYOND) as u64;
        // Bins that can go from one end until too many values would.
        let spare = |bins: &mut dyn Iterator<Item = &u64>| {
            let mut gone = 0;
            bins.take_while(|&&count| {
                gone += count;
                gone <= most
            })
            .count()
        };
        let (below, above) = (spare(&mut self.bins.iter()), spare(&mut self.bins.iter().rev()));
        [self.edge(below), self.edge(2 * HALF - above)]
    }

    fn least_divergent(&self) -> [f32; 2] {
        let bin = |x: f32| ((x / self.limit + 1.0) * HALF as f32) as usize;
        if self.limit == 0.0 {
            return [0.0; 2];
        }
        let candidates = (8..=64).map(|part| part as f32 / 64.0).map(|share| [self.low * share, self.high * share]);
        let divergence = |[low, high]: [f32; 2]| {
            let (first, last) = (bin(low), (bin(high) + 1).min(2 * HALF));
            self.divergence(first, last)
        };
        let mut best = ([self.low, self.high], f64::INFINITY);
        for range in candidates {
            let found = divergence(range);
            if found < best.1 {
                best = (range, found);
            }
        }
        best.0
    }

    /// Σ p · ln(p / q) for values held within the bins `first..last`, where q spreads what shares a code evenly.
    fn divergence(&self, first: usize, last: usize) -> f64 {
        // Zeros, of which an activation makes many, have a code of their own however wide the range.
        let count = |bin: usize| if bin == HALF { 0.0 } else { self.bins[bin] as f64 };
        let mut held: Vec<f64> = (first..last).map(count).collect();
        let plain: Vec<f64> = held.clone();
        held[0] += (0..first).map(count).sum::<f64>();
        let end = held.len() - 1;
        held[end] += (last..2 * HALF).map(count).sum::<f64>();
        let (sum, own) = (held.iter().sum::<f64>(), plain.iter().sum::<f64>());
        if sum == 0.0 || own == 0.0 {
            return f64::INFINITY;
        }
        let mut total = 0.0;
        for code in 0..CODES {
            let bins = code * held.len() / CODES..(code + 1) * held.len() / CODES;
            let filled = bins.clone().filter(|&i| plain[i] > 0.0).count();
            let mean = plain[bins.clone()].iter().sum::<f64>() / filled.max(1) as f64;
            for i in bins.filter(|&i| held[i] > 0.0) {
                let (p, q) = (held[i] / sum, if plain[i] > 0.0 { mean / own } else { 1e-12 });
                total += p * (p / q).ln();
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(batches: &[Vec<f32>]) -> Histogram {
        let mut histogram = Histogram::default();
        batches.iter().for_each(|values| histogram.add(values));
        histogram
    }

    #[test]
    fn bins_widen_without_losing_a_value() {
        let small: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let histogram = of(&[vec![0.0; 10], small, vec![-70.0, 3.0, f32::NAN, f32::INFINITY]]);
        assert_eq!(histogram.bins.iter().sum::<u64>(), 1012);
        assert_eq!(histogram.range(Threshold::Max), [-70.0, 3.0]);
        assert!(histogram.limit >= 70.0);
    }

    #[test]
    fn a_stray_value_is_cut_and_an_even_spread_is_not() {
        let mut values: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        let whole = of(std::slice::from_ref(&values));
        for threshold in [Threshold::Percentile, Threshold::Entropy] {
            let [low, high] = whole.range(threshold);
            assert!(low == 0.0 && high > 0.9, "{threshold}: {low} {high}");
        }
        values.push(50.0);
        let stray = of(&[values]);
        assert_eq!(stray.range(Threshold::Max)[1], 50.0);
        let [_, high] = stray.range(Threshold::Percentile);
        assert!((0.9..1.1).contains(&high), "{high}");
        let [_, high] = stray.range(Threshold::Entropy);
        assert!(high < 10.0, "{high}");
    }

    #[test]
    fn nothing_but_zeros_has_an_empty_range() {
        for threshold in [Threshold::Max, Threshold::Percentile, Threshold::Entropy] {
            assert_eq!(of(&[vec![0.0; 5]]).range(threshold), [0.0; 2]);
            assert_eq!(threshold.to_string().parse(), Ok(threshold));
        }
        assert!("kl".parse::<Threshold>().is_err());
    }
}
