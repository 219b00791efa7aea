//! Keeps a run on disk so that it can be played again and proven.
//!
//! The layout is that of [`crate::session`]; `events.jsonl` beside it holds what changed the segmenter on the way.

#[cfg(feature = "video")]
pub mod annotated;
pub mod disk;
pub mod read;
pub mod recorder;
pub mod score;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use disk::{Disk, OsDisk};
pub use recorder::Recorder;
pub use score::Scoring;

/// One line of `events.jsonl`: something that happened to the segmenter just before it took frame `before`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Id of the first frame that it concerns.
    pub before: u64,
    /// What happened.
    pub event: EventKind,
    /// For [`EventKind::Despeckle`] the filter, else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// What can happen to a segmenter between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It has forgotten the earlier frames (loop, seek, start of a recording).
    Reset,
    /// It has another despeckle filter.
    Despeckle,
    /// It has seen frames that are not in the recording, so its hysteresis cannot be repeated from here on.
    Gap,
}

/// What can go wrong with a recording; what was written before stays readable.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is something already.
    #[error("cannot record to `{dir}`: it is not empty; give a folder that does not exist yet, or an empty one")]
    NotEmpty {
        /// Folder.
        dir: PathBuf,
    },
    /// The disk is full.
    #[error("cannot write `{path}`: the disk is full; the {frames} frames recorded before stay readable")]
    Full {
        /// File.
        path: PathBuf,
        /// Frames that are complete.
        frames: u64,
    },
    /// The system refused.
    #[error("cannot write `{path}`: {cause}; the {frames} frames recorded before stay readable")]
    Write {
        /// File.
        path: PathBuf,
        /// Frames that are complete.
        frames: u64,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The folder cannot be made or looked into.
    #[error("cannot record to `{dir}`: {cause}; give a folder that can be written to")]
    Create {
        /// Folder.
        dir: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A picture that PNG cannot hold.
    #[error("cannot record frame {id} of {width}x{height} pixels as PNG: {cause}")]
    Encode {
        /// Frame.
        id: u64,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What the encoder said.
        cause: png::EncodingError,
    },
    /// A file of the session is missing or cannot be read.
    #[error("cannot read `{path}`: {cause}; a recorded session has session.json, frames.jsonl, frames/ and masks/")]
    Read {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file of the session is not what it should be.
    #[error("cannot use `{path}`: {found}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// What was expected and what was found.
        found: String,
    },
}
