//! Notices a source that has fallen silent and a segmenter that does not come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::latency::Nanos;

/// What one thread is at: idle, or busy with one thing since some moment.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// It begins something at `now`.
    pub fn busy(&self, now: Nanos) {
        // Zero is idle, so time zero is stored as one.
        self.0.store(now.saturating_add(1), Ordering::SeqCst);
    }

    /// It is done.
    pub fn idle(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// For how long it has been at it.
    pub fn busy_for(&self, now: Nanos) -> Nanos {
        match self.0.load(Ordering::SeqCst) {
            0 => 0,
            since => now.saturating_sub(since - 1),
        }
    }
}

/// How long is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// A source that delivers nothing for longer has no signal.
    pub source_silent: Duration,
    /// A segmenter that needs longer for one frame is stuck; its last mask is no longer shown.
    pub segmenter_stuck: Duration,
    /// After a stop, the others no longer wait for a thread that has done nothing for longer, and it is left behind.
    pub grace: Duration,
}

impl Default for Watchdog {
    /// 500 ms, 2 s and 5 s.
    fn default() -> Self {
        Self {
            source_silent: Duration::from_millis(500),
            segmenter_stuck: Duration::from_secs(2),
            grace: Duration::from_secs(5),
        }
    }
}

/// Counts how often a state began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// For how long it has lasted, while it lasts.
    pub lasting: Option<Nanos>,
    /// How often it began.
    pub times: u64,
}

impl Alarm {
    /// Notes that something has taken `busy` so far, where `limit` is allowed.
    pub fn judge(&mut self, busy: Nanos, limit: Duration) {
        let lasting = (u128::from(busy) > limit.as_nanos()).then_some(busy);
        self.times += u64::from(lasting.is_some() && self.lasting.is_none());
        self.lasting = lasting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_counts_once_however_long_it_lasts() {
        let (pulse, limit) = (Pulse::default(), Duration::from_nanos(100));
        let mut alarm = Alarm::default();
        pulse.busy(0);
        for now in [50, 100, 101, 500, 900] {
            alarm.judge(pulse.busy_for(now), limit);
            assert_eq!(alarm.lasting, (now > 100).then_some(now));
        }
        pulse.idle();
        alarm.judge(pulse.busy_for(1000), limit);
        assert_eq!(alarm, Alarm { lasting: None, times: 1 });
        pulse.busy(1000);
        alarm.judge(pulse.busy_for(1200), limit);
        assert_eq!(alarm.times, 2);
    }
}
