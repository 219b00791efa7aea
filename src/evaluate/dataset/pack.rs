//! One file for a whole data set; `docs/datasets.md` has it byte by byte.
//!
//! ```text
//! "SONOPACK" ▸ version ▸ length of the header ▸ header (JSON) ▸ pictures and masks ▸ SHA-256 of all before
//! ```

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::groups::Link;
use super::{Dataset, DatasetError, Dropped, Stored, survey};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::geometry::{Size, Spacing};
use crate::mask::Mask;
use crate::segmentation::Class;
use crate::source::images::decode::MAX_PIXELS;

pub(super) const MAGIC: &[u8; 8] = b"SONOPACK";
const VERSION: u32 = 1;
/// Magic, version, length of the header.
const START: usize = 16;
const CHECKSUM: usize = 32;
/// The largest side that pictures are brought to.
const MOST_SIDE: u32 = 4096;
/// The largest file that is read, since it is held in memory.
const MOST_BYTES: u64 = 4 << 30;

/// What stands before the pictures.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// What it was made of.
    pub name: String,
    /// What made it.
    pub made_by: String,
    /// Size of every picture, where they were brought to one.
    pub size: Option<Size>,
    /// How it was split, where it was.
    pub split: Option<String>,
    pub classes: Vec<Class>,
    pub dropped: Vec<Dropped>,
    pub notes: Vec<String>,
    pub links: Vec<Link>,
    pub entries: Vec<Item>,
}

/// What is known of one picture; its bytes and those of its mask follow those of the one before.
#[derive(Serialize, Deserialize)]
pub(super) struct Item {
    pub id: String,
    pub subject: String,
    pub weight: f32,
    pub patient: bool,
    /// For each class, whether it is labelled.
    pub labelled: Vec<bool>,
    /// It shows none of whatever class there is.
    pub empty: bool,
    pub doubt: Option<String>,
    /// On which side of the split it is, where there is one.
    pub role: Option<Role>,
    pub size: Size,
    pub spacing: Option<Spacing>,
    /// Bytes of the picture and of the mask.
    pub bytes: [u64; 2],
}

/// A side of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Training,
    Validation,
}

/// The pictures of a packed file.
#[derive(Debug)]
pub(super) struct Pack {
    path: String,
    bytes: Vec<u8>,
    items: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    size: Size,
    spacing: Option<Spacing>,
    classes: usize,
    bytes: [Range<usize>; 2],
}

impl Pack {
    /// Inflates picture and mask.
    pub fn load(&self, index: usize) -> Result<Stored, DatasetError> {
        let part = &self.items[index];
        let plane = |which: usize| {
            inflate(&self.bytes[part.bytes[which].clone()], part.size.area())
                .ok_or_else(|| unfit(&self.path, format!("picture {} of it is not {} pixels", index + 1, part.size)))
        };
        let (mut gray, labels) = (plane(0)?, plane(1)?);
        undo_difference(&mut gray, part.size.width as usize);
        if let Some(label) = labels.iter().find(|&&l| usize::from(l) > part.classes) {
            return Err(unfit(
                &self.path,
                format!("picture {} of it has label {label} of {}", index + 1, part.classes),
            ));
        }
        Ok(Stored { size: part.size, gray, truth: Mask { size: part.size, labels }, spacing: part.spacing })
    }
}

/// Reads and checks all but the pictures.
pub(super) fn read(spec: &str, path: &Path) -> Result<(Header, Pack), DatasetError> {
    let io = |cause| DatasetError::Io { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(io)?.take(MOST_BYTES + 1);
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(io)?;
    // What is something else may be large.
    if bytes == MAGIC {
        file.read_to_end(&mut bytes).map_err(io)?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unfit(spec, "it is larger than 4 GiB".into()));
    }
    let header = header(&bytes).map_err(|found| unfit(spec, found))?;
    let length = u32::from_le_bytes(bytes[12..START].try_into().expect("four bytes")) as usize;
    let mut at = START + length;
    let end = bytes.len() - CHECKSUM;
    let mut items = Vec::new();
    for item in &header.entries {
        let mut ranges = [0..0, 0..0];
        for (range, &size) in ranges.iter_mut().zip(&item.bytes) {
            let stop = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).filter(|&stop| stop <= end);
            let stop = stop.ok_or_else(|| unfit(spec, format!("`{}` lies outside the file", item.id)))?;
            *range = at..stop;
            at = stop;
        }
        items.push(Part { size: item.size, spacing: item.spacing, classes: header.classes.len(), bytes: ranges });
    }
    if at != end {
        return Err(unfit(spec, format!("{} bytes of it belong to no picture", end - at)));
    }
    Ok((header, Pack { path: spec.to_owned(), bytes, items }))
}

