//! What the threads of a run share: counts, the first error, the wish to stop, the freeze.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::mailbox::Bell;
use super::run::{Ended, RunError};
use super::watchdog::Pulse;
use crate::latency::{Clock, Counts, LatencyRecorder, LatencySummary, Stage, Stamps};

/// How long a thread waits at most before it looks whether it should stop.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// One for a run; every thread holds it.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// Set by whoever started the run, for example on Ctrl-C.
    pub(super) stop: Arc<AtomicBool>,
    /// Set by the run itself: the window was closed, a thread has failed.
    halt: AtomicBool,
    /// A thread did not answer after the stop: the others no longer wait for it.
    pub(super) abandoned: AtomicBool,
    outcome: Mutex<(Option<Ended>, Option<RunError>)>,
    latency: Mutex<LatencyRecorder>,
    pub(super) tally: Tally,
    pub(super) source: Pulse,
    pub(super) segmenter: Pulse,
    pub(super) recorder: Pulse,
    /// Frames with a smaller id have been on the screen, or will not come there any more.
    settled: AtomicU64,
    pub(super) bell: Bell,
    pub(super) pause: Pause,
    /// Whether a recording is wanted.
    pub(super) record: AtomicBool,
    /// How often the next despeckle filter was asked for.
    pub(super) despeckle: AtomicU32,
    notice: Mutex<(u64, String)>,
}

/// Counts that several threads add to.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) captured: AtomicU64,
    pub(super) segmented: AtomicU64,
    pub(super) shown: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) dropped_segmenter: AtomicU64,
    pub(super) dropped_display: AtomicU64,
    pub(super) dropped_record: AtomicU64,
    pub(super) dropped_source: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

impl Tally {
    pub(super) fn dropped(&self) -> [(&'static str, u64); 4] {
        [
            ("segmenter_mailbox", &self.dropped_segmenter),
            ("display_mailbox", &self.dropped_display),
            ("record_queue", &self.dropped_record),
            ("source", &self.dropped_source),
        ]
        .map(|(cause, n)| (cause, n.load(Ordering::SeqCst)))
    }

    pub(super) fn counts(&self) -> Counts {
        let get = |n: &AtomicU64| n.load(Ordering::SeqCst);
        Counts {
            captured: get(&self.captured),
            segmented: get(&self.segmented),
            shown: get(&self.shown),
            recorded: get(&self.recorded),
            dropped: self.dropped().into_iter().map(|(cause, n)| (cause.to_owned(), n)).collect(),
        }
    }
}

// A thread that panicked leaves its numbers as they were: they are still worth reporting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(clock: Clock, stop: Arc<AtomicBool>, warm_up: u64, record: bool) -> Self {
        Self {
            clock,
            stop,
            halt: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            outcome: Mutex::default(),
            latency: Mutex::new(LatencyRecorder::new(warm_up)),
            tally: Tally::default(),
            source: Pulse::default(),
            segmenter: Pulse::default(),
            recorder: Pulse::default(),
            settled: AtomicU64::new(0),
            bell: Bell::default(),
            pause: Pause::default(),
            record: AtomicBool::new(record),
            despeckle: AtomicU32::new(0),
            notice: Mutex::default(),
        }
    }

    /// Whether to stop. Whoever sees it stops taking and goes on giving, so that nothing that was captured is lost.
    pub(super) fn halted(&self) -> bool {
        self.halt.load(Ordering::SeqCst) || self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// The display is done with the frames up to `id`.
    pub(super) fn settle(&self, id: u64) {
        self.settled.fetch_max(id.saturating_add(1), Ordering::SeqCst);
    }

    /// Whether the display is done with frame `id`.
    pub(super) fn settled(&self, id: u64) -> bool {
        id < self.settled.load(Ordering::SeqCst)
    }

    /// Ends the run; the first reason stays.
    pub(super) fn end(&self, why: Ended) {
        lock(&self.outcome).0.get_or_insert(why);
        self.halt.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Notes an error that does not end the run; the first one stays, unless a worse one ends it.
    pub(super) fn regret(&self, error: RunError) {
        lock(&self.outcome).1.get_or_insert(error);
    }

    /// Ends the run with an error; the first one stays.
    pub(super) fn fail(&self, error: RunError) {
        let mut outcome = lock(&self.outcome);
        if outcome.0 != Some(Ended::Failed) {
            *outcome = (Some(Ended::Failed), Some(error));
        }
        drop(outcome);
        self.halt.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Whether somebody waits for the end: a stop, a closed window, an error.
    pub(super) fn in_a_hurry(&self) -> bool {
        let natural = matches!(lock(&self.outcome).0, None | Some(Ended::EndOfSource | Ended::Limit));
        !natural || self.stop.load(Ordering::SeqCst)
    }

    /// Why it ended, and the first error.
    pub(super) fn outcome(&self) -> (Ended, Option<RunError>) {
        let (ended, error) = &mut *lock(&self.outcome);
        (ended.unwrap_or(Ended::Stopped), error.take())
    }

    /// Why it ended, in words for a session file.
    pub(super) fn ended_text(&self) -> String {
        let (ended, error) = &*lock(&self.outcome);
        match error {
            Some(error) => error.to_string(),
            None => ended.unwrap_or(Ended::Stopped).as_str().to_owned(),
        }
    }

    pub(super) fn note(&self, stage: Stage, nanos: u64) {
        lock(&self.latency).record(stage, nanos);
    }

    pub(super) fn note_stamps(&self, stamps: &Stamps, stages: &[Stage]) {
        lock(&self.latency).record_stamps(stamps, stages);
    }

    pub(super) fn latency(&self) -> MutexGuard<'_, LatencyRecorder> {
        lock(&self.latency)
    }

    pub(super) fn summary(&self) -> LatencySummary {
        lock(&self.latency).summary()
    }

    /// Something that the user should read on the screen.
    pub(super) fn say(&self, text: String) {
        let mut notice = lock(&self.notice);
        *notice = (notice.0 + 1, text);
    }

    /// Copies the notice if it is not the one with this number.
    pub(super) fn hear(&self, number: &mut u64, text: &mut String) {
        let notice = lock(&self.notice);
        if notice.0 != *number {
            *number = notice.0;
            text.clone_from(&notice.1);
        }
    }
}

/// Holds a recording still, lets single frames through, sends it back.
#[derive(Default)]
pub(super) struct Pause {
    wish: Mutex<Wish>,
    changed: Condvar,
}

/// What the display wants of the capture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    pub(super) paused: bool,
    /// Frames to let through although it is paused.
    pub(super) steps: u64,
    /// Frame to go back to.
    pub(super) back_to: Option<i64>,
}

impl Pause {
    pub(super) fn change(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut lock(&self.wish));
        self.changed.notify_all();
    }

    /// The wish now; a frame to go back to is handed out once.
    pub(super) fn wish(&self) -> Wish {
        let mut wish = lock(&self.wish);
        let now = *wish;
        wish.back_to = None;
        now
    }

    /// Waits until the wish may have changed.
    pub(super) fn wait(&self) {
        let wish = lock(&self.wish);
        if wish.paused && wish.steps == 0 && wish.back_to.is_none() {
            drop(self.changed.wait_timeout(wish, LOOK));
        }
    }

    /// A frame has gone through.
    pub(super) fn stepped(&self) {
        let mut wish = lock(&self.wish);
        wish.steps = wish.steps.saturating_sub(1);
    }
}
