//! The Dice of the baselines and of the models that ship, through the whole segmenter, is what their cards say.

use std::path::{Path, PathBuf};

use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::latency::Clock;
use sonoplex::mask::Mask;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};

fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("SONOPLEX_SHARED").map_or_else(beside, PathBuf::from);
    let there = folder.join("models").is_dir() && folder.join("data").is_dir();
    if !there {
        println!("skipped: no models and data in {}", folder.display());
    }
    there.then_some(folder)
}

fn gray(path: &Path) -> Frame {
    let picture = image::open(path).unwrap().into_luma8();
    let size = Size::new(picture.width(), picture.height());
    Frame::new(0, size, PixelFormat::Gray8, picture.into_raw())
}

/// Every n-th frame only, unless SONOPLEX_ALL_FRAMES is set.
fn every(n: usize) -> usize {
    if std::env::var_os("SONOPLEX_ALL_FRAMES").is_some() { 1 } else { n }
}

fn pngs(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "png"));
    files.sort();
    files
}

/// Mean Dice of every class at the size of the frames, and the number of frames.
fn mean_dice(model: &Path, frames: &[(PathBuf, Mask)], classes: usize) -> Vec<f64> {
    let mut segmenter = Segmenter::open(&SegmenterConfig { model: model.to_owned(), ..Default::default() }).unwrap();
    let mut sums = vec![0.0; classes];
    let mut out = Segmentation::default();
    for (file, truth) in frames {
        segmenter.reset();
        segmenter.segment(&gray(file), &Clock::monotonic(), &mut out).unwrap();
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += out.mask.dice(truth, i as u8 + 1);
        }
    }
    sums.iter().map(|s| s / frames.len() as f64).collect()
}

#[test]
fn nerve_and_vessel_score_as_published() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/usgra_seg");
    let number = |f: &Path| f.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    let frames: Vec<(PathBuf, Mask)> = pngs(&data.join("images"))
        .into_iter()
        .filter(|f| number(f).is_multiple_of(6))
        .step_by(every(3))
        .map(|f| {
            let (labels, size) = indices(&data.join("masks").join(f.file_name().unwrap()));
            (f, Mask { size, labels })
        })
        .collect();
    // the published figures are of all 30 frames
    let slack = if frames.len() == 30 { 0.01 } else { 0.12 };
    let baseline = shared.join("models/nerve-vessel-unet16-256x256.onnx");
    for (model, published) in [(baseline, [0.577, 0.713]), (shipped("nerve-vessel"), [0.705, 0.638])] {
        let found = mean_dice(&model, &frames, 2);
        println!("{}, {} frames: nerve {:.4} vessel {:.4}", model.display(), frames.len(), found[0], found[1]);
        for (found, published) in found.iter().zip(published) {
            assert!((found - published).abs() < slack, "{}: {found}, published {published}", model.display());
        }
    }
}

/// A model that ships; its card says what it scores.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).with_extension("onnx")
}

/// Palette indices of a PNG mask.
fn indices(path: &Path) -> (Vec<u8>, Size) {
    // The palette is 0 background, 1 nerve, 2 vessel; colours are mapped back by their order in the file.
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"PLTE").unwrap();
    let palette: Vec<[u8; 3]> = bytes[at + 4..].chunks_exact(3).take(3).map(|c| [c[0], c[1], c[2]]).collect();
    let picture = image::open(path).unwrap().into_rgb8();
    let size = Size::new(picture.width(), picture.height());
    let index = |p: &image::Rgb<u8>| palette.iter().position(|c| *c == p.0).unwrap() as u8;
    (picture.pixels().map(index).collect(), size)
}

#[test]
fn the_brachial_plexus_scores_as_published() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/kaggle_bp");
    let subjects = ["2", "7", "14", "21", "22", "30", "36", "41"];
    let subject = |f: &Path| f.file_stem().unwrap().to_str().unwrap().split('_').next().unwrap().to_owned();
    let frames: Vec<(PathBuf, Mask)> = pngs(&data.join("images"))
        .into_iter()
        .filter(|f| subjects.contains(&subject(f).as_str()))
        .step_by(every(6))
        .map(|f| {
            let name = format!("{}_mask.png", f.file_stem().unwrap().to_str().unwrap());
            let mask = gray(&data.join("masks").join(name));
            (f, Mask { size: mask.size, labels: mask.pixels.iter().map(|&p| u8::from(p > 0)).collect() })
        })
        .collect();
    let baseline = shared.join("models/brachial-plexus-unet16-96x128.onnx");
    for (model, published) in [(baseline, 0.780), (shipped("brachial-plexus"), 0.795), (shipped("mini"), 0.774)] {
        let dice = mean_dice(&model, &frames, 1)[0];
        println!("{}, {} frames: nerve {dice:.4}", model.display(), frames.len());
        assert!((dice - published).abs() < 0.025, "{}: {dice}, published {published}", model.display());
    }
}
