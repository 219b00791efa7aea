//! A report as one page that needs nothing else: for the screen, light or dark, and for paper.

mod figures;
pub mod pictures;
mod plot;

use std::fmt::Write as _;

use super::measures::Measure;
use super::report::{ClassPart, Report, no_interval};
use super::table::number;
use pictures::Picture;

const STYLE: &str = include_str!("style.css");

/// Text as HTML has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            _ => out.push(letter),
        }
    }
    out
}

/// The page.
pub fn html(report: &Report, pictures: &[Picture]) -> String {
    let mut page = String::new();
    write(&mut page, report, pictures).expect("a string takes all");
    page
}

fn write(t: &mut String, report: &Report, pictures: &[Picture]) -> std::fmt::Result {
    let (m, d) = (&report.model, &report.dataset);
    let (model, data) = (escaped(&m.name), escaped(&d.name));
    writeln!(t, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(t, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
    writeln!(t, "<title>{model} on {data}</title>\n<style>\n{STYLE}</style></head><body>")?;
    writeln!(t, "<h1>{model}</h1>\n<p>judged on {data}: {} frames of {} subjects</p>", d.frames, d.subjects)?;
    let tuned = match (&report.tuned, m.given_threshold) {
        (None, None) => "thresholds as the model ships them, not tuned".to_owned(),
        (None, Some(given)) => format!("threshold given as {given}, not tuned"),
        (Some(tuned), _) => format!("thresholds chosen on {} other subjects", tuned.subjects.len()),
    };
    let file = format!("sha256 {:.16}, {} on {}, sonoplex {}", m.sha256, m.precision, m.device, report.sonoplex);
    writeln!(t, "<p class=\"dim\">{}; {}; {}</p>", escaped(&report.date), tuned, escaped(&file))?;
    writeln!(t, "<p class=\"dim\">Research use only: not a medical device.</p>")?;
    if let Some((name, class)) = report.classes.0.first() {
        tiles(t, report, name, class)?;
    }
    for (name, class) in &report.classes.0 {
        section(t, report, name, class, pictures)?;
    }
    about(t, report)?;
    writeln!(t, "</body></html>")
}

/// The few numbers of the first class that matter most, beside what they have to beat.
fn tiles(t: &mut String, report: &Report, name: &str, class: &ClassPart) -> std::fmt::Result {
    let nothing = report.reference.all_empty.classes.get(name);
    let interval = |m| class.intervals.as_ref().and_then(|i| i.get(m));
    let of = |measure: Measure, words: &str| {
        let value = class.measures.get(measure).map_or("–".to_owned(), |v| number(measure, v));
        let more = match (class.measures.get(measure), interval(measure)) {
            (None, _) => measure.absent().to_owned(),
            (_, Some([a, b])) => format!("95 %: {} to {}", number(measure, a), number(measure, b)),
            (_, None) => "no interval".to_owned(),
        };
        (value, format!("{name}: {words}"), more)
    };
    let empty = nothing.and_then(|n| n.0.get(Measure::DiceMean)).map_or("–".to_owned(), |v| format!("{v:.3}"));
    let all = [
        of(Measure::DiceMean, "Dice, mean of frames"),
        (empty, "the same of an empty answer".to_owned(), "on the same frames".to_owned()),
        (
            format!("{:.2}", report.reference.experts_dice),
            "experts with each other".to_owned(),
            "nerves; Bowness 2024".to_owned(),
        ),
        of(Measure::Hd95Px, "HD95, px"),
        of(Measure::Auc, "presence AUC"),
        of(Measure::Fpr, "called present without it"),
    ];
    writeln!(t, "<div class=\"tiles\">")?;
    for (value, words, more) in all {
        let (words, more) = (escaped(&words), escaped(&more));
        writeln!(t, "<div class=\"tile\"><b>{value}</b><span>{words}</span><span>{more}</span></div>")?;
    }
    writeln!(t, "</div>")
}

fn section(t: &mut String, report: &Report, name: &str, class: &ClassPart, pictures: &[Picture]) -> std::fmt::Result {
    let [r, g, b] = class.color;
    let title = escaped(name);
    writeln!(t, "<h2><span class=\"swatch\" style=\"background:#{r:02x}{g:02x}{b:02x}\"></span>{title}</h2>")?;
    numbers(t, report, name, class)?;
    writeln!(t, "<div class=\"grid\">")?;
    *t += &figures::histogram(report, name, class);
    *t += &figures::curve(class);
    *t += &figures::roc(&class.presence);
    *t += &figures::reliability(&class.presence);
    writeln!(t, "</div>\n<div class=\"grid wide\">")?;
    *t += &figures::subjects(report, name, class);
    writeln!(t, "</div>")?;
    for kind in ["best", "median", "worst"] {
        let mut shots = pictures.iter().filter(|p| p.class == name && p.kind == kind).peekable();
        if shots.peek().is_none() {
            continue;
        }
        writeln!(
            t,
            "<h3>{kind} frames: what was found in colour, the truth dotted in white</h3>\n<div class=\"shots\">"
        )?;
        for shot in shots {
            let (caption, data) = (escaped(&shot.caption), base64(&shot.png));
            writeln!(
                t,
                "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
            )?;
        }
        writeln!(t, "</div>")?;
    }
    Ok(())
}

fn numbers(t: &mut String, report: &Report, name: &str, class: &ClassPart) -> std::fmt::Result {
    let f = class.frames;
    let kinds = format!(
        "{} frames: {} with the class (missed altogether: {}), {} without (with some of it drawn: {}).",
        f.all, f.with_class, f.mask_empty_truth_not, f.without_class, f.truth_empty_mask_not
    );
    writeln!(t, "<p>{kinds}</p>")?;
    writeln!(t, "<table><tr><th>measure</th><th class=\"n\">model</th><th class=\"n\">95 % interval</th>")?;
    writeln!(t, "<th class=\"n\">empty answer</th><th>what it is</th></tr>")?;
    let nothing = report.reference.all_empty.classes.get(name);
    for measure in Measure::ALL {
        let shown = |v: Option<f64>| v.map_or("–".to_owned(), |v| number(measure, v));
        let (value, empty) = (class.measures.get(measure), nothing.and_then(|n| n.0.get(measure)));
        let interval = class.intervals.as_ref().and_then(|i| i.get(measure));
        let interval =
            interval.map_or("–".to_owned(), |[a, b]| format!("{} to {}", number(measure, a), number(measure, b)));
        let what = match value {
            Some(_) => measure.meaning().to_owned(),
            None => format!("{}: not here, since {}", measure.meaning(), measure.absent()),
        };
        let [value, empty] = [shown(value), shown(empty)];
        write!(t, "<tr><td>{}</td><td class=\"n\">{value}</td><td class=\"n\">{interval}</td>", measure.name())?;
        writeln!(t, "<td class=\"n\">{empty}</td><td class=\"why\">{}</td></tr>", escaped(&what))?;
    }
    writeln!(t, "</table>")?;
    if class.intervals.is_none() {
        writeln!(t, "<p class=\"dim\">No intervals: {}.</p>", escaped(&no_interval()))?;
    }
    Ok(())
}

/// Everything that the numbers depend on, and what they mean.
fn about(t: &mut String, report: &Report) -> std::fmt::Result {
    let (m, d) = (&report.model, &report.dataset);
    writeln!(t, "<h2>Model and data</h2>\n<table>")?;
    let mut row = |name: &str, text: &str| writeln!(t, "<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(text));
    row("file", &m.file)?;
    row("sha256", &m.sha256)?;
    row("plan", &m.plan_sha256)?;
    row("network", &format!("{} pixels; despeckle {}, crop {}", m.input, m.despeckle, m.crop))?;
    for (class, set) in &m.thresholds.0 {
        let (s, words) = (set.setting, (set.absent, set.present));
        let drawn =
            format!("a pixel from {:.4}, a region from {:.3} % of the picture", s.threshold, 100.0 * s.min_area);
        row(class, &format!("{drawn}; absent below {:.2}, present from {:.2}", words.0, words.1))?;
    }
    if let Some(tuned) = &report.tuned {
        row("tuned on", &tuned.subjects.join(", "))?;
    }
    for text in m.license.iter().map(|l| format!("licence of the weights: {l}")).chain(m.attribution.clone()) {
        row("model", &text)?;
    }
    for note in &d.notes {
        row("note", note)?;
    }
    for (what, list) in [("skipped", &d.skipped), ("dropped", &d.dropped)] {
        for one in list {
            row(what, &format!("{}: {}", one.what, one.why))?;
        }
    }
    row("experts", report.reference.experts_source)?;
    writeln!(t, "</table>\n<details><summary>What every field of the JSON means</summary><dl>")?;
    for (path, meaning) in super::explain::fields() {
        writeln!(t, "<dt><code>{}</code></dt><dd>{}</dd>", escaped(&path), escaped(&meaning))?;
    }
    writeln!(t, "</dl></details>")
}

/// Bytes as text.
///
/// # References
/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let n = (0..3).fold(0u32, |n, i| n << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = LETTERS[(n >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i > three.len() { '=' } else { letter });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(escaped("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
