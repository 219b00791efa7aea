//! Runs the stages on their threads until something ends it, and reports what became of every frame.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::capture::Capture;
use super::keep::{ANSWERS, Keeper, QUEUE, finish};
use super::mailbox::Mailbox;
use super::ports::{BoxError, OpenRecording, Progress, Recording, Screen, Segment};
use super::present::{Pairs, View, Viewer};
use super::recent::Recent;
use super::report::{About, Alarms, Report, Scores};
use super::segment::{Inlet, Outlet, SegmenterThread, ToDisplay};
use super::shared::Shared;
use super::speed::Speed;
use super::threads::Threads;
use super::watchdog::{Alarm, Watchdog};
use crate::latency::Clock;
use crate::record::{RecordError, Scoring};
use crate::source::{Source, SourceError};

/// Frames that wait for the segmenter, and pairs that wait for the screen, when every frame counts: one keeps both
/// sides busy, more would only make frames older.
const EVERY: usize = 1;
/// Frames that a window keeps to step back to.
const RECENT: usize = 64;
/// How often the progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// How fast a recording is played.
    pub speed: Speed,
    /// Whether a recording begins again at its end.
    pub repeat: bool,
    /// Whether a window shows matched pairs only, and not the newest picture with an older mask.
    pub sync: bool,
    /// Ends the run after so many frames.
    pub frames: Option<u64>,
    /// So many first values of every stage are in no percentile.
    pub warm_up: u64,
    /// How long is too long.
    pub watchdog: Watchdog,
    /// Whether to record from the first frame on.
    pub record: bool,
    /// Treats a source that is no device as one: it is still paced, but it does not wait for the recorder, and a freeze
    /// does not hold it up.
    pub live: bool,
    /// Whether a device times the stages of a frame one by one, after the last.
    pub time_stages: bool,
    /// The clock of all stamps.
    pub clock: Clock,
    /// Ends the run once it is set, for example by Ctrl-C.
    pub stop: Arc<AtomicBool>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            speed: Speed::default(),
            repeat: false,
            sync: false,
            frames: None,
            warm_up: 10,
            watchdog: Watchdog::default(),
            record: false,
            live: false,
            time_stages: false,
            clock: Clock::monotonic(),
            stop: Arc::default(),
        }
    }
}

/// What a run is made of.
pub struct Run<'a> {
    /// Where frames come from.
    pub source: Box<dyn Source>,
    /// What looks at them.
    pub segmenter: Box<dyn Segment>,
    /// A window, or a composited picture; nothing is drawn where there is none.
    pub screen: Option<&'a mut dyn Screen>,
    /// The recording that [`RunOptions::record`] or the first [`super::Control::Record`] begins.
    pub recording: Option<Recording>,
    /// Makes the further ones.
    pub open_recording: Option<OpenRecording>,
    /// Is told how far it has come, ten times a second.
    pub progress: Option<&'a mut dyn FnMut(&Progress)>,
    /// What the report says of model and device.
    pub about: About,
    /// How to run.
    pub options: RunOptions,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The source has no more frames.
    EndOfSource,
    /// As many frames as were asked for.
    Limit,
    /// The stop flag was set.
    Stopped,
    /// The user closed the window.
    WindowClosed,
    /// A thread has failed.
    Failed,
}

impl Ended {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndOfSource => "end of recording",
            Self::Limit => "as many frames as asked for",
            Self::Stopped => "stopped by the user",
            Self::WindowClosed => "window closed",
            Self::Failed => "an error",
        }
    }
}

