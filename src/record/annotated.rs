//! The annotated video for people: an mp4 of what was shown. It is lossy; the recording proper is kept beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use crate::geometry::Size;

/// One way to make an mp4.
struct Encoder {
    factory: &'static str,
    graph: &'static str,
    name: &'static str,
}

/// In the order in which they are tried. 4:2:0, since hardly a player shows H.264 in 4:4:4.
const ENCODERS: [Encoder; 3] = [
    Encoder {
        factory: "x264enc",
        // Without B-frames each picture leaves in its turn. No h264parse: it would put its own durations in.
        graph: "video/x-raw,format=I420 ! x264enc speed-preset=veryfast tune=zerolatency bframes=0 key-int-max=60 \
                pass=quant quantizer=20 ! video/x-h264,stream-format=avc ! mp4mux",
        name: "H.264 (x264)",
    },
    Encoder {
        factory: "openh264enc",
        graph: "video/x-raw,format=I420 ! openh264enc bitrate=6000000 gop-size=60 ! h264parse ! mp4mux",
        name: "H.264 (OpenH264)",
    },
    // MJPEG is not among the codecs of mp4; QuickTime, from which mp4 comes, has it.
    Encoder { factory: "jpegenc", graph: "video/x-raw,format=I420 ! jpegenc quality=90 ! qtmux", name: "MJPEG" },
];
/// What the encoders are told; the times of the pictures are what counts.
const NOMINAL_HZ: i32 = 25;
/// Pictures that wait for the encoder before a writer waits too.
const QUEUE: u64 = 8;
/// How long the encoder may be busy with what waits before we say that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can go wrong with the annotated video.
#[derive(Debug, thiserror::Error)]
pub enum AnnotatedError {
    /// GStreamer or one of its plugins is missing.
    #[error("cannot write `{path}`: {found}; {advice}")]
    Setup {
        /// The video.
        path: PathBuf,
        /// What is missing or wrong.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// A picture of another size than the video.
    #[error(
        "cannot write `{path}`: expected pictures of {expected}, got {bytes} bytes as {found}; compose at one size"
    )]
    Size {
        /// The video.
        path: PathBuf,
        /// Size given at the start.
        expected: Size,
        /// Size given now.
        found: Size,
        /// Bytes given now.
        bytes: usize,
    },
    /// Times must grow.
    #[error(
        "cannot write `{path}`: expected a picture later than {last:?}, got one of {found:?}; give each its own time"
    )]
    Order {
        /// The video.
        path: PathBuf,
        /// Time of the last picture.
        last: Duration,
        /// Time of this one.
        found: Duration,
    },
    /// The encoder or the disk refused, for example because the disk is full.
    #[error("cannot write `{path}`: after {frames} pictures {found}; free some space or write elsewhere")]
    Write {
        /// The video.
        path: PathBuf,
        /// Pictures handed over before.
        frames: u64,
        /// What GStreamer says.
        found: String,
    },
}

/// Encodes pictures into an mp4 while they come, each at its own time.
///
/// A video that is dropped without [`AnnotatedVideo::finish`] has no index and does not play.
pub struct AnnotatedVideo {
    path: PathBuf,
    size: Size,
    pipeline: gst::Pipeline,
    source: AppSrc,
    bus: gst::Bus,
    encoder: &'static str,
    last: Option<Duration>,
    frames: u64,
}

impl AnnotatedVideo {
    /// Creates `path` for pictures of `size`; an odd size is padded by its last row or column, since H.264 has none.
    ///
    /// # Errors
    /// When no encoder is installed or `path` cannot be written.
    pub fn create(path: &Path, size: Size) -> Result<Self, AnnotatedError> {
        let setup = |found: String, advice| AnnotatedError::Setup { path: path.to_owned(), found, advice };
        let base = "install `gstreamer1.0-plugins-base`";
        gst::init().map_err(|e| setup(format!("gstreamer does not start: {e}"), base))?;
        let found = ENCODERS.iter().find(|e| gst::ElementFactory::find(e.factory).is_some());
        let advice = "install `gstreamer1.0-plugins-ugly`";
        Self::with_encoder(path, size, found.ok_or_else(|| setup("gstreamer has no encoder".into(), advice))?)
    }

