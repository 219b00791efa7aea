//! What is said of a model on a data set: every number, with its interval, beside what silence and experts would score.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::bootstrap::{FEWEST, Intervals};
use super::dataset::Dropped;
use super::measures::{Measure, Measures, Shown};
use super::presence::{BINS, Bin, RocPoint};
use super::sweep::Setting;
use super::tune::Choice;
use crate::segmentation::State;

/// Mean Dice with which nineteen experts agree with each other on nerves.
///
/// # References
/// Bowness et al., "Variability between human experts and artificial intelligence in identification of anatomical structures by
/// ultrasound in regional anaesthesia", British Journal of Anaesthesia 132, 2024.
pub const EXPERTS_DICE: f64 = 0.48;
/// Where that is from, in words for people.
pub const EXPERTS_SOURCE: &str = "mean Dice between two of nineteen experts on nerves, 30 videos of six regions: Bowness et al., \
     British Journal of Anaesthesia 132:1063-1072, 2024, doi:10.1016/j.bja.2023.09.023";
/// What is said beside a curve of thresholds.
pub const UNTUNED: &str = "not tuned: what other thresholds would have scored on these same frames; a threshold that is chosen \
     here has to be judged on other subjects (--tune)";

/// Entries by name, in their own order.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Named<T> {
    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// The whole report; what each field means is in [`super::explain`].
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    pub sonoplex: &'static str,
    pub date: String,
    pub seconds: f64,
    pub model: ModelPart,
    pub dataset: DatasetPart,
    pub tuned: Option<TunedPart>,
    pub classes: Named<ClassPart>,
    pub presence: PresencePart,
    pub subjects: Named<SubjectPart>,
    pub reference: ReferencePart,
    pub frames: Vec<FramePart>,
    pub definitions: BTreeMap<String, String>,
}

/// What was judged.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ModelPart {
    pub name: String,
    pub file: String,
    pub sha256: String,
    pub plan_sha256: String,
    pub precision: String,
    pub device: String,
    pub input: String,
    pub despeckle: String,
    pub crop: String,
    pub calibrated: bool,
    pub given_threshold: Option<f32>,
    pub thresholds: Named<ThresholdPart>,
    pub license: Option<String>,
    pub attribution: Option<String>,
    pub notes: Vec<String>,
}

/// What decides about one class.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ThresholdPart {
    #[serde(flatten)]
    pub setting: Setting,
    pub absent: f32,
    pub present: f32,
}

/// What it was judged on.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct DatasetPart {
    pub name: String,
    pub frames: usize,
    pub subjects: usize,
    pub skipped: Vec<Dropped>,
    pub dropped: Vec<Dropped>,
    pub notes: Vec<String>,
}

/// Settings that were chosen on other subjects.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TunedPart {
    pub subjects: Vec<String>,
    pub frames: usize,
    pub classes: Vec<Choice>,
}

/// One class over all frames.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ClassPart {
    pub color: [u8; 3],
    pub frames: FrameCounts,
    pub measures: Measures,
    pub intervals: Option<Intervals>,
    pub presence: PresencePart,
    pub curve: Curve,
}

/// How many frames there are of each kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct FrameCounts {
    pub all: usize,
    pub with_class: usize,
    pub without_class: usize,
    pub surfaces_compared: usize,
    pub mask_empty_truth_not: usize,
    pub truth_empty_mask_not: usize,
    pub both_empty: usize,
}

impl Serialize for ClassPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            frames: FrameCounts,
            #[serde(flatten)]
            measures: Shown<'a>,
            ci95: Ci<'a>,
            presence: &'a PresencePart,
            curve: &'a Curve,
        }
        Flat {
            frames: self.frames,
            measures: Shown(&self.measures, Measure::PIXELS),
            ci95: Ci(self.intervals.as_ref(), Measure::PIXELS),
            presence: &self.presence,
            curve: &self.curve,
        }
        .serialize(serializer)
    }
}

/// Intervals of some measures, or why there are none.
struct Ci<'a>(Option<&'a Intervals>, &'static [Measure]);

impl Serialize for Ci<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for &measure in self.1 {
            map.serialize_entry(measure.name(), &self.0.and_then(|i| i.get(measure)))?;
        }
        if self.0.is_none() {
            map.serialize_entry("why", &no_interval())?;
        }
        map.end()
    }
}

/// Why there is no interval, where there is none at all.
pub fn no_interval() -> String {
    format!("fewer than {FEWEST} subjects: an interval over subjects would say nothing")
}

/// "Is it there?" of one class.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct PresencePart {
    pub class: String,
    pub confidence: &'static str,
    pub measures: Measures,
    pub intervals: Option<Intervals>,
    pub roc: Vec<RocPoint>,
    pub bins: [Bin; BINS],
}

impl Serialize for PresencePart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            class: &'a str,
            confidence: &'a str,
            #[serde(flatten)]
            measures: Shown<'a>,
            ci95: Ci<'a>,
            roc: &'a [RocPoint],
            bins: &'a [Bin],
        }
        Flat {
            class: &self.class,
            confidence: self.confidence,
            measures: Shown(&self.measures, Measure::PRESENCE),
            ci95: Ci(self.intervals.as_ref(), Measure::PRESENCE),
            roc: &self.roc,
            bins: &self.bins,
        }
        .serialize(serializer)
    }
}

/// What other thresholds would have scored.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Curve {
    pub note: &'static str,
    pub points: Vec<CurvePoint>,
}

/// One threshold, with the smallest region as shipped.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct CurvePoint {
    pub threshold: f32,
    pub shipped: bool,
    pub dice_mean: f64,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub fpr_pixels: Option<f64>,
}

/// One subject.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SubjectPart {
    pub frames: usize,
    /// Of the first class that it has.
    pub dice_mean: Option<f64>,
    pub classes: Named<AllMeasures>,
}

/// Every measure of one class.
#[derive(Clone, Debug)]
pub struct AllMeasures(pub Measures);

impl Serialize for AllMeasures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown(&self.0, &Measure::ALL).serialize(serializer)
    }
}

/// What the numbers stand beside.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ReferencePart {
    pub all_empty: AllEmpty,
    pub experts_dice: f64,
    pub experts_source: &'static str,
}

/// A predictor that answers nothing, by the same measures.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct AllEmpty {
    pub classes: Named<AllMeasures>,
    pub presence: AllMeasures,
}

/// One frame.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct FramePart {
    pub id: String,
    pub subject: String,
    pub width: u32,
    pub height: u32,
    /// Of the first class that it has.
    pub dice: Option<f64>,
    pub classes: Named<FrameClass>,
}

/// One class of one frame.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct FrameClass {
    pub dice: f64,
    pub iou: f64,
    pub truth_px: u64,
    pub mask_px: u64,
    pub both_px: u64,
    pub hd95_px: Option<f64>,
    pub hd95_mm: Option<f64>,
    pub msd_px: Option<f64>,
    pub msd_mm: Option<f64>,
    pub state: State,
    pub confidence: f32,
}
