//! The numbers of a report, by name: what each means, when it does not exist, and how it follows from judged frames.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::counts::Counts;
use super::presence::{Ranking, ece};
use super::surface::Distances;
use crate::segmentation::State;

/// What is known of one class in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Pixels of the class.
    pub counts: Counts,
    /// Between the surfaces, in pixels; nothing where one of the two is empty.
    pub px: Option<Distances>,
    /// The same in millimetres; nothing where the spacing is unknown.
    pub mm: Option<Distances>,
    /// What the segmenter says of the frame, 0..=1.
    pub confidence: f32,
    /// What it says in a word.
    pub state: State,
}

impl Row {
    /// The row of a predictor that answers nothing.
    pub fn of_nothing(&self) -> Self {
        Self { counts: self.counts.of_nothing(), px: None, mm: None, confidence: 0.0, state: State::NoNerve }
    }

    /// Whether the class is in the truth.
    pub fn there(&self) -> bool {
        self.counts.truth() > 0
    }
}

/// A number of a class; [`Measure::ALL`] has them in the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `meaning` says it
pub enum Measure {
    DiceMean,
    DiceNonempty,
    DicePooled,
    DiceCompetition,
    Iou,
    IouMean,
    Precision,
    Recall,
    Specificity,
    Accuracy,
    Hd95Px,
    Hd95Mm,
    MsdPx,
    MsdMm,
    Auc,
    Ece,
    Fpr,
    FprUncertain,
    FprPixels,
    Tpr,
}

impl Measure {
    /// All of them; those of [`Measure::PRESENCE`] come last.
    pub const ALL: [Self; 20] = [
        Self::DiceMean,
        Self::DiceNonempty,
        Self::DicePooled,
        Self::DiceCompetition,
        Self::Iou,
        Self::IouMean,
        Self::Precision,
        Self::Recall,
        Self::Specificity,
        Self::Accuracy,
        Self::Hd95Px,
        Self::Hd95Mm,
        Self::MsdPx,
        Self::MsdMm,
        Self::Auc,
        Self::Ece,
        Self::Fpr,
        Self::FprUncertain,
        Self::FprPixels,
        Self::Tpr,
    ];
    /// Those of the outlines and pixels.
    pub const PIXELS: &[Self] = Self::ALL.split_at(14).0;
    /// Those of "is it there?".
    pub const PRESENCE: &[Self] = Self::ALL.split_at(14).1;

    /// Its key in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiceMean => "dice_mean",
            Self::DiceNonempty => "dice_nonempty",
            Self::DicePooled => "dice_pooled",
            Self::DiceCompetition => "dice_competition",
            Self::Iou => "iou",
            Self::IouMean => "iou_mean",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Specificity => "specificity",
            Self::Accuracy => "accuracy",
            Self::Hd95Px => "hd95_px",
            Self::Hd95Mm => "hd95_mm",
            Self::MsdPx => "msd_px",
            Self::MsdMm => "msd_mm",
            Self::Auc => "auc",
            Self::Ece => "ece",
            Self::Fpr => "fpr",
            Self::FprUncertain => "fpr_uncertain",
            Self::FprPixels => "fpr_pixels",
            Self::Tpr => "tpr",
        }
    }

    /// What it is, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::DiceMean => {
                "mean over frames of Dice, 2|X∩Y| / (|X|+|Y|); 1 where the class is neither in the mask nor in the truth"
            }
            Self::DiceNonempty => "the same mean over the frames alone that have the class: nothing is won by silence",
            Self::DicePooled => "Dice of the pixels of all frames together; equals the F1 score",
            Self::DiceCompetition => {
                "the score of the Kaggle competition (2016): by its definition the same as dice_mean, under its own name"
            }
            Self::Iou => "TP / (TP+FP+FN) of the pixels of all frames together (Jaccard)",
            Self::IouMean => "mean over frames of the same; 1 where the class is neither in the mask nor in the truth",
            Self::Precision => "TP / (TP+FP), pixels of all frames together: of what was found, the part that is there",
            Self::Recall => "TP / (TP+FN), pixels of all frames together: of what is there, the part that was found",
            Self::Specificity => {
                "TN / (TN+FP), pixels of all frames together: of what is not there, the part left alone"
            }
            Self::Accuracy => {
                "(TP+TN) / all pixels: high for an empty answer too, see reference.all_empty, so it proves nothing"
            }
            Self::Hd95Px => {
                "mean over frames, with the class in mask and truth, of the greater 95th percentile of distances between \
                 the surfaces (as MONAI), in pixels"
            }
            Self::Hd95Mm => "the same in millimetres, over the frames whose pixel spacing is known",
            Self::MsdPx => {
                "mean over frames, with the class in mask and truth, of the mean distance of the pixels of both surfaces to \
                 the other one, in pixels"
            }
            Self::MsdMm => "the same in millimetres, over the frames whose pixel spacing is known",
            Self::Auc => {
                "chance that a frame with the class has a higher confidence than one without (ROC-AUC, Mann–Whitney, equals \
                 count one half)"
            }
            Self::Ece => {
                "expected calibration error of the confidence: mean over frames of |confidence − part with the class| of \
                 their bin, 15 equal bins"
            }
            Self::Fpr => "of the frames without the class, the part whose shipped decision is `nerve` (present)",
            Self::FprUncertain => "the same with `uncertain` counted as present too",
            Self::FprPixels => "of the frames without the class, the part where any pixel of the mask has it",
            Self::Tpr => "of the frames with the class, the part whose shipped decision is `nerve` (present)",
        }
    }

    /// Why it does not exist, where it does not.
    pub const fn absent(self) -> &'static str {
        match self {
            Self::DiceMean | Self::DiceCompetition | Self::IouMean | Self::Ece => "there is no frame",
            Self::DicePooled | Self::Iou | Self::Accuracy => "there is no frame",
            Self::DiceNonempty | Self::Recall | Self::Tpr => "no frame has the class",
            Self::Precision => "nothing was found in any frame",
            Self::Specificity => "no pixel is without the class",
            Self::Hd95Px | Self::MsdPx => "no frame has the class both in its mask and in its truth",
            Self::Hd95Mm | Self::MsdMm => {
                "no frame has the class both in its mask and in its truth and a known pixel spacing"
            }
            Self::Auc => "it needs frames with the class and frames without",
            Self::Fpr | Self::FprUncertain | Self::FprPixels => "every frame has the class",
        }
    }
}

