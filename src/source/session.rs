//! A recorded session, played again as it was: the same pixels at the same times.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::images::decode;
use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;
use crate::session::{FrameRow, Session, VERSION};

/// Opens a folder that the recorder wrote; see [`crate::session`] for its layout.
///
/// A run that was cut short leaves a readable session: a last line that is not complete is left out, and said.
///
/// # Errors
/// When a file is missing, is not what the recorder writes, or comes from a newer version.
pub fn open(dir: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Replay::open(dir)?))
}

/// A session that is played again.
#[derive(Debug)]
pub struct Replay {
    dir: PathBuf,
    info: SourceInfo,
    session: Session,
    rows: Vec<FrameRow>,
    position: usize,
    delivered: u64,
}

impl Replay {
    /// See [`open`].
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(dir: &Path) -> Result<Self, SourceError> {
        let path = dir.join("session.json");
        let session: Session = serde_json::from_slice(&read(&path)?)
            .map_err(|e| malformed(&path, format!("expected the description of a session: {e}")))?;
        if session.version > VERSION {
            let found = format!("it has version {}, and this program knows up to {VERSION}", session.version);
            return Err(malformed(&path, found));
        }
        let (rows, cut) = rows(&dir.join("frames.jsonl"))?;
        let first = rows.first().ok_or_else(|| malformed(&dir.join("frames.jsonl"), "it has no frame".into()))?;
        let size = decode::size(&inside(dir, &first.frame)?)?;
        let mut notes = Vec::new();
        if session.ended.is_none() {
            notes.push(format!("the recording was cut short; {} frames are whole", rows.len()));
        }
        if cut {
            notes.push("the last line of `frames.jsonl` is not complete and left out".into());
        }
        let last = rows.last().expect("there is a first row");
        let seconds = last.time_ns.saturating_sub(first.time_ns) as f64 * 1e-9;
        let info = SourceInfo {
            name: dir.display().to_string(),
            format: "recorded session".into(),
            size: Some(size),
            frames: Some(rows.len() as u64),
            rate_hz: (seconds > 0.0).then(|| (rows.len() - 1) as f64 / seconds),
            spacing: first.spacing,
            notes,
            ..SourceInfo::default()
        };
        Ok(Self { dir: dir.to_owned(), info, session, rows, position: 0, delivered: 0 })
    }

    /// With what it was recorded.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What is known of every frame.
    pub fn rows(&self) -> &[FrameRow] {
        &self.rows
    }
}

impl Source for Replay {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(row) = self.rows.get(self.position) else { return Ok(None) };
        self.position += 1;
        let picture = decode::picture(&inside(&self.dir, &row.frame)?)?;
        let mut frame = Frame::new(self.delivered, picture.size, picture.format, picture.pixels);
        frame.time = Duration::from_nanos(row.time_ns);
        frame.spacing = row.spacing;
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        self.position = usize::try_from(index).unwrap_or(usize::MAX).min(self.rows.len());
        Ok(())
    }
}

/// The rows, and whether the last line was cut short: it then has no end of line.
fn rows(path: &Path) -> Result<(Vec<FrameRow>, bool), SourceError> {
    let bytes = read(path)?;
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(bytes.split_inclusive(|&b| b == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(row) => rows.push(row),
            Err(_) if !line.ends_with(b"\n") => return Ok((rows, true)),
            Err(e) => return Err(malformed(path, format!("line {number}: {e}"))),
        }
    }
    Ok((rows, false))
}

/// A file of the session; one that lies elsewhere is refused.
fn inside(dir: &Path, name: &str) -> Result<PathBuf, SourceError> {
    let plain = !name.is_empty() && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    if plain {
        return Ok(dir.join(name));
    }
    Err(malformed(&dir.join("frames.jsonl"), format!("expected files inside the session, found `{name}`")))
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    fs::read(path).map_err(|cause| SourceError::Io { path: path.to_owned(), cause })
}

fn malformed(path: &Path, found: String) -> SourceError {
    SourceError::Malformed {
        path: path.to_owned(),
        what: "a recorded session",
        found,
        advice: "give a folder that `--record` of this or an older version wrote".into(),
    }
}
