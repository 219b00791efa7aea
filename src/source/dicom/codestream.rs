//! Looks into JPEG and JPEG 2000 code streams before a decoder sees them.
//!
//! The decoders reserve and index by what the stream claims; what does not fit the DICOM header is refused here.
//!
//! # References
//! JPEG: ITU-T T.81, annex B; the Adobe marker: T.872. JPEG 2000: ITU-T T.800, annex A.

use crate::source::jpeg::next_marker;

/// What a frame must be, by the DICOM header.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Pixels across.
    pub columns: u16,
    /// Pixels down.
    pub rows: u16,
    /// Samples a pixel.
    pub samples: u16,
    /// Bits reserved for a sample.
    pub bits_allocated: u16,
    /// `PhotometricInterpretation`.
    pub photometric: &'a str,
}

/// A stream that is safe to decode, and what its samples will be.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The stream, with what would mislead the decoder set right.
    pub stream: Vec<u8>,
    /// Bytes of one decoded sample.
    pub sample_bytes: usize,
    /// Whether decoded colours are still luma and chroma.
    pub ybr: bool,
}

/// Checks a JPEG stream, and settles whether its colours are RGB or YCbCr by renaming its components.
///
/// # Errors
/// When sizes disagree or the kind of JPEG is not read.
pub fn jpeg(mut stream: Vec<u8>, expected: &Expected) -> Result<Checked, String> {
    if stream.get(..2) != Some(&[0xff, 0xd8]) {
        return Err("expected a JPEG stream".to_owned());
    }
    let (mut at, mut frame, mut adobe, mut jfif, mut scans) = (2, None, None, false, Vec::new());
    while let Some(marker) = next_marker(&stream, &mut at) {
        if marker == 0xd9 {
            break;
        }
        let len = match stream.get(at..at + 2) {
            Some(b) => usize::from(u16::from_be_bytes([b[0], b[1]])),
            None => break,
        };
        let Some(segment) = stream.get(at + 2..at + len.max(2)) else { break };
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                if frame.is_some() {
                    return Err("expected one picture in a JPEG stream, found two".to_owned());
                }
                frame = Some((marker, at + 2, jpeg_frame(marker, segment, expected)?));
            }
            0xda => scans.push((at + 2, segment.len())),
            0xe0 => jfif |= segment.starts_with(b"JFIF\0"),
            0xee if segment.starts_with(b"Adobe") && segment.len() >= 12 => adobe = Some(segment[11]),
            _ => {}
        }
        at += len.max(2);
    }
    let (marker, frame_at, precision) = frame.ok_or("the JPEG stream is without a picture")?;
    if scans.is_empty() {
        return Err("the JPEG stream ends before its picture begins".to_owned());
    }
    let lossless = marker == 0xc3;
    let mut ybr = false;
    if expected.samples == 3 {
        let ids: Vec<u8> = (0..3).map(|i| stream[frame_at + 6 + 3 * i]).collect();
        let named_rgb = ids == *b"RGB";
        let is_ybr = match (adobe, jfif) {
            // A lossless decoder leaves the colours alone: the DICOM header alone speaks.
            _ if lossless => expected.photometric.starts_with("YBR_FULL"),
            (Some(transform), _) => transform != 0,
            (None, true) => true,
            (None, false) => !named_rgb && expected.photometric != "RGB",
        };
        ybr = lossless && is_ybr;
        let new: &[u8; 3] = if is_ybr { &[1, 2, 3] } else { b"RGB" };
        rename(&mut stream, frame_at, &scans, &ids, new);
    }
    let sample_bytes = if precision == 8 { 1 } else { 2 };
    Ok(Checked { stream, sample_bytes, ybr })
}

/// Checks a frame header and returns its precision.
fn jpeg_frame(marker: u8, segment: &[u8], expected: &Expected) -> Result<u8, String> {
    let kinds = "baseline, extended, progressive or lossless with Huffman codes";
    if !matches!(marker, 0xc0..=0xc3) {
        return Err(format!("expected JPEG {kinds}, found kind {:#x}", marker));
    }
    let &[precision, h1, h0, w1, w0, components, ..] = segment else {
        return Err("the JPEG frame header is cut off".to_owned());
    };
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    same_size((width.into(), height.into(), components.into()), expected, "JPEG")?;
    if segment.len() != 6 + 3 * usize::from(components) {
        return Err("the JPEG frame header has a wrong length".to_owned());
    }
    let sampling: Vec<u8> = segment[6..].chunks_exact(3).map(|c| c[1]).collect();
    if sampling.iter().any(|&s| !(1..=4).contains(&(s >> 4)) || !(1..=4).contains(&(s & 15))) {
        return Err("the JPEG frame header has impossible sampling factors".to_owned());
    }
    if marker == 0xc3 && sampling.iter().any(|&s| s != 0x11) {
        return Err("expected lossless JPEG without subsampled colours, found it with".to_owned());
    }
    if u16::from(precision) > expected.bits_allocated
        || !(2..=16).contains(&precision)
        || (marker != 0xc3 && precision != 8)
    {
        return Err(format!(
            "expected JPEG with 8 bits a sample, or lossless with up to {}, found {precision}",
            expected.bits_allocated
        ));
    }
    Ok(precision)
}

