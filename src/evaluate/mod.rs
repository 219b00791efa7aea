//! Whole data sets: reading them, splitting them, and saying how good a model is on them.
//!
//! The [`dataset`] gives pictures with their truth; [`run`] sends each through the segmenter as the program ships it and keeps
//! a row for every frame and class; the [`measures`] of all rows, with intervals from drawing the subjects again, make the
//! [`report`]. Every number is defined in [`measures`] or [`explain`], and in `docs/evaluate.md` with its source.

pub mod assemble;
pub mod bootstrap;
mod chance;
pub mod counts;
pub mod dataset;
pub mod explain;
pub mod measures;
pub mod page;
pub mod presence;
pub mod report;
pub mod rle;
pub mod run;
pub mod submission;
pub mod surface;
pub mod sweep;
pub mod table;
pub mod tune;

use crate::segmenter::SegmenterError;

use dataset::DatasetError;

/// Why a model could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] SegmenterError),
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A frame that the model cannot answer to: no number can be given for a data set that was judged in part.
    #[error("cannot judge the model on `{frame}`: {source}")]
    Frame {
        /// Name of the frame.
        frame: String,
        /// What the segmenter said.
        source: Box<SegmenterError>,
    },
    /// Model and data set have nothing in common.
    #[error(
        "cannot judge `{model}` on `{dataset}`: expected one of the model's classes ({expected}), found {found}; give a model that was trained for these, or name the classes alike"
    )]
    Classes {
        /// Name of the model.
        model: String,
        /// Name of the data set.
        dataset: String,
        /// Classes of the model.
        expected: String,
        /// Classes of the data set.
        found: String,
    },
    /// There is nothing to judge on.
    #[error("cannot judge `{model}` on `{dataset}`: expected at least one frame {wanted}, found none; {advice}")]
    NoFrames {
        /// Name of the model.
        model: String,
        /// Name of the data set.
        dataset: String,
        /// Which frames were asked for.
        wanted: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A subject that the data set does not have.
    #[error("cannot find `{found}` in `{dataset}`: expected subjects or frames of it, for example `{nearest}`")]
    Subject {
        /// Name of the data set.
        dataset: String,
        /// What was written.
        found: String,
        /// What may have been meant.
        nearest: String,
    },
    /// A picture of the report cannot be encoded.
    #[error("cannot draw the frame `{frame}` for the report: {cause}; leave the report out")]
    Draw {
        /// Name of the frame.
        frame: String,
        /// What the encoder said.
        cause: String,
    },
}
