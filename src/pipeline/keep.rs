//! The record thread: joins frames and answers by id and writes them in the order of capture.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select};

use super::ports::{OpenRecording, Recording};
use super::run::RunError;
use super::shared::{LOOK, Shared, count};
use crate::frame::Frame;
use crate::record::{Event, EventKind};
use crate::segmentation::{Class, Segmentation};

/// Frames that wait in the queue of the recorder.
pub(super) const QUEUE: usize = 64;
/// Frames that wait for their answer and for the screen; then a replay waits too, and of a device the oldest is written
/// without.
const PENDING: usize = 64;
/// For so long a frame that has its answer waits for the screen, which may be frozen.
const SCREEN: Duration = Duration::from_secs(1);
/// Answers that wait: never more than frames that were taken, so the segmenter does not wait for the disk alone.
pub(super) const ANSWERS: usize = QUEUE + PENDING + 2;

/// What the capture tells the recorder, in the order of capture.
pub(super) enum ToRecord {
    Start,
    Frame(Arc<Frame>),
    Finish,
}

/// What the segmenter tells the recorder: always after the frame itself.
pub(super) struct Answer {
    pub(super) segmentation: Arc<Segmentation>,
    /// It had forgotten the earlier frames.
    pub(super) reset: bool,
    /// It has seen frames since then that the recorder has not.
    pub(super) gap: bool,
    /// Its new despeckle filter, or nothing.
    pub(super) despeckle: String,
}

pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) live: bool,
    pub(super) frames: Receiver<ToRecord>,
    pub(super) answers: Receiver<Answer>,
    /// A recording that was made before the run.
    pub(super) first: Option<Recording>,
    pub(super) open: Option<OpenRecording>,
    pub(super) truth: Vec<Class>,
    pub(super) current: Option<Recording>,
    pub(super) pending: VecDeque<Waiting>,
    /// The last frame that was taken from the queue, and the first of this recording.
    pub(super) pulled: Option<u64>,
    pub(super) begun: Option<u64>,
}

/// A frame that is not written yet. All of it is written at once, so that a crash or a full disk leaves whole rows.
pub(super) struct Waiting {
    frame: Arc<Frame>,
    answer: Option<Arc<Segmentation>>,
    /// Since when it has its answer, or is known to get none.
    known: Option<Instant>,
}

enum Came {
    Frame(Option<ToRecord>),
    Answer(Option<Answer>),
    Nothing,
}

impl Keeper {
    /// Runs until nothing comes any more; gives back the recording that is still open, to be finished with the counts
    /// of the whole run.
    pub(super) fn run(mut self) -> Option<Recording> {
        if let Err(error) = self.work() {
            self.shared.fail(error);
        }
        self.current.take()
    }

    fn work(&mut self) -> Result<(), RunError> {
        let (no_frames, no_answers) = (never(), never());
        let (mut frames_open, mut answers_open) = (true, true);
        while frames_open || answers_open {
            let room = self.live || self.pending.len() < PENDING || !answers_open;
            let frames = if frames_open && room { &self.frames } else { &no_frames };
            let answers = if answers_open { &self.answers } else { &no_answers };
            let came = select! {
                recv(frames) -> message => Came::Frame(message.ok()),
                recv(answers) -> answer => Came::Answer(answer.ok()),
                default(LOOK) => Came::Nothing,
            };
            match came {
                Came::Frame(Some(message)) => self.pull(message)?,
                Came::Frame(None) => frames_open = false,
                Came::Answer(Some(answer)) => self.answered(&answer)?,
                Came::Answer(None) => answers_open = false,
                Came::Nothing if self.shared.abandoned() => break,
                Came::Nothing => {}
            }
            self.write_settled()?;
        }
        self.give_up(None);
        self.write_all(SCREEN)
    }

    fn pull(&mut self, message: ToRecord) -> Result<(), RunError> {
        match message {
            ToRecord::Start => self.start(),
            ToRecord::Frame(frame) => {
                self.pulled = Some(frame.id);
                self.begun.get_or_insert(frame.id);
                self.pending.push_back(Waiting { frame, answer: None, known: None });
                if self.live && self.pending.len() > PENDING {
                    self.write_oldest()?;
                }
                Ok(())
            }
            ToRecord::Finish => {
                self.give_up(None);
                self.write_all(5 * LOOK)?;
                let Some(recording) = self.current.take() else { return Ok(()) };
                self.shared.say(format!("recorded to {}", recording.recorder.dir().display()));
                finish(recording, &self.shared, "stopped by the user")
            }
        }
    }

