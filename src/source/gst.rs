//! Live pictures through GStreamer: a graph of one's own, a network stream, a V4L2 device.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::gst_reader::{self as reader, Fault, Pulled, Reader};
use super::{Source, SourceError, SourceInfo, devices};
use crate::frame::Frame;

/// How long a device or a server may take to send its first picture.
const FIRST: Duration = Duration::from_secs(15);
/// How long a running one may be silent before we say so.
const NEXT: Duration = Duration::from_secs(5);
/// Pictures that wait for us; a live graph drops the oldest when there are more.
const QUEUE: u32 = 2;

/// Opens a graph in the words of `gst-launch-1.0`, for example `videotestsrc is-live=true ! video/x-raw,width=640`.
///
/// `! videoconvert ! appsink` is added where the graph has no appsink. [`Frame::stamps`] stay empty: the times of a
/// GStreamer clock cannot be trusted to be those of the run, so the pipeline stamps at receipt.
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
    let device = |f: Fault| SourceError::Device { name: url.into(), found: f.found, advice: f.advice };
    let graph = "rtspsrc name=origin latency=100 drop-on-latency=true ! application/x-rtp,media=video ! decodebin";
    let (pipeline, sink) = parse(graph).map_err(device)?;
    let origin = pipeline.by_name("origin").expect("the graph names it");
    origin.set_property("location", url);
    let patience = u64::try_from(NEXT.as_micros()).expect("seconds fit");
    origin.set_property("tcp-timeout", patience);
    Ok(Box::new(Live::start(url.into(), "network stream, RTSP".into(), pipeline, sink)?))
}

/// Opens a V4L2 device by its path, for example `/dev/video0`, in whatever format it likes best.
///
/// # Errors
/// When there is no such device (those that there are are listed), it is busy, or sends no picture.
pub fn v4l2(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    let name = format!("v4l2:{}", path.display());
    let device = |f: Fault| SourceError::Device { name: name.clone(), found: f.found, advice: f.advice };
    let (pipeline, sink) = parse("v4l2src name=origin ! decodebin").map_err(device)?;
    let origin = pipeline.by_name("origin").expect("the graph names it");
    origin.set_property("device", path.to_string_lossy().as_ref());
    Live::start(name.clone(), "V4L2 device".into(), pipeline, sink).map(|live| Box::new(live) as _).map_err(|e| match e
    {
        SourceError::Device { found, .. } if !path.exists() => {
            device(Fault::new(format!("there is no such device ({found})"), devices::advice()))
        }
        other => other,
    })
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
            Some(missing) => Fault::new(
                format!("gstreamer has no `{missing}`"),
                format!("check the name, or install it with `sudo apt install {}`", reader::package_of(missing)),
            ),
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
    /// Pictures that reached the sink; those not delivered are waiting or were dropped there.
    arrived: Arc<AtomicU64>,
    ended: bool,
}

impl Live {
    fn start(name: String, format: String, pipeline: gst::Pipeline, sink: AppSink) -> Result<Self, SourceError> {
        let arrived = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&arrived);
        let pad = sink.static_pad("sink").expect("an appsink has a sink pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let mut reader = Reader::new(pipeline, sink);
        let device = |f: Fault| SourceError::Device { name: name.clone(), found: f.found, advice: f.advice };
        let live = reader.start().map_err(device)?;
        // What can wait loses nothing; what cannot gives up the oldest.
        reader.sink.set_drop(live);
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
        let notes =
            if live { Vec::new() } else { vec!["the graph is not live: it waits for us and drops nothing".into()] };
        let info = SourceInfo { name, format, size: Some(size), rate_hz, live: true, notes, ..SourceInfo::default() };
        let (pending, started) = (Some(first), Instant::now());
        Ok(Self { info, reader, pending, origin: None, started, delivered: 0, arrived, ended: false })
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
        if self.ended {
            return Ok(None);
        }
        let pulled = self.pending.take().map_or_else(|| self.reader.pull(NEXT), Pulled::Sample);
        self.ended = !matches!(pulled, Pulled::Sample(_) | Pulled::Silence);
        let sample = match pulled {
            Pulled::Sample(sample) => sample,
            Pulled::End => return Ok(None),
            Pulled::Fault(fault) => return Err(self.error(fault)),
            Pulled::Silence => {
                let found = format!("no picture came for {} s after {} frames", NEXT.as_secs(), self.delivered);
                return Err(self.error(Fault::new(found, "check the cable and that the device is on")));
            }
        };
        let (size, format, pixels) = reader::picture(&sample).map_err(|f| self.error(f))?;
        let mut frame = Frame::new(self.delivered, size, format, pixels);
        frame.time = match sample.buffer().and_then(|b| b.pts()) {
            Some(pts) => pts.saturating_sub(*self.origin.get_or_insert(pts)).into(),
            None => self.started.elapsed(),
        };
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn seek(&mut self, _index: u64) -> Result<(), SourceError> {
        Err(self.error(Fault::new("a live picture cannot be sought", "record it and replay the recording")))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let waiting = self.delivered + u64::from(QUEUE) + 1;
        let dropped = self.arrived.load(Ordering::Relaxed).saturating_sub(waiting);
        if dropped > 0 {
            tracing::warn!("`{}`: at least {dropped} pictures were dropped before they were asked for", self.info.name);
        }
    }
}
