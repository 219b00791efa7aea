//! DICOM ultrasound: single pictures and cines, plain or compressed, one frame decoded at a time.
//!
//! # References
//! DICOM PS3.3, PS3.5, PS3.10; transfer syntaxes: PS3.6, annex A.

mod calibration;
mod codestream;
mod elements;
mod frames;
mod header;
mod levels;
mod part10;
mod rle;
mod sequences;
pub mod series;
mod store;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::calibration::Timing;
use self::elements::Layout;
use self::frames::{Coding, Frames};
use self::header::Header;
use self::levels::Table;
use self::store::Store;
use super::{Source, SourceError, SourceInfo, settled};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Size, Spacing};

/// Frames whose range is looked for.
const SAMPLED: u64 = 8;
const COPY: &str = "copy the file again from where it came";
const CONVERT: &str = "convert it, for example with `gdcmconv --raw IN OUT` or `dcmdjpeg IN OUT`";

/// Opens a DICOM file as a source; no frame is decoded yet, except where 16-bit grey levels need its range.
///
/// # Errors
/// When it is no DICOM image, has not one whole frame, claims other sizes than it has, or is compressed in a way that is
/// not read. A cine that is cut off delivers the whole frames that are there, then one error that says so.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Dicom::open(path, None)?))
}

struct Dicom {
    path: PathBuf,
    info: SourceInfo,
    header: Header,
    frames: Frames,
    /// `None` for colours that need no table.
    table: Option<Table>,
    /// Smallest and largest stored value that was found, where the file has no window.
    range: Option<[f64; 2]>,
    timing: Timing,
    spacing: Option<Spacing>,
    /// Which series it belongs to, and where in it.
    series: Option<String>,
    instance: Option<f64>,
    /// Frames that the header promises and a cut file no longer has.
    missing: u32,
    next: u32,
    id: u64,
    ended: bool,
}

