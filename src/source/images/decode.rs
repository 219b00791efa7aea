//! One picture file: its content decides what it is, and its header how much memory it may ask for.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageError, ImageReader, Limits};

use super::pages;
use crate::frame::PixelFormat;
use crate::geometry::Size;
use crate::mask::Mask;
use crate::source::{SourceError, jpeg};

/// The largest picture that is decoded, in pixels.
pub const MAX_PIXELS: usize = 64 << 20;
/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 30;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Pixels of one picture.
pub struct Picture {
    /// Width and height.
    pub size: Size,
    /// Grey or colour.
    pub format: PixelFormat,
    /// See [`crate::frame::Frame::pixels`].
    pub pixels: Vec<u8>,
    /// Bits that its levels were taken to have, where they came in 16.
    pub bits: Option<u8>,
    /// What was left out of it, in a few words; empty for 8-bit grey or RGB.
    pub change: String,
}

/// Reads a picture: grey stays grey, everything else becomes RGB, and transparency is left out.
///
/// Levels of 16 bits become 8: what the brightest of them needs (8, 10, 12, 14 or 16 bits) is the whole range, so that
/// levels of a 12-bit scanner do not go dark.
///
/// # Errors
/// `Io` when the system refuses; `Malformed` when it is empty, damaged, too large, or no picture that we know.
pub fn picture(path: &Path) -> Result<Picture, SourceError> {
    picture_of(path, &read(path)?, 8)
}

/// [`picture`] of the bytes of the file `path`; 16-bit levels have `bits` at least, so that the pictures of a sequence
/// can be scaled alike.
///
/// # Errors
/// As [`picture`].
pub fn picture_of(path: &Path, bytes: &[u8], bits: u8) -> Result<Picture, SourceError> {
    let image = decode(path, bytes)?;
    let size = Size::new(image.width(), image.height());
    let color = image.color();
    let format = if color.has_color() { PixelFormat::Rgb8 } else { PixelFormat::Gray8 };
    let mut change = Vec::new();
    let deep = matches!(color, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16);
    let (pixels, bits) = if deep {
        let levels = if color.has_color() { image.into_rgb16().into_raw() } else { image.into_luma16().into_raw() };
        let bits = used(&levels).max(bits);
        change.push(format!("levels of {bits} bits (in 16) reduced to 8"));
        let white = (1u32 << bits) - 1;
        (levels.into_iter().map(|v| ((u32::from(v) * 255 + white / 2) / white) as u8).collect(), Some(bits))
    } else {
        if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
            let levels = image.to_rgb32f().into_raw();
            if let Some(level) = levels.into_iter().find(|v| !(0.0..=1.0).contains(v)) {
                return Err(SourceError::Malformed {
                    path: path.to_owned(),
                    what: "an image",
                    found: format!("it has the floating-point level {level}"),
                    advice: "scale its levels to 0 to 1, or save it with 8 or 16 bits".into(),
                });
            }
            change.push("floating-point levels 0..=1 reduced to 8 bits".to_owned());
        }
        let pixels = if color.has_color() { image.into_rgb8().into_raw() } else { image.into_luma8().into_raw() };
        (pixels, None)
    };
    if color.has_alpha() {
        change.push("transparency left out".to_owned());
    }
    Ok(Picture { size, format, pixels, bits, change: change.join(", ") })
}

/// The only picture of a file: [`picture_of`] for those that belong together, of which none may have pages that are left out.
///
/// # Errors
/// As [`picture`]; `Malformed` too for a TIFF of several pages.
pub fn only(path: &Path, bits: u8) -> Result<Picture, SourceError> {
    let bytes = read(path)?;
    pages::single(path, &bytes)?;
    picture_of(path, &bytes, bits)
}

/// The fewest bits of a usual scanner that hold every level.
fn used(levels: &[u16]) -> u8 {
    let most = levels.iter().copied().max().unwrap_or(0);
    [8, 10, 12, 14].into_iter().find(|&bits| most >> bits == 0).unwrap_or(16)
}

