//! A running GStreamer pipeline whose pictures are pulled one by one; shared by [`super::video`] and [`super::gst`].

use std::sync::Once;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameRef, VideoInfo};

use crate::frame::{Matrix, PixelFormat, Yuv, YuvLayout};
use crate::geometry::Size;

/// How long one look at the sink lasts before the bus is asked again. A picture that comes earlier ends it.
const LOOK: Duration = Duration::from_millis(20);
/// How long pictures may still come after an error, because decoders hold some back.
const GRACE: Duration = Duration::from_millis(400);

/// What went wrong, in the two parts that every source error needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What was found.
    pub found: String,
    /// What to do.
    pub advice: String,
}

impl Fault {
    pub fn new(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { found: found.into(), advice: advice.into() }
    }
}

/// What one pull gave.
#[derive(Debug)]
pub(super) enum Pulled {
    Sample(gst::Sample),
    End,
    Fault(Fault),
    /// Nothing came within the time given.
    Silence,
}

/// A pipeline with an appsink at its end; stops when dropped.
pub(super) struct Reader {
    pub pipeline: gst::Pipeline,
    pub sink: AppSink,
    bus: gst::Bus,
    fault: Option<(Fault, Instant)>,
    missing: Vec<(String, String)>,
    /// Times that an element said it lost pictures, and for how long.
    lost: (u64, gst::ClockTime),
}

impl Reader {
    pub fn new(pipeline: gst::Pipeline, sink: AppSink) -> Self {
        let bus = pipeline.bus().expect("every pipeline has a bus");
        Self { pipeline, sink, bus, fault: None, missing: Vec::new(), lost: (0, gst::ClockTime::ZERO) }
    }

