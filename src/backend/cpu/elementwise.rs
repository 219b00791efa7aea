//! Arithmetic on values one by one, softmax and batch normalisation.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::rows;
use super::pool::Pool;

/// Axes that a tensor may have here.
pub(super) const RANK: usize = 8;

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
    /// a to the power of b.
    Pow,
    /// What is left of a / b rounded down.
    Mod,
    /// What is left of a / b without its fraction.
    Remainder,
    /// a where a ≥ 0, else a · b.
    Prelu,
    /// 1 where a = b, else 0.
    Equal,
    /// 1 where a > b, else 0.
    Greater,
    /// 1 where a ≥ b, else 0.
    GreaterOrEqual,
    /// 1 where a < b, else 0.
    Less,
    /// 1 where a ≤ b, else 0.
    LessOrEqual,
    /// 1 where neither is 0, else 0.
    And,
    /// 1 where one is not 0, else 0.
    Or,
    /// 1 where one alone is not 0, else 0.
    Xor,
}

impl Arithmetic {
    /// The result of two values; what is not a number stays so.
    #[inline]
    pub fn of(self, a: f32, b: f32) -> f32 {
        let truth = |yes: bool| f32::from(u8::from(yes));
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Min => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::Pow => a.powf(b),
            Self::Mod => {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }
            Self::Remainder => a % b,
            Self::Prelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            Self::Equal => truth(a == b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::And => truth(a != 0.0 && b != 0.0),
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::Xor => truth((a != 0.0) != (b != 0.0)),
        }
    }
}

impl Arithmetic {
    /// Whether the order of the two does not matter.
    pub fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul | Self::Max | Self::Min)
    }

    /// Whether finite values give finite ones, so that channels which are not there stay harmless.
    pub fn stays_finite(self) -> bool {
        !matches!(self, Self::Div | Self::Pow | Self::Mod | Self::Remainder)
    }
}

/// The shape of two tensors combined by the rules of numpy: from the right, axes are equal or one of them is 1.
///
/// # Errors
/// When they do not fit, or have more than eight axes.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, KernelError> {
    let rank = a.len().max(b.len());
    let refuse = || {
        let expected = format!("at most {RANK} axes that are equal or 1, counted from the right");
        KernelError::shape("broadcast", expected, format!("{a:?} and {b:?}"))
    };
    if rank > RANK {
        return Err(refuse());
    }
    let axis = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, n) | (n, 1) => Ok(n),
            _ => Err(refuse()),
        })
        .collect()
}

