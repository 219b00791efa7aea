//! Live pictures through GStreamer: a graph of one's own, a network stream, a V4L2 device.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::devices::{self, DeviceInfo};
use super::gst_reader::{self as reader, Fault, Pulled, Reader};
use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;

/// How long a device or a server may take to send its first picture.
const FIRST: Duration = Duration::from_secs(15);
/// How long a running one may be silent before we say so.
const NEXT: Duration = Duration::from_secs(5);
/// Pictures that wait for us; a live graph drops the oldest when there are more.
const QUEUE: u32 = 2;

/// Opens a graph in the words of `gst-launch-1.0`, for example `videotestsrc is-live=true ! video/x-raw,width=640`.
///
/// `! videoconvert ! appsink` is added where the graph has no appsink. [`Frame::age`] stays unknown: what the times of a
/// graph of one's own mean cannot be told, so the pipeline stamps at receipt.
///
/// # Errors
/// When the graph is wrong, an element is missing (the package is named), or no picture comes.
pub fn open(graph: &str) -> Result<Box<dyn Source>, SourceError> {
    let name = format!("gst:{graph}");
    let options = |f: Fault| SourceError::Options { name: name.clone(), found: f.found, advice: f.advice };
    if graph.trim().is_empty() {
        return Err(options(Fault::new("the graph is empty", "write for example `gst:'videotestsrc is-live=true'`")));
    }
    let (pipeline, sink) = parse(graph).map_err(options)?;
    Ok(Box::new(Live::start(name, format!("GStreamer, {graph}"), pipeline, sink)?))
}

/// Opens a network stream, `rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`, with at most 100 ms of jitter buffer.
///
/// # Errors
/// When the server does not answer, refuses, or sends no picture.
pub fn rtsp(url: &str) -> Result<Box<dyn Source>, SourceError> {
    let name = without_password(url);
    let device = |f: Fault| SourceError::Device { name: name.clone(), found: f.found, advice: f.advice };
    let graph = "rtspsrc name=origin latency=100 drop-on-latency=true ! application/x-rtp,media=video ! decodebin";
    let (pipeline, sink) = parse(graph).map_err(device)?;
    let origin = pipeline.by_name("origin").expect("the graph names it");
    origin.set_property("location", url);
    let patience = u64::try_from(NEXT.as_micros()).expect("seconds fit");
    origin.set_property("tcp-timeout", patience);
    Ok(Box::new(Live::start(name, "network stream, RTSP".into(), pipeline, sink)?))
}

/// The address as it may be shown and recorded.
fn without_password(url: &str) -> String {
    let secret = url.split_once("://").and_then(|(scheme, rest)| {
        let host = rest.split('/').next().unwrap_or_default();
        let (login, _) = host.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***{}", &rest[login.len()..]))
    });
    secret.unwrap_or_else(|| url.to_owned())
}

/// Opens a V4L2 device by its path, for example `/dev/video0`, in whatever format it likes best.
///
/// v4l2src makes presentation times of the driver's capture stamps, so that [`Frame::age`] is known.
///
/// # Errors
/// When there is no such device (those that there are are listed), it is busy, or sends no picture.
pub fn v4l2(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    let name = format!("v4l2:{}", path.display());
    let device = |f: Fault| SourceError::Device { name: name.clone(), found: f.found, advice: f.advice };
    let (pipeline, sink) = parse("v4l2src name=origin ! decodebin").map_err(device)?;
    let origin = pipeline.by_name("origin").expect("the graph names it");
    origin.set_property("device", path.to_string_lossy().as_ref());
    Live::start(name.clone(), "V4L2 device".into(), pipeline, sink).map(Live::stamped_by_driver).map_err(|e| match e {
        SourceError::Device { found, .. } if !path.exists() => {
            device(Fault::new(format!("there is no such device ({found})"), devices::advice()))
        }
        other => other,
    })
}

/// Opens `/dev/videoN` without starting it: v4l2src refuses what does not capture.
pub(super) fn probe(index: u32) -> Option<DeviceInfo> {
    reader::init().ok()?;
    let device = reader::element("v4l2src").ok()?;
    device.set_property("device", format!("/dev/video{index}"));
    let opened = device.set_state(gst::State::Ready);
    let name = device.property::<Option<String>>("device-name");
    // It goes away whatever it answers.
    let _ = device.set_state(gst::State::Null);
    opened.ok()?;
    let spec = format!("v4l2:/dev/video{index}");
    let notes = vec!["through GStreamer: nokhwa does not know its format".into()];
    Some(DeviceInfo { name: name.unwrap_or_else(|| spec.clone()), spec, notes })
}

