//! `sonoplex submit`: the masks of a folder of test pictures as the competition's table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use sonoplex::evaluate::rle;
use sonoplex::evaluate::submission::{self, Row, SIZE};
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{CropChoice, Segmenter};
use sonoplex::source::Source;
use sonoplex::source::images::{Images, layout};

use super::args_data::SubmitArgs;
use super::run::segmenter_config;

pub fn main(args: &SubmitArgs) -> anyhow::Result<ExitCode> {
    let pictures = args.pictures.display().to_string();
    super::targets::check_files(&pictures, &[("--out", Some(&args.out))])?;
    if !args.pictures.is_dir() {
        bail!("cannot read `{pictures}`: it is no folder; give the folder of the test pictures");
    }
    let numbers = numbers(&args.pictures)?;
    let mut config = segmenter_config(&args.segmenter())?;
    config.crop = args.crop.unwrap_or(CropChoice::Full);
    let mut segmenter = Segmenter::open(&config)?;
    let threshold = segmenter.model().thresholds[0];
    let mut source = Images::open(&args.pictures)?;
    let clock = Clock::monotonic();
    let (mut answer, mut rows) = (Segmentation::default(), Vec::new());
    for image in numbers {
        let Some(frame) = source.next()? else { break };
        segmenter.reset();
        segmenter.segment(&frame, &clock, &mut answer)?;
        let mask = submission::mask(&answer, 1, threshold, SIZE);
        rows.push(Row { subject: None, image, pixels: rle::encode(&mask, 1) });
    }
    let empty = rows.iter().filter(|r| r.pixels.is_empty()).count();
    super::write_text(&args.out, &submission::write(&rows))?;
    let class = segmenter.classes().first().map_or("", |c| c.name.as_str());
    super::say(format_args!(
        "{} pictures, {empty} without `{class}`, at {SIZE} in `{}`",
        rows.len(),
        args.out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The number of every picture, in their order.
fn numbers(folder: &Path) -> anyhow::Result<Vec<u64>> {
    let mut names = BTreeMap::new();
    let number = |(picture, _): &(PathBuf, _)| {
        let Some(image) = number(picture) else {
            bail!("cannot number the picture `{}`: call it by its number, as in `12.tif`", picture.display());
        };
        match names.insert(image, picture.clone()) {
            None => Ok(image),
            Some(other) => {
                let (one, other) = (picture.display(), other.display());
                bail!("cannot write `{one}`: `{other}` has the number {image} too; take one out")
            }
        }
    };
    layout::folder(folder)?.pairs.iter().map(number).collect()
}

/// The last number in the name of a file.
fn number(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
}
