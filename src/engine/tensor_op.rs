//! Operations on whole tensors: what moves, reduces, multiplies, normalises and quantises them.
//!
//! They read and write tensors that lie in one piece; what works image by image is in [`super::graph::Op`] itself.

use serde::{Deserialize, Serialize};

use super::plan::Weights;
use super::tensor;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::{Arithmetic, affine, broadcast, broadcast_shape, log_softmax};
use crate::backend::cpu::error::KernelError;
use crate::backend::cpu::matmul::MatMul;
use crate::backend::cpu::normalize::Normalize;
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::quantize::Quantize;
use crate::backend::cpu::reduce::{ArgExtreme, Reduce};
use crate::backend::cpu::resize_axis::{AxisTable, ResizeAxis};
use crate::backend::cpu::select::select;
use crate::backend::cpu::strided::Strided;
use crate::backend::cpu::take::Take;

/// What is done; `numbers` and `bias` are indices of constant numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorOp {
    /// Axis `order[i]` of the input becomes axis i.
    Transpose {
        /// Dimensions of the input.
        shape: Vec<usize>,
        /// Each of its axes once.
        order: Vec<usize>,
    },
    /// Numbers from places at fixed distances.
    Strided(Strided),
    /// Slices by their numbers.
    Take(Take),
    /// Sums, means, extremes, norms.
    Reduce(Reduce),
    /// The number of the largest or smallest.
    ArgExtreme(ArgExtreme),
    /// Products of matrices.
    MatMul {
        /// Sizes.
        sizes: MatMul,
        /// One a column.
        bias: Option<usize>,
        /// Applied last.
        activation: Activation,
    },
    /// By the mean and variance of the values themselves.
    Normalize {
        /// Sizes.
        sizes: Normalize,
        /// Scale and bias, one of each a channel.
        numbers: [usize; 2],
        /// Applied last.
        activation: Activation,
    },
    /// x · scale + shift, one of each a channel.
    Affine {
        /// Values that share them.
        plane: usize,
        /// Scale and shift.
        numbers: [usize; 2],
        /// Applied last.
        activation: Activation,
    },
    /// Element by element, with broadcasting, and a function of the result.
    Binary {
        /// First.
        op: Arithmetic,
        /// Applied last.
        activation: Activation,
    },
    /// Where the first input is not 0 the second, else the third, with broadcasting.
    Select,
    /// ln of softmax.
    LogSoftmax {
        /// Product of the dimensions before the axis.
        outer: usize,
        /// Length of the axis.
        axis: usize,
        /// Product of the dimensions after it.
        inner: usize,
    },
    /// To whole numbers.
    Quantize {
        /// Sizes.
        sizes: Quantize,
        /// Scale and zero point.
        numbers: [usize; 2],
    },
    /// From whole numbers.
    Dequantize {
        /// Sizes.
        sizes: Quantize,
        /// Scale and zero point.
        numbers: [usize; 2],
    },
    /// Another length of one axis.
    ResizeAxis(ResizeAxis),
}

/// What an operation has prepared before its first run.
pub(super) enum TensorKernel {
    Strided(Strided),
    Axis(AxisTable),
    Plain,
}

