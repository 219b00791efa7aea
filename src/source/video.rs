//! Video files (mp4, mov, mkv, avi …) through GStreamer, with the presentation times that they carry.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::gst_reader::{self as reader, Fault, Pulled, Reader};
use super::video_container::Container;
use super::video_damage::Listener;
use super::video_streams::{Streams, count_coded, note_stream};
use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;

/// How long a decoder may think about one picture before we say that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Decoded pictures that wait for us; more would only cost memory.
const QUEUE: u32 = 4;
/// Frames ahead up to which decoding is quicker than a seek, which begins anew at a key frame.
const NEAR: u64 = 16;

/// Opens a video file; sound and subtitles are not decoded, a rotation tag is not followed.
///
/// A file that is cut delivers the frames before the cut, then one error that says so; one whose pictures are damaged
/// in a way that the decoder paints over delivers all of them, and then such an error.
///
/// # Errors
/// When it cannot be read, is no video, has no index, or needs a decoder that is not installed (the package is named).
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Video::open(path)?))
}

struct Video {
    path: PathBuf,
    container: Container,
    info: SourceInfo,
    reader: Reader,
    streams: Arc<Mutex<Streams>>,
    /// Pictures that came out of the decoder since it was started, damaged ones among them; nothing after a jump, which
    /// leaves some out.
    decoded: Option<u64>,
    /// Presentation times of those that the decoder calls damaged: they are left out.
    damaged: BTreeSet<gst::ClockTime>,
    /// Coded pictures of which nothing came out.
    undecoded: u64,
    /// Pulled, but not delivered yet.
    pending: Option<gst::Sample>,
    /// Presentation time of every frame met so far, by index.
    times: Vec<gst::ClockTime>,
    /// Index of the next frame.
    position: u64,
    delivered: u64,
    ended: bool,
    listener: Listener,
}

