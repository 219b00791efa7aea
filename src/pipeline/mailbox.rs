//! A place for one thing: the newest is kept, what it replaces is counted.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One slot between two threads; the queue policy of everything that must not wait.
///
/// It allocates nothing: what lies in it lies in the mailbox itself.
#[derive(Debug)]
pub struct Mailbox<T> {
    slot: Mutex<Slot<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    closed: bool,
    dropped: u64,
}

/// What [`Mailbox::take_timeout`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The newest.
    Value(T),
    /// Nothing came in time.
    Empty,
    /// Nothing is in it, and nothing will come.
    Closed,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Mailbox<T> {
    /// An empty mailbox.
    pub const fn new() -> Self {
        Self { slot: Mutex::new(Slot { value: None, closed: false, dropped: 0 }), ready: Condvar::new() }
    }

    // A thread that panicked cannot have left a slot half-written: every change is one assignment.
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `value` in, never waiting, and gives back what it replaced (which counts as dropped).
    ///
    /// # Errors
    /// Gives `value` back when the mailbox is closed.
    pub fn put(&self, value: T) -> Result<Option<T>, T> {
        let mut slot = self.slot();
        if slot.closed {
            return Err(value);
        }
        let replaced = slot.value.replace(value);
        slot.dropped += u64::from(replaced.is_some());
        drop(slot);
        self.ready.notify_one();
        Ok(replaced)
    }

    /// Waits for a value; `None` once it is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut slot = self.slot();
        loop {
            if let Some(value) = slot.value.take() {
                return Some(value);
            }
            if slot.closed {
                return None;
            }
            slot = self.ready.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for a value for at most `timeout`.
    pub fn take_timeout(&self, timeout: Duration) -> Taken<T> {
        let until = Instant::now() + timeout;
        let mut slot = self.slot();
        loop {
            if let Some(value) = slot.value.take() {
                return Taken::Value(value);
            }
            if slot.closed {
                return Taken::Closed;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Empty;
            }
            slot = self.ready.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is in it now, without waiting.
    pub fn try_take(&self) -> Option<T> {
        self.slot().value.take()
    }

    /// Nothing can be put in any more; what is in it can still be taken.
    pub fn close(&self) {
        self.slot().closed = true;
        self.ready.notify_all();
    }

    /// How many values were replaced before anybody took them.
    pub fn dropped(&self) -> u64 {
        self.slot().dropped
    }
}

/// Wakes a thread that serves several mailboxes.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    ready: Condvar,
}

impl Bell {
    /// Wakes the listener, or spares it its next wait.
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ready.notify_all();
    }

    /// Waits until the bell is rung, at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ready.wait_timeout_while(rung, timeout, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_newest_is_kept_and_the_rest_is_counted() {
        let m = Mailbox::new();
        assert_eq!(m.put(1), Ok(None));
        assert_eq!(m.put(2), Ok(Some(1)));
        assert_eq!(m.put(3), Ok(Some(2)));
        assert_eq!(m.take(), Some(3));
        assert_eq!(m.dropped(), 2);
        assert_eq!(m.take_timeout(Duration::ZERO), Taken::Empty);
        assert_eq!(m.try_take(), None);
    }

    #[test]
    fn a_closed_mailbox_gives_its_last_value_and_takes_no_other() {
        let m = Mailbox::new();
        m.put(1).unwrap();
        m.close();
        assert_eq!(m.put(2), Err(2));
        assert_eq!(m.take(), Some(1));
        assert_eq!(m.take(), None);
        assert_eq!(m.take_timeout(Duration::from_secs(60)), Taken::Closed);
    }

    #[test]
    fn closing_wakes_who_waits() {
        let m = Arc::new(Mailbox::<u8>::new());
        let waiting = std::thread::spawn({
            let m = Arc::clone(&m);
            move || m.take()
        });
        m.close();
        assert_eq!(waiting.join().unwrap(), None);
    }

    #[test]
    fn values_cross_threads_in_order() {
        let m = Arc::new(Mailbox::new());
        let taker = std::thread::spawn({
            let m = Arc::clone(&m);
            move || std::iter::from_fn(|| m.take()).collect::<Vec<u32>>()
        });
        for i in 0..1000 {
            m.put(i).unwrap();
        }
        m.close();
        let taken = taker.join().unwrap();
        assert!(taken.is_sorted() && taken.last() == Some(&999));
        assert_eq!(taken.len() as u64 + m.dropped(), 1000);
    }
}