impl TensorOp {
    /// The word for people.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Transpose { .. } => "transpose",
            Self::Strided(_) => "strided",
            Self::Take(_) => "take",
            Self::Reduce(_) => "reduce",
            Self::ArgExtreme(_) => "arg_extreme",
            Self::MatMul { .. } => "matmul",
            Self::Normalize { .. } => "normalize",
            Self::Affine { .. } => "affine",
            Self::Binary { .. } => "binary",
            Self::Select => "select",
            Self::LogSoftmax { .. } => "log_softmax",
            Self::Quantize { .. } => "quantize",
            Self::Dequantize { .. } => "dequantize",
            Self::ResizeAxis(_) => "resize_axis",
        }
    }

    /// What it does, without its activation.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Binary { op, .. } => name_of_arithmetic(*op),
            Self::Reduce(reduce) => format!("reduce_{}", format!("{:?}", reduce.reduction).to_lowercase()),
            Self::MatMul { bias: Some(_), .. } => "matmul + bias".to_owned(),
            other => other.as_str().to_owned(),
        }
    }

    /// Floating-point operations, 2 a multiply-add, of what dominates.
    pub(super) fn flops(&self) -> u64 {
        match self {
            Self::MatMul { sizes, .. } => 2 * sizes.out_len() as u64 * sizes.depth as u64,
            _ => 0,
        }
    }

    /// Indices of the constant numbers it carries.
    pub(super) fn weights_mut(&mut self) -> Vec<&mut usize> {
        match self {
            Self::MatMul { bias, .. } => bias.iter_mut().collect(),
            Self::Normalize { numbers, .. }
            | Self::Affine { numbers, .. }
            | Self::Quantize { numbers, .. }
            | Self::Dequantize { numbers, .. } => numbers.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// The activation that is applied last.
    pub(super) fn activation(&self) -> Activation {
        match self {
            Self::MatMul { activation, .. }
            | Self::Normalize { activation, .. }
            | Self::Affine { activation, .. }
            | Self::Binary { activation, .. } => *activation,
            _ => Activation::None,
        }
    }

    /// The same, to change it.
    pub(super) fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Self::MatMul { activation, .. }
            | Self::Normalize { activation, .. }
            | Self::Affine { activation, .. }
            | Self::Binary { activation, .. } => Some(activation),
            _ => None,
        }
    }

    /// Whether the operation fits tensors of these shapes, `weights` being the lengths of the constant numbers.
    pub(super) fn check(&self, inputs: &[&[usize]], output: &[usize], weights: &[usize]) -> Result<(), String> {
        let kernel = |result: Result<(), KernelError>| result.map_err(|e| e.to_string());
        let lens = inputs.iter().map(|shape| tensor::elements(shape)).collect::<Result<Vec<_>, _>>()?;
        let (first, out) = (lens[0], tensor::elements(output)?);
        let count = if let Self::Select = self {
            3
        } else {
            1 + usize::from(matches!(self, Self::MatMul { .. } | Self::Binary { .. }))
        };
        let numbers = |numbers: &[usize], n: usize| numbers.iter().all(|&w| weights[w] == n);
        let product = |sizes: &[usize]| tensor::elements(sizes);
        let fits = inputs.len() == count
            && match self {
                Self::Transpose { shape, order } => {
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    sorted.iter().copied().eq(0..shape.len()) && product(shape)? == first && out == first
                }
                Self::Strided(s) => {
                    kernel(s.check(first))?;
                    product(&s.shape)? == out
                }
                Self::Take(t) => {
                    kernel(t.check())?;
                    product(&[t.outer, t.axis, t.inner])? == first
                        && product(&[t.outer, t.indices.len(), t.inner])? == out
                }
                Self::Reduce(r) => {
                    kernel(r.check())?;
                    product(&r.axes.iter().map(|a| a.0).collect::<Vec<_>>())? == first && r.out_len() == out
                }
                Self::ArgExtreme(a) => {
                    product(&[a.outer, a.axis, a.inner])? == first && a.axis > 0 && a.outer * a.inner == out
                }
                Self::MatMul { sizes, bias, .. } => {
                    kernel(sizes.check(first, lens[1]))?;
                    let own = product(&[sizes.pairs.len(), sizes.rows, sizes.columns])?;
                    own == out && bias.is_none_or(|b| weights[b] == sizes.columns)
                }
                Self::Normalize { sizes, numbers: n, .. } => {
                    kernel(sizes.check())?;
                    product(&[sizes.groups, sizes.length])? == first && first == out && numbers(n, sizes.channels)
                }
                Self::Affine { plane, numbers: n, .. } => {
                    let channels = weights[n[0]];
                    let period = plane.checked_mul(channels).filter(|&p| p > 0);
                    first == out && numbers(n, channels) && period.is_some_and(|p| out.is_multiple_of(p))
                }
                Self::Binary { .. } => broadcast_shape(inputs[0], inputs[1]).is_ok_and(|shape| shape == output),
                Self::Select => {
                    let two = broadcast_shape(inputs[0], inputs[1]).map_err(|e| e.to_string())?;
                    broadcast_shape(&two, inputs[2]).is_ok_and(|shape| shape == output)
                }
                Self::LogSoftmax { outer, axis, inner } => product(&[*outer, *axis, *inner])? == first && first == out,
                Self::Quantize { sizes, numbers: n } | Self::Dequantize { sizes, numbers: n } => {
                    let whole = sizes.inner.checked_mul(sizes.channels).filter(|&p| p > 0);
                    first == out
                        && numbers(n, sizes.channels)
                        && whole.is_some_and(|p| out.is_multiple_of(p))
                        && sizes.low <= sizes.high
                }
                Self::ResizeAxis(r) => {
                    kernel(r.check())?;
                    product(&[r.outer, r.size, r.inner])? == first && product(&[r.outer, r.out, r.inner])? == out
                }
            };
        if fits { Ok(()) } else { Err(format!("{} does not fit its shapes", self.as_str())) }
    }

    /// Makes the tables of a run.
    pub(super) fn prepare(&self) -> Result<TensorKernel, KernelError> {
        Ok(match self {
            Self::Transpose { shape, order } => TensorKernel::Strided(Strided::whole(shape).transposed(order).merged()),
            Self::Strided(strided) => TensorKernel::Strided(strided.merged()),
            Self::ResizeAxis(shape) => TensorKernel::Axis(AxisTable::new(shape.clone())?),
            _ => TensorKernel::Plain,
        })
    }
}

