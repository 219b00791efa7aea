//! MetaImage sequences: `.mha`, `.mhd` with its samples beside it, and `.igs.mha` as the PLUS toolkit writes them.
//!
//! # References
//! <https://itk.org/Wiki/MetaIO/Documentation>

mod element;
mod header;
mod orientation;
mod samples;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use self::element::{Element, Levels};
use self::header::Header;
use self::orientation::Upright;
use self::samples::Samples;
use super::{Source, SourceError, SourceInfo, settled};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Size, Spacing};

/// Frames whose range is looked for.
const SAMPLED: usize = 8;
/// Pace of a sequence that says nothing of time.
const ASSUMED_RATE_HZ: f64 = 30.0;

/// Opens a MetaImage file as a source; nothing but the header and the first frame is read yet.
///
/// # Errors
/// When the header is not understood or promises another amount of data than there is.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(MetaImage::open(path)?))
}

struct MetaImage {
    info: SourceInfo,
    samples: Samples,
    element: Element,
    big_endian: bool,
    levels: Levels,
    format: PixelFormat,
    stored: Size,
    upright: Upright,
    spacing: Option<Spacing>,
    /// Stored index and time of every frame that is delivered.
    frames: Vec<(u64, Duration)>,
    next: usize,
    id: u64,
    buffer: Vec<u8>,
}

impl MetaImage {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let io = |cause| SourceError::Io { path: path.to_owned(), cause };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let header = header::read(&mut file)
            .map_err(|found| malformed(path, found, "give a `.mha` or `.mhd` file as MetaIO writes it"))?;
        let mut samples = Samples::open(path, &header)?;
        let mut notes = Vec::new();

        let frames = kept(&header);
        let dropped = header.dims[2] - frames.len() as u64;
        if dropped > 0 {
            notes.push(format!("{dropped} of {} frames are marked INVALID and were left out", header.dims[2]));
        }
        let Some(&first) = frames.first() else {
            let found = format!("all {} frames are marked INVALID", header.dims[2]);
            return Err(malformed(path, found, "record again, or remove `ImageStatus` from the header"));
        };
        let (times, rate_hz) = times(&header, &frames, &mut notes);

        // Sizes fit: a frame has 128 MiB at most.
        let stored = Size::new(header.dims[0] as u32, header.dims[1] as u32);
        let upright = upright(&header, &mut notes);
        let spacing = spacing(&header, upright, &mut notes);
        if header.volume && header.frames.is_empty() && header.dims[2] > 1 {
            notes.push("the third axis is one of space: the planes of a volume are shown as frames".to_owned());
        }

        let mut buffer = Vec::new();
        samples.read(first, &mut buffer)?;
        let range = found_range(&header, &mut samples, &frames, &mut buffer);
        let levels = levels(&header, range, &mut notes);
        let info = SourceInfo {
            name: path.display().to_string(),
            format: format!(
                "MetaImage, {}{}{}",
                header.element.name(),
                if header.channels == 3 { " × 3" } else { "" },
                if header.compressed { ", zlib" } else { "" }
            ),
            size: Some(upright.size(stored)),
            frames: Some(frames.len() as u64),
            rate_hz,
            spacing,
            orientation: Some(orientation_text(&header, upright)),
            live: false,
            truth: Vec::new(),
            notes,
        };
        Ok(Self {
            info,
            samples,
            element: header.element,
            big_endian: header.big_endian,
            levels,
            format: if header.channels == 3 { PixelFormat::Rgb8 } else { PixelFormat::Gray8 },
            stored,
            upright,
            spacing,
            frames: frames.into_iter().zip(times).collect(),
            next: 0,
            id: 0,
            buffer,
        })
    }
}

impl Source for MetaImage {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(&(index, time)) = self.frames.get(self.next) else {
            self.samples.check_end()?;
            return Ok(None);
        };
        self.samples.read(index, &mut self.buffer)?;
        let mut pixels = Vec::with_capacity(self.format.bytes(self.stored));
        self.levels.write(self.element, self.big_endian, &self.buffer, &mut pixels);
        let pixels = self.upright.apply(pixels, self.stored, self.format.bytes(Size::new(1, 1)));
        let mut frame = Frame::new(self.id, self.upright.size(self.stored), self.format, pixels);
        frame.time = time;
        frame.spacing = self.spacing;
        self.next += 1;
        self.id += 1;
        Ok(Some(frame))
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        // Past the end is the end, as for a file.
        self.next = usize::try_from(index).unwrap_or(usize::MAX).min(self.frames.len());
        Ok(())
    }
}

/// Stored indices of the frames whose image is valid.
fn kept(header: &Header) -> Vec<u64> {
    (0..header.dims[2]).filter(|i| !header.frames.get(i).is_some_and(|f| f.invalid)).collect()
}

