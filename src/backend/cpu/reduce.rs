//! Sums, means, extremes and norms over some axes of a tensor.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::{parts, rows, rows_of};
use super::pool::Pool;

/// What becomes of the values that are taken together.
///
/// # References
/// The ONNX operators `ReduceSum`, `ReduceMean` and so on, opset 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Σ x.
    Sum,
    /// Σ x / n.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Π x.
    Prod,
    /// Σ |x|.
    L1,
    /// √Σ x².
    L2,
    /// Σ x².
    SumSquare,
    /// ln Σ x.
    LogSum,
    /// ln Σ eˣ.
    LogSumExp,
}

/// Which axes are taken together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduce {
    /// What becomes of them.
    pub reduction: Reduction,
    /// Dimensions of the input with whether each is taken together; neighbours of one kind are joined.
    pub axes: Vec<(usize, bool)>,
}

/// The sum of a function of the values: short runs in single precision, their sums in double.
pub(super) fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    let mut total = 0f64;
    for block in values.chunks(1024) {
        let mut lanes = [0f32; LANES];
        let (whole, rest) = block.as_chunks::<LANES>();
        for chunk in whole {
            lanes.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += of(x));
        }
        total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
        total += rest.iter().map(|&x| f64::from(of(x))).sum::<f64>();
    }
    total
}

impl Reduce {
    /// A reduction of a tensor of `shape` over the axes for which `reduced` says so.
    pub fn new(reduction: Reduction, shape: &[usize], reduced: impl Fn(usize) -> bool) -> Self {
        let mut axes: Vec<(usize, bool)> = Vec::new();
        for (axis, &n) in shape.iter().enumerate().filter(|(_, n)| **n != 1) {
            match axes.last_mut() {
                Some((length, kind)) if *kind == reduced(axis) => *length *= n,
                _ => axes.push((n, reduced(axis))),
            }
        }
        Self { reduction, axes }
    }

    /// Values of the input.
    pub fn in_len(&self) -> usize {
        self.axes.iter().map(|a| a.0).product()
    }

    /// Values of the output.
    pub fn out_len(&self) -> usize {
        self.axes.iter().filter(|a| !a.1).map(|a| a.0).product()
    }

    /// Whether the sizes make a reduction.
    ///
    /// # Errors
    /// When one is zero.
    pub fn check(&self) -> Result<(), KernelError> {
        if self.axes.iter().any(|a| a.0 == 0) {
            return Err(KernelError::shape("reduce", "dimensions of at least 1", format!("{:?}", self.axes)));
        }
        Ok(())
    }

    /// Fills the output.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), self.in_len(), "values of the input");
        assert_eq!(output.len(), self.out_len(), "values of the output");
        let together = self.in_len() / self.out_len().max(1);
        let many = rows_of(together);
        parts(pool, output, many, &|part, out| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = self.one(input, self.place(part * many + i, false), together);
            }
        });
    }

    /// Where value `index` begins among the axes that are taken together, or among the others.
    fn place(&self, mut index: usize, together: bool) -> usize {
        let (mut at, mut step) = (0, 1);
        for &(n, kind) in self.axes.iter().rev() {
            if kind == together {
                at += index % n * step;
                index /= n;
            }
            step *= n;
        }
        at
    }

    /// The result of the `together` values that belong to the output at `base`.
    fn one(&self, input: &[f32], base: usize, together: usize) -> f32 {
        // The longest run of values that lie side by side.
        let run = self.axes.last().filter(|a| a.1).map_or(1, |a| a.0);
        let pieces = || {
            (0..together / run).map(move |p| {
                let at = base + self.place(p * run, true);
                &input[at..at + run]
            })
        };
        let total = |of: fn(f32) -> f32| pieces().map(|piece| sum(piece, of)).sum::<f64>();
        let fold = |start: f32, of: fn(f32, f32) -> f32| {
            pieces().fold(start, |found, piece| piece.iter().fold(found, |a, &b| of(a, b)))
        };
        let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
        let result = match self.reduction {
            Reduction::Sum => total(|x| x),
            Reduction::Mean => total(|x| x) / together as f64,
            Reduction::Max => f64::from(fold(f32::NEG_INFINITY, larger)),
            Reduction::Min => f64::from(fold(f32::INFINITY, |a, b| if b < a || b.is_nan() { b } else { a })),
            Reduction::Prod => pieces().flatten().map(|&x| f64::from(x)).product(),
            Reduction::L1 => total(f32::abs),
            Reduction::L2 => total(|x| x * x).sqrt(),
            Reduction::SumSquare => total(|x| x * x),
            Reduction::LogSum => total(|x| x).ln(),
            Reduction::LogSumExp => {
                let largest = fold(f32::NEG_INFINITY, larger);
                let shift = if largest.is_finite() { largest } else { 0.0 };
                f64::from(shift) + pieces().map(|piece| sum(piece, |x| (x - shift).exp())).sum::<f64>().ln()
            }
        };
        result as f32
    }
}

/// The number of the largest or smallest value along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgExtreme {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// Length of the axis.
    pub axis: usize,
    /// Product of the dimensions after it.
    pub inner: usize,
    /// Whether the smallest is looked for.
    pub smallest: bool,
    /// Whether of equal ones the last counts.
    pub last: bool,
}

impl ArgExtreme {
    /// Fills the output, outer × inner whole numbers.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), self.outer * self.axis * self.inner, "values of the input");
        assert_eq!(output.len(), self.outer * self.inner, "values of the output");
        rows(pool, output, self.inner, &|outer, out| {
            for (i, out) in out.iter_mut().enumerate() {
                let value = |k: usize| input[(outer * self.axis + k) * self.inner + i];
                let wins = |a: f32, b: f32| if self.smallest { a < b } else { a > b } || self.last && a == b;
                *out = (1..self.axis).fold(0, |best, k| if wins(value(k), value(best)) { k } else { best }) as f32;
            }
        });
    }
}
