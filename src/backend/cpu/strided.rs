//! Numbers moved, none computed: every value of the output has its place in the input at a fixed distance along each
//! axis. Transposing, slicing, repeating, and depth to space are all of this kind.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::rows;
use super::pool::Pool;

/// Where the values of an output stand in its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strided {
    /// Dimensions of the output.
    pub shape: Vec<usize>,
    /// Distance of neighbours along each axis in the input; 0 repeats, less than 0 goes backwards.
    pub strides: Vec<isize>,
    /// Where the first value stands.
    pub offset: usize,
}

impl Strided {
    /// The whole of a tensor of this shape, as it lies.
    pub fn whole(shape: &[usize]) -> Self {
        let mut strides = vec![0; shape.len()];
        let mut step = 1isize;
        for (stride, &n) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step = step.saturating_mul(n as isize);
        }
        Self { shape: shape.to_vec(), strides, offset: 0 }
    }

    /// The same values with axis `order[i]` as axis i.
    pub fn transposed(mut self, order: &[usize]) -> Self {
        self.shape = order.iter().map(|&a| self.shape[a]).collect();
        self.strides = order.iter().map(|&a| self.strides[a]).collect();
        self
    }

    /// The same places with fewer axes: those of one element are left out, those that follow on are joined.
    pub fn merged(&self) -> Self {
        let mut merged = Self { shape: Vec::new(), strides: Vec::new(), offset: self.offset };
        for (&n, &stride) in self.shape.iter().zip(&self.strides).filter(|(n, _)| **n != 1) {
            match (merged.shape.last_mut(), merged.strides.last_mut()) {
                (Some(before), Some(outer)) if *outer == stride.saturating_mul(n as isize) => {
                    *before *= n;
                    *outer = stride;
                }
                _ => {
                    merged.shape.push(n);
                    merged.strides.push(stride);
                }
            }
        }
        if merged.shape.is_empty() {
            merged.shape.push(1);
            merged.strides.push(1);
        }
        merged
    }

    /// Where the run of values is that this is, when it is nothing but one.
    pub fn run_of(&self) -> Option<usize> {
        let merged = self.merged();
        (merged.strides == [1]).then_some(self.offset)
    }

    /// These places among the values that `first` gives, as places in what `first` reads; `None` where they are not at
    /// fixed distances there.
    pub fn after(&self, first: &Self) -> Option<Self> {
        // Elements of the middle behind each axis of `first`.
        let behind: Vec<usize> =
            (0..first.shape.len()).map(|a| first.shape[a + 1..].iter().product::<usize>()).collect();
        let mut composed = Self { shape: Vec::new(), strides: Vec::new(), offset: first.offset };
        // How far each axis of `first` is walked at most, from the offset on.
        let mut reach: Vec<usize> = behind.iter().zip(&first.shape).map(|(&step, &n)| self.offset / step % n).collect();
        composed.offset = first.place(self.offset);
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            let (mut left, mut step) = (n, usize::try_from(stride).ok()?);
            let mut pieces = Vec::new();
            while left > 1 {
                if step == 0 {
                    pieces.push((left, 0));
                    break;
                }
                // The innermost axis that holds the step.
                let axis = behind.iter().position(|&b| b <= step && step.is_multiple_of(b))?;
                let room = (behind[axis] * first.shape[axis]).div_euclid(step);
                let count = if left <= room { left } else { room };
                if count == 0
                    || !left.is_multiple_of(count)
                    || (count < left && count * step != behind[axis] * first.shape[axis])
                {
                    return None;
                }
                reach[axis] += (count - 1) * (step / behind[axis]);
                pieces.push((count, (step / behind[axis]) as isize * first.strides[axis]));
                left /= count;
                step *= count;
            }
            for (count, stride) in pieces.into_iter().rev() {
                composed.shape.push(count);
                composed.strides.push(stride);
            }
        }
        // No axis is left in the middle of a walk, so the places add up.
        let inside = reach.iter().zip(&first.shape).all(|(&r, &n)| r < n);
        inside.then(|| composed.merged())
    }

    /// Values of the output.
    pub fn out_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether every place is inside an input of `in_len` values.
    ///
    /// # Errors
    /// When one is not, or the output is empty.
    pub fn check(&self, in_len: usize) -> Result<(), KernelError> {
        let refuse = || KernelError::shape("strided", format!("places among {in_len} values"), format!("{self:?}"));
        if self.shape.len() != self.strides.len() || self.shape.contains(&0) || self.shape.is_empty() {
            return Err(refuse());
        }
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (n as i128 - 1) * stride as i128;
            if reach < 0 { low += reach } else { high += reach }
        }
        if low < 0 || high >= in_len as i128 { Err(refuse()) } else { Ok(()) }
    }

    /// The place of output value `index`.
    pub fn place(&self, mut index: usize) -> usize {
        let mut at = self.offset as isize;
        for (&n, &stride) in self.shape.iter().zip(&self.strides).rev() {
            at += (index % n) as isize * stride;
            index /= n;
        }
        at as usize
    }

    /// Fills the output.
    ///
    /// # Panics
    /// When the output has another length, or a place is outside the input; see [`Strided::check`].
    pub fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32]) {
        assert_eq!(output.len(), self.out_len(), "values of the output");
        let (Some(&row), Some(&stride)) = (self.shape.last(), self.strides.last()) else { return };
        rows(pool, output, row, &|i, out| {
            let start = self.place(i * row);
            match stride {
                1 => out.copy_from_slice(&input[start..start + row]),
                0 => out.fill(input[start]),
                _ => {
                    let mut at = start as isize;
                    for out in out {
                        *out = input[at as usize];
                        at += stride;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposition_a_repetition_and_a_reversal() {
        let (pool, input) = (Pool::new(2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let run = |s: &Strided| {
            let mut out = vec![f32::NAN; s.out_len()];
            s.check(6).expect("inside");
            s.run(&pool, &input, &mut out);
            out
        };
        let whole = Strided::whole(&[2, 3]);
        assert_eq!(whole.run_of(), Some(0));
        assert_eq!(run(&whole.clone().transposed(&[1, 0])), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let reversed = Strided { shape: vec![2, 3], strides: vec![0, -1], offset: 5 };
        assert_eq!(run(&reversed), [5.0, 4.0, 3.0, 5.0, 4.0, 3.0]);
        // Transposed twice is as before; repeated columns after a transposition are repeated rows.
        let twice = Strided::whole(&[3, 2]).transposed(&[1, 0]).after(&whole.clone().transposed(&[1, 0]));
        assert_eq!(twice.expect("it composes").run_of(), Some(0));
        assert!(reversed.check(5).is_err());
        assert!(Strided { offset: 1, ..reversed }.check(6).is_err());
    }
}
