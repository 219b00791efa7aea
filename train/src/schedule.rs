//! The learning rate from step to step.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the learning rate goes.
///
/// # References
/// One-cycle: Smith & Topin, 2019, with cosine halves. Cosine: Loshchilov & Hutter, ICLR 2017, without restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Up from a 25th over the first part, then down to nearly nothing.
    OneCycle,
    /// Down from the start.
    Cosine,
    /// Halved after every five epochs without a better one.
    Plateau,
}

/// Epochs without a better one after which a plateau halves.
pub const PLATEAU: u32 = 5;

/// The part of a one-cycle run that climbs.
const CLIMB: f64 = 0.15;

impl Schedule {
    /// Factor of the peak learning rate at `step` of `steps`; `halvings` is what a plateau has counted.
    pub fn factor(self, step: usize, steps: usize, halvings: u32) -> f64 {
        let at = step as f64 / steps.max(1) as f64;
        let between = |from: f64, to: f64, t: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
        match self {
            Self::OneCycle if at < CLIMB => between(1.0 / 25.0, 1.0, at / CLIMB),
            Self::OneCycle => between(1.0, 1e-5, (at - CLIMB) / (1.0 - CLIMB)),
            Self::Cosine => between(1.0, 0.0, at),
            Self::Plateau => 0.5f64.powi(halvings as i32),
        }
    }
}