    fn start(&mut self) -> Result<(), RunError> {
        self.begun = None;
        let opened = match (self.first.take(), &mut self.open) {
            (Some(recording), _) => Ok(recording),
            (None, Some(open)) => open(),
            (None, None) => Err("no folder was given to record to".into()),
        };
        match opened {
            Ok(mut recording) => {
                recording.recorder.set_truth(&self.truth);
                self.current = Some(recording);
            }
            // A recording that cannot be started does not end a run that the user looks at.
            Err(cause) => {
                self.shared.record.store(false, Ordering::SeqCst);
                self.shared.say(cause.to_string());
            }
        }
        Ok(())
    }

    fn answered(&mut self, answer: &Answer) -> Result<(), RunError> {
        let id = answer.segmentation.frame_id;
        // Its frame was sent before it was segmented, so it is here or in the queue.
        while self.pulled.is_none_or(|pulled| pulled < id) {
            match self.frames.recv() {
                Ok(message) => self.pull(message)?,
                Err(_) => break,
            }
        }
        self.give_up(Some(id));
        if self.begun.is_none_or(|begun| id < begun) || self.current.is_none() {
            return Ok(());
        }
        let waiting = self.pending.iter().position(|w| w.frame.id == id);
        if answer.reset {
            self.event(id, EventKind::Reset, "")?;
        }
        if !answer.despeckle.is_empty() {
            self.event(id, EventKind::Despeckle, &answer.despeckle)?;
        }
        if answer.gap || waiting.is_none() {
            self.event(id, EventKind::Gap, "")?;
        }
        if let Some(waiting) = waiting.and_then(|i| self.pending.get_mut(i)) {
            waiting.answer = Some(Arc::clone(&answer.segmentation));
            waiting.known = Some(Instant::now());
        }
        Ok(())
    }

    /// What waits before frame `id` (or all of it) gets no answer any more: it was not segmented.
    fn give_up(&mut self, id: Option<u64>) {
        for waiting in self.pending.iter_mut().take_while(|w| id.is_none_or(|id| w.frame.id < id)) {
            waiting.known.get_or_insert_with(Instant::now);
        }
    }

    /// Writes, in order, what has its answer and has been on the screen, or has waited long enough for that.
    fn write_settled(&mut self) -> Result<(), RunError> {
        while let Some(Waiting { frame, known: Some(since), .. }) = self.pending.front()
            && (self.shared.settled(frame.id) || self.pending.len() >= PENDING || since.elapsed() >= SCREEN)
        {
            self.write_oldest()?;
        }
        Ok(())
    }

    /// Writes all that waits, at the latest after `patience` with the screen.
    fn write_all(&mut self, patience: Duration) -> Result<(), RunError> {
        let since = Instant::now();
        while let Some(newest) = self.pending.back() {
            let rest = self.shared.settled(newest.frame.id) || self.shared.abandoned() || since.elapsed() >= patience;
            if rest { self.write_oldest()? } else { std::thread::sleep(LOOK / 10) }
        }
        Ok(())
    }

    fn event(&mut self, before: u64, event: EventKind, value: &str) -> Result<(), RunError> {
        let Some(recording) = &mut self.current else { return Ok(()) };
        let event = Event { before, event, value: value.to_owned() };
        recording.recorder.event(&event).map_err(|cause| RunError::Record { cause })
    }

    fn write_oldest(&mut self) -> Result<(), RunError> {
        let Some(Waiting { frame, answer, .. }) = self.pending.pop_front() else { return Ok(()) };
        let Some(recording) = &mut self.current else { return Ok(()) };
        let (frame, segmentation) = (&*frame, answer.as_deref());
        self.shared.recorder.busy(self.shared.clock.now());
        recording.recorder.write(frame, segmentation).map_err(|cause| RunError::Record { cause })?;
        count(&self.shared.tally.recorded);
        if let Some(annotate) = &mut recording.annotate {
            annotate.write(frame, segmentation).map_err(|cause| RunError::Annotate { cause })?;
        }
        self.shared.recorder.idle();
        Ok(())
    }
}

/// Completes a recording with the counts so far.
pub(super) fn finish(recording: Recording, shared: &Shared, ended: &str) -> Result<(), RunError> {
    let Recording { recorder, annotate } = recording;
    // The session first: it is the proof, the video is for people.
    let finished = recorder.finish(shared.tally.counts(), shared.summary(), ended);
    let annotated = annotate.map_or(Ok(()), |mut annotate| annotate.finish());
    finished.map_err(|cause| RunError::Record { cause })?;
    annotated.map_err(|cause| RunError::Annotate { cause })
}