/// The header of a whole file, or what is wrong with it.
fn header(bytes: &[u8]) -> Result<Header, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is a file, and no packed data set".into());
    }
    if bytes.len() < START + CHECKSUM {
        return Err(format!("it is cut short, at {} bytes", bytes.len()));
    }
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if number(8) != VERSION {
        return Err(format!("it has version {}, and this program knows version {VERSION}", number(8)));
    }
    let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM);
    if Sha256::digest(body)[..] != *sum {
        return Err("its checksum is wrong: it is damaged or cut short".into());
    }
    let text = body.get(START..START.saturating_add(number(12) as usize)).ok_or("its header leaves the file")?;
    let header: Header = serde_json::from_slice(text).map_err(|e| format!("its header cannot be read: {e}"))?;
    check(&header)?;
    Ok(header)
}

/// What a checksum does not tell: whether the numbers of a header make sense.
fn check(header: &Header) -> Result<(), String> {
    if header.classes.len() > super::join::MOST_CLASSES {
        return Err(format!("it has {} classes", header.classes.len()));
    }
    if let Some(class) = header.classes.iter().find(|class| class.name.contains(',')) {
        return Err(format!("the name `{}` of a class has a comma", class.name));
    }
    let mut once = std::collections::HashSet::new();
    for item in &header.entries {
        let id = &item.id;
        let pixels = u64::from(item.size.width) * u64::from(item.size.height);
        let spacing = item.spacing.is_none_or(|s| [s.x_mm, s.y_mm].iter().all(|mm| mm.is_finite() && *mm > 0.0));
        if !once.insert(id) {
            return Err(format!("two pictures are called `{id}`"));
        } else if pixels == 0 || pixels > MAX_PIXELS as u64 {
            return Err(format!("`{id}` is {} pixels", item.size));
        } else if item.labelled.len() != header.classes.len() {
            return Err(format!("`{id}` labels {} of {} classes", item.labelled.len(), header.classes.len()));
        } else if !(item.weight.is_finite() && item.weight > 0.0 && spacing) {
            return Err(format!("weight or spacing of `{id}` is no number above 0"));
        }
    }
    Ok(())
}

impl Dataset {
    /// The bytes of one file with every picture, brought to `size` where one is given; what that costs is noted.
    pub(super) fn pack(&mut self, size: Option<Size>) -> Result<Vec<u8>, DatasetError> {
        let name = self.name.clone();
        let cannot =
            |found: String, advice: &str| DatasetError::Pack { name: name.clone(), found, advice: advice.into() };
        if let Some(size) = size.filter(|s| s.width.max(s.height) > MOST_SIDE || s.area() == 0) {
            return Err(cannot(format!("{size} is no size of a network"), "give one from 1x1 to 4096x4096"));
        }
        let packed = survey::all(self.entries.len(), |i| -> Result<_, DatasetError> {
            let entry = &self.entries[i];
            let mut sample = self.load(i)?;
            let from = sample.truth.size;
            let to = size.unwrap_or(from);
            let shown =
                |mask: &Mask| (1..=self.classes.len()).map(|c| mask.labels.contains(&(c as u8))).collect::<Vec<_>>();
            let had = shown(&sample.truth);
            if to != from {
                sample.picture.pixels = smaller(&sample.picture.pixels, from, to);
                sample.truth = shrunk(&sample.truth, to);
                let by = |mm: f64, from: u32, to: u32| mm * f64::from(from) / f64::from(to);
                sample.spacing = sample.spacing.map(|s| Spacing {
                    x_mm: by(s.x_mm, from.width, to.width),
                    y_mm: by(s.y_mm, from.height, to.height),
                });
            }
            let picture = deflate(&difference(&sample.picture.pixels, to.width as usize));
            let lost: Vec<bool> = had.iter().zip(shown(&sample.truth)).map(|(had, has)| *had && !has).collect();
            let mask = deflate(&sample.truth.labels);
            let item = Item {
                id: entry.id.clone(),
                subject: entry.subject.clone(),
                weight: entry.weight,
                patient: entry.patient,
                labelled: entry.labels.labelled.clone(),
                empty: entry.labels.empty,
                doubt: entry.doubt().map(str::to_owned),
                role: entry.role,
                size: to,
                spacing: sample.spacing,
                bytes: [picture.len() as u64, mask.len() as u64],
            };
            Ok((item, picture, mask, lost))
        });
        let (mut entries, mut data, mut gone) = (Vec::new(), Vec::new(), vec![0; self.classes.len()]);
        for packed in packed {
            let (item, picture, mask, lost) = packed?;
            gone.iter_mut().zip(lost).for_each(|(gone, lost)| *gone += usize::from(lost));
            entries.push(item);
            data.extend(picture);
            data.extend(mask);
        }
        let names = self.classes.iter().map(|c| &c.name).zip(gone).filter(|(_, gone)| *gone > 0);
        self.notes.extend(names.zip(size.iter().cycle()).map(|((name, gone), size)| {
            format!("at {size} the class `{name}` is too small to be seen in {gone} pictures")
        }));
        let header = Header {
            name: self.name.clone(),
            made_by: format!("sonoplex {}", env!("CARGO_PKG_VERSION")),
            size,
            split: self.split.clone(),
            classes: self.classes.clone(),
            dropped: self.dropped.clone(),
            notes: self.notes.clone(),
            links: self.links.clone(),
            entries,
        };
        let text = serde_json::to_vec(&header).expect("a header is plain data");
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &(text.len() as u32).to_le_bytes(), &text, &data].concat();
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        if bytes.len() as u64 > MOST_BYTES {
            return Err(cannot(
                format!("it would be {} GB", bytes.len() / 1_000_000_000),
                "pack fewer, or smaller with --size",
            ));
        }
        Ok(bytes)
    }
}