/// The word for an operation on two values: `greater_or_equal`.
pub(super) fn name_of_arithmetic(op: Arithmetic) -> String {
    let mut name = String::new();
    for c in format!("{op:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

impl TensorKernel {
    /// Runs `op`; `read` gives an input with its shape.
    pub(super) fn run<'a>(
        &self,
        op: &TensorOp,
        pool: &Pool,
        weights: &[Weights],
        read: &dyn Fn(usize) -> (&'a [f32], &'a [usize]),
        out: &mut [f32],
        out_shape: &[usize],
    ) {
        let (first, shape) = read(0);
        let numbers = |n: &[usize; 2]| (&*weights[n[0]], &*weights[n[1]]);
        match op {
            TensorOp::Transpose { .. } | TensorOp::Strided(_) => {
                let Self::Strided(strided) = self else { unreachable!("`prepare` made it") };
                strided.run(pool, first, out);
            }
            TensorOp::Take(take) => take.run(pool, first, out),
            TensorOp::Reduce(reduce) => reduce.run(pool, first, out),
            TensorOp::ArgExtreme(arg) => arg.run(pool, first, out),
            TensorOp::MatMul { sizes, bias, .. } => {
                let bias = bias.map_or(&[] as &[f32], |b| &weights[b]);
                sizes.run(pool, first, read(1).0, bias, out);
            }
            TensorOp::Normalize { sizes, numbers: n, .. } => {
                let (scale, bias) = numbers(n);
                sizes.run(pool, scale, bias, first, out);
            }
            TensorOp::Affine { plane, numbers: n, .. } => {
                let (scale, shift) = numbers(n);
                affine(pool, *plane, scale, shift, first, out);
            }
            TensorOp::Binary { op, .. } => {
                let (second, second_shape) = read(1);
                broadcast(*op, first, shape, second, second_shape, out, out_shape);
            }
            TensorOp::Select => select((first, shape), read(1), read(2), out, out_shape),
            TensorOp::LogSoftmax { outer, axis, inner } => {
                log_softmax(first, *outer, *axis, *inner, out);
            }
            TensorOp::Quantize { sizes, numbers: n } => {
                let (scale, zero) = numbers(n);
                sizes.quantize(pool, scale, zero, first, out);
            }
            TensorOp::Dequantize { sizes, numbers: n } => {
                let (scale, zero) = numbers(n);
                sizes.dequantize(pool, scale, zero, first, out);
            }
            TensorOp::ResizeAxis(_) => {
                let Self::Axis(table) = self else { unreachable!("`prepare` made it") };
                table.run(pool, first, out);
            }
        }
        let activation = op.activation();
        if activation != Activation::None {
            activation.run(pool, out);
        }
    }
}