    /// Starts the pipeline; true when it is live (its pictures come by the clock, not on demand).
    pub fn start(&mut self) -> Result<bool, Fault> {
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(success) => Ok(success == gst::StateChangeSuccess::NoPreroll),
            Err(_) => {
                self.drain_bus();
                let unknown = || Fault::new("the pipeline does not start", "run it with GST_DEBUG=3 to see why");
                Err(self.fault.take().map_or_else(unknown, |(fault, _)| fault))
            }
        }
    }

    /// The next picture. Pictures that were decoded before an error come before it.
    pub fn pull(&mut self, timeout: Duration) -> Pulled {
        let deadline = Instant::now() + timeout;
        loop {
            self.drain_bus();
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64)) {
                return Pulled::Sample(sample);
            }
            let ended = self.sink.is_eos();
            if ended {
                self.drain_bus();
            }
            let now = Instant::now();
            if let Some((fault, since)) = &self.fault
                && (ended || now.duration_since(*since) > GRACE)
            {
                return Pulled::Fault(fault.clone());
            }
            if ended {
                return Pulled::End;
            }
            if now > deadline {
                return Pulled::Silence;
            }
        }
    }

    /// Whether an error has come, shown or not: such a pipeline cannot be sought.
    pub fn is_broken(&self) -> bool {
        self.fault.is_some()
    }

    /// Pictures that elements said they lost, such as gaps in the counting of a capture card.
    pub fn lost(&self, rate_hz: Option<f64>) -> u64 {
        let (times, long) = self.lost;
        times.max((long.nseconds() as f64 * 1e-9 * rate_hz.unwrap_or(0.0)).round() as u64)
    }

    /// How long ago the presentation time of a sample was, on the pipeline's clock; nothing where that lies ahead.
    pub fn age(&self, sample: &gst::Sample) -> Option<Duration> {
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let then = segment.to_running_time(sample.buffer()?.pts()?)?;
        self.pipeline.current_running_time()?.checked_sub(then).map(Duration::from)
    }

    /// Reads every message: an unread bus would grow for as long as the pipeline runs.
    fn drain_bus(&mut self) {
        while let Some(message) = self.bus.pop() {
            match message.view() {
                gst::MessageView::Element(element) => {
                    if let Some(s) = element.structure().filter(|s| s.name() == "missing-plugin") {
                        let name = s.get::<String>("name").unwrap_or_else(|_| "an element".into());
                        let detail = s.value("detail").ok().and_then(|v| v.serialize().ok());
                        self.missing.push((name, detail.unwrap_or_default().to_string()));
                    }
                }
                gst::MessageView::Error(error) if self.fault.is_none() => {
                    let fault = match self.missing.first() {
                        Some((name, detail)) => missing_plugin(name, detail),
                        None => error_fault(error),
                    };
                    self.fault = Some((fault, Instant::now()));
                }
                gst::MessageView::Qos(qos) => {
                    let (times, long) = &mut self.lost;
                    *times += 1;
                    *long = long.saturating_add(qos.get().4.unwrap_or_default());
                }
                _ => {}
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Nothing is left to be told: the pipeline goes away whatever it answers.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Starts GStreamer, once.
///
/// Hardware decoders are put last: they give pictures in memory that cannot be mapped, and the same recording shall
/// give the same bytes on every machine.
pub(super) fn init() -> Result<(), Fault> {
    static HARDWARE: Once = Once::new();
    gst::init().map_err(|e| {
        Fault::new(format!("gstreamer does not start: {e}"), "install `gstreamer1.0-plugins-base` and try again")
    })?;
    HARDWARE.call_once(|| {
        for decoder in gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL) {
            if decoder.metadata("klass").is_some_and(|k| k.contains("Hardware")) {
                decoder.set_rank(gst::Rank::NONE);
            }
        }
    });
    Ok(())
}

/// An element by the name of its factory, or the package that brings it.
pub(super) fn element(factory: &str) -> Result<gst::Element, Fault> {
    gst::ElementFactory::make(factory).build().map_err(|_| missing_plugin(factory, factory))
}

/// The sink of every source: pictures in a format of [`PixelFormat`], so that what most decoders and cards give stays
/// as it is; at most `queue` of them waiting, no waiting for the clock.
pub(super) fn picture_sink(queue: u32) -> AppSink {
    let formats = |names: &[&str]| gst::List::new(names.iter().map(|name| name.to_send_value()));
    let rows =
        gst::Structure::builder("video/x-raw").field("format", formats(&["GRAY8", "GRAY16_LE", "YUY2", "UYVY", "RGB"]));
    // Of two fields in one picture rows that share colours are not neighbours.
    let squares = gst::Structure::builder("video/x-raw")
        .field("format", formats(&["I420", "NV12"]))
        .field("interlace-mode", "progressive");
    let caps: gst::Caps = [rows.build(), squares.build()].into_iter().collect();
    let sink = AppSink::builder().name("sonoplex").caps(&caps).sync(false).max_buffers(queue).build();
    sink.set_enable_last_sample(false);
    sink
}

fn missing_plugin(name: &str, detail: &str) -> Fault {
    let package = package_of(detail);
    Fault::new(format!("gstreamer has no `{name}`"), format!("install it with `sudo apt install {package}`"))
}

/// The Debian package that brings the element or the decoder for the caps named in `detail`.
pub(super) fn package_of(detail: &str) -> &'static str {
    let any = |words: &[&str]| words.iter().any(|w| detail.contains(w));
    if any(&["x264enc"]) {
        "gstreamer1.0-plugins-ugly"
    } else if any(&["openh264", "h264parse", "h265parse", "image/jp2", "image/x-j2c"]) {
        "gstreamer1.0-plugins-bad"
    } else if any(&["video/quicktime", "matroska", "webm", "msvideo", "flv", "x-vp", "rtsp", "rtp", "v4l2", "mp4mux"]) {
        "gstreamer1.0-plugins-good"
    } else if any(&["videoconvert", "decodebin", "video/x-raw", "ogg", "appsink", "videotestsrc"]) {
        "gstreamer1.0-plugins-base"
    } else {
        "gstreamer1.0-libav"
    }
}

fn error_fault(error: &gst::message::Error) -> Fault {
    let glib = error.error();
    let text = glib.message().trim_end_matches('.').to_owned();
    // The reason proper is the last line of the debug text; its first names a line of GStreamer's source.
    let debug = error.debug().unwrap_or_default();
    let reason = debug.lines().skip(1).map(|l| l.trim().trim_end_matches('.')).filter(|l| !l.is_empty()).last();
    let found = match reason {
        Some(reason) if !text.contains(reason) => format!("gstreamer says `{text}` ({reason})"),
        _ => format!("gstreamer says `{text}`"),
    };
    let advice = if glib.matches(gst::StreamError::TypeNotFound) || glib.matches(gst::StreamError::WrongType) {
        "give a video file"
    } else if glib.matches(gst::ResourceError::Busy) {
        "close the program that uses it"
    } else if glib.matches(gst::ResourceError::NotAuthorized) {
        "check the user name, the password and the permissions"
    } else {
        "check that it plays elsewhere, for example with `gst-play-1.0`"
    };
    Fault::new(found, advice)
}

/// Size, layout and bytes of a sample, copied once, row by row where rows are padded.
pub(super) fn picture(sample: &gst::Sample) -> Result<(Size, PixelFormat, Vec<u8>), Fault> {
    let bad = |what: &str| Fault::new(format!("gstreamer gave a picture {what}"), "report this file or device");
    let caps = sample.caps().ok_or_else(|| bad("without caps"))?;
    let info = VideoInfo::from_caps(caps).map_err(|_| bad("whose caps are no video"))?;
    let buffer = sample.buffer().ok_or_else(|| bad("without bytes"))?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|_| bad("that cannot be mapped"))?;
    let format = format(&info).ok_or_else(|| {
        let found = format!("gstreamer gave a picture as {}, which is not read", info.format().to_str());
        Fault::new(
            found,
            "leave the `appsink` of the graph away, or write `! videoconvert ! video/x-raw,format=RGB` before it",
        )
    })?;
    let size = Size::new(info.width(), info.height());
    if size.area() > MAX_PIXELS {
        return Err(bad("larger than 64 million pixels"));
    }
    let mut pixels = Vec::with_capacity(format.bytes(size));
    for (plane, (row, rows)) in format.planes(size).into_iter().enumerate().filter(|(_, (_, rows))| *rows > 0) {
        let stride = usize::try_from(frame.plane_stride()[plane]).map_err(|_| bad("that is upside down"))?;
        let data = frame.plane_data(plane as u32).map_err(|_| bad("without a plane"))?;
        if stride == row {
            pixels.extend_from_slice(data.get(..row * rows).ok_or_else(|| bad("that is too short"))?);
        } else {
            for y in 0..rows {
                pixels
                    .extend_from_slice(data.get(y * stride..y * stride + row).ok_or_else(|| bad("that is too short"))?);
            }
        }
    }
    Ok((size, format, pixels))
}