/// Width and height from the header alone.
///
/// # Errors
/// As [`picture`].
pub fn size(path: &Path) -> Result<Size, SourceError> {
    let file = File::open(path).map_err(|cause| SourceError::Io { path: path.to_owned(), cause })?;
    let empty = file.metadata().is_ok_and(|m| m.len() == 0);
    if empty {
        return Err(malformed(path, "the file is empty"));
    }
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
    let reader = reader.map_err(|cause| SourceError::Io { path: path.to_owned(), cause })?;
    let (width, height) = reader.into_dimensions().map_err(|e| explain(path, &e))?;
    fits(path, Size::new(width, height))
}

/// Reads a mask: class indices where they are indices (the palette of a PNG, or no level above 15), else 1 where it is bright.
///
/// # Errors
/// As [`only`]; `Malformed` too when it is in colours, is transparent in places, fills areas with a middle grey, or is drawn so dark that
/// nothing of it counts.
pub fn mask(path: &Path) -> Result<Mask, SourceError> {
    let mut bytes = read(path)?;
    pages::single(path, &bytes)?;
    let bits = unpaint(&mut bytes);
    let image = decode(path, &bytes)?;
    let size = Size::new(image.width(), image.height());
    let labels = if let Some(bits) = bits {
        // levels of 1, 2 and 4 bits come stretched to 0..=255: back to the index
        let step = (255 / ((1u16 << bits) - 1)) as u8;
        let labels: Vec<u8> = image.into_luma8().into_raw().into_iter().map(|v| v / step).collect();
        match labels.iter().copied().filter(|&label| label > 15).max() {
            None => labels,
            // A grey mask that was given a palette.
            Some(255) if labels.iter().all(|label| matches!(label, 0 | 255)) => {
                labels.into_iter().map(|label| label.min(1)).collect()
            }
            Some(label) => return Err(no_mask(path, format!("it has label {label}"))),
        }
    } else {
        if let Some(found) = meant_otherwise(&image) {
            return Err(no_mask(path, found.to_owned()));
        }
        let levels = image.into_luma16().into_raw();
        // 8-bit levels come times 257
        let eight = levels.iter().all(|v| v % 257 == 0);
        let levels: Vec<u16> = if eight { levels.into_iter().map(|v| v / 257).collect() } else { levels };
        // Some write 0 and 255 in 16 bits.
        let brightest = levels.iter().copied().max().unwrap_or(0);
        let white = if eight || brightest < 256 { 255 } else { u16::MAX };
        if brightest < 16 {
            levels.into_iter().map(|v| v as u8).collect()
        } else if brightest <= white / 2 {
            return Err(no_mask(path, format!("its brightest level is {brightest} of {white}")));
        } else if let Some(level) = between(&levels, size, white) {
            return Err(no_mask(path, format!("it fills areas with the level {level} beside {brightest}")));
        } else {
            levels.into_iter().map(|v| u8::from(v > white / 2)).collect()
        }
    };
    Ok(Mask { size, labels })
}

/// What is in the way of reading grey levels as a mask: they would not be what was drawn.
fn meant_otherwise(image: &DynamicImage) -> Option<&'static str> {
    let color = image.color();
    // A JPEG has some colour where it is grey.
    let coloured = |p: &[u8]| p[..3].iter().max() > p[..3].iter().min().map(|least| least.saturating_add(48)).as_ref();
    if color.has_color() && image.to_rgb8().as_raw().chunks_exact(3).any(coloured) {
        return Some("it is in colours");
    }
    let transparent = |alpha: &[u8]| alpha[3] != 255;
    let through = color.has_alpha() && image.to_rgba8().as_raw().chunks_exact(4).any(transparent);
    through.then_some("it is transparent in places")
}

