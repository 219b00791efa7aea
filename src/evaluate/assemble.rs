//! From judged frames to a report.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bootstrap::Intervals;
use super::dataset::Dataset;
use super::explain;
use super::measures::{Measure, Measures, Row, ranking};
use super::presence::{Ranking, RocPoint};
use super::report::{
    AllEmpty, AllMeasures, ClassPart, Curve, CurvePoint, DatasetPart, EXPERTS_DICE, EXPERTS_SOURCE, FrameClass,
    FrameCounts, FramePart, ModelPart, Named, PresencePart, ReferencePart, Report, SubjectPart, ThresholdPart,
    TunedPart, UNTUNED,
};
use super::run::{FrameRow, Judged};
use super::sweep::Setting;
use super::tune::{self, dice_means};
use crate::segmentation::Class;
use crate::segmenter::SegmenterConfig;

/// Puts a report together: of frames that were `judged` within `time` on `dataset`, whose classes are those of the model.
pub fn report(
    (judged, time): (&Judged, Duration),
    dataset: &Dataset,
    config: &SegmenterConfig,
    tuned: Option<TunedPart>,
) -> Report {
    let scored = scored(judged, &dataset.classes);
    let subjects = tune::subjects(dataset);
    let parts: Vec<(usize, ClassPart)> =
        scored.iter().map(|&i| (i, class(judged, i, &dataset.classes[i], &subjects))).collect();
    let nothing: Vec<(String, AllMeasures)> =
        scored.iter().map(|&i| (dataset.classes[i].name.clone(), AllMeasures(of_nothing(judged, i)))).collect();
    let presence = parts[0].1.presence.clone();
    let names = |i: usize| dataset.classes[i].name.clone();
    Report {
        sonoplex: env!("CARGO_PKG_VERSION"),
        date: utc(SystemTime::now()),
        seconds: time.as_secs_f64(),
        model: model(judged, &dataset.classes, config),
        dataset: DatasetPart {
            name: dataset.name.clone(),
            frames: judged.frames.len(),
            subjects: subjects.len(),
            skipped: judged.skipped.clone(),
            dropped: dataset.dropped.clone(),
            notes: dataset.notes.clone(),
        },
        tuned,
        classes: Named(parts.into_iter().map(|(i, part)| (names(i), part)).collect()),
        presence,
        subjects: Named(subjects.iter().map(|s| (s.clone(), subject(judged, s, &scored, &names))).collect()),
        reference: ReferencePart {
            all_empty: AllEmpty { presence: nothing[0].1.clone(), classes: Named(nothing) },
            experts_dice: EXPERTS_DICE,
            experts_source: EXPERTS_SOURCE,
        },
        frames: judged.frames.iter().map(|f| frame(f, &scored, &names)).collect(),
        definitions: explain::definitions(),
    }
}

/// Classes that are labelled in a frame at least; of two of one name the first.
pub fn scored(judged: &Judged, classes: &[Class]) -> Vec<usize> {
    let first = |i: &usize| !classes[..*i].iter().any(|c| c.name == classes[*i].name);
    let labelled = |i: &usize| judged.frames.iter().any(|f| f.classes[*i].is_some());
    (0..classes.len()).filter(first).filter(labelled).collect()
}

fn model(judged: &Judged, classes: &[Class], config: &SegmenterConfig) -> ModelPart {
    let info = &judged.model;
    let threshold = |i: usize| ThresholdPart {
        setting: Setting { threshold: info.thresholds[i], min_area: info.min_area[i] },
        absent: info.decisions[i].absent,
        present: info.decisions[i].present,
    };
    ModelPart {
        name: info.name.clone(),
        file: info.path.display().to_string(),
        sha256: info.sha256.clone(),
        plan_sha256: info.plan_sha256.clone(),
        precision: info.precision.to_string(),
        device: info.device.clone(),
        input: info.input_size.to_string(),
        despeckle: config.despeckle.to_string(),
        crop: config.crop.to_string(),
        calibrated: info.presence,
        given_threshold: config.threshold,
        thresholds: Named(classes.iter().enumerate().map(|(i, c)| (c.name.clone(), threshold(i))).collect()),
        license: info.license.clone(),
        attribution: info.attribution.clone(),
        notes: info.notes.clone(),
    }
}

/// Rows of a class with the subject of each.
fn rows(judged: &Judged, class: usize) -> Vec<(&FrameRow, &Row)> {
    judged.frames.iter().filter_map(|f| Some((f, &f.classes[class].as_ref()?.row))).collect()
}

fn class(judged: &Judged, i: usize, class: &Class, subjects: &[String]) -> ClassPart {
    let rows = rows(judged, i);
    // Only subjects that have the class labelled can be drawn for it.
    let own: HashSet<&str> = rows.iter().map(|(f, _)| f.subject.as_str()).collect();
    let own = subjects.iter().map(String::as_str).filter(|s| own.contains(s));
    let number: HashMap<&str, usize> = own.zip(0..).collect();
    let numbers: Vec<usize> = rows.iter().map(|(f, _)| number[f.subject.as_str()]).collect();
    let rows: Vec<&Row> = rows.into_iter().map(|(_, row)| row).collect();
    let ranking = ranking(&rows);
    let measures = Measures::of(&rows, &ranking, |_| 1);
    let intervals = Intervals::of(&rows, &ranking, (&numbers, number.len()));
    let confidence = if judged.model.presence {
        "presence output of the model, or the mean of the highest probabilities where that is less"
    } else {
        "mean of the 100 highest probabilities: not calibrated"
    };
    ClassPart {
        color: class.color,
        frames: count(&rows),
        presence: PresencePart {
            class: class.name.clone(),
            confidence,
            measures: measures.clone(),
            intervals: intervals.clone(),
            roc: corners(ranking.roc()),
            bins: ranking.bins(|_| 1),
        },
        measures,
        intervals,
        curve: Curve { note: UNTUNED, points: curve(judged, i) },
    }
}