    fn with_encoder(path: &Path, size: Size, encoder: &Encoder) -> Result<Self, AnnotatedError> {
        let setup = |found: String, advice| AnnotatedError::Setup { path: path.to_owned(), found, advice };
        let base = "install `gstreamer1.0-plugins-base` and `gstreamer1.0-plugins-good`";
        if size.area() == 0 || size.width > 16_384 || size.height > 16_384 {
            return Err(setup(format!("a size of {size}"), "give 1 to 16384 pixels a side"));
        }
        let graph = format!("appsrc name=pictures ! videoconvert ! {} ! filesink name=file", encoder.graph);
        let pipeline =
            gst::parse::launch(&graph).map_err(|e| setup(format!("gstreamer says `{}`", e.message()), base))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
        let source = pipeline.by_name("pictures").and_downcast::<AppSrc>().expect("the graph names an appsrc");
        pipeline.by_name("file").expect("the graph names a filesink").set_property("location", path);
        let even = even(size);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", even.width as i32)
            .field("height", even.height as i32)
            .field("framerate", gst::Fraction::new(NOMINAL_HZ, 1))
            .build();
        source.set_caps(Some(&caps));
        source.set_format(gst::Format::Time);
        source.set_max_bytes(0);
        let bus = pipeline.bus().expect("every pipeline has a bus");
        let video =
            Self { path: path.to_owned(), size, pipeline, source, bus, encoder: encoder.name, last: None, frames: 0 };
        if video.pipeline.set_state(gst::State::Playing).is_err() {
            let found = video.bus_error().unwrap_or_else(|| "gstreamer does not start".into());
            return Err(setup(found, "check that the folder exists and can be written"));
        }
        Ok(video)
    }

