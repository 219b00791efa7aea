//! Writes a session: raw frames losslessly, masks, timings, events.

use std::io;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use super::disk::{Disk, OsDisk};
use super::score::Scoring;
use super::{Event, RecordError};
use crate::frame::Frame;
use crate::geometry::Size;
use crate::latency::{Counts, LatencySummary, Moment};
use crate::segmentation::{Class, Segmentation};
use crate::session::{FrameRow, Imprint, Session, VERSION};

/// A session that is being written.
///
/// A row is written only when its pictures are complete, and `session.json` is there from the start: whatever ends the
/// run, what was recorded before is readable.
pub struct Recorder {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    session: Session,
    scoring: Scoring,
    frames: u64,
    png: Vec<u8>,
    plain: Vec<u8>,
    line: Vec<u8>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("dir", &self.dir).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts a session in the folder `dir`, which is made; an existing one must be empty.
    ///
    /// # Errors
    /// When the folder is not empty or cannot be written.
    pub fn create(dir: &Path, session: Session) -> Result<Self, RecordError> {
        Self::create_on(Box::new(OsDisk::default()), dir, session)
    }

    /// The same on a disk of one's own.
    ///
    /// # Errors
    /// As [`Recorder::create`].
    pub fn create_on(mut disk: Box<dyn Disk>, dir: &Path, session: Session) -> Result<Self, RecordError> {
        let refused = |cause| RecordError::Create { dir: dir.to_owned(), cause };
        match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(false) => return Err(RecordError::NotEmpty { dir: dir.to_owned() }),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(refused(cause)),
            Ok(true) | Err(_) => {}
        }
        disk.create_dir(&dir.join("frames")).map_err(refused)?;
        disk.create_dir(&dir.join("masks")).map_err(refused)?;
        let session =
            Session { version: VERSION, sonoplex: env!("CARGO_PKG_VERSION").to_owned(), ended: None, ..session };
        let mut recorder = Self {
            dir: dir.to_owned(),
            disk,
            session,
            scoring: Scoring::default(),
            frames: 0,
            png: Vec::new(),
            plain: Vec::new(),
            line: Vec::new(),
        };
        recorder.append("frames.jsonl", &[])?;
        recorder.write_session()?;
        Ok(recorder)
    }

    /// Scores every frame against its truth, whose classes are `truth`, class 1 first.
    pub fn set_truth(&mut self, truth: &[Class]) {
        self.scoring = Scoring::new(&self.session.classes, truth);
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Frames that are complete on disk.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Adds a frame, with what was found in it if it was segmented.
    ///
    /// # Errors
    /// When the disk is full or refuses; the frames before stay readable.
    pub fn write(&mut self, frame: &Frame, segmentation: Option<&Segmentation>) -> Result<(), RecordError> {
        let mut row = FrameRow {
            id: frame.id,
            time_ns: frame.time.as_nanos() as u64,
            frame: format!("frames/{:06}.png", frame.id),
            spacing: frame.spacing,
            ..FrameRow::default()
        };
        let mut plain = std::mem::take(&mut self.plain);
        let (pixels, channels) = frame.plain(&mut plain);
        let color = if channels == 1 { ColorType::Grayscale } else { ColorType::Rgb };
        let imprint = Imprint { id: row.id, time_ns: row.time_ns, captured_ns: frame.stamps.get(Moment::Captured) };
        self.picture(frame.id, &row.frame, pixels, frame.size, color, Some(imprint))?;
        self.plain = plain;
        let mut stamps = segmentation.map_or(frame.stamps, |seg| seg.stamps);
        if let Some(shown) = frame.shown.get() {
            stamps.add(shown);
        }
        row.stamps_ns = stamps.to_map();
        if let Some(seg) = segmentation {
            let mask = format!("masks/{:06}.png", frame.id);
            self.picture(frame.id, &mask, &seg.mask.labels, seg.mask.size, ColorType::Grayscale, None)?;
            let nerve = seg.findings.first();
            row.mask = Some(mask);
            row.crop = Some(seg.crop);
            row.sector = seg.sector;
            row.state = Some(seg.state());
            row.probability = Some(seg.confidence());
            row.area_px = nerve.map(|n| n.area_px);
            row.area_mm2 = nerve.and_then(|n| n.area_mm2);
            row.dice = self.scoring.dice(frame, seg).map(|(name, dice)| (name.to_owned(), dice)).collect();
        }
        self.append_json("frames.jsonl", &row)?;
        self.frames += 1;
        Ok(())
    }

    /// Notes what happened to the segmenter, before the frame that it concerns is written.
    ///
    /// # Errors
    /// When the disk is full or refuses.
    pub fn event(&mut self, event: &Event) -> Result<(), RecordError> {
        self.append_json("events.jsonl", event)
    }

    /// Completes the session with what became of its frames and why it ended.
    ///
    /// # Errors
    /// When the disk is full or refuses; the session then stays as it was written at the start.
    pub fn finish(mut self, frames: Counts, latency_us: LatencySummary, ended: &str) -> Result<(), RecordError> {
        // A run may hold several recordings: each counts its own.
        self.session.frames = Counts { recorded: self.frames, ..frames };
        self.session.latency_us = latency_us;
        self.session.ended = Some(ended.to_owned());
        self.write_session()
    }

    fn picture(
        &mut self,
        id: u64,
        name: &str,
        pixels: &[u8],
        size: Size,
        color: ColorType,
        imprint: Option<Imprint>,
    ) -> Result<(), RecordError> {
        let Size { width, height } = size;
        self.png.clear();
        encode(&mut self.png, pixels, size, color, imprint).map_err(|cause| RecordError::Encode {
            id,
            width,
            height,
            cause,
        })?;
        let path = self.dir.join(name);
        let written = self.disk.write(&path, &self.png);
        written.map_err(|cause| self.failed(path, cause))
    }

    fn append_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), RecordError> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        serde_json::to_writer(&mut line, value).expect("plain values with text keys become JSON");
        line.push(b'\n');
        let appended = self.append(name, &line);
        self.line = line;
        appended
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let path = self.dir.join(name);
        let appended = self.disk.append(&path, bytes);
        appended.map_err(|cause| self.failed(path, cause))
    }

    fn write_session(&mut self) -> Result<(), RecordError> {
        let mut json = serde_json::to_vec_pretty(&self.session).expect("plain values with text keys become JSON");
        json.push(b'\n');
        let path = self.dir.join("session.json");
        let replaced = self.disk.replace(&path, &json);
        replaced.map_err(|cause| self.failed(path, cause))
    }

    fn failed(&self, path: PathBuf, cause: io::Error) -> RecordError {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                RecordError::Full { path, frames: self.frames }
            }
            _ => RecordError::Write { path, frames: self.frames, cause },
        }
    }
}

fn encode(
    out: &mut Vec<u8>,
    pixels: &[u8],
    size: Size,
    color: ColorType,
    imprint: Option<Imprint>,
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(out, size.width, size.height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Up);
    if let Some(imprint) = imprint {
        let text = serde_json::to_string(&imprint).expect("plain values become JSON");
        encoder.add_text_chunk(Imprint::KEYWORD.to_owned(), text)?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()
}
