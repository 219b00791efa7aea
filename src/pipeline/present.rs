//! The display, on the thread of the caller: joins pictures and masks, freezes, steps, measures to the very end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::mailbox::{Mailbox, Taken};
use super::ports::{BoxError, Control, Screen, Shown, Status};
use super::recent::Recent;
use super::run::Ended;
use super::segment::Pair;
use super::shared::{LOOK, Shared, count};
use super::watchdog::{Alarm, Watchdog};
use crate::frame::Frame;
use crate::latency::{Moment, Nanos, Stage, Stamps};
use crate::segmentation::Class;

/// How long a window waits for something new before it looks at its keys.
const TICK: Duration = Duration::from_millis(8);
/// A window is drawn again after this time at the latest: ages grow, and the window system wants an answer.
const REDRAW: Duration = Duration::from_millis(33);

/// Where pairs of frame and answer come from.
pub(super) enum Pairs {
    Newest(Arc<Mailbox<Pair>>),
    Every(Receiver<Pair>),
}

pub(super) struct Viewer<'a> {
    pub(super) screen: &'a mut dyn Screen,
    pub(super) shared: Arc<Shared>,
    /// Raw pictures, where they are shown without waiting for the segmenter.
    pub(super) frames: Option<Arc<Mailbox<Arc<Frame>>>>,
    pub(super) pairs: Pairs,
    pub(super) classes: Vec<Class>,
    pub(super) truth: Vec<Class>,
    pub(super) watchdog: Watchdog,
    pub(super) live: bool,
    pub(super) recent: Recent,
    pub(super) view: View,
}

/// What is being looked at.
#[derive(Default)]
pub(super) struct View {
    /// The newest answer, which may belong to an older picture.
    answer: Option<Pair>,
    frozen: bool,
    /// When the picture last went on: how long a frame was kept from the eye by the user is no latency.
    thawed: Nanos,
    /// How far back from the newest frame the frozen one lies.
    back: usize,
    /// Steps that the source has still to answer.
    awaited: u64,
    newest_shown: Option<u64>,
    status: Status,
    controls: Vec<Control>,
    drawn: Option<Instant>,
    /// Start and frames of the current second of the frame rate.
    second: Option<(Instant, u64)>,
    percentiles: Option<Instant>,
}

