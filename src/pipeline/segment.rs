//! The segmenter thread: takes the newest frame (or every frame), answers, keeps score.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};

use super::keep::Answer;
use super::mailbox::{Mailbox, Taken};
use super::pool::Pool;
use super::ports::Segment;
use super::report::Scores;
use super::run::RunError;
use super::shared::{LOOK, Shared, count};
use crate::frame::Frame;
use crate::latency::{Moment, Stage};
use crate::segmentation::Segmentation;

/// What is measured of every answer.
const STAGES: [Stage; 5] = [Stage::Queue, Stage::Preprocess, Stage::Network, Stage::Postprocess, Stage::Segment];

/// A frame to segment.
pub(super) struct Job {
    pub(super) frame: Arc<Frame>,
    /// When it changes, the frame does not follow the one before it.
    pub(super) epoch: u32,
    /// Whether the recorder waits for the answer.
    pub(super) recorded: bool,
}

/// A frame and what was found in it.
pub(super) type Pair = (Arc<Frame>, Arc<Segmentation>);

/// The queue policy before the segmenter.
pub(super) enum Inlet {
    /// The newest counts, the rest is dropped and counted.
    Newest(Arc<Mailbox<Job>>),
    /// Every frame counts, the source waits.
    Every(Sender<Job>),
}

impl Inlet {
    /// False when the segmenter takes no more.
    pub(super) fn put(&self, job: Job, shared: &Shared) -> bool {
        match self {
            Self::Newest(mailbox) => match mailbox.put(job) {
                Ok(replaced) => {
                    if replaced.is_some() {
                        count(&shared.tally.dropped_segmenter);
                    }
                    true
                }
                Err(_) => false,
            },
            Self::Every(queue) => send(queue, job, shared),
        }
    }
}

impl Drop for Inlet {
    /// However the source ends, also by a panic, the segmenter learns that no more frames come.
    fn drop(&mut self) {
        if let Self::Newest(mailbox) = self {
            mailbox.close();
        }
    }
}

/// The other end of an [`Inlet`].
pub(super) enum Outlet {
    Newest(Arc<Mailbox<Job>>),
    Every(Receiver<Job>),
}

impl Outlet {
    fn take(&self, shared: &Shared) -> Option<Job> {
        loop {
            match self {
                Self::Newest(mailbox) => match mailbox.take_timeout(LOOK) {
                    Taken::Value(job) => return Some(job),
                    Taken::Closed => return None,
                    Taken::Empty => {}
                },
                Self::Every(queue) => match queue.recv_timeout(LOOK) {
                    Ok(job) => return Some(job),
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => {}
                },
            }
            if shared.abandoned() {
                return None;
            }
        }
    }
}

impl Drop for Outlet {
    /// However the segmenter ends, the source learns that nobody takes its frames.
    fn drop(&mut self) {
        if let Self::Newest(mailbox) = self {
            mailbox.close();
        }
    }
}

/// Where answers go to be shown.
pub(super) enum ToDisplay {
    /// Nowhere: there is no screen.
    Nowhere,
    /// The newest counts; `counted` when a replaced pair is a picture that is never shown.
    Newest { mailbox: Arc<Mailbox<Pair>>, counted: bool },
    /// Every one, in order.
    Every(Sender<Pair>),
}

pub(super) struct SegmenterThread {
    pub(super) segmenter: Box<dyn Segment>,
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Outlet,
    pub(super) to_display: ToDisplay,
    pub(super) to_record: Option<Sender<Answer>>,
    pub(super) scores: Arc<Mutex<Scores>>,
    /// How many answers are held at once at most, as far as that is known beforehand.
    pub(super) held: usize,
    /// Whether the stages are timed on the device after the last frame.
    pub(super) time_stages: bool,
}

/// What a recording has to know of the segmenter before the next answer.
#[derive(Default)]
struct Changes {
    reset: bool,
    despeckle: bool,
    gap: bool,
}

impl SegmenterThread {
    pub(super) fn run(mut self) {
        let mut pool = Pool::<Segmentation>::new(self.held);
        let (mut epoch, mut filters) = (0, 0);
        let mut changes = Changes::default();
        while let Some(job) = self.jobs.take(&self.shared) {
            let shared = &self.shared;
            let dequeued = shared.clock.now();
            shared.segmenter.busy(dequeued);
            if job.epoch != epoch {
                epoch = job.epoch;
                self.segmenter.reset();
                // A recording that begins here has to be told of a filter that was chosen before.
                changes = Changes { reset: true, gap: false, despeckle: filters != 0 };
            }
            let asked = shared.despeckle.load(Ordering::SeqCst);
            while filters != asked {
                filters = filters.wrapping_add(1);
                self.segmenter.next_despeckle();
                shared.say(format!("despeckle: {}", self.segmenter.despeckle()));
                changes.despeckle = true;
            }
            let mut answer = pool.take();
            let out = Arc::get_mut(&mut answer).expect("nobody else holds what the pool gives");
            let frame = &job.frame;
            out.stamps = frame.stamps;
            out.stamps.set(Moment::Dequeued, dequeued);
            if let Err(cause) = self.segmenter.segment(frame, &shared.clock, out) {
                return shared.fail(RunError::Segmenter { frame: frame.id, cause });
            }
            out.frame_id = frame.id;
            for moment in [Moment::Captured, Moment::Received] {
                out.stamps.set(moment, frame.stamps.get(moment).expect("stamped by the capture"));
            }
            out.stamps.set(Moment::Dequeued, dequeued);
            shared.segmenter.idle();
            shared.note_stamps(&out.stamps, &STAGES);
            count(&shared.tally.segmented);
            pool.keep(&answer);
            self.show((Arc::clone(frame), Arc::clone(&answer)));
            self.shared.bell.ring();
            self.record(&job, &answer, &mut changes);
            // Last: nobody waits for the score.
            self.scores.lock().unwrap_or_else(PoisonError::into_inner).add(frame, &answer);
        }
        if self.time_stages {
            match self.segmenter.time_stages() {
                Ok(times) => self.scores.lock().unwrap_or_else(PoisonError::into_inner).set_device(times),
                Err(error) => self.shared.say(format!("the stages could not be timed on the device: {error}")),
            }
        }
    }

    fn record(&self, job: &Job, answer: &Arc<Segmentation>, changes: &mut Changes) {
        let Some(to_record) = &self.to_record else { return };
        if !job.recorded {
            changes.gap = true;
            return;
        }
        let changes = std::mem::take(changes);
        let despeckle = if changes.despeckle { self.segmenter.despeckle() } else { String::new() };
        let answer = Answer { segmentation: Arc::clone(answer), reset: changes.reset, gap: changes.gap, despeckle };
        // Never full for long: there are no more answers than frames that the recorder has taken.
        send(to_record, answer, &self.shared);
    }

    fn show(&self, pair: Pair) {
        match &self.to_display {
            ToDisplay::Nowhere => {}
            ToDisplay::Newest { mailbox, counted } => {
                if let Ok(Some(_)) = mailbox.put(pair)
                    && *counted
                {
                    count(&self.shared.tally.dropped_display);
                }
            }
            ToDisplay::Every(queue) => {
                send(queue, pair, &self.shared);
            }
        }
    }
}

/// Waits for room; false when nobody takes it any more.
fn send<T>(queue: &Sender<T>, value: T, shared: &Shared) -> bool {
    let mut value = value;
    loop {
        match queue.send_timeout(value, LOOK) {
            Ok(()) => return true,
            Err(SendTimeoutError::Timeout(back)) if !shared.abandoned() => value = back,
            Err(_) => return false,
        }
    }
}