/// Combines two tensors by the rules of numpy.
///
/// # Panics
/// When the slices do not fill their shapes, or `out_shape` is not [`broadcast_shape`] of the two.
///
/// # References
/// ONNX "Multidirectional broadcasting".
pub fn broadcast(
    op: Arithmetic,
    a: &[f32],
    a_shape: &[usize],
    b: &[f32],
    b_shape: &[usize],
    out: &mut [f32],
    out_shape: &[usize],
) {
    assert_eq!(a.len(), a_shape.iter().product::<usize>(), "values of the first tensor");
    assert_eq!(b.len(), b_shape.iter().product::<usize>(), "values of the second tensor");
    assert_eq!(out.len(), out_shape.iter().product::<usize>(), "values of the result");
    // One loop an operation, so that each becomes vector instructions.
    match op {
        Arithmetic::Add => combine(|x, y| x + y, a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Sub => combine(|x, y| x - y, a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Mul => combine(|x, y| x * y, a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Div => combine(|x, y| x / y, a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Min => combine(|x, y| Arithmetic::Min.of(x, y), a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Max => combine(|x, y| Arithmetic::Max.of(x, y), a, a_shape, b, b_shape, out, out_shape),
        Arithmetic::Prelu => combine(|x, y| Arithmetic::Prelu.of(x, y), a, a_shape, b, b_shape, out, out_shape),
        other => combine(|x, y| other.of(x, y), a, a_shape, b, b_shape, out, out_shape),
    }
}

/// Distance of neighbours along every axis of `out`, 0 where `shape` is repeated.
pub(crate) fn steps(shape: &[usize], out: &[usize]) -> [usize; RANK] {
    assert!(out.len() <= RANK && shape.len() <= out.len(), "at most {RANK} axes, the result with the most");
    let (mut steps, mut step) = ([0; RANK], 1);
    for i in (0..shape.len()).rev() {
        let to = i + out.len() - shape.len();
        assert!(shape[i] == out[to] || shape[i] == 1, "a shape {shape:?} that can be repeated to {out:?}");
        steps[to] = if shape[i] == 1 { 0 } else { step };
        step *= shape[i];
    }
    steps
}

fn combine(
    op: impl Fn(f32, f32) -> f32,
    a: &[f32],
    a_shape: &[usize],
    b: &[f32],
    b_shape: &[usize],
    out: &mut [f32],
    shape: &[usize],
) {
    if out.is_empty() {
        return;
    }
    let (a_steps, b_steps) = (steps(a_shape, shape), steps(b_shape, shape));
    // The longest run from the right in which each tensor is either read straight on or stays where it is.
    let (mut run, mut axis) = (1, shape.len());
    let (mut a_runs, mut b_runs) = (None, None);
    while axis > 0 {
        let i = axis - 1;
        if shape[i] > 1 {
            let follows = |runs: &mut Option<bool>, step: usize| {
                let straight = step == run;
                let fits = (straight || step == 0) && runs.is_none_or(|r| r == straight);
                if fits {
                    *runs = Some(straight);
                }
                fits
            };
            if !follows(&mut a_runs, a_steps[i]) || !follows(&mut b_runs, b_steps[i]) {
                break;
            }
        }
        run *= shape[i];
        axis = i;
    }
    let mut index = [0usize; RANK];
    for out in out.chunks_exact_mut(run) {
        let offset = |steps: &[usize; RANK]| (0..axis).map(|i| index[i] * steps[i]).sum::<usize>();
        let (a, b) = (&a[offset(&a_steps)..], &b[offset(&b_steps)..]);
        match (a_runs.unwrap_or(false), b_runs.unwrap_or(false)) {
            (true, true) => out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = op(a, b)),
            (true, false) => out.iter_mut().zip(a).for_each(|(o, &a)| *o = op(a, b[0])),
            (false, true) => out.iter_mut().zip(b).for_each(|(o, &b)| *o = op(a[0], b)),
            (false, false) => out.fill(op(a[0], b[0])),
        }
        for i in (0..axis).rev() {
            index[i] += 1;
            if index[i] < shape[i] {
                break;
            }
            index[i] = 0;
        }
    }
}

/// The logarithm of softmax along the middle axis: x − max − ln Σ e^(x − max).
///
/// # Panics
/// When a slice has another length than outer × axis_len × inner.
pub fn log_softmax(input: &[f32], outer: usize, axis_len: usize, inner: usize, out: &mut [f32]) {
    assert!(input.len() == outer * axis_len * inner && out.len() == input.len(), "values of the tensor");
    for (values, out) in input.chunks_exact(axis_len * inner).zip(out.chunks_exact_mut(axis_len * inner)) {
        for i in 0..inner {
            let column = || (0..axis_len).map(|k| values[k * inner + i]);
            let largest = column().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = column().map(|x| (x - largest).exp()).sum();
            (0..axis_len).for_each(|k| out[k * inner + i] = values[k * inner + i] - largest - sum.ln());
        }
    }
}

/// The factor and the offset that batch normalisation comes to: scale / √(variance + ε) and bias − factor · mean.
///
/// # References
/// Ioffe, Szegedy, "Batch normalization", ICML 2015, algorithm 2.
pub fn batch_norm_affine(scale: f32, bias: f32, mean: f32, variance: f32, epsilon: f32) -> (f32, f32) {
    let factor = f64::from(scale) / (f64::from(variance) + f64::from(epsilon)).sqrt();
    (factor as f32, (f64::from(bias) - factor * f64::from(mean)) as f32)
}

/// x · scale + shift, one of each for every plane in turn.
///
/// # Panics
/// When a slice has another length.
pub fn affine(pool: &Pool, plane: usize, scale: &[f32], shift: &[f32], input: &[f32], out: &mut [f32]) {
    assert!(input.len() == out.len() && scale.len() == shift.len(), "values of the tensor");
    rows(pool, out, plane, &|row, out| {
        let c = row % scale.len();
        out.iter_mut().zip(&input[row * plane..]).for_each(|(out, x)| *out = x * scale[c] + shift[c]);
    });
}

/// Batch normalisation with stored statistics, in place.
///
/// # Shapes
/// `data` channels × anything; the others one value a channel.
///
/// # Panics
/// When the lengths do not agree.
///
/// # References
/// ONNX `BatchNormalization`, opset 15, inference.
pub fn batch_norm(data: &mut [f32], scale: &[f32], bias: &[f32], mean: &[f32], variance: &[f32], epsilon: f32) {
    let channels = scale.len();
    assert!(bias.len() == channels && mean.len() == channels && variance.len() == channels, "statistics of a channel");
    assert!(channels > 0 && data.len().is_multiple_of(channels), "planes of {channels} channels");
    if data.is_empty() {
        return;
    }
    let plane = data.len() / channels;
    for (c, plane) in data.chunks_exact_mut(plane).enumerate() {
        let (factor, offset) = batch_norm_affine(scale[c], bias[c], mean[c], variance[c], epsilon);
        plane.iter_mut().for_each(|x| *x = *x * factor + offset);
    }
}
