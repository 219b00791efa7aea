//! Pictures from files: one alone, the pages of a TIFF, or a folder of them in natural order.

pub mod decode;
pub mod layout;
pub mod pages;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;
use crate::segmentation::Class;

use layout::Layout;
use pages::Pages;

/// Frames a second of a folder, which has no times of its own.
pub const RATE_HZ: u64 = 10;
/// Masks that are looked at to tell how many classes there are.
const LOOK_AT: usize = 32;
/// Pictures of a sequence that are looked at to tell how many bits their levels have.
const SAMPLED: usize = 8;

/// Opens one picture, a TIFF of several pages, or a folder of pictures.
///
/// Masks are recognised beside the pictures (`NAME_mask`, as in the Kaggle nerve data) and in a `masks` folder beside
/// an `images` folder (same names, with or without `_mask`); they become [`Frame::truth`].
///
/// # Errors
/// When nothing can be read, or the first picture cannot; a later one that cannot is an error of its own turn.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Images::open(path)?))
}

/// One picture, or a folder of them.
#[derive(Debug)]
pub struct Images {
    info: SourceInfo,
    layout: Layout,
    pages: Option<Pages>,
    position: usize,
    delivered: u64,
    /// Bits that 16-bit levels have at least: one dark picture is not brightened against its neighbours.
    bits: u8,
    /// Whether it was said that pages are missing.
    ended: bool,
}

impl Images {
    /// See [`open`].
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let folder = path.is_dir();
        let mut layout = if folder { layout::folder(path)? } else { layout::single(path) };
        let size = decode::size(&layout.pairs[0].0)?;
        let mut notes = std::mem::take(&mut layout.notes);
        if !folder {
            // A single picture is read at once, so that what is wrong with it is said when it is opened.
            let change = decode::picture(path)?.change;
            if !change.is_empty() {
                notes.push(change);
            }
        }
        let mut pages = if folder { None } else { Pages::of(path)? };
        if pages.is_some() {
            layout.masks = None; // one mask is not that of all pages
        }
        let mut truth = Vec::new();
        if let Some(found) = &layout.masks {
            truth = classes(&layout)?;
            notes.push(found.clone());
        }
        let many = folder || pages.is_some();
        let deep = if many { bits(&layout, pages.as_mut()) } else { None };
        if let Some(bits) = deep.filter(|_| folder) {
            notes.push(format!("levels of {bits} bits (in 16) reduced to 8"));
        }
        if many {
            notes.push(format!("pictures have no times: {RATE_HZ} frames a second assumed"));
        }
        let format = match (folder, &pages) {
            (true, _) => "folder of images",
            (false, Some(_)) => "TIFF, several pages",
            (false, None) => "image",
        };
        let frames = pages.as_ref().map_or(layout.pairs.len(), Pages::count) as u64;
        let info = SourceInfo {
            name: path.display().to_string(),
            format: format.into(),
            size: Some(size),
            frames: Some(frames),
            rate_hz: many.then_some(RATE_HZ as f64),
            truth,
            notes,
            ..SourceInfo::default()
        };
        Ok(Self { info, layout, pages, position: 0, delivered: 0, bits: deep.unwrap_or(8), ended: false })
    }
}

/// Bits of the 16-bit levels in a sample of the pictures; nothing where all have 8.
fn bits(layout: &Layout, mut pages: Option<&mut Pages>) -> Option<u8> {
    let (path, count) = (&layout.pairs[0].0, pages.as_ref().map_or(layout.pairs.len(), |p| p.count()));
    let mut most = None;
    for index in (0..count).step_by(count.div_ceil(SAMPLED)) {
        // A picture that cannot be read is an error of its own turn.
        let picture = match &mut pages {
            Some(pages) => pages.picture(path, index, 8),
            None => decode::picture(&layout.pairs[index].0),
        };
        match picture {
            Ok(picture) => most = most.max(picture.bits),
            Err(_) => continue,
        }
    }
    most
}

/// Classes of the masks: the nerve, and as many more as the first masks show.
fn classes(layout: &Layout) -> Result<Vec<Class>, SourceError> {
    let mut most = 1;
    for path in layout.pairs.iter().filter_map(|(_, mask)| mask.as_ref()).take(LOOK_AT) {
        most = most.max(decode::mask(path)?.labels.into_iter().max().unwrap_or(0));
    }
    Ok(named(most))
}

/// What the first `count` classes of masks that name none are called, and their colours.
///
/// # References
/// After Okabe and Ito's palette for people who see red and green alike ("Color universal design", 2008).
pub fn named(count: u8) -> Vec<Class> {
    let colors = [[255, 194, 10], [12, 123, 220], [0, 158, 115], [204, 121, 167]];
    let name = |class: u8| match class {
        1 => "nerve".into(),
        2 => "vessel".into(),
        n => format!("class {n}"),
    };
    (1..=count).map(|n| Class { name: name(n), color: colors[(n as usize - 1) % colors.len()] }).collect()
}

impl Source for Images {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let index = self.position;
        if index as u64 >= self.info.frames.expect("known from the start") {
            // Said once, as of a video that was cut.
            let cut = self.pages.as_ref().filter(|_| !std::mem::replace(&mut self.ended, true));
            return cut.and_then(|pages| pages.cut(&self.layout.pairs[0].0)).map_or(Ok(None), Err);
        }
        self.position += 1; // also past a picture that cannot be read: the next call gives the one after it
        let (path, mask) = &self.layout.pairs[if self.pages.is_some() { 0 } else { index }];
        let mut name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (picture, mask) = match &mut self.pages {
            Some(pages) => {
                name += &format!(", page {}", index + 1);
                (pages.picture(path, index, self.bits)?, None)
            }
            None => (decode::only(path, self.bits)?, mask.as_ref()),
        };
        let mut frame = Frame::new(self.delivered, picture.size, picture.format, picture.pixels);
        frame.time = Duration::from_nanos(index as u64 * 1_000_000_000 / RATE_HZ);
        frame.name = name;
        if let Some(path) = mask {
            let mask = decode::mask(path)?;
            if mask.size != frame.size {
                return Err(SourceError::Malformed {
                    path: path.clone(),
                    what: "the mask of a picture",
                    found: format!("expected {} pixels as in `{}`, found {}", frame.size, frame.name, mask.size),
                    advice: "give masks of the size of their pictures, or take them away".into(),
                });
            }
            frame.truth = Some(Arc::new(mask));
        }
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn goes_on(&self) -> bool {
        self.layout.pairs.len() > 1
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        let frames = self.info.frames.expect("known from the start");
        self.position = index.min(frames) as usize;
        Ok(())
    }
}
