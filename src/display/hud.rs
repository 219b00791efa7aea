//! The numbers and words beside the picture, as the pipeline fills them.

use crate::geometry::Spacing;
use crate::segmentation::State;

/// The one word that says how things stand; each has its own shape too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Banner {
    /// Found.
    Nerve,
    /// Looked, and not found.
    NoNerve,
    /// Something may be there.
    Uncertain,
    /// The picture stands still because the viewer wants it.
    Frozen,
    /// No new picture comes.
    NoSignal,
    /// Nothing has been segmented yet.
    #[default]
    Waiting,
}

impl Banner {
    /// The word on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nerve => "NERVE",
            Self::NoNerve => "NO NERVE",
            Self::Uncertain => "UNCERTAIN",
            Self::Frozen => "FROZEN",
            Self::NoSignal => "NO SIGNAL",
            Self::Waiting => "WAITING",
        }
    }
}

impl From<State> for Banner {
    fn from(state: State) -> Self {
        match state {
            State::Nerve => Self::Nerve,
            State::NoNerve => Self::NoNerve,
            State::Uncertain => Self::Uncertain,
        }
    }
}

/// How long one stage takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageBar {
    /// For example `network`.
    pub name: &'static str,
    /// Of the newest frame, ms.
    pub now_ms: f64,
    /// Half of the frames, ms.
    pub p50_ms: f64,
    /// 99 % of the frames, ms.
    pub p99_ms: f64,
}

/// Everything that is written beside the picture. Empty text and `None` are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hud {
    /// How things stand.
    pub banner: Banner,
    /// The picture stands still; the banner says so and keeps the answer in its second line.
    pub frozen: bool,
    /// Confidence of the first class, 0..=1.
    pub probability: Option<f32>,
    /// The probability was not calibrated, which is said wherever it is shown.
    pub uncalibrated: bool,
    /// Time since the capture of the picture, ms.
    pub picture_age_ms: Option<f64>,
    /// Time since the capture of the picture that the mask was found in, ms.
    pub mask_age_ms: Option<f64>,
    /// Bars, in the order of the flow.
    pub stages: Vec<StageBar>,
    /// Frames dropped, of all causes.
    pub drops: u64,
    /// Pictures shown a second.
    pub fps: f64,
    /// Number of the frame, from 0.
    pub frame: Option<u64>,
    /// Number of frames of the recording.
    pub frames: Option<u64>,
    /// What is watched.
    pub source: String,
    /// Which model looks.
    pub model: String,
    /// What it runs on.
    pub device: String,
    /// The despeckle filter.
    pub despeckle: String,
    /// A session is being recorded.
    pub recording: bool,
    /// Pixel spacing, where the frame itself does not know it.
    pub spacing: Option<Spacing>,
    /// Something that the viewer must know now.
    pub notice: String,
}
