//! What the pipeline asks of a segmenter, of a screen and of a video: small traits, so that stages stay strangers.

use std::fmt;

use crate::frame::Frame;
use crate::latency::{Clock, Counts, Nanos, Percentiles, Stage, Stamps};
use crate::record::Recorder;
use crate::segmentation::{Class, Segmentation};

/// An error of whoever stands behind a port; its message is shown as it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One frame in, one segmentation out.
pub trait Segment: Send {
    /// Fills `out` from `frame` and stamps `Preprocessed`, `Inferred` and `Segmented`; `out` comes with the stamps of
    /// the frame and `Dequeued`.
    ///
    /// # Errors
    /// Whatever makes it pointless to go on: the run stops with it.
    fn segment(&mut self, frame: &Frame, clock: &Clock, out: &mut Segmentation) -> Result<(), BoxError>;

    /// The classes that it finds, class 1 first.
    fn classes(&self) -> &[Class];

    /// Forgets what it knows from earlier frames (hysteresis, crop): the next frame does not follow the last one.
    fn reset(&mut self);

    /// Takes another despeckle filter, as [`Segment::despeckle`] names it.
    ///
    /// # Errors
    /// When there is no such filter.
    fn set_despeckle(&mut self, choice: &str) -> Result<(), BoxError>;

    /// Goes on to the next despeckle filter.
    fn next_despeckle(&mut self);

    /// The despeckle filter in use.
    fn despeckle(&self) -> String;

    /// Microseconds that each stage of a frame takes on a GPU, timed alone; nothing where stages are stamped.
    ///
    /// # Errors
    /// When the device fails.
    fn time_stages(&mut self) -> Result<Vec<(&'static str, f32)>, BoxError> {
        Ok(Vec::new())
    }
}

/// A window, or the composited picture of a headless run.
///
/// The pipeline stamps around [`Screen::compose`] and [`Screen::present`], so neither may do the work of the other.
pub trait Screen {
    /// Draws the picture with overlay and HUD.
    ///
    /// # Errors
    /// Whatever makes it pointless to go on.
    fn compose(&mut self, shown: &Shown<'_>) -> Result<(), BoxError>;

    /// Brings what was composed to the eye (a window), or keeps it (headless: a video, a picture sheet).
    ///
    /// # Errors
    /// Whatever makes it pointless to go on.
    fn present(&mut self) -> Result<(), BoxError>;

    /// Whether it is a window: it shows the newest picture and never makes the source wait. A screen that is none gets
    /// matched pairs only, and with `--speed max` every one of them.
    fn is_window(&self) -> bool;

    /// Whether the window is still there.
    fn is_open(&self) -> bool {
        true
    }

    /// Adds what the user has asked for since the last call. What concerns the drawing alone the screen does itself
    /// and reports as [`Control::Redraw`].
    fn controls(&mut self, _out: &mut Vec<Control>) {}
}

/// What a user asks of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Stop, cleanly.
    Quit,
    /// Freeze the picture, or let it go on. A recording waits; a device goes on unseen.
    Freeze,
    /// So many frames on (negative: back); freezes first.
    Step(i64),
    /// The next despeckle filter.
    NextDespeckle,
    /// Start a recording, or end it.
    Record,
    /// Nothing but draw again.
    Redraw,
}

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The picture; none has come yet while there is no signal.
    pub frame: Option<&'a Frame>,
    /// The newest mask that may be shown over it; always of the same size.
    pub segmentation: Option<&'a Segmentation>,
    /// Whether the mask was computed from this very frame.
    pub matched: bool,
    /// Classes of the masks, class 1 first.
    pub classes: &'a [Class],
    /// Classes of [`Frame::truth`], class 1 first.
    pub truth: &'a [Class],
    /// Numbers and states for the HUD.
    pub status: &'a Status,
}

/// What the HUD says of the run, in plain numbers.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// For how long the source has been silent, when that is longer than it may be.
    pub no_signal: Option<Nanos>,
    /// For how long the segmenter has been at one frame, when that is longer than it may be.
    pub segmenter_stuck: Option<Nanos>,
    /// The picture stands still because the user wants it.
    pub frozen: bool,
    /// How many frames back from the newest one the frozen picture lies.
    pub frames_back: usize,
    /// Time since the picture was captured.
    pub picture_age: Option<Nanos>,
    /// Time since the frame was captured that the mask belongs to.
    pub mask_age: Option<Nanos>,
    /// Stamps of the mask's frame: the stage bars.
    pub stamps: Stamps,
    /// How long drawing and presenting took the last time.
    pub composite: Nanos,
    /// The same of the window update.
    pub present: Nanos,
    /// Percentiles of every stage, in the order of [`Stage::ALL`], refreshed twice a second.
    pub percentiles: [Percentiles; Stage::ALL.len()],
    /// Frames shown in the last second.
    pub frames_per_second: f64,
    /// Frames dropped so far, all causes together.
    pub dropped: u64,
    /// Frames that the recorder could not keep up with.
    pub dropped_by_recorder: u64,
    /// Whether a recording is being written.
    pub recording: bool,
    /// Changes whenever [`Status::notice`] does.
    pub notice_number: u64,
    /// What the pipeline last had to say: a new filter, a source that cannot go back.
    pub notice: String,
}

/// A video of what was found, for people: gets every recorded frame, in order, with its own mask.
pub trait Annotate: Send {
    /// Adds a frame.
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    fn write(&mut self, frame: &Frame, segmentation: Option<&Segmentation>) -> Result<(), BoxError>;

    /// Completes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> Result<(), BoxError>;
}

/// A recording that has been created and not yet written to.
pub struct Recording {
    /// Raw frames, masks, timings.
    pub recorder: Recorder,
    /// And a video of it.
    pub annotate: Option<Box<dyn Annotate>>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("dir", &self.recorder.dir()).finish_non_exhaustive()
    }
}

/// Creates a recording whenever the user asks for one.
pub type OpenRecording = Box<dyn FnMut() -> Result<Recording, BoxError> + Send>;

/// How far a run has come; for a progress bar.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Counts so far; `dropped` is filled at the end only.
    pub frames: Counts,
    /// Number of frames of the source, where known.
    pub total: Option<u64>,
    /// Time since the start, nanoseconds.
    pub elapsed: Nanos,
}
