//! One run of a plan's weights.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::backend::file_map::FileMap;

/// Numbers of a plan's own, or in the file that it is read from; a clone is the same numbers.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Weights {
    Own(Arc<Vec<f32>>),
    /// Bytes of the file: whole floats, where floats may lie.
    File(Arc<FileMap>, Range<usize>),
}

impl Weights {
    /// The file that they are read from.
    pub fn file(&self) -> Option<&Arc<FileMap>> {
        match self {
            Self::Own(_) => None,
            Self::File(file, _) => Some(file),
        }
    }

    /// The same numbers, free of the file.
    pub fn owned(&self) -> Self {
        match self {
            Self::Own(_) => self.clone(),
            Self::File(..) => self.to_vec().into(),
        }
    }
}

impl From<Vec<f32>> for Weights {
    fn from(numbers: Vec<f32>) -> Self {
        Self::Own(Arc::new(numbers))
    }
}

impl Default for Weights {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl Deref for Weights {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Own(numbers) => numbers,
            Self::File(file, bytes) => bytemuck::cast_slice(&file[bytes.clone()]),
        }
    }
}
