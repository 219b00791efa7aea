//! What can be wrong with a data set.

use std::path::PathBuf;

use crate::evaluate::submission::TableError;
use crate::geometry::Size;
use crate::source::SourceError;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A picture, a mask or a phantom.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// `train_masks.csv`.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file that is no picture.
    #[error("cannot read `{path}`: {cause}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is not what was expected.
    #[error("cannot use `{name}` as a data set: {found}; {advice}")]
    Unfit {
        /// What was asked for.
        name: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: String,
    },
    /// Training and validation cannot be told apart.
    #[error("cannot split `{name}`: {found}; {advice}")]
    Split {
        /// Data set.
        name: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: String,
    },
    /// It cannot be packed.
    #[error("cannot pack `{name}`: {found}; {advice}")]
    Pack {
        /// Data set.
        name: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: String,
    },
    /// The mask belongs to another picture.
    #[error(
        "cannot use the mask `{path}`: expected {expected} pixels as in its picture, found {found}; give a mask of the size of its picture, or take both away"
    )]
    MaskSize {
        /// Mask.
        path: PathBuf,
        /// Size of the picture.
        expected: Size,
        /// Size of the mask.
        found: Size,
    },
    /// The mask shows a class that has no name.
    #[error(
        "cannot use the mask of `{name}`: expected labels up to {expected}, found {found}; name every class in `classes.txt`, or mend the mask"
    )]
    Label {
        /// Picture.
        name: String,
        /// The label.
        found: u8,
        /// Number of classes.
        expected: usize,
    },
}