/// A level between dark and bright that fills areas and not edges alone: another class, or what only some experts drew.
fn between(levels: &[u16], size: Size, white: u16) -> Option<u16> {
    let (width, drawn) = (size.width as usize, levels.iter().filter(|&&v| v > white / 16).count());
    let grey = white / 16 * 3..white - white / 16 * 3;
    let mut areas = std::collections::BTreeMap::new();
    for y in 1..(size.height as usize).saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let level = levels[y * width + x];
            let around = |row: usize| [-1, 0, 1].map(|step| levels[(row * width + x).saturating_add_signed(step)]);
            if grey.contains(&level) && [y - 1, y, y + 1].map(around).as_flattened().iter().all(|&v| v == level) {
                *areas.entry(level).or_insert(0_usize) += 1;
            }
        }
    }
    areas.into_iter().find(|(_, pixels)| *pixels >= 16.max(drawn / 20)).map(|(level, _)| level)
}

fn no_mask(path: &Path, found: String) -> SourceError {
    let advice = "write grey levels 0 and 255, or the numbers of classes 0 to 15, without transparency".into();
    SourceError::Malformed { path: path.to_owned(), what: "a mask", found, advice }
}

/// Makes a palette PNG a grey one, so that its indices are decoded and not their colours; gives the bits of an index.
///
/// # References
/// PNG (third edition), 11.2.1: byte 24 is the bit depth, byte 25 the colour type (3 indexed, 0 grey), bytes 29 to 32
/// are the CRC of what begins at byte 12.
fn unpaint(bytes: &mut [u8]) -> Option<u8> {
    let header = bytes.get_mut(..33).filter(|h| h.starts_with(PNG) && h[25] == 3)?;
    let bits = header[24];
    header[25] = 0;
    let mut crc = flate2::Crc::new();
    crc.update(&header[12..29]);
    header[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    matches!(bits, 1 | 2 | 4 | 8).then_some(bits)
}

/// The bytes of a picture file.
///
/// # Errors
/// `Io` when the system refuses, `Malformed` when there are none or far too many.
pub fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let io = |cause| SourceError::Io { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.is_empty() {
        return Err(malformed(path, "the file is empty"));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(malformed(path, "the file is larger than 1 GiB"));
    }
    Ok(bytes)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<DynamicImage, SourceError> {
    if jpeg::is_cut(bytes) {
        return Err(malformed(path, "it is damaged or cut short: its end is missing"));
    }
    let open = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        reader.map_err(|cause| SourceError::Io { path: path.to_owned(), cause })
    };
    let (width, height) = open()?.into_dimensions().map_err(|e| explain(path, &e))?;
    fits(path, Size::new(width, height))?;
    let mut reader = open()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS as u64 * 16);
    reader.limits(limits);
    reader.decode().map_err(|e| explain(path, &e))
}

fn fits(path: &Path, size: Size) -> Result<Size, SourceError> {
    if size.area() == 0 {
        return Err(malformed(path, &format!("it is {size} pixels")));
    }
    if u64::from(size.width) * u64::from(size.height) > MAX_PIXELS as u64 {
        return Err(SourceError::Malformed {
            path: path.to_owned(),
            what: "an image",
            found: format!("its header asks for {size} pixels, more than {} million", MAX_PIXELS >> 20),
            advice: "cut the picture out or make it smaller".into(),
        });
    }
    Ok(size)
}

fn explain(path: &Path, error: &ImageError) -> SourceError {
    match error {
        ImageError::Unsupported(e) => malformed(path, &format!("this kind is not known: {e}")),
        ImageError::Limits(e) => malformed(path, &format!("it asks for too much memory: {e}")),
        e => malformed(path, &format!("it is damaged or cut short: {e}")),
    }
}

fn malformed(path: &Path, found: &str) -> SourceError {
    // decoders end their messages with full stops and ends of line
    let found = found.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    SourceError::Malformed {
        path: path.to_owned(),
        what: "an image",
        found: found.trim_end_matches('.').to_owned(),
        advice: "give a whole PNG, JPEG, TIFF or BMP".into(),
    }
}
