//! Writes small DICOM files in memory, so that `dicom-object` and `dicom-pixeldata` see only what was checked.
//!
//! # References
//! DICOM PS3.10, section 7.1; PS3.5, section 7.1.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_pixeldata::PixelDecoder;

use super::codestream::{Checked, Expected};

/// Explicit VR little endian.
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Implicit VR little endian.
pub const IMPLICIT: &str = "1.2.840.10008.1.2";

/// Reads elements, as they are in a file of this transfer syntax, into an object.
///
/// # Errors
/// What `dicom-object` says.
pub fn read(syntax: &str, elements: &[u8]) -> Result<DefaultDicomObject, String> {
    let mut meta = Vec::new();
    put(&mut meta, (2, 0x0001), b"OB", &[0, 1]);
    // Required to be there; what they say does not matter to the decoders.
    put(&mut meta, (2, 0x0002), b"UI", b"1.2.840.10008.5.1.4.1.1.6.1");
    put(&mut meta, (2, 0x0003), b"UI", b"2.25.1");
    put(&mut meta, (2, 0x0010), b"UI", syntax.as_bytes());
    put(&mut meta, (2, 0x0012), b"UI", b"2.25.2");
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    put(&mut file, (2, 0), b"UL", &(meta.len() as u32).to_le_bytes());
    file.extend(meta);
    file.extend(elements);
    OpenFileOptions::new()
        .read_preamble(dicom_object::file::ReadPreamble::Always)
        .from_reader(file.as_slice())
        .map_err(|e| sentence(&e))
}

/// Decodes one checked frame to interleaved samples, least significant byte first.
///
/// # Errors
/// What the decoder says, or that its result has another size.
pub fn decode(syntax: &str, frame: &Checked, expected: &Expected) -> Result<Vec<u8>, String> {
    let bits = (8 * frame.sample_bytes) as u16;
    let mut file = Vec::with_capacity(frame.stream.len() + 512);
    put(&mut file, (0x28, 0x0002), b"US", &expected.samples.to_le_bytes());
    put(&mut file, (0x28, 0x0004), b"CS", if expected.samples == 3 { b"RGB " } else { b"MONOCHROME2 " });
    if expected.samples == 3 {
        put(&mut file, (0x28, 0x0006), b"US", &[0, 0]);
    }
    put(&mut file, (0x28, 0x0010), b"US", &expected.rows.to_le_bytes());
    put(&mut file, (0x28, 0x0011), b"US", &expected.columns.to_le_bytes());
    put(&mut file, (0x28, 0x0100), b"US", &bits.to_le_bytes());
    put(&mut file, (0x28, 0x0101), b"US", &bits.to_le_bytes());
    put(&mut file, (0x28, 0x0102), b"US", &(bits - 1).to_le_bytes());
    put(&mut file, (0x28, 0x0103), b"US", &[0, 0]);
    file.extend([0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff]);
    file.extend([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    let len = frame.stream.len().next_multiple_of(2);
    file.extend([0xfe, 0xff, 0x00, 0xe0]);
    file.extend((len as u32).to_le_bytes());
    file.extend(&frame.stream);
    file.resize(file.len() + len - frame.stream.len(), 0);
    file.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);

    let object = read(syntax, &file)?;
    // The last resort: a damaged JPEG 2000 body can still overflow a sum in the decoder, which panics in builds that
    // check for it. The object lives and dies in here, so nothing half-changed is seen afterwards.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        object.decode_pixel_data_frame(0).map(|d| d.into_data()).map_err(|e| sentence(&e))
    }));
    let data = decoded.map_err(|_| "the decoder gave up on damaged data".to_owned())??;
    let area = usize::from(expected.rows) * usize::from(expected.columns);
    let wanted = area * usize::from(expected.samples) * frame.sample_bytes;
    if data.len() != wanted {
        return Err(format!("expected {wanted} bytes from the decoder, found {}", data.len()));
    }
    Ok(data)
}

/// An element in explicit VR little endian, padded to an even length.
fn put(out: &mut Vec<u8>, tag: (u16, u16), vr: &[u8; 2], value: &[u8]) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr);
    let len = value.len().next_multiple_of(2);
    if vr == b"OB" {
        out.extend([0, 0]);
        out.extend((len as u32).to_le_bytes());
    } else {
        out.extend((len as u16).to_le_bytes());
    }
    out.extend(value);
    if len > value.len() {
        out.push(0);
    }
}

/// An error with its causes in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        let more = c.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = c.source();
    }
    text.replace('\n', " ")
}
