//! A report for the terminal.

use std::fmt::Write as _;

use super::measures::{Measure, Measures};
use super::report::{ClassPart, Report, no_interval};

/// Measures of the table; the JSON has all.
const PIXELS: [(&str, Measure); 13] = [
    ("Dice, mean of frames", Measure::DiceMean),
    ("Dice, frames with it", Measure::DiceNonempty),
    ("Dice, pixels pooled", Measure::DicePooled),
    ("IoU, pooled", Measure::Iou),
    ("precision", Measure::Precision),
    ("recall", Measure::Recall),
    ("specificity", Measure::Specificity),
    ("accuracy", Measure::Accuracy),
    ("HD95, px", Measure::Hd95Px),
    ("HD95, mm", Measure::Hd95Mm),
    ("surface distance, px", Measure::MsdPx),
    ("surface distance, mm", Measure::MsdMm),
    ("presence AUC", Measure::Auc),
];
const PRESENCE: [(&str, Measure); 5] = [
    ("calibration error", Measure::Ece),
    ("present, with it", Measure::Tpr),
    ("present, without it", Measure::Fpr),
    ("  or uncertain", Measure::FprUncertain),
    ("  any pixel drawn", Measure::FprPixels),
];

/// A value with as many digits as it deserves.
pub fn number(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Hd95Px | Measure::Hd95Mm | Measure::MsdPx | Measure::MsdMm => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Everything on about a page.
pub fn table(report: &Report) -> String {
    let mut t = String::new();
    write(&mut t, report).expect("a string takes all");
    t
}

fn write(t: &mut String, report: &Report) -> std::fmt::Result {
    let (m, d) = (&report.model, &report.dataset);
    writeln!(t, "model    {}, sha256 {:.16}, {} on {}", m.name, m.sha256, m.precision, m.device)?;
    writeln!(t, "data     {}: {} frames of {} subjects", d.name, d.frames, d.subjects)?;
    for (what, list) in [("skipped", &d.skipped), ("dropped", &d.dropped)] {
        if let Some(first) = list.first() {
            let more = if list.len() > 1 { format!(" (and {} more: --json)", list.len() - 1) } else { String::new() };
            writeln!(t, "{what:<8} {}: {}{more}", first.what, first.why)?;
        }
    }
    for (class, set) in &m.thresholds.0 {
        if report.classes.get(class).is_some() {
            let (s, words) = (set.setting, (set.absent, set.present));
            let drawn = format!("drawn from {:.3}, regions from {:.2} %", s.threshold, 100.0 * s.min_area);
            writeln!(t, "decides  {class}: {drawn}, none below {:.2}, present from {:.2}", words.0, words.1)?;
        }
    }
    match (&report.tuned, m.given_threshold) {
        (None, None) => writeln!(t, "tuned    no: thresholds as the model ships them")?,
        (None, Some(given)) => writeln!(t, "tuned    no: the threshold was given, {given}")?,
        (Some(tuned), _) => {
            let on = format!("{} subjects ({} frames)", tuned.subjects.len(), tuned.frames);
            writeln!(t, "tuned    on {on}; what follows is on the others")?;
            for c in &tuned.classes {
                let moved = format!("threshold {:.3} -> {:.3}", c.shipped.threshold, c.chosen.threshold);
                let area = format!("regions {:.2} -> {:.2} %", 100.0 * c.shipped.min_area, 100.0 * c.chosen.min_area);
                let there = format!("{:.3} -> {:.3}", c.shipped_dice_mean_tuning, c.dice_mean_tuning);
                let here = c.shipped_dice_mean.map_or(String::new(), |d| format!(", as shipped on the others {d:.3}"));
                writeln!(t, "         {}: {moved}, {area}; mean Dice there {there}{here}", c.class)?;
            }
        }
    }
    for note in &d.notes {
        writeln!(t, "note     {note}")?;
    }
    let rate = d.frames as f64 / report.seconds.max(1e-9);
    writeln!(t, "time     {:.1} s, {rate:.0} frames/s", report.seconds)?;
    for (name, class) in &report.classes.0 {
        if let Some(nothing) = report.reference.all_empty.classes.get(name) {
            block(t, name, class, &nothing.0)?;
        }
    }
    writeln!(t)?;
    writeln!(
        t,
        "Experts agree with each other on nerves at a Dice of {:.2} (Bowness et al. 2024).",
        report.reference.experts_dice
    )?;
    if !report.model.calibrated {
        writeln!(t, "The confidence is not calibrated: this model has no presence output.")?;
    }
    writeln!(t, "Research use only: not a medical device.")
}

fn block(t: &mut String, name: &str, class: &ClassPart, nothing: &Measures) -> std::fmt::Result {
    let f = class.frames;
    writeln!(t)?;
    writeln!(t, "{:<24} {:>8}   {:<16}  {:>16}", name, "model", "95 % interval", "an empty answer")?;
    for (label, measure) in PIXELS.into_iter().chain(PRESENCE) {
        let value = class.measures.get(measure);
        // What nobody can know here is not listed: the JSON says why.
        if value.is_none() && matches!(measure, Measure::Hd95Mm | Measure::MsdMm) {
            continue;
        }
        let shown = |v: Option<f64>| v.map_or("-".to_owned(), |v| number(measure, v));
        let interval = class.intervals.as_ref().and_then(|i| i.get(measure));
        let interval =
            interval.map_or(String::new(), |[a, b]| format!("{} to {}", number(measure, a), number(measure, b)));
        let why = if value.is_none() { measure.absent() } else { "" };
        let line = format!("{label:<24} {:>8}   {interval:<16}  {:>16}", shown(value), shown(nothing.get(measure)));
        writeln!(t, "{}", if why.is_empty() { line } else { format!("{label:<24} {:>8}   {why}", "-") })?;
    }
    let kinds = format!("{} with it, {} without", f.with_class, f.without_class);
    let gone =
        format!("{} missed altogether, {} found where it is not", f.mask_empty_truth_not, f.truth_empty_mask_not);
    writeln!(t, "{:<24} {:>8}   {kinds}; {gone}", "frames", f.all)?;
    if class.intervals.is_none() {
        writeln!(t, "{:<24} {:>8}   {}", "intervals", "-", no_interval())?;
    }
    Ok(())
}