/// What the bytes of such a picture mean; colours of rarer standards than BT.601 count as those of the one that is
/// nearest.
fn format(info: &VideoInfo) -> Option<PixelFormat> {
    let layout = match info.format() {
        VideoFormat::Gray8 => return Some(PixelFormat::Gray8),
        VideoFormat::Gray16Le => return Some(PixelFormat::Gray16),
        VideoFormat::Rgb => return Some(PixelFormat::Rgb8),
        VideoFormat::I420 => YuvLayout::I420,
        VideoFormat::Nv12 => YuvLayout::Nv12,
        VideoFormat::Yuy2 => YuvLayout::Yuyv,
        VideoFormat::Uyvy => YuvLayout::Uyvy,
        _ => return None,
    };
    let colours = info.colorimetry();
    let matrix = match colours.matrix() {
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m | VideoColorMatrix::Bt2020 => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let full_range = colours.range() == VideoColorRange::Range0_255;
    Some(PixelFormat::Yuv(Yuv { layout, matrix, full_range }))
}

/// No scanner has more; a stream that says so lies.
const MAX_PIXELS: usize = 64 << 20;

/// The presentation time of a sample on the time line of the recording.
pub(super) fn stream_time(sample: &gst::Sample) -> Option<gst::ClockTime> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_stream_time(pts).or(Some(pts))
}

/// Whether the decoder says that parts of the picture are missing or made up.
pub(super) fn is_damaged(sample: &gst::Sample) -> bool {
    sample.buffer().is_some_and(|b| b.flags().contains(gst::BufferFlags::CORRUPTED))
}

/// Frames a second as the caps say; `None` of a variable rate.
pub(super) fn rate_hz(sample: &gst::Sample) -> Option<f64> {
    let rate = sample.caps()?.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0 && rate.denom() > 0).then(|| f64::from(rate.numer()) / f64::from(rate.denom()))
}