impl Viewer<'_> {
    /// Shows what is new; false when there was nothing.
    pub(super) fn turn(&mut self, signal: Alarm, stuck: Alarm) -> Result<bool, BoxError> {
        let window = self.screen.is_window();
        let new = self.gather();
        let asked = self.obey();
        let due = window && self.view.drawn.is_none_or(|t| t.elapsed() >= REDRAW);
        if new || asked || due {
            self.show(signal, stuck, window)?;
        }
        Ok(new)
    }

    fn gather(&mut self) -> bool {
        let pair = match (&self.pairs, &self.frames) {
            (Pairs::Every(pairs), _) => match pairs.recv_timeout(LOOK) {
                Ok(pair) => Some(pair),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    // The other threads are about to end; do not spin until they have.
                    self.shared.bell.wait(TICK);
                    None
                }
            },
            (Pairs::Newest(pairs), Some(_)) => {
                self.shared.bell.wait(TICK);
                pairs.try_take()
            }
            (Pairs::Newest(pairs), None) => match pairs.take_timeout(TICK) {
                Taken::Value(pair) => Some(pair),
                Taken::Empty | Taken::Closed => None,
            },
        };
        // After the pair: its picture was put in before it, so it is here if it was not replaced.
        let frame = self.frames.as_ref().and_then(|frames| frames.try_take());
        if self.view.frozen && self.live {
            for frame in frame.iter().chain(pair.as_ref().map(|(frame, _)| frame)) {
                self.shared.settle(frame.id);
            }
            return false;
        }
        let mut new = false;
        if let Some(frame) = frame {
            self.push(frame);
            new = true;
        }
        if let Some((frame, answer)) = pair {
            if self.frames.is_none() {
                self.push(Arc::clone(&frame));
            }
            self.recent.attach(&answer);
            self.view.answer = Some((frame, answer));
            new = true;
        }
        new
    }

    fn push(&mut self, frame: Arc<Frame>) {
        self.recent.push(frame);
        let view = &mut self.view;
        if view.awaited > 0 {
            view.awaited -= 1;
            view.back = 0;
        } else if view.frozen {
            view.back = (view.back + 1).min(self.recent.len() - 1);
        }
    }

    /// Does what the user asks; true when something has changed.
    fn obey(&mut self) -> bool {
        let mut controls = std::mem::take(&mut self.view.controls);
        controls.clear();
        self.screen.controls(&mut controls);
        let asked = !controls.is_empty();
        for &control in &controls {
            match control {
                Control::Quit => self.shared.end(Ended::WindowClosed),
                Control::Freeze => self.freeze(!self.view.frozen),
                Control::Step(n) => self.step(n),
                Control::NextDespeckle => {
                    self.shared.despeckle.fetch_add(1, Ordering::SeqCst);
                }
                Control::Record => {
                    self.shared.record.fetch_not(Ordering::SeqCst);
                }
                Control::Redraw => {}
            }
        }
        self.view.controls = controls;
        if !self.screen.is_open() {
            self.shared.end(Ended::WindowClosed);
        }
        asked
    }

    fn freeze(&mut self, frozen: bool) {
        self.view.frozen = frozen;
        self.view.awaited = 0;
        if !frozen {
            self.view.back = 0;
            self.view.thawed = self.shared.clock.now();
        }
        if !self.live {
            self.shared.pause.change(|wish| {
                wish.paused = frozen;
                wish.steps = 0;
            });
        }
    }

    fn step(&mut self, n: i64) {
        if !self.view.frozen {
            self.freeze(true);
        }
        let back = self.view.back as i64 - n;
        let oldest = self.recent.len() as i64 - 1;
        if back < 0 {
            self.view.back = 0;
            if !self.live {
                self.view.awaited += back.unsigned_abs();
                self.shared.pause.change(|wish| wish.steps += back.unsigned_abs());
            }
        } else if back <= oldest || self.live {
            self.view.back = back.min(oldest.max(0)) as usize;
        } else if let Some(entry) = self.recent.get(oldest.max(0) as usize) {
            let id = entry.frame.id as i64 - (back - oldest);
            self.view.awaited = 1;
            self.view.back = 0;
            self.recent.clear();
            self.shared.pause.change(|wish| {
                wish.back_to = Some(id);
                wish.steps = 1;
            });
        }
    }

    fn show(&mut self, signal: Alarm, stuck: Alarm, window: bool) -> Result<(), BoxError> {
        let now = self.shared.clock.now();
        self.refresh(signal, stuck);
        let entry = self.recent.get(self.view.back).cloned();
        if entry.is_none() && !window {
            return Ok(());
        }
        let frame = entry.as_ref().map(|e| Arc::clone(&e.frame));
        let own = entry.and_then(|e| e.segmentation);
        let matched = own.is_some();
        let answer = own.or_else(|| self.borrowed(frame.as_deref()?, now));
        let view = &mut self.view;
        let age = |stamps: &Stamps| Some(now.saturating_sub(stamps.get(Moment::Captured)?));
        view.status.picture_age = frame.as_ref().and_then(|f| age(&f.stamps));
        view.status.mask_age = answer.as_ref().and_then(|a| age(&a.stamps));
        view.status.stamps = answer.as_ref().map(|a| a.stamps).unwrap_or_default();

        let shown = Shown {
            frame: frame.as_deref(),
            segmentation: answer.as_deref(),
            matched,
            classes: &self.classes,
            truth: &self.truth,
            status: &view.status,
        };
        let start = self.shared.clock.now();
        self.screen.compose(&shown)?;
        let composited = self.shared.clock.now();
        self.screen.present()?;
        let presented = self.shared.clock.now();
        view.drawn = Some(Instant::now());
        view.status.composite = composited - start;
        view.status.present = presented - composited;
        self.shared.note(Stage::Composite, composited - start);
        if window {
            self.shared.note(Stage::Present, presented - composited);
        }
        if let Some(frame) = &frame {
            let mut stamps = Stamps::default();
            stamps.set(Moment::Composited, composited);
            if window {
                stamps.set(Moment::Presented, presented);
            }
            // The first time stays: a picture is drawn again with its mask, or when the user goes back to it.
            let _ = frame.shown.set(stamps);
            self.shared.settle(frame.id);
        }
        if let Some(frame) = frame
            && view.newest_shown.is_none_or(|id| frame.id > id)
        {
            view.newest_shown = Some(frame.id);
            count(&self.shared.tally.shown);
            let end = if window { presented } else { composited };
            let captured = frame.stamps.get(Moment::Captured).expect("stamped by the capture");
            if !view.frozen && captured >= view.thawed {
                self.shared.note(Stage::CaptureToPresent, end.saturating_sub(captured));
            }
        }
        Ok(())
    }

    /// The newest answer for a picture that has none of its own: an older one of the same size, and not too old.
    fn borrowed(&self, frame: &Frame, now: Nanos) -> Option<Arc<crate::segmentation::Segmentation>> {
        let (_, answer) = self.view.answer.as_ref().filter(|_| !self.view.frozen)?;
        let age = now.saturating_sub(answer.stamps.get(Moment::Captured)?);
        let fresh = u128::from(age) <= self.watchdog.segmenter_stuck.as_nanos();
        (answer.frame_id < frame.id && answer.size == frame.size && fresh).then(|| Arc::clone(answer))
    }

    fn refresh(&mut self, signal: Alarm, stuck: Alarm) {
        let view = &mut self.view;
        let status = &mut view.status;
        status.no_signal = signal.lasting;
        status.segmenter_stuck = stuck.lasting;
        status.frozen = view.frozen;
        status.frames_back = view.back;
        status.recording = self.shared.record.load(Ordering::SeqCst);
        let dropped = self.shared.tally.dropped();
        status.dropped = dropped.iter().map(|(_, n)| n).sum();
        status.dropped_by_recorder = self.shared.tally.dropped_record.load(Ordering::SeqCst);
        self.shared.hear(&mut status.notice_number, &mut status.notice);
        if view.percentiles.is_none_or(|t| t.elapsed() >= Duration::from_millis(500)) {
            view.percentiles = Some(Instant::now());
            let latency = self.shared.latency();
            status.percentiles = Stage::ALL.map(|stage| latency.percentiles(stage));
        }
        let shown = self.shared.tally.shown.load(Ordering::SeqCst);
        let (since, before) = *view.second.get_or_insert((Instant::now(), shown));
        let elapsed = since.elapsed();
        if elapsed >= Duration::from_secs(1) {
            status.frames_per_second = (shown - before) as f64 / elapsed.as_secs_f64();
            view.second = Some((Instant::now(), shown));
        }
    }
}
