//! What the elements of a DICOM file say of its frames.
//!
//! # References
//! DICOM PS3.3: C.7.6.3 image pixel, C.11.1 rescale, C.11.2 window, C.8.5.5 ultrasound regions.

use dicom_object::{DefaultDicomObject, InMemDicomObject, Tag};

/// Largest decoded frame, in bytes: 11,585 × 11,585 8-bit pixels.
const FRAME_LIMIT: u64 = 128 << 20;

/// A checked description of the pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
    /// Number of frames.
    pub frames: u32,
    /// Samples a pixel: 1 or 3.
    pub samples: u16,
    /// `PhotometricInterpretation`.
    pub photometric: String,
    /// Whether all red, then all green, then all blue samples follow each other.
    pub planar: bool,
    /// 8 or 16.
    pub bits_allocated: u16,
    /// Bits of a sample that count.
    pub bits_stored: u16,
    /// Bits below those that count.
    pub shift: u16,
    /// Whether samples are signed.
    pub signed: bool,
}

impl Header {
    /// Reads and checks; on failure says what was expected and what was found.
    ///
    /// # Errors
    /// When an element is missing or of a kind that is not read.
    pub fn read(object: &DefaultDicomObject) -> Result<Self, String> {
        let rows = required(object, 0x0010, "Rows")?;
        let columns = required(object, 0x0011, "Columns")?;
        let bits_allocated = required(object, 0x0100, "BitsAllocated")?;
        let samples = number(object, (0x0028, 0x0002)).unwrap_or(1.0) as u16;
        let photometric = text(object, (0x0028, 0x0004)).unwrap_or_else(|| "MONOCHROME2".to_owned());
        let frames = match number(object, (0x0028, 0x0008)) {
            None => 1,
            Some(n) if (1.0..=f64::from(u32::MAX)).contains(&n) => n as u32,
            Some(n) => return Err(format!("expected `NumberOfFrames` of 1 or more, found {n}")),
        };
        if rows == 0 || columns == 0 {
            return Err(format!("expected at least one pixel, found {columns}x{rows}"));
        }
        if !matches!(bits_allocated, 8 | 16) {
            return Err(format!("expected 8 or 16 bits a sample, found {bits_allocated}"));
        }
        let wanted = match photometric.as_str() {
            "MONOCHROME1" | "MONOCHROME2" | "PALETTE COLOR" => 1,
            "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT" => 3,
            other => {
                return Err(format!("expected grey, palette, RGB or YBR_FULL pictures, found `{other}`"));
            }
        };
        if samples != wanted {
            return Err(format!("expected {wanted} samples a pixel for {photometric}, found {samples}"));
        }
        if samples == 3 && bits_allocated != 8 {
            return Err(format!("expected 8 bits a sample for colours, found {bits_allocated}"));
        }
        let bits_stored = number(object, (0x0028, 0x0101)).map_or(bits_allocated, |n| n as u16);
        if bits_stored == 0 || bits_stored > bits_allocated {
            return Err(format!("expected 1 to {bits_allocated} bits stored, found {bits_stored}"));
        }
        // Where all bits count there is one place for them, whatever is said of the highest.
        let unused = if samples == 1 { bits_allocated - bits_stored } else { 0 };
        let high_bit = number(object, (0x0028, 0x0102)).filter(|_| unused > 0);
        let shift = high_bit.map_or(0.0, |high| high + 1.0 - f64::from(bits_stored));
        if !(0.0..=f64::from(unused)).contains(&shift) {
            return Err(format!("expected the high bit {}, found {}", bits_stored - 1, high_bit.unwrap_or_default()));
        }
        let bytes = u64::from(rows) * u64::from(columns) * u64::from(samples) * u64::from(bits_allocated / 8);
        if bytes > FRAME_LIMIT {
            return Err(format!(
                "a frame of {columns}x{rows} would take {bytes} bytes; at most {FRAME_LIMIT} are read"
            ));
        }
        Ok(Self {
            rows,
            columns,
            frames,
            samples,
            photometric,
            planar: number(object, (0x0028, 0x0006)) == Some(1.0),
            bits_allocated,
            bits_stored,
            shift: shift as u16,
            signed: number(object, (0x0028, 0x0103)) == Some(1.0),
        })
    }

    /// Pixels of a frame.
    pub fn area(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// Bytes of a frame that is not compressed.
    pub fn native_len(&self) -> u64 {
        let samples = u64::from(self.rows) * u64::from(self.columns);
        let bytes = samples * u64::from(self.samples) * u64::from(self.bits_allocated / 8);
        // Two pixels share their chroma: Y Y Cb Cr (PS3.3 C.7.6.3.1.2).
        if self.photometric == "YBR_FULL_422" { samples.div_ceil(2) * 4 } else { bytes }
    }
}

fn required(object: &DefaultDicomObject, element: u16, name: &str) -> Result<u16, String> {
    number(object, (0x0028, element))
        .filter(|n| (0.0..=65535.0).contains(n))
        .map(|n| n as u16)
        .ok_or_else(|| format!("`{name}` is missing or not a number"))
}

/// The first number in an element.
pub fn number(object: &InMemDicomObject, tag: (u16, u16)) -> Option<f64> {
    numbers(object, tag).first().copied()
}

/// All finite numbers in an element; empty where it is missing.
pub fn numbers(object: &InMemDicomObject, tag: (u16, u16)) -> Vec<f64> {
    let Ok(element) = object.element(Tag(tag.0, tag.1)) else { return Vec::new() };
    element.to_multi_float64().unwrap_or_default().into_iter().filter(|n| n.is_finite()).collect()
}

/// The trimmed text in an element.
pub fn text(object: &InMemDicomObject, tag: (u16, u16)) -> Option<String> {
    let text = object.element(Tag(tag.0, tag.1)).ok()?.to_str().ok()?;
    Some(text.trim_matches(['\0', ' ']).to_owned()).filter(|t| !t.is_empty())
}

/// The 16-bit words in an element, of whatever representation.
pub fn words(object: &InMemDicomObject, tag: (u16, u16)) -> Option<Vec<u16>> {
    let bytes = object.element(Tag(tag.0, tag.1)).ok()?.to_bytes().ok()?;
    Some(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect())
}

/// The items of a sequence; empty where it is missing.
pub fn items(object: &InMemDicomObject, tag: (u16, u16)) -> &[InMemDicomObject] {
    object.element(Tag(tag.0, tag.1)).ok().and_then(|e| e.items()).unwrap_or(&[])
}
