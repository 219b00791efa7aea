//! Functions of one value, applied where a convolution stores its result or in place.

use serde::{Deserialize, Serialize};

use super::layout::{Cell as _, Half, Layout, halves_mut};
use super::math::{Math, erf};
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
    /// x · Φ(x), with the distribution function Φ of the normal distribution.
    Gelu,
    /// The same with Φ by a hyperbolic tangent.
    GeluTanh,
    /// x · tanh(ln(1 + eˣ)).
    Mish,
    /// ln(1 + eˣ).
    Softplus,
    /// x / (1 + |x|).
    Softsign,
    /// gamma·x where x > 0, else gamma·alpha·(eˣ - 1).
    Selu {
        /// Height of the lower part.
        alpha: f32,
        /// Factor of both.
        gamma: f32,
    },
    /// max(0, x) + min(0, alpha·(e^(x / alpha) - 1)).
    Celu(f32),
    /// x where x > alpha, else 0.
    ThresholdedRelu(f32),
    /// x - bias above lambda, x + bias below -lambda, else 0.
    Shrink {
        /// What is taken away.
        bias: f32,
        /// From where on.
        lambda: f32,
    },
    /// x / (1 + e^(-alpha·x)).
    Swish(f32),
    /// Another function of one value.
    Math(Math),
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
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Mish => x * softplus(x).tanh(),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Selu { alpha, gamma } => gamma * Self::Elu(alpha).of(x),
            Self::Celu(alpha) => {
                if x < 0.0 {
                    alpha * (x / alpha).exp_m1()
                } else {
                    x
                }
            }
            Self::ThresholdedRelu(alpha) => {
                if x <= alpha {
                    0.0
                } else {
                    x
                }
            }
            Self::Shrink { bias, lambda } => {
                if x < -lambda {
                    x + bias
                } else if x > lambda {
                    x - bias
                } else {
                    0.0 * x
                }
            }
            Self::Swish(alpha) => x * sigmoid(alpha * x),
            Self::Math(function) => function.of(x),
        }
    }

    /// Whether every finite value has a finite one, so that channels which are not there stay harmless.
    pub fn stays_finite(self) -> bool {
        !matches!(self, Self::Math(_))
    }

    /// Replaces every value by the function of it.
    pub fn apply(self, values: &mut [f32]) {
        // The match stands outside the loop so that the cheap ones become vector instructions.
        match self {
            Self::None => {}
            Self::Relu => values.iter_mut().for_each(|x| *x = Self::Relu.of(*x)),
            Self::LeakyRelu(s) => values.iter_mut().for_each(|x| *x = Self::LeakyRelu(s).of(*x)),
            Self::Math(function) => function.apply(values),
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

/// ln(1 + eˣ) without overflow.
#[inline]
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 / (1 + e⁻ˣ) without overflow.
#[inline]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