fn count(rows: &[&Row]) -> FrameCounts {
    let of = |mask: bool, truth: bool| {
        rows.iter().filter(|r| (r.counts.mask() > 0) == mask && (r.counts.truth() > 0) == truth).count()
    };
    let [both, missed, extra, none] = [of(true, true), of(false, true), of(true, false), of(false, false)];
    FrameCounts {
        all: rows.len(),
        with_class: both + missed,
        without_class: extra + none,
        surfaces_compared: both,
        mask_empty_truth_not: missed,
        truth_empty_mask_not: extra,
        both_empty: none,
    }
}

/// The points at which the curve turns.
fn corners(points: Vec<RocPoint>) -> Vec<RocPoint> {
    let straight = |w: &[RocPoint]| {
        let ([ax, ay], [bx, by]) =
            ([w[1].fpr - w[0].fpr, w[1].tpr - w[0].tpr], [w[2].fpr - w[1].fpr, w[2].tpr - w[1].tpr]);
        (ax * by - ay * bx).abs() < 1e-12
    };
    let inner: Vec<bool> = points.windows(3).map(straight).collect();
    let kept = |i: usize| i == 0 || i + 1 == points.len() || !inner[i - 1];
    points.iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, p)| *p).collect()
}

fn curve(judged: &Judged, class: usize) -> Vec<CurvePoint> {
    let (grid, Some(means)) = (&judged.grids[class], dice_means(judged, class)) else { return Vec::new() };
    let part = |n: u64, of: u64| (of > 0).then(|| n as f64 / of as f64);
    let point = |i: usize| {
        let [mut both, mut mask, mut truth, mut empty, mut wrong] = [0u64; 5];
        for row in judged.frames.iter().filter_map(|f| f.classes[class].as_ref()) {
            let (tally, there) = (row.tallies[i], row.row.counts.truth());
            both += u64::from(tally.both);
            mask += u64::from(tally.mask);
            truth += there;
            empty += u64::from(there == 0);
            wrong += u64::from(there == 0 && tally.mask > 0);
        }
        CurvePoint {
            threshold: grid.settings[i].threshold,
            shipped: i == grid.shipped,
            dice_mean: means[i],
            precision: part(both, mask),
            recall: part(both, truth),
            fpr_pixels: part(wrong, empty),
        }
    };
    grid.curve().map(point).collect()
}

fn of_nothing(judged: &Judged, class: usize) -> Measures {
    let silent: Vec<Row> = rows(judged, class).into_iter().map(|(_, row)| row.of_nothing()).collect();
    let silent: Vec<&Row> = silent.iter().collect();
    let ranking: Ranking = ranking(&silent);
    Measures::of(&silent, &ranking, |_| 1)
}

fn subject(judged: &Judged, subject: &str, scored: &[usize], names: &impl Fn(usize) -> String) -> SubjectPart {
    let classes: Vec<(String, AllMeasures)> = scored
        .iter()
        .filter_map(|&i| {
            let own = rows(judged, i).into_iter().filter(|(f, _)| f.subject == subject);
            let own: Vec<&Row> = own.map(|(_, row)| row).collect();
            let of = || (names(i), AllMeasures(Measures::of(&own, &ranking(&own), |_| 1)));
            (!own.is_empty()).then(of)
        })
        .collect();
    SubjectPart {
        frames: judged.frames.iter().filter(|f| f.subject == subject).count(),
        dice_mean: classes.first().and_then(|(_, m)| m.0.get(Measure::DiceMean)),
        classes: Named(classes),
    }
}

fn frame(frame: &FrameRow, scored: &[usize], names: &impl Fn(usize) -> String) -> FramePart {
    let of = |&i: &usize| {
        let row = &frame.classes[i].as_ref()?.row;
        let class = FrameClass {
            dice: row.counts.dice(),
            iou: row.counts.iou(),
            truth_px: row.counts.truth(),
            mask_px: row.counts.mask(),
            both_px: row.counts.both,
            hd95_px: row.px.map(|d| d.hd95),
            hd95_mm: row.mm.map(|d| d.hd95),
            msd_px: row.px.map(|d| d.mean),
            msd_mm: row.mm.map(|d| d.mean),
            state: row.state,
            confidence: row.confidence,
        };
        Some((names(i), class))
    };
    let classes: Vec<(String, FrameClass)> = scored.iter().filter_map(of).collect();
    FramePart {
        id: frame.id.clone(),
        subject: frame.subject.clone(),
        width: frame.size.width,
        height: frame.size.height,
        dice: classes.first().map(|(_, c)| c.dice),
        classes: Named(classes),
    }
}

/// A point in time as `2026-11-21T20:15:00Z`.
///
/// # References
/// Hinnant, "chrono-compatible low-level date algorithms", 2013 (civil_from_days).
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let [h, m, s] = [rest / 3_600, rest / 60 % 60, rest % 60];
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_291_067), "2026-11-21T19:57:47Z");
    }
}
