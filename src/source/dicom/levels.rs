//! From stored samples to grey levels or colours through one table.
//!
//! # References
//! DICOM PS3.3: C.11.1 modality LUT, C.11.2.1.2 and .3 window, C.7.6.3.1.5 palette colour lookup table descriptor.

use dicom_object::InMemDicomObject;

use super::header::{Header, number, text, words};

/// A table that has one entry for every possible sample.
pub enum Table {
    /// Grey levels.
    Gray(Vec<u8>),
    /// Red, green, blue.
    Palette(Vec<[u8; 3]>),
}

impl Table {
    /// Looks every sample up; `samples` is little endian, one sample a pixel.
    pub fn apply(&self, header: &Header, samples: &[u8]) -> Vec<u8> {
        let each = stored(header, samples).map(usize::from);
        match self {
            Self::Gray(table) => each.map(|index| table[index]).collect(),
            Self::Palette(table) => each.flat_map(|index| table[index]).collect(),
        }
    }
}

/// The bits that count of every sample.
fn stored(header: &Header, samples: &[u8]) -> impl Iterator<Item = u16> {
    let (keep, shift) = (mask(header), header.shift);
    let each = samples.chunks_exact(usize::from(header.bits_allocated / 8));
    each.map(move |b| u16::from_le_bytes([b[0], b.get(1).copied().unwrap_or(0)]) >> shift & keep)
}

/// The bits of a sample that count.
fn mask(header: &Header) -> u16 {
    u16::MAX >> (16 - header.bits_stored)
}

/// The number that the stored bits stand for.
fn value(header: &Header, bits: u16) -> i32 {
    let unused = 16 - header.bits_stored;
    if header.signed { i32::from(((bits << unused) as i16) >> unused) } else { i32::from(bits) }
}

/// Whether `gray` asks for the range of the frames.
pub fn needs_range(object: &InMemDicomObject, header: &Header) -> bool {
    window(object).is_none() && stated_range(object, header).is_none() && !is_plain(header)
}

/// Whether samples are grey levels as they are.
fn is_plain(header: &Header) -> bool {
    header.bits_stored == 8 && !header.signed
}

/// Smallest and largest stored value of a frame.
pub fn range(header: &Header, samples: &[u8]) -> [f64; 2] {
    let values = stored(header, samples).map(|bits| value(header, bits));
    let (low, high) = values.fold((i32::MAX, i32::MIN), |(low, high), v| (low.min(v), high.max(v)));
    [f64::from(low), f64::from(high)]
}

/// The table of a MONOCHROME picture: rescale and window where the file has one, else the stated or found range.
pub fn gray(object: &InMemDicomObject, header: &Header, found: Option<[f64; 2]>, notes: &mut Vec<String>) -> Table {
    let inverted = header.photometric == "MONOCHROME1";
    if inverted {
        notes.push("MONOCHROME1: inverted, so that white is bright".to_owned());
    }
    let slope = number(object, (0x0028, 0x1053)).filter(|&s| s != 0.0).unwrap_or(1.0);
    let intercept = number(object, (0x0028, 0x1052)).unwrap_or(0.0);
    let windowed = window(object);
    let falling = windowed.is_none() && slope < 0.0;
    if falling {
        notes.push(format!("a rescale slope of {slope}: inverted, so that the largest value is bright"));
    }
    let level: Box<dyn Fn(f64) -> f64> = if let Some(window) = windowed {
        notes.push(format!(
            "grey levels through rescale {slope} × v + {intercept} and window {} ± {}",
            window.center,
            window.width / 2.0
        ));
        Box::new(move |v| window.level(slope * v + intercept))
    } else if let Some([low, high]) = stated_range(object, header) {
        notes.push(format!(
            "no window: stored values {low} to {high}, as the header states, become grey levels 0 to 255"
        ));
        Box::new(move |v| (v - low) / (high - low))
    } else if is_plain(header) {
        Box::new(|v| v / 255.0)
    } else {
        let full = f64::from(mask(header));
        let least = if header.signed { -f64::midpoint(full, 1.0) } else { 0.0 };
        let ([low, high], from) =
            found.map_or(([least, least + full], "all that fit"), |range| (range, "as they were found"));
        notes.push(format!("no window: stored values {low} to {high}, {from}, become grey levels 0 to 255"));
        Box::new(move |v| (v - low) / (high - low))
    };
    let entry = |bits| {
        // `as u8` saturates.
        let gray = (255.0 * level(f64::from(value(header, bits)))).round() as u8;
        if inverted != falling { 255 - gray } else { gray }
    };
    Table::Gray((0..=mask(header)).map(entry).collect())
}