/// Transfer syntax, layout of the elements, coding of the pixels, name for people.
type Syntax = (Layout, Coding, &'static str);

const LITTLE: Layout = Layout { explicit: true, big_endian: false };

fn syntax(uid: &str) -> Result<Syntax, String> {
    let rest = uid.strip_prefix("1.2.840.10008.1.2").unwrap_or("?");
    Ok(match rest {
        "" => (Layout { explicit: false, ..LITTLE }, Coding::Plain, "uncompressed"),
        ".1" | ".1.98" => (LITTLE, Coding::Plain, "uncompressed"),
        ".1.99" => (LITTLE, Coding::Plain, "deflated"),
        ".2" => (Layout { big_endian: true, ..LITTLE }, Coding::Plain, "uncompressed, big endian"),
        ".5" => (LITTLE, Coding::Rle, "RLE"),
        ".4.50" | ".4.51" => (LITTLE, Coding::Jpeg, "JPEG"),
        ".4.57" | ".4.70" => (LITTLE, Coding::Jpeg, "JPEG lossless"),
        ".4.90" | ".4.91" => (LITTLE, Coding::Jpeg2000, "JPEG 2000"),
        ".4.80" | ".4.81" => return Err("it is compressed with JPEG-LS, which is not read".to_owned()),
        _ if rest.starts_with(".4.10") => return Err(format!("it holds a video stream ({uid}), which is not read")),
        _ => return Err(format!("its transfer syntax `{uid}` is not read")),
    })
}

impl Dicom {
    /// Opens a file; `range` is that of stored values which all files of a series have together.
    fn open(path: &Path, range: Option<[f64; 2]>) -> Result<Self, SourceError> {
        let bad = |advice: &'static str| {
            move |found: String| SourceError::Malformed {
                path: path.to_owned(),
                what: "a DICOM recording",
                found,
                advice: advice.to_owned(),
            }
        };
        let io = |cause| SourceError::Io { path: path.to_owned(), cause };
        let mut store = Store::new(File::open(path).map_err(io)?).map_err(io)?;
        let mut notes = Vec::new();

        let (uid, mut start) = find_start(&mut store, &mut notes).map_err(bad(COPY))?;
        let (mut layout, coding, coding_name) = syntax(&uid).map_err(bad(CONVERT))?;
        if coding_name == "deflated" {
            store = store.inflate(start).map_err(bad(COPY))?;
            start = 0;
        }
        // Some writers compress the pixels and leave the elements around them as they were.
        if layout == LITTLE && store.read(start, 6).is_ok_and(|b| !b[4..].iter().all(u8::is_ascii_uppercase)) {
            notes.push(
                "its elements are without the value representations that its transfer syntax asks for".to_owned(),
            );
            layout.explicit = false;
        }
        let found = elements::walk(&mut store, start, layout).map_err(bad(COPY))?;
        for name in &found.unapplied {
            notes.push(format!("its `{name}` is not applied: grey levels may differ from those of other viewers"));
        }
        let elements_as = match layout {
            Layout { explicit: false, .. } => part10::IMPLICIT,
            Layout { big_endian: true, .. } => uid.as_str(),
            _ => part10::EXPLICIT,
        };
        let object = part10::read(elements_as, &found.kept).map_err(bad(COPY))?;
        let pixels = found
            .pixels
            .ok_or_else(|| "it has no pixel data".to_owned())
            .map_err(bad("give a DICOM image or cine, not a report or a directory"))?;
        let mut header = Header::read(&object).map_err(bad("export it as 8-bit grey or RGB"))?;
        if matches!(coding, Coding::Jpeg | Coding::Jpeg2000) {
            // A decoder gives numbers, wherever they were kept before.
            header.shift = 0;
        }
        let extended: Vec<u64> = object
            .element(dicom_object::Tag(0x7fe0, 0x0001))
            .ok()
            .and_then(|e| e.to_bytes().ok().map(|b| b.chunks_exact(8).map(le_u64).collect()))
            .unwrap_or_default();
        let mut frames = Frames::new(store, pixels, layout, (uid, coding), &header, &extended).map_err(bad(COPY))?;

        let mut range = range;
        let table = match header.photometric.as_str() {
            "PALETTE COLOR" => Some(levels::palette(&object, &header, &mut notes).map_err(bad(CONVERT))?),
            "MONOCHROME1" | "MONOCHROME2" => {
                if !levels::needs_range(&object, &header) {
                    range = None;
                } else if range.is_none() {
                    range = Some(found_range(&mut frames, &header).map_err(bad(CONVERT))?);
                }
                Some(levels::gray(&object, &header, range.filter(|[low, high]| low < high), &mut notes))
            }
            _ => None,
        };
        let spacing = calibration::spacing(&object, &header, &mut notes);
        let timing = Timing::read(&object, &header, &mut notes);
        let missing = header.frames - frames.there();
        if missing > 0 {
            notes.push(cut(frames.there(), header.frames));
        }
        header.frames -= missing;
        let series = header::text(&object, (0x0020, 0x000e));
        let instance = header::number(&object, (0x0020, 0x0013));
        let info = SourceInfo {
            name: path.display().to_string(),
            format: format!("DICOM, {coding_name}, {}", header.photometric),
            size: Some(Size::new(header.columns.into(), header.rows.into())),
            frames: Some(header.frames.into()),
            rate_hz: timing.rate_hz,
            spacing,
            orientation: Some("as stored".to_owned()),
            live: false,
            truth: Vec::new(),
            notes,
        };
        let path = path.to_owned();
        let (next, id, ended) = (0, 0, false);
        Ok(Self {
            path,
            info,
            header,
            frames,
            table,
            range,
            timing,
            spacing,
            series,
            instance,
            missing,
            next,
            id,
            ended,
        })
    }
}

