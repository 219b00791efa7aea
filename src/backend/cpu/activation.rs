//! Functions of one value, applied where a convolution stores its result or in place.

use serde::{Deserialize, Serialize};

use super::layout::{Cell as _, Half, Layout, halves_mut};
use super::pool::{Pool, SharedMut};

/// A function that is applied to every value.
///
/// # References
/// The operators of the same names in the ONNX specification, opset 20.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x.
    #[default]
    None,
    /// max(0, x).
    Relu,
    /// x where x ≥ 0, else the slope times x.
    LeakyRelu(f32),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x held between the two values.
    Clip(f32, f32),
    /// max(0, min(1, alpha·x + beta)).
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// x · max(0, min(1, x/6 + 1/2)).
    HardSwish,
    /// x / (1 + e⁻ˣ), also called swish.
    Silu,
    /// tanh x.
    Tanh,
    /// x where x ≥ 0, else alpha·(eˣ - 1).
    Elu(f32),
}

impl Activation {
    /// The function of one value; not a number stays not a number.
    #[inline]
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => clip(x, 0.0, f32::INFINITY),
            Self::LeakyRelu(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Clip(low, high) => clip(x, low, high),
            Self::HardSigmoid { alpha, beta } => clip(alpha * x + beta, 0.0, 1.0),
            Self::HardSwish => x * clip(x / 6.0 + 0.5, 0.0, 1.0),
            Self::Silu => x * sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Elu(alpha) => {
                if x < 0.0 {
                    alpha * x.exp_m1()
                } else {
                    x
                }
            }
        }
    }

    /// Replaces every value by the function of it.
    pub fn apply(self, values: &mut [f32]) {
        // The match stands outside the loop so that the cheap ones become vector instructions.
        match self {
            Self::None => {}
            Self::Relu => values.iter_mut().for_each(|x| *x = Self::Relu.of(*x)),
            Self::LeakyRelu(s) => values.iter_mut().for_each(|x| *x = Self::LeakyRelu(s).of(*x)),
            Self::Clip(l, h) => values.iter_mut().for_each(|x| *x = clip(*x, l, h)),
            other => values.iter_mut().for_each(|x| *x = other.of(*x)),
        }
    }

    /// [`Activation::apply`] on all threads.
    pub fn run(self, pool: &Pool, values: &mut [f32]) {
        const PART: usize = 1 << 14;
        let length = values.len();
        let shared = SharedMut::new(values);
        pool.run(length.div_ceil(PART), &|i| {
            let from = i * PART;
            // SAFETY: parts of different tasks do not overlap.
            self.apply(unsafe { shared.slice(from, PART.min(length - from)) });
        });
    }

    /// [`Activation::run`] on memory of this layout.
    pub(crate) fn run_on(self, pool: &Pool, layout: Layout, values: &mut [f32]) {
        const PART: usize = 1 << 14;
        if layout != Layout::BlockedBf16 {
            return self.run(pool, values);
        }
        let cells = halves_mut(values);
        let length = cells.len();
        let shared = SharedMut::new(cells);
        pool.run(length.div_ceil(PART), &|i| {
            // SAFETY: parts of different tasks do not overlap.
            let cells = unsafe { shared.slice(i * PART, PART.min(length - i * PART)) };
            let mut run = [0.0; 256];
            for cells in cells.chunks_mut(run.len()) {
                let run = &mut run[..cells.len()];
                run.iter_mut().zip(&*cells).for_each(|(value, cell)| *value = cell.get());
                self.apply(run);
                cells.iter_mut().zip(&*run).for_each(|(cell, value)| *cell = Half::of(*value));
            }
        });
    }

    /// The bounds when the function does nothing but hold x between two values, so that a convolution can do it in
    /// registers.
    pub(crate) fn bounds(self) -> Option<(f32, f32)> {
        match self {
            Self::None => Some((f32::NEG_INFINITY, f32::INFINITY)),
            Self::Relu => Some((0.0, f32::INFINITY)),
            Self::Clip(low, high) => Some((low, high)),
            _ => None,
        }
    }
}

/// x held between `low` and `high`; where they cross, `high`.
#[inline(always)]
pub(crate) fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 1 / (1 + e⁻ˣ) without overflow.
#[inline]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
