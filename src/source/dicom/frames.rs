//! Takes one frame out of the pixel data and undoes its compression.

use std::ops::Range;

use super::codestream::{self, Expected};
use super::elements::{Layout, Pixels};
use super::header::Header;
use super::store::Store;
use super::{part10, rle};

/// Largest compressed frame, in bytes.
const STREAM_LIMIT: u64 = 64 << 20;
/// Most samples of a compressed frame: JPEG 2000 takes four bytes and more for each while it works.
const SAMPLES_LIMIT: usize = 32 << 20;

/// How the pixel data of a transfer syntax are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Samples.
    Plain,
    /// Run lengths.
    Rle,
    /// JPEG.
    Jpeg,
    /// JPEG 2000.
    Jpeg2000,
}

/// The pixel data of a recording.
pub struct Frames {
    store: Store,
    pixels: Pixels,
    layout: Layout,
    syntax: String,
    coding: Coding,
    /// Fragments of every frame; empty where the pixels are one run of bytes.
    groups: Vec<Range<usize>>,
    /// Whole frames that are there: fewer than the header promises in a file that was cut.
    there: u32,
}

/// Samples of one frame, colours interleaved, least significant byte first.
pub struct Samples {
    /// `rows × columns × samples × bytes`.
    pub data: Vec<u8>,
    /// Whether the colours are luma and chroma.
    pub ybr: bool,
}

impl Frames {
    /// Finds where every frame is, and holds the header's number of frames against the data.
    ///
    /// # Errors
    /// When there are fewer data than the header promises, or more than it explains; of a file that was cut, when not
    /// one frame is whole.
    pub fn new(
        mut store: Store,
        pixels: Pixels,
        layout: Layout,
        (syntax, coding): (String, Coding),
        header: &Header,
        extended: &[u64],
    ) -> Result<Self, String> {
        let mut groups = Vec::new();
        let mut there = header.frames;
        match &pixels {
            Pixels::Native { len, cut, .. } => {
                if coding != Coding::Plain {
                    return Err(
                        "the pixel data are one run of bytes, and the transfer syntax says they are compressed"
                            .to_owned(),
                    );
                }
                let expected = u64::from(header.frames) * header.native_len();
                if *cut {
                    there = u32::try_from(len / header.native_len()).unwrap_or(u32::MAX).min(header.frames);
                // A value has an even length: one byte may be added.
                } else if *len != expected && *len != expected.next_multiple_of(2) {
                    return Err(format!(
                        "{} frames of {}x{} take {expected} bytes, the pixel data have {len}",
                        header.frames, header.columns, header.rows
                    ));
                }
            }
            Pixels::Fragments { offsets, fragments, cut } => {
                if header.area() * usize::from(header.samples) > SAMPLES_LIMIT && coding != Coding::Plain {
                    return Err(format!("a compressed frame may have {SAMPLES_LIMIT} samples at most"));
                }
                let offsets: Vec<u64> =
                    if extended.is_empty() { offsets.iter().map(|&o| o.into()).collect() } else { extended.to_vec() };
                let frames = header.frames as usize;
                groups = match cut {
                    true => whole(&mut store, fragments, &offsets, frames, coding)?,
                    false => group(&mut store, fragments, &offsets, frames, coding)?,
                };
                there = groups.len() as u32;
            }
        }
        if there == 0 {
            return Err(format!("the file ends early: not one of {} frames is whole", header.frames));
        }
        Ok(Self { store, pixels, layout, syntax, coding, groups, there })
    }

    /// Whole frames that are there.
    pub fn there(&self) -> u32 {
        self.there
    }

