//! The plots of one class.

use super::plot::{Plot, without};
use crate::evaluate::measures::Measure;
use crate::evaluate::report::{ClassPart, EXPERTS_DICE, FrameClass, PresencePart, Report};
use crate::evaluate::surface::percentile;

/// Bars of the histogram.
const BARS: usize = 20;
/// Subjects that have a row with their name; where there are more, they are dots.
const SUBJECTS: usize = 40;

/// Frames that have a class labelled.
fn frames<'a>(report: &'a Report, class: &'a str) -> impl Iterator<Item = (&'a str, &'a FrameClass)> {
    report.frames.iter().filter_map(move |f| Some((f.subject.as_str(), f.classes.get(class)?)))
}

/// How Dice is spread over the frames that have the class.
pub fn histogram(report: &Report, name: &str, class: &ClassPart) -> String {
    let values: Vec<f64> = frames(report, name).filter(|(_, c)| c.truth_px > 0).map(|(_, c)| c.dice).collect();
    let Some(mean) = class.measures.get(Measure::DiceNonempty) else {
        return without("Dice of the frames with the class", Measure::DiceNonempty.absent());
    };
    let mut bars = [0u32; BARS];
    values.iter().for_each(|d| bars[((d * BARS as f64) as usize).min(BARS - 1)] += 1);
    let highest = f64::from(*bars.iter().max().unwrap_or(&1)).max(1.0);
    // Whole numbers at the quarters.
    let end = (highest / 4.0).ceil() * 4.0;
    let mut plot = Plot::new(["Dice of a frame", "frames"], [1.0, end]);
    for (i, &n) in bars.iter().enumerate().filter(|(_, n)| **n > 0) {
        let (from, to) = (i as f64 / BARS as f64, (i + 1) as f64 / BARS as f64);
        let says = format!("{n} frames from {from:.2} to {to:.2}");
        plot.bar([from + 0.003, 0.0], [to - 0.003, f64::from(n)], "bar", &says);
    }
    plot.rule([EXPERTS_DICE, 0.0], [EXPERTS_DICE, end], "reference");
    plot.rule([mean, 0.0], [mean, end], "mean");
    let missed = class.frames.mask_empty_truth_not;
    plot.figure(&format!(
        "Dice of the {} frames with the class: mean {mean:.3} (line), experts with each other {EXPERTS_DICE} (dashed); missed \
         altogether: {missed}.",
        values.len()
    ))
}