/// `SmallestImagePixelValue` and `LargestImagePixelValue`; 8-bit pictures are shown as they are all the same.
fn stated_range(object: &InMemDicomObject, header: &Header) -> Option<[f64; 2]> {
    let (low, high) = (number(object, (0x0028, 0x0106))?, number(object, (0x0028, 0x0107))?);
    (!is_plain(header) && low < high).then_some([low, high])
}

#[derive(Clone, Copy)]
struct Window {
    center: f64,
    width: f64,
    kind: WindowKind,
}

#[derive(Clone, Copy)]
enum WindowKind {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Window {
    /// 0 to 1 for a rescaled value.
    fn level(self, x: f64) -> f64 {
        let Self { center, width, kind } = self;
        let y = match kind {
            // C.11.2.1.2.1; a width of 1 is a threshold.
            WindowKind::Linear if width <= 1.0 => f64::from(x > center - 0.5),
            WindowKind::Linear => (x - (center - 0.5)) / (width - 1.0) + 0.5,
            WindowKind::LinearExact => (x - center) / width + 0.5,
            WindowKind::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - center) / width).exp()),
        };
        y.clamp(0.0, 1.0)
    }
}

fn window(object: &InMemDicomObject) -> Option<Window> {
    let kind = match text(object, (0x0028, 0x1056)).as_deref() {
        Some("SIGMOID") => WindowKind::Sigmoid,
        Some("LINEAR_EXACT") => WindowKind::LinearExact,
        _ => WindowKind::Linear,
    };
    let (center, width) = (number(object, (0x0028, 0x1050))?, number(object, (0x0028, 0x1051))?);
    (width > 0.0).then_some(Window { center, width, kind })
}

/// The table of a PALETTE COLOR picture.
///
/// # Errors
/// When a lookup table is missing, segmented or too short.
pub fn palette(object: &InMemDicomObject, header: &Header, notes: &mut Vec<String>) -> Result<Table, String> {
    if object.element(dicom_object::Tag(0x0028, 0x1221)).is_ok() && words(object, (0x0028, 0x1201)).is_none() {
        return Err("its palette is segmented, which is not read".to_owned());
    }
    let mut colours = Vec::with_capacity(3);
    let mut first = 0;
    // Some writers state 16 bits and store 8.
    let eight = (0..3).flat_map(|i| words(object, (0x0028, 0x1201 + i)).unwrap_or_default()).all(|w| w < 256);
    for (i, name) in ["red", "green", "blue"].into_iter().enumerate() {
        let descriptor = words(object, (0x0028, 0x1101 + i as u16)).unwrap_or_default();
        let &[entries, start, bits] = descriptor.as_slice() else {
            return Err(format!("expected three numbers that describe the {name} palette, found {}", descriptor.len()));
        };
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        first = if header.signed { i32::from(start as i16) } else { i32::from(start) };
        let data = words(object, (0x0028, 0x1201 + i as u16)).unwrap_or_default();
        let values: Vec<u8> = match bits {
            8 if data.len() < entries => data.iter().flat_map(|w| w.to_le_bytes()).collect(),
            8 => data.iter().map(|&w| w as u8).collect(),
            16 if eight => data.iter().map(|&w| w as u8).collect(),
            16 => data.iter().map(|&w| (w >> 8) as u8).collect(),
            _ => return Err(format!("expected palette entries of 8 or 16 bits, found {bits}")),
        };
        if values.len() < entries {
            return Err(format!("expected {entries} {name} palette entries, found {}", values.len()));
        }
        colours.push((entries, values));
    }
    notes.push("palette colours, shown as red, green and blue".to_owned());
    let entry = |bits| {
        // Samples before the first entry take the first, those after the last take the last.
        let at = usize::try_from(value(header, bits) - first).unwrap_or(0);
        [0, 1, 2].map(|c| {
            let (entries, values): &(usize, Vec<u8>) = &colours[c];
            values[at.min(entries - 1)]
        })
    };
    Ok(Table::Palette((0..=mask(header)).map(entry).collect()))
}