    /// Decodes frame `index`.
    ///
    /// # Errors
    /// When the data are damaged or not of the kind that the header states.
    pub fn read(&mut self, index: u32, header: &Header) -> Result<Samples, String> {
        let is_ybr = header.photometric.starts_with("YBR_FULL");
        let data = match &self.pixels {
            Pixels::Native { start, words, .. } => {
                let (start, swapped) = (*start, self.layout.big_endian && (*words || header.bits_allocated == 16));
                let at = u64::from(index) * header.native_len();
                let data = native(&mut self.store, start, at, header.native_len(), swapped)?;
                return Ok(Samples { data: interleave(data, header)?, ybr: is_ybr });
            }
            Pixels::Fragments { fragments, .. } => {
                let group =
                    self.groups.get(index as usize).cloned().ok_or_else(|| format!("there is no frame {index}"))?;
                let wanted: u64 = fragments[group.clone()].iter().map(|f| f.1).sum();
                if wanted > STREAM_LIMIT {
                    return Err(format!("a compressed frame has {wanted} bytes; at most {STREAM_LIMIT} are read"));
                }
                let mut data = Vec::new();
                for &(start, len) in &fragments[group] {
                    data.extend(self.store.read(start, len)?);
                }
                data
            }
        };
        let expected = Expected {
            columns: header.columns,
            rows: header.rows,
            samples: header.samples,
            bits_allocated: header.bits_allocated,
            photometric: &header.photometric,
        };
        let checked = match self.coding {
            Coding::Plain => return Ok(Samples { data: interleave(data, header)?, ybr: is_ybr }),
            Coding::Rle => {
                let sample_bytes = usize::from(header.bits_allocated / 8);
                let data = rle::decode(&data, header.area(), header.samples.into(), sample_bytes)?;
                return Ok(Samples { data, ybr: is_ybr });
            }
            Coding::Jpeg => codestream::jpeg(data, &expected)?,
            Coding::Jpeg2000 => codestream::jpeg2000(data, &expected)?,
        };
        let mut data = part10::decode(&self.syntax, &checked, &expected)?;
        if checked.sample_bytes == 1 && header.bits_allocated == 16 {
            data = data.into_iter().flat_map(|b| [b, 0]).collect();
        }
        Ok(Samples { data, ybr: checked.ybr })
    }
}

/// Which fragments belong to which frame.
fn group(
    store: &mut Store,
    fragments: &[(u64, u64)],
    offsets: &[u64],
    frames: usize,
    coding: Coding,
) -> Result<Vec<Range<usize>>, String> {
    let count = fragments.len();
    if count < frames {
        return Err(format!("the header promises {frames} frames, the pixel data have {count} fragments"));
    }
    if frames == 1 {
        let found = match coding {
            _ if count == 1 => 1,
            // One fragment a frame (PS3.5, annex G).
            Coding::Rle => count,
            _ => starts(store, fragments, &[], 0, coding)?.len(),
        };
        if found > 1 || offsets.len() > 1 {
            return Err(format!("the header promises one frame, the pixel data have {}", found.max(offsets.len())));
        }
        return Ok(vec![0..count; 1]);
    }
    if count == frames {
        return Ok((0..count).map(|i| i..i + 1).collect());
    }
    let starts = starts(store, fragments, offsets, frames, coding)?;
    if starts.len() != frames || starts[0] != 0 || !starts.is_sorted_by(|a, b| a < b) {
        return Err(format!("the header promises {frames} frames, and {count} fragments do not tell which is whose"));
    }
    Ok(between(&starts, count))
}

/// The frames that are whole in a file that was cut. Where frames have several fragments, those of the last one are not
/// known to be all.
fn whole(
    store: &mut Store,
    fragments: &[(u64, u64)],
    offsets: &[u64],
    frames: usize,
    coding: Coding,
) -> Result<Vec<Range<usize>>, String> {
    let count = fragments.len();
    let found = match coding {
        // One fragment a frame (PS3.5, annex G).
        Coding::Rle => (0..count).collect(),
        _ => starts(store, fragments, offsets, frames, coding)?,
    };
    if found.first().is_some_and(|&s| s != 0) || !found.is_sorted_by(|a, b| a < b) {
        return Err(format!("the file ends early, and {count} fragments do not tell which frame is whose"));
    }
    let mut groups = between(&found, count);
    if groups.iter().any(|g| g.len() > 1) || frames == 1 {
        groups.pop();
    }
    groups.truncate(frames);
    Ok(groups)
}

