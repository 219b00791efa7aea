//! Why a frame could not be segmented.

use std::path::PathBuf;

use crate::engine::{BuildError, EngineError, NetworkError, PlanError};
use crate::geometry::{Rect, Size};

use super::spec::SpecError;

/// Why a segmenter could not be opened, or a frame not be segmented.
#[derive(Debug, thiserror::Error)]
pub enum SegmenterError {
    /// The file is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The network cannot be computed.
    #[error("cannot prepare the model `{path}`: {source}")]
    Build {
        /// The model.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// The file is no plan, or one for something else.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model's description is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A network that is no segmenter of pictures, or whose description is of another one.
    #[error("cannot segment with the model `{path}`: expected {expected}, found {found}")]
    Model {
        /// The model.
        path: PathBuf,
        /// What would do.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A frame without pixels.
    #[error("cannot segment frame {id}: expected at least one pixel, found {size}")]
    Empty {
        /// Number of the frame.
        id: u64,
        /// Its size.
        size: Size,
    },
    /// The network gave something that is no number.
    #[error(
        "cannot use the answer to frame {id}: the network gives values that are not a number; the model is damaged, export it again"
    )]
    NotANumber {
        /// Number of the frame.
        id: u64,
    },
    /// A crop that does not lie in the frame.
    #[error("cannot crop frame {id} to `{rect}`: the frame is {size}; give a rectangle inside it, `auto` or `full`")]
    Crop {
        /// Number of the frame.
        id: u64,
        /// What was asked for.
        rect: Rect,
        /// What there is.
        size: Size,
    },
}