/// Time of every kept frame since the first, and the mean rate.
fn times(header: &Header, frames: &[u64], notes: &mut Vec<String>) -> (Vec<Duration>, Option<f64>) {
    let stamps: Vec<Option<f64>> = frames.iter().map(|i| header.frames.get(i)?.timestamp).collect();
    let known: Vec<(usize, f64)> = stamps.iter().enumerate().filter_map(|(i, t)| Some((i, (*t)?))).collect();
    let mean = match (known.first(), known.last()) {
        (Some(a), Some(b)) if b.0 > a.0 && b.1 > a.1 => Some((b.1 - a.1) / (b.0 - a.0) as f64),
        _ => None,
    };
    if mean.is_none() && frames.len() > 1 {
        notes.push(format!("no usable timestamps: {ASSUMED_RATE_HZ} frames a second are assumed"));
    } else if frames.len() > 1 && known.len() < stamps.len() {
        notes.push(format!("{} frames are without a timestamp: the mean interval is used", stamps.len() - known.len()));
    }
    let step = mean.unwrap_or(1.0 / ASSUMED_RATE_HZ);
    // Where the clock begins: the first stamp, taken back by as many mean intervals as frames precede it.
    let zero = known.first().filter(|_| mean.is_some()).map_or(0.0, |&(i, t)| t - i as f64 * step);
    let mut backwards = 0;
    let mut last: f64 = -step;
    let times = stamps
        .iter()
        .map(|stamp| {
            let time = stamp.filter(|_| mean.is_some()).map_or(last + step, |t| t - zero);
            backwards += usize::from(time < last);
            last = time.max(last).max(0.0);
            Duration::try_from_secs_f64(last).unwrap_or(Duration::MAX)
        })
        .collect();
    if backwards > 0 {
        notes.push(format!("{backwards} timestamps run backwards and were held"));
    }
    (times, mean.map(f64::recip).filter(|r| r.is_finite()))
}

fn upright(header: &Header, notes: &mut Vec<String>) -> Upright {
    let Some(text) = &header.orientation else { return Upright::default() };
    Upright::parse(text).unwrap_or_else(|| {
        notes.push(format!("orientation {text:?} is not one of MF, MN, UF, UN (or transposed): shown as stored"));
        Upright::default()
    })
}

fn orientation_text(header: &Header, upright: Upright) -> String {
    match (&header.orientation, upright.describe()) {
        (None, _) => "as stored".to_owned(),
        (Some(text), None) if Upright::parse(text).is_none() => format!("{text}, as stored"),
        (Some(text), None) => text.clone(),
        (Some(text), Some(steps)) => format!("{text}, {steps} to MF"),
    }
}

/// Spacing in mm, unless it is the placeholder 1 × 1 or no length at all.
fn spacing(header: &Header, upright: Upright, notes: &mut Vec<String>) -> Option<Spacing> {
    let [x, y] = header.spacing?;
    if x == 1.0 && y == 1.0 {
        notes.push("a spacing of 1 × 1 is what writers put when they do not know it: uncalibrated".to_owned());
        return None;
    }
    if !(Spacing { x_mm: x, y_mm: y }).is_plausible() {
        notes.push(format!("a spacing of {x:e} × {y:e} mm is none of an ultrasound picture: uncalibrated"));
        return None;
    }
    Some(if upright.transpose { Spacing { x_mm: y, y_mm: x } } else { Spacing { x_mm: x, y_mm: y } })
}

/// Smallest and largest sample of a few frames, the first of which is in `buffer`: it alone may be black. Of a compressed recording they
/// are the first ones, since it has to be inflated up to the last of them.
fn found_range(header: &Header, samples: &mut Samples, frames: &[u64], buffer: &mut Vec<u8>) -> Option<[f64; 2]> {
    if matches!(header.element, Element::U8 | Element::I8) || header.range.is_some() {
        return None;
    }
    let first = header.element.range(buffer, header.big_endian);
    let mut found = first;
    let last = frames.len() - 1;
    let place = |i: usize| if header.compressed { i.min(last) } else { last * i / (SAMPLED - 1) };
    let mut places: Vec<usize> = (1..SAMPLED).map(place).filter(|place| *place > 0).collect();
    places.dedup();
    for place in places {
        // A frame that cannot be read is an error of its own turn.
        if samples.read(frames[place], buffer).is_err() {
            continue;
        }
        let Some([low, high]) = header.element.range(buffer, header.big_endian) else { continue };
        let [least, most] = found.unwrap_or([low, high]);
        found = Some([low.min(least), high.max(most)]);
    }
    let found = found.map(|all| first.map_or(all, |first| settled(first, all)));
    found.filter(|[low, high]| low < high)
}

/// How samples become grey levels, by the range that was found where the header has none.
fn levels(header: &Header, found: Option<[f64; 2]>, notes: &mut Vec<String>) -> Levels {
    if header.element == Element::U8 {
        return Levels::AsStored;
    }
    let ([low, high], from) = if header.element == Element::I8 {
        ([-128.0, 127.0], "all that fit")
    } else if let Some(range) = header.range {
        (range, "from `ElementMin` and `ElementMax`")
    } else if let Some(range) = found {
        (range, "as they were found")
    } else {
        ([0.0, 255.0], "since all that were looked at are flat")
    };
    notes.push(format!("{} samples {low} to {high}, {from}, become grey levels 0 to 255", header.element.name()));
    Levels::Linear { low, high }
}

fn malformed(path: &Path, found: String, advice: &str) -> SourceError {
    SourceError::Malformed { path: path.to_owned(), what: "a MetaImage sequence", found, advice: advice.to_owned() }
}