fn between(starts: &[usize], count: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([count]);
    starts.iter().copied().zip(ends).map(|(a, b)| a..b).collect()
}

/// The first fragment of every frame: by the offset table where there is one, else by what a compressed picture begins
/// with. Offsets behind the last fragment belong to frames that are not there.
fn starts(
    store: &mut Store,
    fragments: &[(u64, u64)],
    offsets: &[u64],
    frames: usize,
    coding: Coding,
) -> Result<Vec<usize>, String> {
    let mut starts = Vec::new();
    if offsets.len() == frames && frames > 0 {
        let Some(&(first, _)) = fragments.first() else { return Ok(starts) };
        let last = fragments[fragments.len() - 1].0 - first;
        for offset in offsets.iter().filter(|&&o| o <= last) {
            match fragments.binary_search_by_key(&Some(*offset), |f| f.0.checked_sub(first)) {
                Ok(i) => starts.push(i),
                Err(_) => return Err("the offset table of the pixel data points between fragments".to_owned()),
            }
        }
    } else {
        let mark: &[u8] = match coding {
            Coding::Jpeg => &[0xff, 0xd8],
            Coding::Jpeg2000 => &[0xff, 0x4f],
            _ => &[],
        };
        for (i, &(start, len)) in fragments.iter().enumerate() {
            if !mark.is_empty() && len >= 2 && store.read(start, 2)? == mark {
                starts.push(i);
            }
        }
    }
    Ok(starts)
}

/// `len` bytes at `at` of a run that begins at `start`, in little-endian order.
fn native(store: &mut Store, start: u64, at: u64, len: u64, swapped: bool) -> Result<Vec<u8>, String> {
    if !swapped {
        return store.read(start + at, len);
    }
    // Words are swapped as pairs from the start of the run, where an odd frame begins in the middle of one.
    let from = at & !1;
    let mut data = store.read(start + from, (at + len).next_multiple_of(2) - from)?;
    for pair in data.chunks_exact_mut(2) {
        pair.swap(0, 1);
    }
    data.drain(..(at - from) as usize);
    data.truncate(len as usize);
    Ok(data)
}

/// Brings plain samples to R G B R G B, whichever way they were written.
fn interleave(mut data: Vec<u8>, header: &Header) -> Result<Vec<u8>, String> {
    let len = header.native_len() as usize;
    if data.len() < len {
        return Err(format!("expected {len} bytes in a frame, found {}", data.len()));
    }
    data.truncate(len);
    let area = header.area();
    if header.photometric == "YBR_FULL_422" {
        let pairs = data.chunks_exact(4).flat_map(|p| [p[0], p[2], p[3], p[1], p[2], p[3]]);
        return Ok(pairs.take(3 * area).collect());
    }
    if header.samples == 3 && header.planar {
        let (red, rest) = data.split_at(area);
        let (green, blue) = rest.split_at(area);
        return Ok(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect());
    }
    Ok(data)
}

/// Turns luma and chroma into red, green and blue in place.
///
/// # References
/// DICOM PS3.3 C.7.6.3.1.2 (ITU-R BT.601, full range).
pub fn ybr_to_rgb(data: &mut [u8]) {
    for pixel in data.chunks_exact_mut(3) {
        let [y, cb, cr] = [f32::from(pixel[0]), f32::from(pixel[1]) - 128.0, f32::from(pixel[2]) - 128.0];
        // `as u8` saturates.
        pixel[0] = (y + 1.402 * cr).round() as u8;
        pixel[1] = (y - 0.344_136 * cb - 0.714_136 * cr).round() as u8;
        pixel[2] = (y + 1.772 * cb).round() as u8;
    }
}
