//! The best, the median and the worst frames, with what was found and what is there.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use crate::display::{Compositor, Scene, Style};
use crate::evaluate::EvaluateError;
use crate::evaluate::assemble;
use crate::evaluate::measures::Row;
use crate::evaluate::run::{Judged, Run};
use crate::geometry::Size;
use crate::segmentation::State;

/// Frames of each kind.
const EACH: usize = 3;
/// Width of a picture in pixels, about.
const WIDTH: u32 = 480;
/// Rows below the picture, for the line that says what it may be used for.
const LINE: u32 = 24;

/// A frame as it is shown.
pub struct Picture {
    /// Name of the class that it was chosen for.
    pub class: String,
    /// `best`, `median` or `worst`.
    pub kind: &'static str,
    /// Name of the frame, and what the class scored in it.
    pub caption: String,
    /// The PNG.
    pub png: Vec<u8>,
}

/// Draws frames of every class that is scored.
///
/// # Errors
/// When a frame cannot be answered to once more, or not be encoded.
pub fn draw(run: &Run, judged: &Judged) -> Result<Vec<Picture>, EvaluateError> {
    let (mut judge, mut compositor, mut pictures) = (run.answers()?, Compositor::new(), Vec::new());
    let classes = &run.dataset.classes;
    for class in assemble::scored(judged, classes) {
        for (kind, frame, row) in chosen(judged, class) {
            let sample = run.dataset.load(judged.frames[frame].index)?;
            let answer = judge.answer(&sample)?;
            let size = sample.picture.size;
            let by = f64::from(WIDTH) / f64::from(size.width.max(1));
            let size = Size::new(WIDTH, ((f64::from(size.height) * by).round() as u32).clamp(16, 4 * WIDTH) + LINE);
            let scene = Scene {
                frame: &sample.picture,
                segmentation: Some(answer),
                matched: true,
                truth: Some(&sample.truth),
                classes,
                edges: None,
                style: &Style::default(),
                hud: None,
            };
            let canvas = compositor.compose(size, &scene);
            let id = judged.frames[frame].id.clone();
            let mut png = Vec::new();
            PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
                .write_image(&canvas.to_rgb(), canvas.size.width, canvas.size.height, ExtendedColorType::Rgb8)
                .map_err(|cause| EvaluateError::Draw { frame: id.clone(), cause: cause.to_string() })?;
            let caption = caption(&id, row);
            pictures.push(Picture { class: classes[class].name.clone(), kind, caption, png });
        }
    }
    Ok(pictures)
}

fn caption(id: &str, row: &Row) -> String {
    let far = row.px.map_or(String::new(), |d| format!(", HD95 {:.1} px", d.hd95));
    // The words of a state are those of the nerve, and this may be another class.
    let said = match row.state {
        State::Nerve => "present",
        State::Uncertain => "uncertain",
        State::NoNerve => "absent",
    };
    format!("{id}: Dice {:.3}{far}, {said} ({:.2})", row.counts.dice(), row.confidence)
}

/// Frames with the class in mask or truth, by Dice; of equals the one with more wrong pixels is worse.
fn chosen(judged: &Judged, class: usize) -> Vec<(&'static str, usize, &Row)> {
    let rows = judged.frames.iter().enumerate().filter_map(|(i, f)| Some((i, &f.classes[class].as_ref()?.row)));
    let mut rows: Vec<(usize, &Row)> = rows.filter(|(_, r)| r.there() || r.counts.mask() > 0).collect();
    let wrong = |r: &Row| r.counts.found + r.counts.missed;
    rows.sort_by(|(_, a), (_, b)| a.counts.dice().total_cmp(&b.counts.dice()).then(wrong(b).cmp(&wrong(a))));
    let n = rows.len();
    let middle = (n / 2).saturating_sub(EACH / 2);
    let kinds: [(&str, Vec<usize>); 3] = [
        ("best", (n.saturating_sub(EACH)..n).rev().collect()),
        ("median", (middle..(middle + EACH).min(n)).collect()),
        ("worst", (0..EACH.min(n)).collect()),
    ];
    let mut taken = vec![false; n];
    let mut all = Vec::new();
    for (kind, places) in kinds {
        for place in places {
            if !std::mem::replace(&mut taken[place], true) {
                all.push((kind, rows[place].0, rows[place].1));
            }
        }
    }
    all
}
