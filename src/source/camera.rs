//! Cameras and capture cards through nokhwa.
//!
//! nokhwa waits for a picture without end and some of its ways out are panics, so it lives on a thread of its own: a
//! device that stops answering costs that thread, not the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nokhwa::utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use nokhwa::{Buffer, Camera, NokhwaError};

use super::camera_decode::decode;
use super::devices::{self, DeviceInfo};
use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;
use crate::geometry::Size;

/// How long a device may take to open and send its first picture.
const FIRST: Duration = Duration::from_secs(10);
/// How long a running one may be silent before we say so.
const NEXT: Duration = Duration::from_secs(5);
/// How long we wait for a device to close.
const CLOSING: Duration = Duration::from_secs(1);
/// A capture stamp older than this is not one of this picture.
const OLDEST: Duration = Duration::from_secs(2);
/// Pictures that cannot be decoded in a row before it is an error; a cable that wobbles spoils one or two.
const SPOILT: u32 = 30;

const FORMATS: &[FrameFormat] = &[
    FrameFormat::YUYV,
    FrameFormat::NV12,
    FrameFormat::GRAY,
    FrameFormat::RAWRGB,
    FrameFormat::RAWBGR,
    FrameFormat::MJPEG,
];

/// Opens camera `index` as the system counts (`/dev/videoN`), in its largest format up to 1920 × 1080 at 24 Hz or more.
///
/// [`Frame::time`] and [`Frame::age`] follow the driver's capture stamps where it gives usable ones, else the moment at
/// which the picture was fetched; a note says which.
///
/// # Errors
/// When there is no such camera (those that there are are listed), it is busy, or sends no picture in time.
pub fn open(index: u32) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(LiveCamera::open(index)?))
}

/// What the capture thread sends first.
struct Opened {
    name: String,
    format: CameraFormat,
}

/// One picture as the driver gave it.
struct Raw {
    buffer: Buffer,
    captured: Instant,
    /// Whether the driver said so.
    by_driver: bool,
}

