//! `sonoplex segment`: images in; masks, overlays and one JSON line each out.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use sonoplex::display::overlay_png;
use sonoplex::frame::Frame;
use sonoplex::geometry::Rect;
use sonoplex::latency::Clock;
use sonoplex::segmentation::{Class, Contour, Finding, Segmentation, State};
use sonoplex::segmenter::Segmenter;
use sonoplex::source::{OpenOptions, open};

use super::args::SegmentArgs;
use super::run::segmenter_config;

/// One JSON line: the nerve, and every other class of the model under `classes`.
#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    frame: u64,
    width: u32,
    height: u32,
    crop: Rect,
    /// Whether `probability` was calibrated on data.
    calibrated: bool,
    #[serde(flatten)]
    nerve: Found<'a>,
    classes: Vec<Found<'a>>,
    mask: String,
    overlay: String,
}

#[derive(Serialize)]
struct Found<'a> {
    class: &'a str,
    state: State,
    probability: f32,
    area_px: usize,
    area_mm2: Option<f64>,
    /// Column and row, pixel centres at whole numbers.
    centroid: Option<[f32; 2]>,
    bounding_box: Option<Rect>,
    contour: &'a [Contour],
    /// Against the truth, where the input has one.
    dice: Option<f64>,
}

pub fn main(args: &SegmentArgs) -> anyhow::Result<ExitCode> {
    let mut segmenter = Segmenter::open(&segmenter_config(&args.segmenter)?)?;
    std::fs::create_dir_all(&args.output).with_context(|| format!("cannot make `{}`", args.output.display()))?;
    let mut lines = String::new();
    let mut failed = 0;
    for input in &args.inputs {
        // One bad input does not take the others with it.
        if let Err(error) = one(args, input, &mut segmenter, &mut lines) {
            eprintln!("sonoplex: {error:#}");
            failed += 1;
        }
        if args.json == Path::new("-") {
            super::write_text(&args.json, &std::mem::take(&mut lines))?;
        }
    }
    if args.json != Path::new("-") {
        super::write_text(&args.json, &lines)?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(args: &SegmentArgs, input: &str, segmenter: &mut Segmenter, lines: &mut String) -> anyhow::Result<()> {
    let mut source = open(input, &OpenOptions::default())?;
    let clock = Clock::monotonic();
    let classes = segmenter.classes().to_vec();
    let stem = Path::new(input).file_stem().map_or("frame".into(), |s| s.to_string_lossy().into_owned());
    let single = source.info().frames == Some(1);
    let mut answer = Segmentation::default();
    while let Some(frame) = source.next()? {
        // Images of a folder are not a moving picture: each is judged by itself.
        segmenter.reset();
        segmenter.segment(&frame, &clock, &mut answer)?;
        let name = match Path::new(&frame.name).file_stem() {
            Some(own) if !frame.name.is_empty() => own.to_string_lossy().into_owned(),
            _ if single => stem.clone(),
            _ => format!("{stem}_{:06}", frame.id),
        };
        let mask = args.output.join(format!("{name}_mask.png"));
        let overlay = args.output.join(format!("{name}_overlay.png"));
        write_mask(&mask, &answer)?;
        overlay_png(&frame, &answer, &classes, &overlay)?;
        let found = |i: usize, f| found(&classes[i], i, f, &frame, &answer);
        let Some(nerve) = answer.findings.first() else { continue };
        let line = Line {
            input,
            frame: frame.id,
            width: frame.size.width,
            height: frame.size.height,
            crop: answer.crop,
            calibrated: answer.calibrated,
            nerve: found(0, nerve),
            classes: answer.findings.iter().enumerate().skip(1).map(|(i, f)| found(i, f)).collect(),
            mask: mask.display().to_string(),
            overlay: overlay.display().to_string(),
        };
        lines.push_str(&serde_json::to_string(&line).context("cannot write a JSON line")?);
        lines.push('\n');
        match nerve.state {
            State::NoNerve => eprintln!("{name}: no nerve found"),
            State::Uncertain => eprintln!("{name}: uncertain, {:.0} % (uncalibrated)", 100.0 * nerve.confidence),
            State::Nerve => eprintln!("{name}: nerve, {:.0} %, {} px", 100.0 * nerve.confidence, nerve.area_px),
        }
    }
    Ok(())
}

fn found<'a>(class: &'a Class, index: usize, f: &'a Finding, frame: &Frame, answer: &Segmentation) -> Found<'a> {
    let dice = frame.truth.as_ref().filter(|t| t.size == answer.size).map(|t| answer.mask.dice(t, index as u8 + 1));
    Found {
        class: &class.name,
        state: f.state,
        probability: f.confidence,
        area_px: f.area_px,
        area_mm2: f.area_mm2,
        centroid: f.centroid,
        bounding_box: f.bounds,
        contour: &f.contours,
        dice,
    }
}

/// The class of every pixel as an 8-bit grey PNG at source size: 0 background, 1 the first class.
fn write_mask(path: &Path, answer: &Segmentation) -> anyhow::Result<()> {
    let (w, h) = (answer.size.width, answer.size.height);
    image::save_buffer(path, &answer.mask.labels, w, h, image::ColorType::L8)
        .with_context(|| format!("cannot write `{}`", path.display()))
}
