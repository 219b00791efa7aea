//! `sonoplex segment`: images in; masks, overlays and one JSON line each out.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use sonoplex::display::Compositor;
use sonoplex::geometry::{Rect, Sector};
use sonoplex::latency::Clock;
use sonoplex::record::{Disk as _, OsDisk, Scoring};
use sonoplex::segmentation::{Class, Contour, Finding, Segmentation, State};
use sonoplex::segmenter::Segmenter;
use sonoplex::source::{OpenOptions, open};

use super::args::SegmentArgs;
use super::run::segmenter_config;

/// One JSON line: the nerve, and every other class of the model under `classes`.
#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    /// The file within a folder, where the frame has one.
    #[serde(skip_serializing_if = "str::is_empty")]
    image: &'a str,
    frame: u64,
    width: u32,
    height: u32,
    crop: Rect,
    /// The part of the crop that is the picture of a curved array.
    #[serde(skip_serializing_if = "Option::is_none")]
    sector: Option<Sector>,
    /// Whether a presence output of the model is behind `probability`.
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
    if args.explain {
        return super::explain::segment();
    }
    let mut segmenter = Segmenter::open(&segmenter_config(&args.segmenter)?)?;
    for input in &args.inputs {
        super::targets::check_folder(input, &args.output)?;
        super::targets::check_files(input, &[("--json", Some(&args.json))])?;
    }
    std::fs::create_dir_all(&args.output).with_context(|| format!("cannot make `{}`", args.output.display()))?;
    let mut names = Names::default();
    // A line is out as soon as it is made: whatever ends the run, nothing is lost.
    let mut lines = Lines::open(&args.json)?;
    let mut failed = 0;
    for input in &args.inputs {
        // One bad input does not take the others with it.
        failed += one(args, input, &mut segmenter, &mut names, &mut lines).unwrap_or_else(|error| {
            super::say(format_args!("sonoplex: {}", super::sentence(&error)));
            1
        });
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(
    args: &SegmentArgs,
    input: &str,
    segmenter: &mut Segmenter,
    names: &mut Names,
    lines: &mut Lines,
) -> anyhow::Result<u64> {
    let mut source = open(input, &OpenOptions::default())?;
    let clock = Clock::monotonic();
    let classes = segmenter.classes().to_vec();
    let stem = Path::new(input).file_stem().map_or("frame".into(), |s| s.to_string_lossy().into_owned());
    let single = source.info().frames == Some(1);
    let scoring = Scoring::new(&classes, &source.info().truth);
    let (mut answer, mut compositor) = (Segmentation::default(), Compositor::new());
    let mut failed = 0;
    loop {
        let frame = match source.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(failed),
            // One bad picture of a folder does not take the others with it; the source goes on behind it.
            Err(error) if source.goes_on() => {
                super::say(format_args!("sonoplex: {error}"));
                failed += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // Images of a folder are not a moving picture: each is judged by itself.
        if !frame.name.is_empty() {
            segmenter.reset();
        }
        segmenter.segment(&frame, &clock, &mut answer)?;
        let name = match Path::new(&frame.name).file_stem() {
            Some(own) if !frame.name.is_empty() => own.to_string_lossy().into_owned(),
            _ if single => stem.clone(),
            _ => format!("{stem}_{:06}", frame.id),
        };
        let name = names.free(&name);
        let mask = args.output.join(format!("{name}_mask.png"));
        let overlay = args.output.join(format!("{name}_overlay.png"));
        write_mask(&mask, &answer, &classes)?;
        compositor.overlay(&frame, &answer, &classes).save_png(&overlay)?;
        let dice: Vec<_> = scoring.dice(&frame, &answer).collect();
        let found = |i: usize, f| {
            let class = &classes[i];
            found(class, f, dice.iter().find(|(name, _)| *name == class.name.to_lowercase()).map(|(_, dice)| *dice))
        };
        let Some(nerve) = answer.findings.first() else { continue };
        let line = Line {
            input,
            image: &frame.name,
            frame: frame.id,
            width: frame.size.width,
            height: frame.size.height,
            crop: answer.crop,
            sector: answer.sector,
            calibrated: answer.calibrated,
            nerve: found(0, nerve),
            classes: answer.findings.iter().enumerate().skip(1).map(|(i, f)| found(i, f)).collect(),
            mask: mask.display().to_string(),
            overlay: overlay.display().to_string(),
        };
        lines.add(&(serde_json::to_string(&line).context("cannot write a JSON line")? + "\n"))?;
        let doubt = if answer.calibrated { "" } else { " (uncalibrated)" };
        let percent = 100.0 * nerve.confidence;
        super::say(match nerve.state {
            State::NoNerve => format!("{name}: no nerve found"),
            State::Uncertain => format!("{name}: uncertain, {percent:.0} %{doubt}"),
            State::Nerve => format!("{name}: nerve, {percent:.0} %{doubt}, {} px", nerve.area_px),
        });
    }
}

fn found<'a>(class: &'a Class, f: &'a Finding, dice: Option<f64>) -> Found<'a> {
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

/// The class of every pixel as an indexed PNG at source size, in the colours of the classes: 0 is background and black,
/// 1 the first class.
fn write_mask(path: &Path, answer: &Segmentation, classes: &[Class]) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, answer.size.width, answer.size.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(std::iter::once([0; 3]).chain(classes.iter().map(|c| c.color)).flatten().collect::<Vec<u8>>());
    let mut writer = encoder.write_header().with_context(failed)?;
    writer.write_image_data(&answer.mask.labels).with_context(failed)?;
    writer.finish().with_context(failed)?;
    sonoplex::write::whole(path, &png).with_context(failed)
}

/// Where JSON lines go: one that does not fit on the disk is taken back.
enum Lines<'a> {
    Stdout,
    File(&'a Path, OsDisk),
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        std::fs::File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self::File(path, OsDisk::default()))
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => super::write_text(Path::new("-"), line),
            Self::File(path, disk) => {
                disk.append(path, line.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
            }
        }
    }
}

/// File names of one run: two inputs may be called alike, and neither may overwrite the other.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn free(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        let mut names = Names::default();
        assert_eq!([names.free("a"), names.free("a"), names.free("a_2")], ["a", "a_2", "a_2_2"]);
    }
}
