//! Where frames come from: one trait, and one file for each kind of recording or device.

#[cfg(feature = "camera")]
pub mod camera;
#[cfg(feature = "camera")]
mod camera_decode;
pub mod devices;
pub mod dicom;
#[cfg(feature = "video")]
pub mod gst;
#[cfg(feature = "video")]
mod gst_reader;
pub mod images;
mod jpeg;
pub mod metaimage;
pub mod open;
pub mod phantom;
pub mod session;
pub mod trim;
#[cfg(feature = "video")]
pub mod video;
pub mod video_container;
#[cfg(feature = "video")]
mod video_damage;
#[cfg(feature = "video")]
mod video_streams;

use std::path::PathBuf;

use serde::Serialize;

pub use open::{OpenOptions, open};

use crate::frame::Frame;
use crate::geometry::{Size, Spacing};
use crate::segmentation::Class;

/// A sequence of frames.
///
/// A source knows nothing of real time: it delivers as fast as it is asked (a device blocks until it has a frame), and
/// the pipeline paces it by [`Frame::time`]. It leaves [`Frame::stamps`] empty: only the pipeline knows
/// the clock of the run. A device that stamps its pictures tells their [`Frame::age`].
pub trait Source: Send {
    /// What is known without reading all of it.
    fn info(&self) -> &SourceInfo;

    /// The next frame; `Ok(None)` at the end, and again if asked again. Ids count from 0 without gaps and go on
    /// counting after a [`Source::seek`].
    fn next(&mut self) -> Result<Option<Frame>, SourceError>;

    /// Frames that it knows to have lost so far, and that never come: damaged pictures, gaps that a device reports,
    /// pictures of a device that nobody asked for in time, frames that a cut file no longer has.
    fn dropped(&self) -> u64 {
        0
    }

    /// Whether [`Source::next`] goes on behind a frame that it could not read, as a folder does.
    fn goes_on(&self) -> bool {
        false
    }

    /// Makes `index` (from 0) the next frame. A device refuses.
    fn seek(&mut self, index: u64) -> Result<(), SourceError>;
}

/// What a source is, for `inspect`, the window title and the session file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceInfo {
    /// What was opened, as the user wrote it.
    pub name: String,
    /// For people: `mp4, H.264`, `DICOM, JPEG 2000`, `phantom`.
    pub format: String,
    /// Size of the first frame, where known.
    pub size: Option<Size>,
    /// Number of frames, where known.
    pub frames: Option<u64>,
    /// Frames a second, where known (of a variable rate: the mean).
    pub rate_hz: Option<f64>,
    /// Pixel spacing, where known; `None` is "uncalibrated".
    pub spacing: Option<Spacing>,
    /// How the picture lies in the file, and what was done to bring it upright: `MF`, `as stored`.
    pub orientation: Option<String>,
    /// Whether it is a device: it cannot be paced or sought, and drops rather than waits.
    pub live: bool,
    /// Classes of [`Frame::truth`], class 1 first; empty where there is no truth.
    pub truth: Vec<Class>,
    /// What was assumed or left out, one sentence each.
    pub notes: Vec<String>,
}

/// What can go wrong with a source. The message says what was attempted, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file or folder cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The content is not what it says it is.
    #[error("cannot use `{path}` as {what}: {found}; {advice}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// For example `a MetaImage sequence`.
        what: &'static str,
        /// What was expected and what was found.
        found: String,
        /// What to do.
        advice: String,
    },
    /// Neither content nor name tells what it is.
    #[error(
        "cannot tell what `{name}` is: {found}; give a video, an image or folder of images, DICOM, MetaImage, a recorded session or `phantom:`"
    )]
    Unknown {
        /// What the user wrote.
        name: String,
        /// What was seen.
        found: String,
    },
    /// Needs a feature that this build is without.
    #[error(
        "cannot open `{name}`: this build is without `{feature}`; rebuild with `cargo build --release --features {feature}`"
    )]
    FeatureMissing {
        /// What the user wrote.
        name: String,
        /// The Cargo feature.
        feature: &'static str,
    },
    /// The option text after `phantom:`, `camera:` and so on is wrong.
    #[error("cannot understand `{name}`: {found}; {advice}")]
    Options {
        /// What the user wrote.
        name: String,
        /// What is wrong.
        found: String,
        /// What to write instead.
        advice: String,
    },
    /// A device is missing, busy or has stopped.
    #[error("cannot capture from `{name}`: {found}; {advice}")]
    Device {
        /// Device.
        name: String,
        /// What happened.
        found: String,
        /// What to do.
        advice: String,
    },
}

/// Which samples become black and white, where a recording does not tell: those of its first frame, or of all that were looked at where
/// these go twice as far, since a first frame may be dark.
fn settled(first: [f64; 2], all: [f64; 2]) -> [f64; 2] {
    let span = |[low, high]: [f64; 2]| high - low;
    if span(all) > 2.0 * span(first) { all } else { first }
}