impl Video {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let io = |cause| SourceError::Io { path: path.to_owned(), cause };
        let mut file = std::fs::File::open(path).map_err(io)?;
        let container = Container::read(&mut file).map_err(io)?;
        let malformed = |f: Fault| malformed(path, f);
        if container.len == 0 {
            return Err(malformed(Fault::new("the file is empty", "copy it again from where it came")));
        }
        if !container.indexed {
            let found = "its index (`moov`) is missing: the recording was not finished or the file is cut";
            let advice = "copy it again from where it came, or rebuild the index with `untrunc` and a whole file of the same device";
            return Err(malformed(Fault::new(found, advice)));
        }
        let streams: Arc<Mutex<Streams>> = Arc::default();
        reader::init().map_err(malformed)?;
        let listener = Listener::new();
        let reader = start(path, &streams).map_err(malformed)?;
        let mut video = Self {
            path: path.to_owned(),
            container,
            info: SourceInfo { name: path.display().to_string(), ..SourceInfo::default() },
            reader,
            streams,
            decoded: Some(0),
            damaged: BTreeSet::new(),
            undecoded: 0,
            pending: None,
            times: Vec::new(),
            position: 0,
            delivered: 0,
            ended: false,
            listener,
        };
        let first = video.reader.pull(PATIENCE);
        let (codec, other) = {
            let met = video.met();
            (met.codec.clone(), met.other)
        };
        match first {
            Pulled::Sample(sample) => {
                video.describe(&sample, codec, other)?;
                video.pending = Some(sample);
                Ok(video)
            }
            Pulled::Silence => Err(malformed(video.silence())),
            Pulled::End | Pulled::Fault(_) if codec.is_none() && other => {
                Err(malformed(Fault::new("it holds sound or text but no pictures", "give a file with a video stream")))
            }
            Pulled::End | Pulled::Fault(_) if video.container.promised.is_some() => Err(video.cut_error()),
            Pulled::Fault(fault) => Err(malformed(fault)),
            Pulled::End => Err(malformed(Fault::new("no picture can be decoded", "copy it again from where it came"))),
        }
    }

    fn met(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&mut self, first: &gst::Sample, codec: Option<String>, other: bool) -> Result<(), SourceError> {
        let (size, ..) = reader::picture(first).map_err(|f| malformed(&self.path, f))?;
        let info = &mut self.info;
        let codec = codec.unwrap_or_else(|| "unknown codec".into());
        info.format = format!("{}, {codec}", self.container.name.unwrap_or("unknown container"));
        info.size = Some(size);
        info.orientation = Some("as stored".into());
        info.rate_hz = reader::rate_hz(first);
        let duration = self.reader.pipeline.query_duration::<gst::ClockTime>();
        match (duration, info.rate_hz) {
            (Some(duration), Some(rate)) if self.container.promised.is_none() => {
                info.frames = Some(((duration.nseconds() as f64 * 1e-9 * rate).round() as u64).max(1));
                info.notes.push("the number of frames is an estimate: duration times frame rate".into());
            }
            (_, None) => info.notes.push("the frame rate varies: the number of frames is known at the end".into()),
            _ => {}
        }
        if other {
            info.notes.push("its sound is not played".into());
        }
        if let Some(promised) = self.container.promised {
            let len = self.container.len;
            info.notes.push(format!("the file is cut: it has {len} of {promised} bytes; what is there is played"));
        }
        Ok(())
    }

    /// The next sample and the index it has; notes its time when it is met for the first time.
    fn advance(&mut self) -> Result<Option<gst::Sample>, SourceError> {
        if self.ended {
            return Ok(None);
        }
        let sample = loop {
            let sample = match self.pending.take() {
                Some(sample) => sample,
                None => match self.reader.pull(PATIENCE) {
                    Pulled::Sample(sample) => sample,
                    end => return self.end(end),
                },
            };
            self.decoded = self.decoded.map(|n| n + 1);
            if !reader::is_damaged(&sample) {
                break sample;
            }
            // What a decoder made up is no picture of a patient: it is left out, and counted.
            self.damaged.extend(reader::stream_time(&sample));
        };
        if self.position == self.times.len() as u64 {
            let time = reader::stream_time(&sample).unwrap_or_else(|| self.guess_time());
            self.times.push(time);
        }
        self.position += 1;
        Ok(Some(sample))
    }

    /// A time for a frame that carries none: one period after the last.
    fn guess_time(&self) -> gst::ClockTime {
        let period = gst::ClockTime::from_nseconds((1e9 / self.info.rate_hz.unwrap_or(25.0)) as u64);
        self.times.last().map_or(gst::ClockTime::ZERO, |&t| t + period)
    }

    fn end(&mut self, pulled: Pulled) -> Result<Option<gst::Sample>, SourceError> {
        self.ended = true;
        self.count_undecoded();
        let met_all = self.position == self.times.len() as u64;
        match pulled {
            Pulled::Silence => Err(malformed(&self.path, self.silence())),
            _ if self.container.promised.is_some() => Err(self.cut_error()),
            Pulled::Fault(fault) => {
                let found = format!("after {} frames {}", self.times.len(), fault.found);
                Err(malformed(&self.path, Fault::new(found, fault.advice)))
            }
            Pulled::End | Pulled::Sample(_) if self.listener.complaints() > 0 => {
                let (n, frames) = (self.listener.complaints(), self.times.len());
                let found = format!(
                    "its pictures are damaged: the decoder complained {n} times in {frames} frames and painted over it"
                );
                let advice = "copy it again from where it came; masks of such frames prove nothing";
                Err(malformed(&self.path, Fault::new(found, advice)))
            }
            Pulled::End | Pulled::Sample(_) => {
                if met_all {
                    self.info.frames = Some(self.times.len() as u64);
                    self.info.notes.retain(|n| !n.contains("number of frames"));
                    if let (None, [first, .., last]) = (self.info.rate_hz, &self.times[..]) {
                        let seconds = last.saturating_sub(*first).nseconds() as f64 * 1e-9;
                        self.info.rate_hz = Some((self.times.len() - 1) as f64 / seconds).filter(|r| r.is_finite());
                    }
                }
                Ok(None)
            }
        }
    }

    /// What went into the decoder and did not come out. Only of codecs in which every coded picture is one to be shown.
    fn count_undecoded(&mut self) {
        let coded = self.met().coded;
        let plain = ["H.264", "H.265", "MJPEG", "FFV1"].iter().any(|c| self.info.format.ends_with(c));
        if let Some(decoded) = self.decoded.filter(|_| plain) {
            self.undecoded = coded.saturating_sub(decoded);
        }
        let (lost, whole) = (self.dropped(), self.times.len());
        if lost > 0 {
            tracing::warn!("`{}`: {lost} damaged frames left out, {whole} played", self.path.display());
        }
    }

    fn silence(&self) -> Fault {
        let found = format!("no picture came for {} s after {} frames", PATIENCE.as_secs(), self.times.len());
        Fault::new(found, "check that it plays elsewhere, for example with `gst-play-1.0`")
    }

    fn cut_error(&self) -> SourceError {
        let (len, promised) = (self.container.len, self.container.promised.unwrap_or_default());
        let n = self.times.len();
        let found = format!("the file is cut: it has {len} of {promised} bytes, and {n} frames could be read");
        malformed(&self.path, Fault::new(found, "copy it again from where it came"))
    }

    /// Begins anew with frame 0.
    fn restart(&mut self) -> Result<(), SourceError> {
        self.streams = Arc::default();
        self.decoded = Some(0);
        self.reader = start(&self.path, &self.streams).map_err(|f| malformed(&self.path, f))?;
        self.pending = None;
        self.position = 0;
        self.ended = false;
        Ok(())
    }

    /// Goes to the key frame at or before `index` by its time; false when the answer cannot be proven right.
    fn jump(&mut self, index: usize) -> bool {
        let ordered = self.times.is_sorted_by(|a, b| a < b);
        if self.reader.is_broken() || !ordered {
            return false;
        }
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        self.decoded = None;
        if self.reader.pipeline.seek_simple(flags, self.times[index]).is_err() {
            return false;
        }
        let Pulled::Sample(sample) = self.reader.pull(PATIENCE) else { return false };
        let Some(time) = reader::stream_time(&sample) else { return false };
        // A demuxer that lands between known times, or too late, has not understood: count from the start instead.
        match self.times.binary_search(&time) {
            Ok(found) if found <= index => {
                self.position = found as u64;
                self.pending = Some(sample);
                self.ended = false;
                true
            }
            _ => false,
        }
    }
}

