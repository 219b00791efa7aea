//! The text that begins a MetaImage: `key = value` lines up to `ElementDataFile`.
//!
//! # References
//! MetaIO documentation, <https://itk.org/Wiki/MetaIO/Documentation>; sequence fields: PLUS toolkit, "Sequence file
//! format", <http://perk-software.cs.queensu.ca/plus/doc/nightly/user/FileSequenceFile.html>.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::element::Element;

/// Longest line that is read; a tracker transform takes some 200 bytes.
const LINE_LIMIT: u64 = 64 << 10;
/// Longest header that is read: about 50,000 tracked frames.
const HEADER_LIMIT: u64 = 64 << 20;

/// Where the samples are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFile {
    /// In the same file, after the header.
    Local,
    /// In a file of this name beside the header.
    Beside(String),
}

/// What a sequence file says of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameFields {
    /// Seconds on the clock of the device.
    pub timestamp: Option<f64>,
    /// Whether the image was marked as not valid (the tracker was read, the picture was not).
    pub invalid: bool,
}

/// A checked header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Columns, rows and frames as stored.
    pub dims: [u64; 3],
    /// Samples a pixel: 1 or 3.
    pub channels: u64,
    /// Kind of one sample.
    pub element: Element,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// Whether the samples are one zlib stream.
    pub compressed: bool,
    /// Bytes of that stream, where stated.
    pub compressed_len: Option<u64>,
    /// Where the samples are.
    pub data: DataFile,
    /// Bytes to skip before the samples of a file beside; `None` is "the samples end with the file".
    pub skip: Option<u64>,
    /// Bytes of the header itself, where local samples begin.
    pub len: u64,
    /// Distance between columns and rows as written, before it is judged.
    pub spacing: Option<[f64; 2]>,
    /// `UltrasoundImageOrientation` as written.
    pub orientation: Option<String>,
    /// `ElementMin` and `ElementMax` where both are given.
    pub range: Option<[f64; 2]>,
    /// Whether the third axis is one of space (a volume) and not of time.
    pub volume: bool,
    /// Fields of single frames, by stored index.
    pub frames: BTreeMap<u64, FrameFields>,
}

impl Header {
    /// Bytes of one stored frame.
    pub fn frame_len(&self) -> Option<u64> {
        self.dims[0].checked_mul(self.dims[1])?.checked_mul(self.channels)?.checked_mul(self.element.bytes() as u64)
    }

    /// Bytes of all stored frames.
    pub fn data_len(&self) -> Option<u64> {
        self.frame_len()?.checked_mul(self.dims[2])
    }
}