/// What to do about an element that is missing or misspelt.
fn find_element(name: &str) -> String {
    match reader::package_of(name) {
        // The package for whatever is not known: a guess that would mislead where a name is misspelt.
        "gstreamer1.0-libav" if !name.starts_with("av") => "check its name with `gst-inspect-1.0`".into(),
        package => format!("check its name, or install it with `sudo apt install {package}`"),
    }
}

/// The graph as a pipeline, and its sink.
fn parse(graph: &str) -> Result<(gst::Pipeline, AppSink), Fault> {
    reader::init()?;
    let text = if graph.contains("appsink") { graph.to_owned() } else { format!("{graph} ! videoconvert ! appsink") };
    let mut context = gst::ParseContext::new();
    let element =
        gst::parse::launch_full(&text, Some(&mut context), gst::ParseFlags::FATAL_ERRORS).map_err(|e| match context
            .missing_elements()
            .first()
        {
            Some(missing) => Fault::new(format!("gstreamer has no `{missing}`"), find_element(missing)),
            None => Fault::new(format!("gstreamer says `{}`", e.message()), "try the graph with `gst-launch-1.0`"),
        })?;
    let wrong = || Fault::new("the graph has no `appsink` at its end", "leave it away: it is added");
    let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| wrong())?;
    let sink = pipeline.iterate_sinks().into_iter().flatten().find_map(|e| e.downcast::<AppSink>().ok());
    let sink = sink.ok_or_else(wrong)?;
    let ours = reader::picture_sink(QUEUE);
    if sink.caps().is_none() {
        sink.set_caps(ours.caps().as_ref());
    }
    sink.set_property("sync", false);
    sink.set_max_buffers(QUEUE);
    sink.set_enable_last_sample(false);
    Ok((pipeline, sink))
}

struct Live {
    info: SourceInfo,
    reader: Reader,
    pending: Option<gst::Sample>,
    origin: Option<gst::ClockTime>,
    started: Instant,
    delivered: u64,
    seen: Arc<Seen>,
    /// Whether presentation times are those at which pictures were taken.
    stamped: bool,
    /// Pictures that were pulled, damaged ones among them.
    pulled: u64,
    damaged: u64,
    /// Pictures that the sink gave up because nobody asked for them in time.
    late: u64,
    ended: bool,
}

/// What was noticed at the entrance of the sink.
#[derive(Default)]
struct Seen {
    arrived: AtomicU64,
    /// Pictures that are missing where the graph marks a break.
    gaps: AtomicU64,
    /// Presentation time of the newest.
    last: Mutex<Option<gst::ClockTime>>,
}

/// Pictures that are missing before one that comes after a break: by the times where they are known, else one.
fn gap(last: Option<gst::ClockTime>, buffer: &gst::Buffer) -> u64 {
    let known = last.zip(buffer.pts()).zip(buffer.duration().filter(|d| !d.is_zero()));
    known.map_or(1, |((last, now), period)| {
        let periods = now.saturating_sub(last).nseconds() as f64 / period.nseconds() as f64;
        (periods.round() as u64).saturating_sub(1).max(1)
    })
}

