//! Launches `kernels/activation.cu`, and numbers the functions of `kernels/activation.cuh`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::activation::Activation;

/// The logistic function of each of `count` floats, in place.
///
/// # Panics
/// When the region has another length or does not lie as floats must.
pub fn sigmoid(count: usize, values: Region) -> Launch {
    Launch::line("sigmoid", count as u32, [floats(values, count), Arg::U32(count as u32)])
}

/// A function as kernels are told it: its number and what it is given; none for one that they do not compute.
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