/// Reads a header; on failure says what was expected and what was found.
///
/// # Errors
/// A sentence for the middle of a [`SourceError::Malformed`](crate::source::SourceError::Malformed).
pub fn read(input: &mut dyn BufRead) -> Result<Header, String> {
    let mut fields = BTreeMap::new();
    let mut frames: BTreeMap<u64, FrameFields> = BTreeMap::new();
    let mut len = 0;
    let mut line = Vec::new();
    let data = loop {
        line.clear();
        let read = std::io::Read::take(&mut *input, LINE_LIMIT)
            .read_until(b'\n', &mut line)
            .map_err(|e| format!("reading the header: {e}"))? as u64;
        len += read;
        if read == 0 {
            return Err("the header ends without `ElementDataFile`".to_owned());
        }
        if read == LINE_LIMIT && line.last() != Some(&b'\n') {
            return Err(format!("a header line is longer than {LINE_LIMIT} bytes"));
        }
        if len > HEADER_LIMIT {
            return Err(format!("the header is longer than {HEADER_LIMIT} bytes"));
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        let (key, value) = text.split_once('=').ok_or_else(|| {
            format!("expected `key = value` in the header, found {:?}", text.chars().take(40).collect::<String>())
        })?;
        let (key, value) = (key.trim(), value.trim());
        if let Some(frame) = key.strip_prefix("Seq_Frame") {
            read_frame_field(frame, value, &mut frames);
        } else if key == "ElementDataFile" {
            break value.to_owned();
        } else if KEYS.contains(&key) {
            fields.insert(key.to_owned(), value.to_owned());
        }
    };
    Fields(fields).check(data, len, frames)
}

/// Keys that are used; all others are passed over without keeping them.
const KEYS: [&str; 18] = [
    "ObjectType",
    "NDims",
    "DimSize",
    "BinaryData",
    "BinaryDataByteOrderMSB",
    "ElementByteOrderMSB",
    "CompressedData",
    "CompressedDataSize",
    "ElementType",
    "ElementNumberOfChannels",
    "ElementSpacing",
    "ElementSize",
    "PixelSpacing",
    "ElementMin",
    "ElementMax",
    "HeaderSize",
    "UltrasoundImageOrientation",
    "Kinds",
];

/// `0012_Timestamp` and `0012_ImageStatus`; whatever else a tracker writes is passed over.
fn read_frame_field(key: &str, value: &str, frames: &mut BTreeMap<u64, FrameFields>) {
    let Some((index, field)) = key.split_once('_') else { return };
    let Ok(index) = index.parse::<u64>() else { return };
    match field {
        "Timestamp" => {
            frames.entry(index).or_default().timestamp = value.parse().ok().filter(|t: &f64| t.is_finite());
        }
        "ImageStatus" => frames.entry(index).or_default().invalid = value.eq_ignore_ascii_case("INVALID"),
        _ => {}
    }
}

struct Fields(BTreeMap<String, String>);

impl Fields {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1")
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        self.get(key).map(|v| v.parse().map_err(|_| format!("expected a number in `{key}`, found `{v}`"))).transpose()
    }

    fn check(self, data: String, len: u64, frames: BTreeMap<u64, FrameFields>) -> Result<Header, String> {
        if let Some(kind) = self.get("ObjectType").filter(|k| !k.eq_ignore_ascii_case("Image")) {
            return Err(format!("expected `ObjectType = Image`, found `{kind}`"));
        }
        if self.get("BinaryData").is_some() && !self.flag("BinaryData") {
            return Err("the samples are written as text (`BinaryData = False`)".to_owned());
        }
        let compressed = self.flag("CompressedData");
        Ok(Header {
            dims: self.dims()?,
            channels: match self.number("ElementNumberOfChannels")?.unwrap_or(1) {
                n @ (1 | 3) => n,
                n => return Err(format!("expected 1 or 3 channels, found {n}")),
            },
            element: self.get("ElementType").ok_or("the header is without `ElementType`")?.parse()?,
            big_endian: self.flag("BinaryDataByteOrderMSB") || self.flag("ElementByteOrderMSB"),
            compressed,
            compressed_len: self.number("CompressedDataSize")?,
            data: data_file(data)?,
            skip: match self.number::<i64>("HeaderSize")?.unwrap_or(0) {
                -1 => None,
                n => Some(u64::try_from(n).map_err(|_| format!("expected `HeaderSize` of -1 or more, found {n}"))?),
            },
            len,
            spacing: self.spacing()?,
            orientation: self.get("UltrasoundImageOrientation").map(str::to_owned),
            range: match (self.number("ElementMin")?, self.number("ElementMax")?) {
                (Some(low), Some(high)) if f64::is_finite(low) && f64::is_finite(high) && low < high => {
                    Some([low, high])
                }
                _ => None,
            },
            volume: self.get("Kinds").and_then(|k| k.split_whitespace().nth(2)).is_some_and(|k| k == "domain"),
            frames,
        })
    }

    /// Columns, rows, frames; each at least 1, further axes at most 1.
    fn dims(&self) -> Result<[u64; 3], String> {
        let text = self.get("DimSize").ok_or("the header is without `DimSize`")?;
        let bad = || format!("expected sizes of 1 or more in `DimSize`, found `{text}`");
        let mut dims = text.split_whitespace().map(|v| v.parse::<u64>().ok().filter(|&n| n > 0).ok_or_else(bad));
        let stated: usize = self.number("NDims")?.unwrap_or(text.split_whitespace().count());
        let all = dims.by_ref().take(16).collect::<Result<Vec<_>, _>>()?;
        if all.len() != stated || !(2..=4).contains(&stated) || (stated == 4 && all[3] != 1) {
            return Err(format!("expected 2 or 3 axes, found `NDims = {stated}` with `DimSize = {text}`"));
        }
        Ok([all[0], all[1], all.get(2).copied().unwrap_or(1)])
    }

    /// `ElementSpacing` is the distance of neighbours; where it is missing MetaIO takes `ElementSize`, the extent of
    /// one sample, for it.
    fn spacing(&self) -> Result<Option<[f64; 2]>, String> {
        for key in ["ElementSpacing", "ElementSize", "PixelSpacing"] {
            if let Some(text) = self.get(key) {
                let values: Vec<f64> = text.split_whitespace().take(2).filter_map(|v| v.parse().ok()).collect();
                let [x, y] = values[..] else {
                    return Err(format!("expected two numbers or more in `{key}`, found `{text}`"));
                };
                return Ok(Some([x, y]));
            }
        }
        Ok(None)
    }
}

/// A name beside the header: a relative path that never climbs, since a recording must not make us read other files.
fn data_file(name: String) -> Result<DataFile, String> {
    use std::path::{Component, Path};
    if name.eq_ignore_ascii_case("LOCAL") {
        return Ok(DataFile::Local);
    }
    if name.is_empty() || name.eq_ignore_ascii_case("LIST") || name.contains('%') {
        return Err(format!(
            "expected `ElementDataFile` to be LOCAL or one name, found {name:?}: slices in many files are not read"
        ));
    }
    if name.contains('\\') || !Path::new(&name).components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(format!("`ElementDataFile` points outside the folder of the header: {name:?}"));
    }
    Ok(DataFile::Beside(name))
}