impl Live {
    fn start(name: String, format: String, pipeline: gst::Pipeline, sink: AppSink) -> Result<Self, SourceError> {
        let seen = Arc::<Seen>::default();
        let count = Arc::clone(&seen);
        let pad = sink.static_pad("sink").expect("an appsink has a sink pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
            let arrived = count.arrived.fetch_add(1, Ordering::Relaxed);
            let mut last = count.last.lock().unwrap_or_else(PoisonError::into_inner);
            let last = std::mem::replace(&mut *last, buffer.pts());
            if arrived > 0 && buffer.flags().contains(gst::BufferFlags::DISCONT) {
                count.gaps.fetch_add(gap(last, buffer), Ordering::Relaxed);
            }
            // What the sink gives up is told by the numbers that are missing in what it gives out.
            buffer.make_mut().set_offset(arrived);
            gst::PadProbeReturn::Ok
        });
        let mut reader = Reader::new(pipeline, sink);
        let device = |f: Fault| SourceError::Device { name: name.clone(), found: f.found, advice: f.advice };
        let started_live = reader.start().map_err(device)?;
        let first = match reader.pull(FIRST) {
            Pulled::Sample(sample) => sample,
            Pulled::Fault(fault) => return Err(device(fault)),
            Pulled::End => return Err(device(Fault::new("it ended before its first picture", "check that it is on"))),
            Pulled::Silence => {
                let found = format!("no picture came within {} s", FIRST.as_secs());
                return Err(device(Fault::new(found, "check that the device is on and sends a picture")));
            }
        };
        let (size, ..) = reader::picture(&first).map_err(device)?;
        let rate_hz = reader::rate_hz(&first);
        // A network stream is known to be live only now, when it has been plugged together. The sink itself says no,
        // since it does not wait for the clock.
        let mut latency = gst::query::Latency::new();
        let live = started_live || (pad.peer_query(&mut latency) && latency.result().0);
        // What can wait loses nothing; what cannot gives up the oldest.
        reader.sink.set_drop(live);
        let notes =
            if live { Vec::new() } else { vec!["the graph is not live: it waits for us and drops nothing".into()] };
        let info = SourceInfo { name, format, size: Some(size), rate_hz, live: true, notes, ..SourceInfo::default() };
        let (pending, started) = (Some(first), Instant::now());
        let (stamped, pulled, damaged, late) = (false, 0, 0, 0);
        Ok(Self {
            info,
            reader,
            pending,
            origin: None,
            started,
            delivered: 0,
            seen,
            stamped,
            pulled,
            damaged,
            late,
            ended: false,
        })
    }

    fn stamped_by_driver(mut self) -> Box<dyn Source> {
        self.stamped = self.pending.as_ref().is_some_and(|sample| self.reader.age(sample).is_some());
        self.info.notes.push(devices::stamped(self.stamped).to_owned());
        Box::new(self)
    }

    fn silence(&self, what: &str) -> SourceError {
        let found = format!("{what} came for {} s after {} frames", NEXT.as_secs(), self.delivered);
        self.error(Fault::new(found, "check the cable and that the device is on"))
    }

    fn error(&self, fault: Fault) -> SourceError {
        SourceError::Device { name: self.info.name.clone(), found: fault.found, advice: fault.advice }
    }
}

impl Source for Live {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let since = Instant::now();
        while !self.ended {
            let pulled = self.pending.take().map_or_else(|| self.reader.pull(NEXT), Pulled::Sample);
            self.ended = !matches!(pulled, Pulled::Sample(_) | Pulled::Silence);
            let sample = match pulled {
                Pulled::Sample(sample) => sample,
                Pulled::End => break,
                Pulled::Fault(fault) => return Err(self.error(fault)),
                Pulled::Silence => return Err(self.silence("no picture")),
            };
            let arrival = sample.buffer().map_or(self.pulled, |b| b.offset());
            self.late = self.late.max(arrival.saturating_sub(self.pulled));
            self.pulled += 1;
            if reader::is_damaged(&sample) {
                self.damaged += 1;
                if since.elapsed() > NEXT {
                    return Err(self.silence("no undamaged picture"));
                }
                continue;
            }
            let (size, format, pixels) = reader::picture(&sample).map_err(|f| self.error(f))?;
            let mut frame = Frame::new(self.delivered, size, format, pixels);
            frame.time = match sample.buffer().and_then(|b| b.pts()) {
                Some(pts) => pts.saturating_sub(*self.origin.get_or_insert(pts)).into(),
                None => self.started.elapsed(),
            };
            frame.age = self.reader.age(&sample).filter(|_| self.stamped);
            self.delivered += 1;
            return Ok(Some(frame));
        }
        Ok(None)
    }

    fn dropped(&self) -> u64 {
        // A capture card that tells a gap on the bus also marks it in the pictures.
        let missing = self.seen.gaps.load(Ordering::Relaxed).max(self.reader.lost(self.info.rate_hz));
        self.late + self.damaged + missing
    }

    fn seek(&mut self, _index: u64) -> Result<(), SourceError> {
        Err(self.error(Fault::new("a live picture cannot be sought", "record it and replay the recording")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("rtsp://me:s3:cr@t@scan.local:554/live", "rtsp://me:***@scan.local:554/live"),
            ("rtsp://me@scan.local/a:b@c", "rtsp://me@scan.local/a:b@c"),
            ("rtsp://scan.local:554/x", "rtsp://scan.local:554/x"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
