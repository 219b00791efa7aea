//! Starts the threads of a run, sees them end, and leaves none behind that would answer.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ports::Recording;
use super::run::RunError;
use super::shared::Shared;

/// The threads of a run.
pub(super) struct Threads {
    pub(super) capture: Option<JoinHandle<()>>,
    pub(super) segmenter: Option<JoinHandle<()>>,
    pub(super) recorder: Option<JoinHandle<Option<Recording>>>,
    grace: Duration,
    /// What had been done when last something was done, and when that was.
    progress: Option<([u64; 4], Instant)>,
    left: bool,
}

impl Threads {
    pub(super) fn new(grace: Duration) -> Self {
        Self { capture: None, segmenter: None, recorder: None, grace, progress: None, left: false }
    }

    /// Whether all have ended, or the rest does not answer.
    pub(super) fn done(&mut self, shared: &Arc<Shared>) -> bool {
        let running =
            u64::from(runs(&self.capture)) + u64::from(runs(&self.segmenter)) + u64::from(runs(&self.recorder));
        if running == 0 || self.left {
            return true;
        }
        // A recording that ends by itself may take as long as it needs for its last frames.
        if !shared.in_a_hurry() {
            return false;
        }
        let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::SeqCst);
        let tally = &shared.tally;
        let done = [running, count(&tally.captured), count(&tally.segmented), count(&tally.recorded)];
        match self.progress {
            Some((before, since)) if before == done => {
                // Whoever is no longer waited for by the others needs no second chance.
                let grace = if shared.abandoned() { self.grace / 5 } else { self.grace };
                if since.elapsed() >= grace {
                    // First the others stop waiting for it; then it is left behind.
                    self.left = shared.abandoned.swap(true, Ordering::SeqCst);
                    self.progress = None;
                }
            }
            _ => self.progress = Some((done, Instant::now())),
        }
        false
    }

    /// Whether nothing new comes any more for the display.
    pub(super) fn given(&self) -> bool {
        !runs(&self.capture) && !runs(&self.segmenter)
    }

    /// What is left to finish and to say, once they are done.
    pub(super) fn join(self, shared: &Shared) -> (Option<Recording>, Vec<String>) {
        let mut notes = Vec::new();
        let seconds = self.grace.as_secs();
        if end(self.capture, "source", shared).is_none() {
            notes.push(format!("the source did not answer within {seconds} s of the stop and was left behind"));
        }
        if end(self.segmenter, "segmenter", shared).is_none() {
            shared.fail(RunError::Stuck { thread: "segmenter", seconds });
        }
        match end(self.recorder, "recorder", shared) {
            Some(recording) => (recording.flatten(), notes),
            None => {
                shared.fail(RunError::Stuck { thread: "recorder", seconds });
                (None, notes)
            }
        }
    }
}

fn runs<T>(thread: &Option<JoinHandle<T>>) -> bool {
    thread.as_ref().is_some_and(|t| !t.is_finished())
}

/// What a thread gave back, nothing if it never ran or panicked; `None` when it still runs.
fn end<T>(thread: Option<JoinHandle<T>>, name: &'static str, shared: &Shared) -> Option<Option<T>> {
    let Some(thread) = thread else { return Some(None) };
    if !thread.is_finished() {
        return None;
    }
    match thread.join() {
        Ok(value) => Some(Some(value)),
        Err(panic) => {
            shared.fail(RunError::Panicked { thread: name, message: words(&*panic) });
            Some(None)
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    // On one line, as every message.
    text.unwrap_or("without a word").lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

/// Starts a thread; when the system gives none, the run ends.
pub(super) fn spawn<T: Send + 'static>(
    name: &'static str,
    shared: &Shared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<JoinHandle<T>> {
    match thread::Builder::new().name(name.to_owned()).spawn(work) {
        Ok(thread) => Some(thread),
        Err(cause) => {
            shared.fail(RunError::Thread { thread: name, cause });
            None
        }
    }
}
