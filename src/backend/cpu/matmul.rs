//! The product of matrices, perhaps of many at once.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::{parts, rows_of};
use super::pool::Pool;

/// Sizes of a product: rows × depth times depth × columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul {
    /// Rows of the first and of the result.
    pub rows: usize,
    /// Columns of the first, rows of the second.
    pub depth: usize,
    /// Columns of the second and of the result.
    pub columns: usize,
    /// For every product the numbers of the two matrices.
    pub pairs: Vec<(usize, usize)>,
}

impl MatMul {
    /// Whether the matrices lie within so many values.
    ///
    /// # Errors
    /// When one does not, or a size is zero.
    pub fn check(&self, a_len: usize, b_len: usize) -> Result<(), KernelError> {
        let sizes = [self.rows, self.depth, self.columns, self.pairs.len()];
        let within = |number: usize, size: [usize; 2], len: usize| {
            let size = size[0].checked_mul(size[1]);
            size.and_then(|n| number.checked_add(1)?.checked_mul(n)).is_some_and(|end| end <= len)
        };
        let fits = |&(a, b): &(usize, usize)| {
            within(a, [self.rows, self.depth], a_len) && within(b, [self.depth, self.columns], b_len)
        };
        if sizes.contains(&0) || !self.pairs.iter().all(fits) {
            let expected = format!("matrices within {a_len} and {b_len} values");
            return Err(KernelError::shape("matmul", expected, format!("{sizes:?}")));
        }
        Ok(())
    }

    /// Values of the result.
    pub fn out_len(&self) -> usize {
        self.pairs.len() * self.rows * self.columns
    }

    /// Computes the products; `bias` is added to every row, or is empty.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, a: &[f32], b: &[f32], bias: &[f32], output: &mut [f32]) {
        assert_eq!(output.len(), self.out_len(), "values of the result");
        assert!(bias.is_empty() || bias.len() == self.columns, "a bias for every column");
        let rows = rows_of(self.columns * self.depth);
        parts(pool, output, rows * self.columns, &|part, out| {
            for (i, out) in out.chunks_exact_mut(self.columns).enumerate() {
                let row = part * rows + i;
                let (first, second) = self.pairs[row / self.rows];
                let a = &a[(first * self.rows + row % self.rows) * self.depth..][..self.depth];
                let b = &b[second * self.depth * self.columns..][..self.depth * self.columns];
                if bias.is_empty() {
                    out.fill(0.0)
                } else {
                    out.copy_from_slice(bias)
                }
                for (&a, b) in a.iter().zip(b.chunks_exact(self.columns)) {
                    out.iter_mut().zip(b).for_each(|(out, &b)| *out += a * b);
                }
            }
        });
    }
}
