//! The capture thread: asks the source, keeps its pace, hands every frame on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, TrySendError};

use super::keep::ToRecord;
use super::mailbox::Mailbox;
use super::run::{Ended, RunError};
use super::segment::{Inlet, Job};
use super::shared::{LOOK, Shared, count};
use super::speed::Speed;
use crate::frame::Frame;
use crate::latency::{Clock, Moment, Nanos, Stage};
use crate::source::{Source, SourceError};

/// A replay that is later than this does not try to catch up: it would flood the mailboxes.
const LATE: Nanos = 250_000_000;

pub(super) struct Capture {
    pub(super) source: Box<dyn Source>,
    pub(super) shared: Arc<Shared>,
    pub(super) speed: Speed,
    pub(super) repeat: bool,
    pub(super) limit: Option<u64>,
    /// It has its own pace, and may tell how old its pictures are.
    pub(super) device: bool,
    /// It does not wait for the recorder.
    pub(super) live: bool,
    pub(super) to_segmenter: Inlet,
    pub(super) to_display: Option<Arc<Mailbox<Arc<Frame>>>>,
    pub(super) to_record: Option<Sender<ToRecord>>,
}

/// Where the capture stands.
struct Course {
    next_id: u64,
    /// Frames that the source could not read and went past.
    unread: u64,
    /// Changes whenever a frame does not follow the one before it.
    epoch: u32,
    recording: bool,
    /// Clock and presentation time that belong together.
    anchor: Option<(Nanos, Duration)>,
    /// Added to presentation times, so that they go on growing when the recording is repeated.
    offset: Duration,
    last: Option<(Duration, Duration)>,
    /// Id and index of the first frame since the last seek.
    piece: (u64, u64),
}

impl Capture {
    pub(super) fn run(mut self) {
        match self.deliver() {
            Ok(ended) => self.shared.end(ended),
            Err(cause) => self.shared.fail(RunError::Source { cause }),
        }
        // What it gives to closes as it is dropped: nothing comes any more, the others finish what they have.
    }

    fn deliver(&mut self) -> Result<Ended, SourceError> {
        let mut at = Course {
            next_id: 0,
            unread: 0,
            epoch: 0,
            recording: false,
            anchor: None,
            offset: Duration::ZERO,
            last: None,
            piece: (0, 0),
        };
        loop {
            if self.limit.is_some_and(|limit| at.next_id >= limit) {
                return Ok(Ended::Limit);
            }
            let stepping = self.obey(&mut at)?;
            if self.shared.halted() {
                return Ok(Ended::Stopped);
            }
            let asked = self.shared.clock.now();
            self.shared.source.busy(asked);
            let next = self.source.next();
            self.shared.source.idle();
            at.unread += u64::from(next.is_err() && self.source.goes_on());
            self.shared.tally.dropped_source.store(self.source.dropped() + at.unread, Ordering::SeqCst);
            match next {
                // One bad picture does not take the others with it; the run ends with its sentence all the same.
                Err(cause) if self.source.goes_on() => {
                    tracing::warn!("{cause}");
                    self.shared.regret(RunError::Source { cause });
                }
                Err(cause) => return Err(cause),
                Ok(Some(frame)) => {
                    let took = self.shared.clock.now().saturating_sub(asked);
                    if !self.pass_on(frame, took, &mut at, stepping) {
                        return Ok(Ended::Stopped);
                    }
                    if stepping {
                        self.shared.pause.stepped();
                    }
                }
                Ok(None) if self.repeat && at.next_id > at.piece.0 => self.begin_again(&mut at)?,
                // A user who steps has reached the last frame, and may want to go back.
                Ok(None) if stepping => self.shared.pause.change(|wish| wish.steps = 0),
                Ok(None) => return Ok(Ended::EndOfSource),
            }
        }
    }

    /// Waits while the picture is frozen; true when a single frame is wanted.
    fn obey(&mut self, at: &mut Course) -> Result<bool, SourceError> {
        loop {
            let wish = self.shared.pause.wish();
            if let Some(id) = wish.back_to {
                self.go_back(id, at)?;
            }
            if !wish.paused || self.shared.halted() {
                return Ok(false);
            }
            at.anchor = None;
            if wish.steps > 0 {
                return Ok(true);
            }
            self.shared.pause.wait();
        }
    }

    fn go_back(&mut self, id: i64, at: &mut Course) -> Result<(), SourceError> {
        let (first_id, first_index) = at.piece;
        let index = (id - first_id as i64 + first_index as i64).max(0) as u64;
        match self.source.seek(index) {
            Ok(()) => {
                at.piece = (at.next_id, index);
                at.epoch += 1;
                at.anchor = None;
                at.last = None;
                at.offset = Duration::ZERO;
            }
            // Not a reason to end a run: the picture stays where it is.
            Err(cause) => {
                self.shared.say(format!("{cause}"));
                self.shared.pause.change(|wish| wish.steps = 0);
            }
        }
        Ok(())
    }