/// The capture thread's side of the mailbox that keeps the newest.
struct Outbox {
    send: Sender<Result<Raw, String>>,
    recall: Receiver<Result<Raw, String>>,
    dropped: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

struct LiveCamera {
    info: SourceInfo,
    raw: Receiver<Result<Raw, String>>,
    pending: Option<Raw>,
    origin: Option<Instant>,
    delivered: u64,
    dropped: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    ended: bool,
}

impl LiveCamera {
    fn open(index: u32) -> Result<Self, SourceError> {
        let name = format!("camera:{index}");
        let device = |found: String, advice: String| SourceError::Device { name: name.clone(), found, advice };
        let (opened_send, opened) = bounded::<Result<Opened, String>>(1);
        let (send, raw) = bounded(1);
        let (dropped, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let outbox = Outbox { send, recall: raw.clone(), dropped: Arc::clone(&dropped), stop: Arc::clone(&stop) };
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                // A panic inside nokhwa closes both channels, which is how it is noticed on the other side.
                let _ = catch_unwind(AssertUnwindSafe(|| capture(index, &opened_send, &outbox)));
            })
            .map_err(|e| device(format!("no thread for it: {e}"), "close other programs".into()))?;
        let opened = match opened.recv_timeout(FIRST) {
            Ok(Ok(opened)) => opened,
            Ok(Err(found)) => return Err(device(found, advice(index))),
            Err(RecvTimeoutError::Timeout) => {
                return Err(device(format!("it did not open within {} s", FIRST.as_secs()), advice(index)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(device("its driver answers what nokhwa cannot read".into(), through_gstreamer(index)));
            }
        };
        let format = opened.format;
        let mut camera = Self {
            info: SourceInfo {
                name: name.clone(),
                format: format!("{}, {}", opened.name, format.format()),
                size: Some(Size::new(format.width(), format.height())),
                rate_hz: Some(f64::from(format.frame_rate())),
                live: true,
                ..SourceInfo::default()
            },
            raw,
            pending: None,
            origin: None,
            delivered: 0,
            dropped,
            stop,
            ended: false,
        };
        camera.pending = camera.receive(FIRST)?;
        let by_driver = camera.pending.as_ref().is_some_and(|raw| raw.by_driver);
        camera.info.notes.push(devices::stamped(by_driver).to_owned());
        Ok(camera)
    }

    fn receive(&mut self, timeout: Duration) -> Result<Option<Raw>, SourceError> {
        let after = self.delivered;
        match self.raw.recv_timeout(timeout) {
            Ok(Ok(raw)) => Ok(Some(raw)),
            Ok(Err(found)) => {
                self.ended = true;
                Err(self.error(format!("after {after} frames {found}"), "check the cable and open it again"))
            }
            Err(RecvTimeoutError::Timeout) => {
                let found = format!("no picture came for {} s after {after} frames", timeout.as_secs());
                Err(self.error(found, "check the cable and that the device sends a picture"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Err(self.error(format!("it went away after {after} frames"), "check the cable and open it again"))
            }
        }
    }

    fn error(&self, found: String, advice: &str) -> SourceError {
        SourceError::Device { name: self.info.name.clone(), found, advice: advice.into() }
    }
}

impl Source for LiveCamera {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let mut spoilt = 0;
        while !self.ended {
            let Some(raw) = self.pending.take().map_or_else(|| self.receive(NEXT), |r| Ok(Some(r)))? else { break };
            match decode(&raw.buffer) {
                Ok((size, format, pixels)) => {
                    let mut frame = Frame::new(self.delivered, size, format, pixels);
                    let origin = *self.origin.get_or_insert(raw.captured);
                    frame.time = raw.captured.saturating_duration_since(origin);
                    frame.age = Some(raw.captured.elapsed());
                    self.delivered += 1;
                    return Ok(Some(frame));
                }
                Err(found) => {
                    spoilt += 1;
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    if spoilt == SPOILT {
                        let found = format!("{SPOILT} pictures in a row cannot be decoded: {found}");
                        return Err(self.error(found, "check the cable, or open it as `v4l2:/dev/videoN`"));
                    }
                }
            }
        }
        Ok(None)
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn seek(&mut self, _index: u64) -> Result<(), SourceError> {
        Err(self.error("a camera cannot be sought".into(), "record it and replay the recording"))
    }
}

impl Drop for LiveCamera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Until the device is closed nobody can open it again; one that hangs keeps its thread and is left alone.
        let deadline = Instant::now() + CLOSING;
        while self.raw.recv_deadline(deadline).is_ok() {}
    }
}

/// Runs on its own thread until the device fails or nobody listens any more.
fn capture(index: u32, opened: &Sender<Result<Opened, String>>, outbox: &Outbox) {
    let mut camera = match open_best(index) {
        Ok(camera) => camera,
        Err(e) => {
            // Whoever opened it may have lost patience and gone.
            let _ = opened.send(Err(sentence(&e)));
            return;
        }
    };
    let _ = opened.send(Ok(Opened { name: camera.info().human_name(), format: camera.camera_format() }));
    while !outbox.stop.load(Ordering::Relaxed) {
        let message = match camera.frame() {
            Ok(buffer) => {
                let (captured, by_driver) = capture_time(&buffer);
                Ok(Raw { buffer, captured, by_driver })
            }
            Err(e) => Err(sentence(&e)),
        };
        if message.is_err() {
            // The last picture goes first; whoever does not take it has gone.
            let _ = outbox.send.send(message);
            return;
        }
        if let Err(full) = outbox.send.try_send(message) {
            if full.is_disconnected() || outbox.recall.try_recv().is_ok() {
                outbox.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // The place that was just made is ours: nobody else sends.
            let _ = outbox.send.try_send(full.into_inner());
        }
    }
}

/// When the picture was taken. nokhwa turns the driver's monotonic stamp into wall clock time; its age turns it back.
/// Without a usable one it is now.
fn capture_time(buffer: &Buffer) -> (Instant, bool) {
    let now = Instant::now();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = buffer.capture_timestamp().and_then(|stamp| wall.checked_sub(stamp));
    let taken = age.filter(|&age| age < OLDEST).and_then(|age| now.checked_sub(age));
    (taken.unwrap_or(now), taken.is_some())
}

fn open_best(index: u32) -> Result<Camera, NokhwaError> {
    let any = RequestedFormat::with_formats(RequestedFormatType::None, FORMATS);
    let mut camera = Camera::new(CameraIndex::Index(index), any)?;
    let formats = camera.compatible_camera_formats().unwrap_or_default();
    if let Some(best) = formats.into_iter().max_by_key(rank)
        && best != camera.camera_format()
    {
        let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(best), FORMATS);
        camera.set_camera_requset(exact)?;
    }
    camera.open_stream()?;
    Ok(camera)
}

/// Fluent before slow, no larger than full HD, then large before small, fast before slow, raw before compressed.
fn rank(f: &CameraFormat) -> (bool, bool, u32, u32, bool) {
    let fits = f.width() <= 1920 && f.height() <= 1080;
    // Of what is too large, the smallest.
    let area = f.width() * f.height();
    let area = if fits { area } else { u32::MAX - area };
    (fits, f.frame_rate() >= 24, area, f.frame_rate().min(60), f.format() != FrameFormat::MJPEG)
}

/// The reason inside a nokhwa error, without its wrapping.
fn sentence(error: &NokhwaError) -> String {
    match error {
        NokhwaError::OpenDeviceError(_, why) if why.contains("os error 2)") => "there is no such device".into(),
        NokhwaError::OpenDeviceError(_, why) if why.contains("os error 13)") => {
            "its permissions forbid it (is the user in the group `video`?)".into()
        }
        NokhwaError::GetPropertyError { property, error } if property.contains("Format") => {
            format!("it offers no format that nokhwa knows ({error})")
        }
        other if other.to_string().contains("os error 16)") => "another program uses it".into(),
        other => format!("nokhwa says `{other}`"),
    }
}

fn advice(index: u32) -> String {
    format!("{}; {}", devices::advice(), through_gstreamer(index))
}

fn through_gstreamer(index: u32) -> String {
    format!("for a device that is there, try `v4l2:/dev/video{index}`")
}

/// Opens a node without starting it: one that offers no capture format is no camera.
pub(super) fn probe(index: u32) -> Option<DeviceInfo> {
    let any = || RequestedFormat::with_formats(RequestedFormatType::None, FORMATS);
    let opened = catch_unwind(|| {
        let camera = Camera::new(CameraIndex::Index(index), any())?;
        Ok::<_, NokhwaError>((camera.info().human_name(), camera.camera_format()))
    });
    let spec = format!("camera:{index}");
    match opened.ok()? {
        Ok((name, format)) => Some(DeviceInfo { spec, name, notes: vec![format.to_string()] }),
        Err(e) if e.to_string().contains("os error 16)") => {
            let name = format!("/dev/video{index}");
            Some(DeviceInfo { spec, name, notes: vec!["another program uses it".into()] })
        }
        Err(_) => None,
    }
}
