//! What a recorded session looks like on disk: the words that the recorder writes and the session source reads.
//!
//! ```text
//! DIR/session.json       one Session
//! DIR/frames.jsonl       one FrameRow a line, in the order of capture
//! DIR/frames/000000.png  the raw frame, lossless
//! DIR/events.jsonl       what changed the segmenter on the way: a reset, another filter, a gap
//! DIR/masks/000000.png   class index of every pixel (0 background), where it was segmented
//! DIR/annotated.mp4      for people; where the `video` feature and an encoder are there
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::geometry::{Rect, Sector, Spacing};
use crate::latency::{Counts, LatencySummary};
use crate::segmentation::{Class, State};

/// Version of the layout; a reader refuses a newer one and reads every older one.
///
/// 2: a row has all stamps, `null` for what did not happen, and a raw frame carries an [`Imprint`].
pub const VERSION: u32 = 2;

/// `session.json`: with what, and how much, was recorded. Written at the start (so that a crash leaves a readable
/// session) and again at the end, with the counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    /// See [`VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub sonoplex: String,
    /// What was replayed or captured.
    pub source: String,
    /// Path or name of the model.
    pub model: String,
    /// SHA-256 of the model file, hexadecimal.
    pub model_sha256: String,
    /// SHA-256 of the plan: network, precision, tactics.
    pub plan_sha256: String,
    /// Tactic of every step, by the name of the step.
    pub tactics: BTreeMap<String, String>,
    /// The CPU path (`avx512`, `avx2`, …) or the GPU and driver that computed it.
    pub device: String,
    /// Classes of the masks, class 1 first.
    pub classes: Vec<Class>,
    /// Every setting that changes a mask, and the versions of what took part.
    pub settings: BTreeMap<String, String>,
    /// What was assumed or left out by the source, and what its capture stamps are.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why it ended (`end of recording`, `stopped by the user`, an error), absent while it runs.
    pub ended: Option<String>,
    /// Frames captured, segmented, shown, recorded and dropped.
    pub frames: Counts,
    /// Percentiles of every stage.
    pub latency_us: LatencySummary,
}

/// One line of `frames.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameRow {
    /// Frame id, from 0.
    pub id: u64,
    /// Presentation time in nanoseconds since the start.
    pub time_ns: u64,
    /// File of the raw frame, relative to the session.
    pub frame: String,
    /// File of the mask, where the frame was segmented.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mask: Option<String>,
    /// Pixel spacing, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spacing: Option<Spacing>,
    /// Where the network looked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub crop: Option<Rect>,
    /// The part of it that is the picture of a curved array.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sector: Option<Sector>,
    /// State of the nerve.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<State>,
    /// Confidence, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probability: Option<f32>,
    /// Pixels of the nerve.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area_px: Option<usize>,
    /// The same in mm².
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area_mm2: Option<f64>,
    /// Dice of every class against the truth, where the source knows it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub dice: BTreeMap<String, f64>,
    /// Moments in nanoseconds of the run's clock, by the names of [`crate::latency::Moment`]; `None` for one that did not
    /// come: a frame that was not segmented, not composited, or (in a headless run) not presented.
    pub stamps_ns: BTreeMap<String, Option<u64>>,
}

/// What a raw frame says of itself, as JSON in the text chunk [`Imprint::KEYWORD`] of its PNG: a second witness of what
/// its row says, and all that is known of a frame that was taken out of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imprint {
    /// As [`FrameRow::id`].
    pub id: u64,
    /// As [`FrameRow::time_ns`].
    pub time_ns: u64,
    /// The stamp `captured`.
    pub captured_ns: Option<u64>,
}

impl Imprint {
    /// Keyword of the text chunk.
    pub const KEYWORD: &str = "sonoplex";
}
