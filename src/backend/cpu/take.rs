//! Slices of a tensor by their numbers along one axis: gathering, and borders that mirror or repeat.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::rows;
use super::pool::Pool;

/// Which slices are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// Length of the axis.
    pub axis: usize,
    /// Product of the dimensions after it.
    pub inner: usize,
    /// The slice for each slice of the output; `None` is filled with the level.
    pub indices: Vec<Option<usize>>,
    /// What fills the others.
    pub level: f32,
}

impl Take {
    /// Values of the input.
    pub fn in_len(&self) -> usize {
        self.outer * self.axis * self.inner
    }

    /// Values of the output.
    pub fn out_len(&self) -> usize {
        self.outer * self.indices.len() * self.inner
    }

    /// The place in the input of output value `index`; `None` where the level stands.
    pub fn place(&self, index: usize) -> Option<usize> {
        let (row, column) = (index / self.inner, index % self.inner);
        let (outer, at) = (row / self.indices.len(), row % self.indices.len());
        self.indices[at].map(|k| (outer * self.axis + k) * self.inner + column)
    }

    /// Whether every slice exists.
    ///
    /// # Errors
    /// When one does not, or a size is zero.
    pub fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.outer, self.axis, self.inner, self.indices.len()];
        if sizes.contains(&0) || self.indices.iter().flatten().any(|&i| i >= self.axis) {
            return Err(KernelError::shape("take", "slices that exist", format!("{sizes:?}")));
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
        rows(pool, output, self.inner, &|i, out| match self.place(i * self.inner) {
            Some(at) => out.copy_from_slice(&input[at..at + self.inner]),
            None => out.fill(self.level),
        });
    }
}