/// Mean Dice of every subject, with how far its frames spread.
pub fn subjects(report: &Report, name: &str, class: &ClassPart) -> String {
    let mut rows: Vec<(f64, &str, [f64; 4], usize)> = Vec::new();
    for (subject, part) in &report.subjects.0 {
        let Some(mean) = part.classes.get(name).and_then(|m| m.0.get(Measure::DiceMean)) else { continue };
        let mut dice: Vec<f64> = frames(report, name).filter(|(s, _)| s == subject).map(|(_, c)| c.dice).collect();
        let spread = [0.0, 0.25, 0.75, 1.0].map(|q| percentile(&mut dice, q));
        rows.push((mean, subject, spread, dice.len()));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    let count = rows.len();
    let interval = class.intervals.as_ref().and_then(|i| i.get(Measure::DiceMean));
    let (mean, many) = (class.measures.get(Measure::DiceMean), count > SUBJECTS);
    let end = count as f64;
    let mut plot = if many {
        Plot::wide(["subjects, from the lowest", "Dice"], [end, 1.0])
    } else {
        Plot::rows("Dice", &rows.iter().map(|r| r.1.to_owned()).collect::<Vec<_>>())
    };
    let across = |dice: f64, along: f64| if many { [along, dice] } else { [dice, along] };
    if let Some([low, high]) = interval {
        let says = format!("95 % interval of the mean: {low:.3} to {high:.3}");
        plot.bar(across(low, 0.0), across(high, end), "band", &says);
    }
    if let Some(mean) = mean {
        plot.rule(across(mean, 0.0), across(mean, end), "mean");
    }
    for (i, (mean, subject, [least, low, high, most], frames)) in rows.iter().enumerate() {
        let along = if many { i as f64 + 0.5 } else { plot.row(i) };
        plot.rule(across(*least, along), across(*most, along), "range");
        if !many {
            plot.rule([*low, along], [*high, along], "half");
        }
        let says = format!("{subject}: {mean:.3}, {frames} frames");
        plot.dot(across(*mean, along), if many { 2.0 } else { 3.2 }, "dot", &says);
    }
    let half = if many { "" } else { ", the middle half of its frames (thick)" };
    plot.figure(&format!(
        "Dice of {count} subjects: mean (dot){half}, all of its frames (thin). Line and band: mean of all frames and its 95 % \
         interval over subjects."
    ))
}

/// What other thresholds would have scored on the same frames.
pub fn curve(class: &ClassPart) -> String {
    let points = &class.curve.points;
    let mut plot = Plot::new(["threshold", ""], [1.0, 1.0]);
    if let Some(shipped) = points.iter().find(|p| p.shipped) {
        let x = f64::from(shipped.threshold);
        plot.rule([x, 0.0], [x, 1.0], "reference");
    }
    let of = |value: fn(&crate::evaluate::report::CurvePoint) -> Option<f64>| {
        points.iter().filter_map(move |p| Some([f64::from(p.threshold), value(p)?])).collect::<Vec<_>>()
    };
    let lines = [
        ("Dice, mean", "line first", of(|p| Some(p.dice_mean))),
        ("precision", "line second", of(|p| p.precision)),
        ("recall", "line third", of(|p| p.recall)),
    ];
    for (i, (name, look, points)) in lines.into_iter().enumerate() {
        let row = 0.06 + 0.075 * (2 - i) as f64;
        plot.rule([0.04, row], [0.1, row], look);
        plot.says([0.11, row], [2.0, 4.0], "tick", name);
        plot.line(points, look);
    }
    plot.figure(&format!("Other thresholds (dashed: shipped); {}.", class.curve.note))
}

/// How well the confidence tells frames with the class from those without.
pub fn roc(presence: &PresencePart) -> String {
    let Some(auc) = presence.measures.get(Measure::Auc) else {
        return without("ROC curve of \"is it there?\"", Measure::Auc.absent());
    };
    let mut plot = Plot::new(["false positives among frames without it", "found among frames with it"], [1.0, 1.0]);
    plot.rule([0.0, 0.0], [1.0, 1.0], "reference");
    plot.line(presence.roc.iter().map(|p| [p.fpr, p.tpr]), "line first");
    let shipped = (presence.measures.get(Measure::Fpr), presence.measures.get(Measure::Tpr));
    if let (Some(fpr), Some(tpr)) = shipped {
        plot.dot([fpr, tpr], 4.5, "dot shipped", &format!("shipped decision: {fpr:.3} false, {tpr:.3} found"));
    }
    plot.says([0.97, 0.08], [0.0, 0.0], "value end", &format!("AUC {auc:.3}"));
    plot.figure("Is it there? ROC curve of the confidence; the dot is the shipped decision, the dashed line is chance.")
}

/// Whether a confidence means what it says.
pub fn reliability(presence: &PresencePart) -> String {
    let Some(ece) = presence.measures.get(Measure::Ece) else {
        return without("Reliability of the confidence", Measure::Ece.absent());
    };
    let all: u64 = presence.bins.iter().map(|b| b.frames).sum();
    let mut plot = Plot::new(["confidence", "frames that have the class"], [1.0, 1.0]);
    plot.rule([0.0, 0.0], [1.0, 1.0], "reference");
    let held = || presence.bins.iter().filter(|b| b.frames > 0);
    plot.line(held().map(|b| [b.confidence, b.present]), "line first thin");
    for bin in held() {
        let radius = 2.0 + 7.0 * (bin.frames as f64 / all as f64).sqrt();
        let says =
            format!("{} frames: confidence {:.3}, with the class {:.3}", bin.frames, bin.confidence, bin.present);
        plot.dot([bin.confidence, bin.present], radius, "dot", &says);
    }
    plot.says([0.04, 0.9], [0.0, 0.0], "value", &format!("ECE {ece:.3}"));
    plot.figure(&format!(
        "Reliability: frames in 15 bins of confidence ({}), larger dots for more frames; on the dashed line a confidence \
         means what it says.",
        presence.confidence
    ))
}