impl Source for Dicom {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.next >= self.header.frames {
            // Said once, as of a video that was cut.
            if self.missing > 0 && !std::mem::replace(&mut self.ended, true) {
                return Err(SourceError::Malformed {
                    path: self.path.clone(),
                    what: "a DICOM recording",
                    found: cut(self.header.frames, self.header.frames + self.missing),
                    advice: COPY.to_owned(),
                });
            }
            return Ok(None);
        }
        let samples = self.frames.read(self.next, &self.header).map_err(|found| SourceError::Malformed {
            path: self.path.clone(),
            what: "a DICOM recording",
            found: format!("frame {} of {}: {found}", self.next, self.header.frames),
            advice: CONVERT.to_owned(),
        })?;
        let (format, pixels) = match &self.table {
            Some(table @ Table::Gray(_)) => (PixelFormat::Gray8, table.apply(&self.header, &samples.data)),
            Some(table @ Table::Palette(_)) => (PixelFormat::Rgb8, table.apply(&self.header, &samples.data)),
            None => {
                let mut data = samples.data;
                if samples.ybr {
                    frames::ybr_to_rgb(&mut data);
                }
                (PixelFormat::Rgb8, data)
            }
        };
        let size = Size::new(self.header.columns.into(), self.header.rows.into());
        let mut frame = Frame::new(self.id, size, format, pixels);
        frame.time = self.timing.time(self.next);
        frame.spacing = self.spacing;
        self.next += 1;
        self.id += 1;
        Ok(Some(frame))
    }

    fn dropped(&self) -> u64 {
        self.missing.into()
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        // Past the end is the end, as for a file.
        self.next = u32::try_from(index).unwrap_or(u32::MAX).min(self.header.frames);
        Ok(())
    }
}

/// Smallest and largest stored value of a few frames from first to last: the first alone may be black.
fn found_range(frames: &mut Frames, header: &Header) -> Result<[f64; 2], String> {
    let first = levels::range(header, &frames.read(0, header)?.data);
    let mut found = first;
    let last = u64::from(frames.there() - 1);
    for index in (1..SAMPLED).map(|i| (last * i / (SAMPLED - 1)) as u32).filter(|index| *index > 0) {
        // A frame that cannot be read is an error of its own turn.
        let Ok(samples) = frames.read(index, header) else { continue };
        let [low, high] = levels::range(header, &samples.data);
        found = [found[0].min(low), found[1].max(high)];
    }
    Ok(settled(first, found))
}

fn cut(there: u32, promised: u32) -> String {
    format!("the file is cut: {there} of {promised} frames are there")
}

/// The transfer syntax and where the data set begins, with or without the preamble that PS3.10 asks for.
fn find_start(store: &mut Store, notes: &mut Vec<String>) -> Result<(String, u64), String> {
    // The preamble may hold anything, a TIFF header too: only what follows it counts.
    let marked = |store: &mut Store, at| store.read(at, 4).is_ok_and(|b| b == *b"DICM");
    let meta = if marked(store, 128) {
        132
    } else {
        notes.push("without the DICM mark at byte 128: read from its first element on".to_owned());
        if marked(store, 0) { 4 } else { 0 }
    };
    let (uid, start) = elements::read_meta(store, meta)?;
    if let Some(uid) = uid {
        return Ok((uid, start));
    }
    let b = store.read(start, 8).map_err(|_| "it is too short for DICOM".to_owned())?;
    let lettered = b[4..6].iter().all(u8::is_ascii_uppercase);
    let uid = match (&b[..4], lettered) {
        ([8 | 0x10 | 0x18 | 0x20 | 0x28, 0, _, _], true) => part10::EXPLICIT,
        ([8 | 0x10 | 0x18 | 0x20 | 0x28, 0, _, _], false) => part10::IMPLICIT,
        ([0, 8 | 0x10 | 0x18 | 0x20 | 0x28, _, _], true) => "1.2.840.10008.1.2.2",
        _ => return Err("neither `DICM` at byte 128 nor data elements at the start".to_owned()),
    };
    notes.push(format!("the transfer syntax is missing: {uid} is assumed"));
    Ok((uid.to_owned(), start))
}

fn le_u64(b: &[u8]) -> u64 {
    b.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}