/// Grey levels at another size, rounded.
fn smaller(gray: &[u8], from: Size, to: Size) -> Vec<u8> {
    resized(gray, from, to).iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
}

fn resized(plane: &[u8], from: Size, to: Size) -> Vec<f32> {
    let mut out = vec![0.0; to.area()];
    let resampler = Resampler::new(from, to, Filter::Area);
    resampler.resize_u8_to_f32(&Pool::new(1), plane, from.width as usize, &mut out);
    out
}

/// A mask at another size: each pixel gets the label that covers most of it, a class before the background.
pub fn shrunk(mask: &Mask, to: Size) -> Mask {
    let most = mask.labels.iter().copied().max().unwrap_or(0);
    let mut best = vec![(0.0, 0); to.area()];
    // Rounding must not decide between two halves.
    const HAIR: f32 = 1e-3;
    for label in (1..=most).chain([0]) {
        let plane: Vec<u8> = mask.labels.iter().map(|&l| if l == label { 255 } else { 0 }).collect();
        for (best, cover) in best.iter_mut().zip(resized(&plane, mask.size, to)) {
            if cover > best.0 + HAIR {
                *best = (cover, label);
            }
        }
    }
    Mask { size: to, labels: best.into_iter().map(|b| b.1).collect() }
}

/// Every level less the one to its left: a third smaller once it is deflated.
///
/// # References
/// PNG (third edition), 9.2, filter type 1, Sub.
fn difference(gray: &[u8], width: usize) -> Vec<u8> {
    let row = |row: &[u8]| {
        let before = std::iter::once(0).chain(row.iter().copied());
        row.iter().zip(before).map(|(v, left)| v.wrapping_sub(left)).collect::<Vec<u8>>()
    };
    gray.chunks_exact(width).flat_map(row).collect()
}

fn undo_difference(gray: &mut [u8], width: usize) {
    for row in gray.chunks_exact_mut(width) {
        let mut left = 0u8;
        for v in row {
            left = v.wrapping_add(left);
            *v = left;
        }
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ZlibEncoder::new(bytes, Compression::default()).read_to_end(&mut out).expect("memory can be read");
    out
}

/// Exactly `count` bytes, or nothing.
fn inflate(bytes: &[u8], count: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(bytes).take(count as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() == count).then_some(out)
}

fn unfit(name: &str, found: String) -> DatasetError {
    DatasetError::Unfit {
        name: name.to_owned(),
        found,
        advice: "give a folder, or a whole file that `sonoplex prepare` wrote".into(),
    }
}