/// What can end a run before its time. The first one is reported; the other threads finish what they have.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source has failed.
    #[error("{cause}")]
    Source {
        /// Its own words.
        cause: SourceError,
    },
    /// The segmenter has failed.
    #[error("cannot segment frame {frame}: {cause}")]
    Segmenter {
        /// Id of the frame.
        frame: u64,
        /// Its own words.
        cause: BoxError,
    },
    /// The screen has failed.
    #[error("cannot show the picture: {cause}")]
    Screen {
        /// Its own words.
        cause: BoxError,
    },
    /// The recorder has failed.
    #[error("{cause}")]
    Record {
        /// Its own words.
        cause: RecordError,
    },
    /// The annotated video has failed.
    #[error("cannot write the annotated video: {cause}; frames and masks that were recorded stay readable")]
    Annotate {
        /// Its own words.
        cause: BoxError,
    },
    /// A thread has panicked: a fault of the program.
    #[error("the {thread} thread has panicked: {message}; this is a fault of sonoplex, please report it")]
    Panicked {
        /// Which.
        thread: &'static str,
        /// What it said.
        message: String,
    },
    /// A thread does not answer.
    #[error("the {thread} did not answer within {seconds} s of the stop and was left behind")]
    Stuck {
        /// Which.
        thread: &'static str,
        /// How long it was given.
        seconds: u64,
    },
    /// The system gives no thread.
    #[error("cannot start the {thread} thread: {cause}")]
    Thread {
        /// Which.
        thread: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// What a run has come to; there is a report also when it has failed.
#[derive(Debug)]
pub struct Outcome {
    /// What became of the frames.
    pub report: Report,
    /// Why it ended.
    pub ended: Ended,
    /// The first error.
    pub error: Option<RunError>,
}

/// Runs until the source ends, the stop flag is set, the window is closed or a thread fails; then every thread finishes
/// what it has, and the recording is completed.
pub fn run(run: Run<'_>) -> Outcome {
    let Run { source, segmenter, screen, recording, open_recording, mut progress, about, options } = run;
    let started = options.clock.now();
    let info = source.info().clone();
    let classes = segmenter.classes().to_vec();
    let shared = Arc::new(Shared::new(options.clock, options.stop, options.warm_up, options.record));
    let scores = Arc::new(Mutex::new(Scores::new(Scoring::new(&classes, &info.truth))));
    let live = info.live || options.live;
    let window = screen.as_ref().is_some_and(|s| s.is_window());
    let every = options.speed == Speed::Max && !window && !live;

    let (inlet, outlet) = if every {
        let (sender, receiver) = bounded(EVERY);
        (Inlet::Every(sender), Outlet::Every(receiver))
    } else {
        let mailbox = Arc::new(Mailbox::new());
        (Inlet::Newest(Arc::clone(&mailbox)), Outlet::Newest(mailbox))
    };
    let raw = (window && !options.sync).then(|| Arc::new(Mailbox::new()));
    let (to_display, pairs) = if screen.is_none() {
        (ToDisplay::Nowhere, None)
    } else if every {
        let (sender, receiver) = bounded(EVERY);
        (ToDisplay::Every(sender), Some(Pairs::Every(receiver)))
    } else {
        let mailbox = Arc::new(Mailbox::new());
        (ToDisplay::Newest { mailbox: Arc::clone(&mailbox), counted: raw.is_none() }, Some(Pairs::Newest(mailbox)))
    };

    if screen.is_none() {
        shared.settle(u64::MAX);
    }
    let mut threads = Threads::new(options.watchdog.grace);
    let (mut to_record, mut answers) = (None, None);
    if recording.is_some() || open_recording.is_some() {
        let (frame_sender, frame_receiver) = bounded(QUEUE);
        let (answer_sender, answer_receiver) = bounded(ANSWERS);
        (to_record, answers) = (Some(frame_sender), Some(answer_sender));
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            live,
            frames: frame_receiver,
            answers: answer_receiver,
            first: recording,
            open: open_recording,
            truth: info.truth.clone(),
            current: None,
            pending: VecDeque::new(),
            pulled: None,
            begun: None,
        };
        threads.recorder = super::threads::spawn("recorder", &shared, move || keeper.run());
    }
    let thread = SegmenterThread {
        segmenter,
        shared: Arc::clone(&shared),
        jobs: outlet,
        to_display,
        to_record: answers,
        scores: Arc::clone(&scores),
        // One each waits, is filled, handed over, scored and shown.
        held: 5 + if window { RECENT } else { 1 },
        time_stages: options.time_stages,
    };
    threads.segmenter = super::threads::spawn("segmenter", &shared, move || thread.run());
    let capture = Capture {
        source,
        shared: Arc::clone(&shared),
        speed: options.speed,
        repeat: options.repeat,
        limit: options.frames,
        device: info.live,
        live,
        to_segmenter: inlet,
        to_display: raw.clone(),
        to_record,
    };
    threads.capture = super::threads::spawn("source", &shared, move || capture.run());

    let mut viewer = screen.zip(pairs).map(|(screen, pairs)| Viewer {
        screen,
        shared: Arc::clone(&shared),
        frames: raw,
        pairs,
        classes,
        truth: info.truth.clone(),
        watchdog: options.watchdog,
        live,
        recent: Recent::new(if window { RECENT } else { 1 }),
        view: View::default(),
    });
    let (mut signal, mut stuck) = (Alarm::default(), Alarm::default());
    let mut told: Option<Instant> = None;
    loop {
        // Asked before the last look at the mailboxes: what a thread gave before it ended is then still shown.
        let (done, given) = (threads.done(&shared), threads.given());
        let now = shared.clock.now();
        signal.judge(shared.source.busy_for(now), options.watchdog.source_silent);
        stuck.judge(shared.segmenter.busy_for(now), options.watchdog.segmenter_stuck);
        let new = match viewer.as_mut().map(|viewer| viewer.turn(signal, stuck)) {
            Some(Ok(new)) => new,
            Some(Err(cause)) => {
                shared.fail(RunError::Screen { cause });
                // Whoever waits for room on the screen learns that there is none.
                viewer = None;
                shared.settle(u64::MAX);
                false
            }
            None => {
                if !done {
                    shared.bell.wait(super::shared::LOOK);
                }
                false
            }
        };
        if given && !new {
            // What has not been on the screen by now never will be: the recorder need not wait for it.
            shared.settle(u64::MAX);
        }
        if let Some(tell) = &mut progress
            && (done || told.is_none_or(|t| t.elapsed() >= PROGRESS))
        {
            told = Some(Instant::now());
            tell(&Progress {
                frames: shared.tally.counts(),
                total: info.frames,
                elapsed: shared.clock.now().saturating_sub(started),
            });
        }
        if done && !new {
            break;
        }
    }
    drop(viewer);
    let (recording, mut notes) = threads.join(&shared);
    let duration_s = shared.clock.now().saturating_sub(started) as f64 / 1e9;
    if let Some(recording) = recording
        && let Err(error) = finish(recording, &shared, &shared.ended_text())
    {
        shared.fail(error);
    }
    notes.splice(0..0, info.notes.iter().cloned());
    let mut report = Report {
        sonoplex: env!("CARGO_PKG_VERSION").to_owned(),
        source: info.name,
        format: info.format,
        model: about.model,
        model_sha256: about.model_sha256,
        plan_sha256: about.plan_sha256,
        device: about.device,
        policy: if every { "every frame" } else { "newest frame" }.to_owned(),
        speed: options.speed.to_string(),
        duration_s,
        warm_up: options.warm_up,
        frames: shared.tally.counts(),
        latency_us: shared.summary(),
        alarms: Alarms { no_signal: signal.times, segmenter_stuck: stuck.times },
        notes,
        ..Report::default()
    };
    report.segmented_per_second = if duration_s > 0.0 { report.frames.segmented as f64 / duration_s } else { 0.0 };
    scores.lock().unwrap_or_else(PoisonError::into_inner).write(&mut report);
    let (ended, error) = shared.outcome();
    report.ended = ended.as_str().to_owned();
    report.error = error.as_ref().map(ToString::to_string);
    Outcome { report, ended, error }
}