    fn begin_again(&mut self, at: &mut Course) -> Result<(), SourceError> {
        self.source.seek(0)?;
        at.piece = (at.next_id, 0);
        at.epoch += 1;
        // The first frame of the next turn comes one interval after the last of this one.
        if let Some((time, interval)) = at.last {
            at.offset = time + interval;
        }
        Ok(())
    }

    /// Paces, stamps and hands on one frame; false when nobody takes it any more.
    fn pass_on(&mut self, mut frame: Frame, took: Nanos, at: &mut Course, stepping: bool) -> bool {
        frame.id = at.next_id;
        frame.time += at.offset;
        let interval = at.last.map(|(last, _)| frame.time.saturating_sub(last)).filter(|i| !i.is_zero());
        let interval = interval.or(at.last.map(|(_, i)| i)).unwrap_or(Duration::from_millis(40));
        at.last = Some((frame.time, interval));
        if !self.device && !stepping {
            self.pace(frame.time, at);
        }
        // A recording is read ahead of its time: the stamps are those of the moment at which it is due, as a device
        // that needs as long to deliver would set them.
        let now = self.shared.clock.now();
        let age = frame.age.filter(|_| self.device).map_or(took, |age| age.as_nanos() as Nanos);
        frame.stamps.set(Moment::Captured, now.saturating_sub(age));
        frame.stamps.set(Moment::Received, now);
        self.shared.note_stamps(&frame.stamps, &[Stage::Source]);
        at.next_id += 1;
        count(&self.shared.tally.captured);
        let frame = Arc::new(frame);

        let Some(recorded) = self.record(&frame, at) else { return false };
        // The display first: an answer never comes before its picture.
        if let Some(display) = &self.to_display
            && let Ok(Some(_)) = display.put(Arc::clone(&frame))
        {
            count(&self.shared.tally.dropped_display);
        }
        let taken = self.to_segmenter.put(Job { frame, epoch: at.epoch, recorded }, &self.shared);
        self.shared.bell.ring();
        taken
    }

    fn pace(&self, time: Duration, at: &mut Course) {
        let Speed::Times(speed) = self.speed else { return };
        let clock = &self.shared.clock;
        let now = clock.now();
        let due = |(start, first): (Nanos, Duration)| {
            start + (time.saturating_sub(first).as_secs_f64() * 1e9 / speed).round() as Nanos
        };
        match at.anchor.map(due) {
            Some(due) if now <= due.saturating_add(LATE) => match clock {
                Clock::Manual(_) => clock.sleep_until(due),
                // In short sleeps, so that a stop does not wait for a long pause in the recording.
                Clock::Monotonic(_) => {
                    while !self.shared.halted() && clock.now() < due {
                        clock.sleep_until(due.min(clock.now() + LOOK.as_nanos() as Nanos));
                    }
                }
            },
            _ => at.anchor = Some((now, time)),
        }
    }

    /// Gives the frame to the recorder: a replay waits for it, a device drops and counts. `None` when the recorder has
    /// ended, which it does before the source only by a fault.
    fn record(&mut self, frame: &Arc<Frame>, at: &mut Course) -> Option<bool> {
        let Some(to_record) = &self.to_record else { return Some(false) };
        let wanted = self.shared.record.load(Ordering::SeqCst);
        if wanted != at.recording {
            let message = if wanted { ToRecord::Start } else { ToRecord::Finish };
            if !send(to_record, message, self.live, &self.shared)? {
                return Some(false);
            }
            at.recording = wanted;
            // A replay of the recording starts with a fresh segmenter, so this one has to forget as well.
            at.epoch += u32::from(wanted && at.next_id > 1);
        }
        if !wanted {
            return Some(false);
        }
        let sent = send(to_record, ToRecord::Frame(Arc::clone(frame)), self.live, &self.shared);
        if sent != Some(true) {
            count(&self.shared.tally.dropped_record);
        }
        sent
    }
}

/// False when there is no room, `None` when nobody takes it any more.
fn send(to: &Sender<ToRecord>, message: ToRecord, live: bool, shared: &Shared) -> Option<bool> {
    if live {
        return match to.try_send(message) {
            Ok(()) => Some(true),
            Err(TrySendError::Full(_)) => Some(false),
            Err(TrySendError::Disconnected(_)) => None,
        };
    }
    let mut message = message;
    loop {
        match to.send_timeout(message, LOOK) {
            Ok(()) => return Some(true),
            Err(SendTimeoutError::Timeout(back)) if !shared.abandoned() => message = back,
            Err(_) => return None,
        }
    }
}