fn same_size(found: (u64, u64, u64), expected: &Expected, what: &str) -> Result<(), String> {
    let (width, height, samples) = found;
    if found == (expected.columns.into(), expected.rows.into(), expected.samples.into()) {
        return Ok(());
    }
    Err(format!(
        "the header says {}x{} with {} samples a pixel, its {what} stream {width}x{height} with {samples}",
        expected.columns, expected.rows, expected.samples
    ))
}

/// Gives the three components new identifiers, in the frame header and in every scan header.
fn rename(stream: &mut [u8], frame_at: usize, scans: &[(usize, usize)], old: &[u8], new: &[u8; 3]) {
    // Equal identifiers cannot be told apart in a scan: leave such a stream to the decoder.
    if old[0] == old[1] || old[1] == old[2] || old[0] == old[2] {
        return;
    }
    for i in 0..3 {
        stream[frame_at + 6 + 3 * i] = new[i];
    }
    for &(at, len) in scans {
        let count = if len > 0 { usize::from(stream[at]) } else { 0 };
        for i in 0..count {
            let place = at + 1 + 2 * i;
            if place < at + len
                && let Some(which) = old.iter().position(|&id| id == stream[place])
            {
                stream[place] = new[which];
            }
        }
    }
}

/// Checks a JPEG 2000 stream and takes it out of its file wrapper, if it has one.
///
/// # Errors
/// When sizes disagree.
pub fn jpeg2000(mut stream: Vec<u8>, expected: &Expected) -> Result<Checked, String> {
    // SOC and SIZ follow each other at the start of every code stream.
    let start = stream
        .windows(4)
        .take(4096)
        .position(|w| w == [0xff, 0x4f, 0xff, 0x51])
        .ok_or("expected a JPEG 2000 stream")?;
    stream.drain(..start);
    let word = |at: usize| -> Option<u64> {
        let b = stream.get(at..at + 4)?;
        Some(u32::from_be_bytes([b[0], b[1], b[2], b[3]]).into())
    };
    let cut = "the JPEG 2000 header is cut off";
    let field = |i: usize| word(8 + 4 * i).ok_or(cut);
    let [x1, y1, x0, y0] = [field(0)?, field(1)?, field(2)?, field(3)?];
    let [tile_w, tile_h, tile_x, tile_y] = [field(4)?, field(5)?, field(6)?, field(7)?];
    let components = stream.get(40..42).map(|b| u64::from(u16::from_be_bytes([b[0], b[1]]))).ok_or(cut)?;
    same_size((x1.saturating_sub(x0), y1.saturating_sub(y0), components), expected, "JPEG 2000")?;
    if tile_w == 0 || tile_h == 0 || tile_x > x0 || tile_y > y0 || tile_x + tile_w <= x0 || tile_y + tile_h <= y0 {
        return Err("the JPEG 2000 header has impossible tiles".to_owned());
    }
    let tiles = (x1 - tile_x).div_ceil(tile_w) * (y1 - tile_y).div_ceil(tile_h);
    if tiles > 4096 {
        return Err(format!("expected at most 4096 JPEG 2000 tiles, found {tiles}"));
    }
    for i in 0..usize::from(expected.samples) {
        let component = stream.get(42 + 3 * i..45 + 3 * i).ok_or(cut)?;
        let bits = u16::from(component[0] & 0x7f) + 1;
        if bits > expected.bits_allocated || component[1..] != [1, 1] {
            return Err(format!(
                "expected JPEG 2000 components of up to {} bits at full size, found {bits} bits, every {}x{} pixels",
                expected.bits_allocated, component[1], component[2]
            ));
        }
    }
    let transformed = component_transform(&stream, 45 + 3 * (usize::from(expected.samples) - 1)).ok_or(cut)?;
    let ybr = expected.samples == 3 && !transformed && expected.photometric.starts_with("YBR_FULL");
    Ok(Checked { stream, sample_bytes: usize::from(expected.bits_allocated / 8), ybr })
}

/// Whether the coding style default (COD) asks for the component transform, so that decoding gives RGB.
fn component_transform(stream: &[u8], mut at: usize) -> Option<bool> {
    loop {
        let b = stream.get(at..at + 4)?;
        let len = usize::from(u16::from_be_bytes([b[2], b[3]]));
        if b[0] != 0xff || b[1] == 0x90 || len < 2 {
            return None;
        }
        if b[1] == 0x52 {
            // Scod, progression, layers (2), then the transform.
            return stream.get(at + 8).map(|&transform| transform != 0);
        }
        at += 2 + len;
    }
}