impl Source for Video {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let index = self.position as usize;
        let Some(sample) = self.advance()? else { return Ok(None) };
        let (size, format, pixels) = reader::picture(&sample).map_err(|f| malformed(&self.path, f))?;
        let mut frame = Frame::new(self.delivered, size, format, pixels);
        frame.time = self.times[index].saturating_sub(self.times[0]).into();
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn dropped(&self) -> u64 {
        self.undecoded + self.damaged.len() as u64
    }

    /// Makes `index` the next frame, by decoding from the key frame before it; behind the end, the end is next.
    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        let known = usize::try_from(index).ok().filter(|&i| i < self.times.len());
        // A short way forward is decoded rather than sought.
        let near = (self.position..self.position + NEAR).contains(&index);
        if let Some(known) = known.filter(|_| !near)
            && !self.jump(known)
        {
            self.restart()?;
        }
        while self.position < index && self.advance()?.is_some() {}
        Ok(())
    }
}

fn malformed(path: &Path, fault: Fault) -> SourceError {
    SourceError::Malformed { path: path.to_owned(), what: "a video", found: fault.found, advice: fault.advice }
}

/// Builds `filesrc ! decodebin ! videoconvert ! appsink` and starts it.
fn start(path: &Path, streams: &Arc<Mutex<Streams>>) -> Result<Reader, Fault> {
    reader::init()?;
    let source = reader::element("filesrc")?;
    source.set_property("location", path);
    let decode = reader::element("decodebin")?;
    let convert = reader::element("videoconvert")?;
    let sink = reader::picture_sink(QUEUE);
    let pipeline = gst::Pipeline::new();
    let broken =
        |_: glib::BoolError| Fault::new("gstreamer's elements do not fit", "reinstall gstreamer1.0-plugins-base");
    pipeline.add_many([&source, &decode, &convert, sink.upcast_ref()]).map_err(broken)?;
    source.link(&decode).map_err(broken)?;
    convert.link(&sink).map_err(broken)?;
    let met = Arc::clone(streams);
    pipeline.connect_deep_element_added(move |_, _, element| count_coded(element, &met));
    let met = Arc::clone(streams);
    // Pictures are plugged through to the end; all else is left as it is, so that it needs no decoder.
    decode.connect("autoplug-continue", false, move |values| {
        let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        let mut met = met.lock().unwrap_or_else(PoisonError::into_inner);
        Some(caps.is_none_or(|caps| note_stream(&mut met, &caps)).to_value())
    });
    let target = convert.static_pad("sink").expect("videoconvert has a sink pad");
    let pictures = target.clone();
    decode.connect_no_more_pads(move |decode| {
        // Without this, a file without pictures would be waited for until patience ends.
        if !pictures.is_linked() {
            gst::element_error!(decode, gst::StreamError::WrongType, ["it holds no pictures that can be decoded"]);
        }
    });
    decode.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if target.is_linked() || caps.structure(0).is_none_or(|s| s.name() != "video/x-raw") {
            return;
        }
        // A refusal shows on the bus as `not-linked`.
        let _ = pad.link(&target);
    });
    let mut reader = Reader::new(pipeline, sink);
    reader.start()?;
    Ok(reader)
}
