//! Reads a session back, also one whose run has crashed.

use std::fs;
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use image::{DynamicImage, ImageFormat, ImageReader};
use serde::de::DeserializeOwned;

use super::{Event, RecordError};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::mask::Mask;
use crate::session::{FrameRow, Imprint, Session, VERSION};

/// A recorded session; its pictures are read one by one.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Folder.
    pub dir: PathBuf,
    /// `session.json`.
    pub session: Session,
    /// `frames.jsonl`, in the order of capture.
    pub rows: Vec<FrameRow>,
    /// `events.jsonl`, empty where nothing happened.
    pub events: Vec<Event>,
}

impl Recorded {
    /// Reads what was recorded in `dir`; a last line that a crash has cut short is left out.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is no JSON, or comes from a newer version.
    pub fn open(dir: &Path) -> Result<Self, RecordError> {
        let path = dir.join("session.json");
        let session: Session = serde_json::from_slice(&read(&path)?)
            .map_err(|e| RecordError::Malformed { path: path.clone(), found: format!("expected a session: {e}") })?;
        if session.version > VERSION {
            let found = format!(
                "expected version {VERSION} or older, found {}; use the version of sonoplex that wrote it (`{}`)",
                session.version, session.sonoplex
            );
            return Err(RecordError::Malformed { path, found });
        }
        let rows = lines(&dir.join("frames.jsonl"))?;
        let events = dir.join("events.jsonl");
        let events = if events.exists() { lines(&events)? } else { Vec::new() };
        Ok(Self { dir: dir.to_owned(), session, rows, events })
    }

    /// The raw frame of a row.
    ///
    /// # Errors
    /// When the file is missing, no PNG, or neither grey nor colour with 8 bits.
    pub fn frame(&self, row: &FrameRow) -> Result<Frame, RecordError> {
        let path = self.file(&row.frame)?;
        let (format, size, pixels) = match decode(&path)? {
            DynamicImage::ImageLuma8(p) => (PixelFormat::Gray8, Size::new(p.width(), p.height()), p.into_raw()),
            DynamicImage::ImageRgb8(p) => (PixelFormat::Rgb8, Size::new(p.width(), p.height()), p.into_raw()),
            other => return Err(unexpected(path, "8-bit grey or RGB", &other)),
        };
        let mut frame = Frame::new(row.id, size, format, pixels);
        frame.time = Duration::from_nanos(row.time_ns);
        frame.spacing = row.spacing;
        Ok(frame)
    }

    /// What the raw frame of a row says of itself; nothing in a session of version 1.
    ///
    /// # Errors
    /// When the file is missing or no PNG.
    pub fn imprint(&self, row: &FrameRow) -> Result<Option<Imprint>, RecordError> {
        let path = self.file(&row.frame)?;
        let malformed = |found: String| RecordError::Malformed { path: path.clone(), found };
        let reader = png::Decoder::new(Cursor::new(read(&path)?)).read_info();
        let reader = reader.map_err(|e| malformed(format!("expected a PNG: {e}")))?;
        let text = reader.info().uncompressed_latin1_text.iter().find(|t| t.keyword == Imprint::KEYWORD);
        let imprint = text.map(|t| serde_json::from_str(&t.text)).transpose();
        imprint.map_err(|e| malformed(format!("expected id and times in the text `{}`: {e}", Imprint::KEYWORD)))
    }

    /// The mask of a row, where it has one.
    ///
    /// # Errors
    /// When the file is missing or no 8-bit grey PNG.
    pub fn mask(&self, row: &FrameRow) -> Result<Option<Mask>, RecordError> {
        let Some(name) = &row.mask else { return Ok(None) };
        let path = self.file(name)?;
        match decode(&path)? {
            DynamicImage::ImageLuma8(p) => {
                Ok(Some(Mask { size: Size::new(p.width(), p.height()), labels: p.into_raw() }))
            }
            other => Err(unexpected(path, "8-bit grey", &other)),
        }
    }

    /// A file of the session; a session that names files elsewhere is refused.
    fn file(&self, name: &str) -> Result<PathBuf, RecordError> {
        if name.is_empty() || !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
            let found = format!("expected files inside the session, found `{name}`");
            return Err(RecordError::Malformed { path: self.dir.join("frames.jsonl"), found });
        }
        Ok(self.dir.join(name))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RecordError> {
    fs::read(path).map_err(|cause| RecordError::Read { path: path.to_owned(), cause })
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RecordError> {
    let bytes = read(path)?;
    let mut values = Vec::new();
    let mut lines = (1..).zip(bytes.split_inclusive(|&b| b == b'\n')).peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(value) => values.push(value),
            // The only line that may be cut short is the last, and then it has no end of line.
            Err(_) if lines.peek().is_none() && !line.ends_with(b"\n") => break,
            Err(e) => {
                let found = format!("line {number}: {e}");
                return Err(RecordError::Malformed { path: path.to_owned(), found });
            }
        }
    }
    Ok(values)
}

fn decode(path: &Path) -> Result<DynamicImage, RecordError> {
    // The reader's own limits refuse a header that promises more memory than a picture can need.
    ImageReader::with_format(Cursor::new(read(path)?), ImageFormat::Png)
        .decode()
        .map_err(|e| RecordError::Malformed { path: path.to_owned(), found: format!("expected a PNG: {e}") })
}

fn unexpected(path: PathBuf, expected: &str, found: &DynamicImage) -> RecordError {
    RecordError::Malformed { path, found: format!("expected {expected}, found {:?}", found.color()) }
}