/// The value of every measure; nothing where it does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures([Option<f64>; Measure::ALL.len()]);

impl Measures {
    /// Of rows, of which row `i` counts `weight(i)` times; `ranking` is that of the same rows.
    pub fn of(rows: &[&Row], ranking: &Ranking, weight: impl Fn(usize) -> u64) -> Self {
        let (mut pooled, mut truth_is) = (Counts::default(), [0u64; 2]);
        let [mut dice, mut nonempty, mut iou, mut hd, mut hd_mm, mut msd, mut msd_mm] = [Mean::default(); 7];
        let (mut present, mut doubtful, mut pixels) = ([0u64; 2], [0u64; 2], [0u64; 2]);
        for (i, row) in rows.iter().enumerate() {
            let (n, there) = (weight(i), usize::from(row.there()));
            if n == 0 {
                continue;
            }
            pooled += row.counts.times(n);
            truth_is[there] += n;
            dice.add(row.counts.dice(), n);
            iou.add(row.counts.iou(), n);
            if row.there() {
                nonempty.add(row.counts.dice(), n);
            }
            for (distances, hd95, mean) in [(row.px, &mut hd, &mut msd), (row.mm, &mut hd_mm, &mut msd_mm)] {
                if let Some(distances) = distances {
                    hd95.add(distances.hd95, n);
                    mean.add(distances.mean, n);
                }
            }
            present[there] += if row.state == State::Nerve { n } else { 0 };
            doubtful[there] += if row.state == State::NoNerve { 0 } else { n };
            pixels[there] += if row.counts.mask() > 0 { n } else { 0 };
        }
        let part =
            |of: [u64; 2], there: usize| (truth_is[there] > 0).then(|| of[there] as f64 / truth_is[there] as f64);
        let any = truth_is[0] + truth_is[1] > 0;
        Self(Measure::ALL.map(|measure| match measure {
            Measure::DiceMean | Measure::DiceCompetition => dice.value(),
            Measure::DiceNonempty => nonempty.value(),
            Measure::DicePooled => any.then(|| pooled.dice()),
            Measure::Iou => any.then(|| pooled.iou()),
            Measure::IouMean => iou.value(),
            Measure::Precision => pooled.precision(),
            Measure::Recall => pooled.recall(),
            Measure::Specificity => pooled.specificity(),
            Measure::Accuracy => pooled.accuracy(),
            Measure::Hd95Px => hd.value(),
            Measure::Hd95Mm => hd_mm.value(),
            Measure::MsdPx => msd.value(),
            Measure::MsdMm => msd_mm.value(),
            Measure::Auc => ranking.auc(&weight),
            Measure::Ece => ece(&ranking.bins(&weight)),
            Measure::Fpr => part(present, 0),
            Measure::FprUncertain => part(doubtful, 0),
            Measure::FprPixels => part(pixels, 0),
            Measure::Tpr => part(present, 1),
        }))
    }

    /// The value of one.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0[measure as usize]
    }
}

/// The ranking of rows by their confidence.
pub fn ranking(rows: &[&Row]) -> Ranking {
    Ranking::new(rows.iter().map(|row| (row.confidence, row.there())))
}

/// A mean that is being added up.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64, times: u64) {
        self.sum += value * times as f64;
        self.count += times;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Some of the measures as a JSON object, and below `why` the reason for each that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Measures, pub &'static [Measure]);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(measures, shown) = self;
        let mut map = serializer.serialize_map(None)?;
        for &measure in *shown {
            map.serialize_entry(measure.name(), &measures.get(measure))?;
        }
        let absent = shown.iter().filter(|m| measures.get(**m).is_none());
        let why: std::collections::BTreeMap<_, _> = absent.map(|m| (m.name(), m.absent())).collect();
        if !why.is_empty() {
            map.serialize_entry("why", &why)?;
        }
        map.end()
    }
}
