//! Launches `kernels/activation.cu`, and numbers the functions of `kernels/activation.cuh`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::math::Math;

/// A function of each of `count` floats, in place.
///
/// # Panics
/// When the region has another length or does not lie as floats must.
pub fn launch(count: usize, activation: Activation, values: Region) -> Launch {
    let mut args = vec![floats(values, count), Arg::U32(count as u32)];
    args.extend(coded(activation).unwrap_or_else(|| rarer(activation)));
    Launch::line("activate", count as u32, args)
}

/// Whether kernels compute a function of halves, in place after what they are for.
pub fn has_halves(activation: Activation) -> bool {
    coded(activation).is_some()
}

/// A function of those that `kernels/activation.cu` alone computes.
fn rarer(activation: Activation) -> [Arg; 3] {
    let (number, p, q) = match activation {
        Activation::GeluTanh => (9, 0.0, 0.0),
        Activation::Mish => (10, 0.0, 0.0),
        Activation::Softplus => (11, 0.0, 0.0),
        Activation::Softsign => (12, 0.0, 0.0),
        Activation::Selu { alpha, gamma } => (13, alpha, gamma),
        Activation::Celu(alpha) => (14, alpha, 0.0),
        Activation::ThresholdedRelu(alpha) => (15, alpha, 0.0),
        Activation::Shrink { bias, lambda } => (16, bias, lambda),
        Activation::Swish(alpha) => (17, alpha, 0.0),
        Activation::Math(function) => (number(function), 0.0, 0.0),
        other => unreachable!("{other:?} has a number for all kernels"),
    };
    [Arg::U32(number), Arg::F32(p), Arg::F32(q)]
}

/// The functions of [`Math`] in the order of their numbers.
#[rustfmt::skip]
pub const FUNCTIONS: [Math; 30] = {
    use Math::*;
    [
        Abs, Acos, Acosh, Asin, Asinh, Atan, Atanh, Ceil, Cosh, Erf, Exp, Floor, IsInf, IsPositiveInf, IsNegativeInf, IsNan, Log, Neg, Not, Reciprocal, Round, Sign, Sinh, Sqrt, Square, Truncate, Truth, Sin, Cos, Tan,
    ]
};

fn number(function: Math) -> u32 {
    const FIRST: u32 = 18;
    FIRST + FUNCTIONS.iter().position(|own| *own == function).expect("all of them") as u32
}

/// A function as all kernels are told it: its number and what it is given; none for one that they do not compute.
pub(super) fn coded(activation: Activation) -> Option<[Arg; 3]> {
    let (number, p, q) = match activation {
        Activation::Sigmoid => (1, 0.0, 0.0),
        Activation::LeakyRelu(slope) => (2, slope, 0.0),
        Activation::HardSigmoid { alpha, beta } => (3, alpha, beta),
        Activation::HardSwish => (4, 0.0, 0.0),
        Activation::Silu => (5, 0.0, 0.0),
        Activation::Tanh => (6, 0.0, 0.0),
        Activation::Elu(alpha) => (7, alpha, 0.0),
        Activation::Gelu => (8, 0.0, 0.0),
        other => {
            let (low, high) = other.bounds()?;
            (0, low, high)
        }
    };
    Some([Arg::U32(number), Arg::F32(p), Arg::F32(q)])
}