    /// Which encoder is used, for people.
    pub fn encoder(&self) -> &'static str {
        self.encoder
    }

    /// Number of pictures written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Appends a picture of red, green and blue bytes, shown at `time` since the start; waits while the encoder is behind.
    ///
    /// # Errors
    /// When the size is not that of the video, the time does not grow, or the encoder or the disk has failed.
    pub fn write(&mut self, rgb: &[u8], size: Size, time: Duration) -> Result<(), AnnotatedError> {
        if size != self.size || rgb.len() != size.area() * 3 {
            let (path, expected) = (self.path.clone(), self.size);
            return Err(AnnotatedError::Size { path, expected, found: size, bytes: rgb.len() });
        }
        if let Some(last) = self.last.filter(|&last| time <= last) {
            return Err(AnnotatedError::Order { path: self.path.clone(), last, found: time });
        }
        self.wait_for_room()?;
        let mut buffer = gst::Buffer::from_mut_slice(padded(rgb, size));
        let times = buffer.get_mut().expect("nobody else has it yet");
        times.set_pts(gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)));
        // How long it is shown is known when the next one comes, and for the last one never; without a guess, the last one
        // has no duration and players leave it out.
        let gap = self.last.map_or(Duration::from_secs(1) / NOMINAL_HZ as u32, |last| time - last);
        times.set_duration(gst::ClockTime::from_nseconds(gap.min(Duration::from_secs(1)).as_nanos() as u64));
        self.source.push_buffer(buffer).map_err(|e| {
            let found = self.bus_error().unwrap_or_else(|| format!("the encoder answers `{e}`"));
            self.write_error(found)
        })?;
        self.last = Some(time);
        self.frames += 1;
        Ok(())
    }

    /// Writes the index and closes the file.
    ///
    /// # Errors
    /// When the encoder or the disk has failed, or no picture was written.
    pub fn finish(self) -> Result<(), AnnotatedError> {
        if self.frames == 0 {
            return Err(self.write_error("there is nothing to show".into()));
        }
        if self.source.end_of_stream().is_err() {
            return Err(self.write_error(self.bus_error().unwrap_or_else(|| "the encoder has stopped".into())));
        }
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match self.bus.timed_pop_filtered(gst::ClockTime::from_seconds(PATIENCE.as_secs()), &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(e) => Err(self.write_error(said(e))),
                _ => Ok(()),
            },
            None => Err(self.write_error(format!("the encoder did not end within {} s", PATIENCE.as_secs()))),
        }
    }

    /// An appsrc that blocks would block for ever once the encoder has failed, so the queue is watched from here.
    fn wait_for_room(&self) -> Result<(), AnnotatedError> {
        let since = Instant::now();
        loop {
            if let Some(found) = self.bus_error() {
                return Err(self.write_error(found));
            }
            if self.source.current_level_bytes() < QUEUE * 3 * even(self.size).area() as u64 {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(self.write_error(format!("the encoder stood still for {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The first error on the bus; every other message is read and forgotten, so that the bus does not grow.
    fn bus_error(&self) -> Option<String> {
        while let Some(message) = self.bus.pop() {
            if let gst::MessageView::Error(e) = message.view() {
                return Some(said(e));
            }
        }
        None
    }

    fn write_error(&self, found: String) -> AnnotatedError {
        AnnotatedError::Write { path: self.path.clone(), frames: self.frames, found }
    }
}

impl Drop for AnnotatedVideo {
    fn drop(&mut self) {
        // It goes away whatever it answers.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn said(error: &gst::message::Error) -> String {
    let debug = error.debug().unwrap_or_default();
    let reason = debug.lines().last().unwrap_or_default().trim();
    format!("gstreamer says `{}` ({reason})", error.error().message().trim_end_matches('.'))
}

fn even(size: Size) -> Size {
    Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2))
}

/// The picture at an even size, with rows as GStreamer wants them: padded to a multiple of four bytes.
fn padded(rgb: &[u8], size: Size) -> Vec<u8> {
    let to = even(size);
    let stride = (to.width as usize * 3).next_multiple_of(4);
    let row = size.width as usize * 3;
    let mut out = vec![0; stride * to.height as usize];
    for (y, line) in out.chunks_exact_mut(stride).enumerate() {
        let y = y.min(size.height as usize - 1);
        line[..row].copy_from_slice(&rgb[y * row..][..row]);
        if to.width > size.width {
            line.copy_within(row - 3..row, row);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoder_keeps_times_and_loses_nothing() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let times = [0, 33, 47, 300, 1300, 1333].map(Duration::from_millis);
        for encoder in &ENCODERS {
            if gst::ElementFactory::find(encoder.factory).is_none() {
                println!("skipped: `{}` is not installed", encoder.factory);
                continue;
            }
            let path = dir.path().join(encoder.factory);
            let size = Size::new(161, 121);
            let mut video = AnnotatedVideo::with_encoder(&path, size, encoder).unwrap();
            for (i, &time) in times.iter().enumerate() {
                video.write(&vec![40 * i as u8; size.area() * 3], size, time).unwrap();
            }
            video.finish().unwrap();
            let graph = "filesrc name=file ! qtdemux ! appsink name=out sync=false";
            let reader = gst::parse::launch(graph).unwrap().downcast::<gst::Pipeline>().unwrap();
            reader.by_name("file").unwrap().set_property("location", &path);
            let out = reader.by_name("out").and_downcast::<gstreamer_app::AppSink>().unwrap();
            reader.set_state(gst::State::Playing).unwrap();
            let found: Vec<_> = std::iter::from_fn(|| out.pull_sample().ok())
                .map(|s| Duration::from(s.buffer().unwrap().pts().unwrap()))
                .collect();
            reader.set_state(gst::State::Null).unwrap();
            assert_eq!(found.len(), times.len(), "{}: {found:?}", encoder.factory);
            let off = found.iter().zip(&times).map(|(f, t)| (*f - found[0]).abs_diff(*t)).max().unwrap();
            assert!(off < Duration::from_millis(1), "{}: {found:?}", encoder.factory);
        }
    }
}
