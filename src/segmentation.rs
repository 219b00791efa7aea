//! What the segmenter answers about one frame.

use serde::{Deserialize, Serialize};

use crate::geometry::{Rect, Sector, Size};
use crate::latency::Stamps;
use crate::mask::Mask;

/// The answer to "is it there?": shown as it is, never as an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Found with a confidence above the upper threshold.
    Nerve,
    /// Looked, and not found.
    #[default]
    NoNerve,
    /// Between the two thresholds: something may be there.
    Uncertain,
}

impl State {
    /// The word in JSON and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nerve => "nerve",
            Self::NoNerve => "no_nerve",
            Self::Uncertain => "uncertain",
        }
    }
}

/// A class that a model can find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// For example `nerve` or `vessel`.
    pub name: String,
    /// Red, green, blue of the overlay.
    pub color: [u8; 3],
}

/// A closed outline in pixel coordinates of the source frame, clockwise on the screen; the last point joins the first.
pub type Contour = Vec<[f32; 2]>;

/// What was found of one class.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Finding {
    /// After thresholds and hysteresis. For every class the words are those of [`State`].
    pub state: State,
    /// Confidence in 0..=1: the mean of the 100 highest probabilities; where the model has a presence output, what that says or the mean
    /// of the highest (100, or as many as the smallest region has), whichever is less.
    pub confidence: f32,
    /// Pixels of the mask of this class.
    pub area_px: usize,
    /// The same in mm², where the spacing is known.
    pub area_mm2: Option<f64>,
    /// Mean position of those pixels (pixel centres at whole numbers), where there are any.
    pub centroid: Option<[f32; 2]>,
    /// Smallest rectangle around them.
    pub bounds: Option<Rect>,
    /// Outer outline of every component, largest first.
    pub contours: Vec<Contour>,
}

/// What the segmenter answers about one frame, at the size of that frame.
///
/// Reused from frame to frame: filling it again allocates only when it has never been as large.
#[derive(Clone, Debug, Default)]
pub struct Segmentation {
    /// The frame that it was computed from.
    pub frame_id: u64,
    /// Size of that frame.
    pub size: Size,
    /// Where in the frame the network looked; outside it there is no answer.
    pub crop: Rect,
    /// The part of the crop that is the picture of a curved array; outside it the network saw black and its answer is 0.
    pub sector: Option<Sector>,
    /// Class of every pixel.
    pub mask: Mask,
    /// Probability of every class, 0..=255 for 0..=1: `classes × height × width`, class 1 first.
    pub probability: Vec<u8>,
    /// One for each class of the model, class 1 first.
    pub findings: Vec<Finding>,
    /// Whether a presence output of the model is behind the confidence; if not, "uncalibrated" is said wherever it is shown.
    pub calibrated: bool,
    /// Stamps of the frame, and those of the segmenter.
    pub stamps: Stamps,
}

impl Segmentation {
    /// State of the first class: the nerve.
    pub fn state(&self) -> State {
        self.findings.first().map_or(State::NoNerve, |f| f.state)
    }

    /// Confidence of the first class, 0..=1.
    pub fn confidence(&self) -> f32 {
        self.findings.first().map_or(0.0, |f| f.confidence)
    }

    /// Probability plane of class `class` (from 1): `height × width`, 0..=255.
    pub fn plane(&self, class: usize) -> &[u8] {
        let n = self.size.area();
        &self.probability[(class - 1) * n..class * n]
    }
}
