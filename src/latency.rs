//! Time: one clock for a run, a stamp for every stage, percentiles over all frames.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nanoseconds since the start of the run, on its [`Clock`].
pub type Nanos = u64;

/// The clock of a run: monotonic, or moved by hand in tests.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Time since the start of the run.
    Monotonic(Instant),
    /// Time that stands still until somebody sleeps on it or moves it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that starts now.
    pub fn monotonic() -> Self {
        Self::Monotonic(Instant::now())
    }

    /// A clock that starts at zero and moves only through [`Clock::sleep_until`] and [`Clock::advance`].
    pub fn manual() -> Self {
        Self::Manual(Arc::default())
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> Nanos {
        match self {
            Self::Monotonic(start) => start.elapsed().as_nanos() as Nanos,
            Self::Manual(t) => t.load(Ordering::SeqCst),
        }
    }

    /// Waits until `time`; a manual clock jumps there.
    pub fn sleep_until(&self, time: Nanos) {
        match self {
            Self::Monotonic(_) => {
                let left = time.saturating_sub(self.now());
                if left > 0 {
                    std::thread::sleep(Duration::from_nanos(left));
                }
            }
            Self::Manual(t) => {
                t.fetch_max(time, Ordering::SeqCst);
            }
        }
    }

    /// Moves a manual clock; does nothing to a monotonic one.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(t) = self {
            t.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        }
    }
}

/// A moment in the life of a frame, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Moment {
    /// The source began to deliver it (a device: its own capture stamp, where it has one).
    Captured,
    /// The source handed it over.
    Received,
    /// The segmenter took it from its mailbox.
    Dequeued,
    /// Cropped, despeckled, resized, normalised.
    Preprocessed,
    /// The network has answered.
    Inferred,
    /// Probability back at source size, mask, decision.
    Segmented,
    /// Composited with overlay and HUD.
    Composited,
    /// The window update has returned.
    Presented,
}

impl Moment {
    /// All of them, in order.
    pub const ALL: [Moment; 8] = [
        Self::Captured,
        Self::Received,
        Self::Dequeued,
        Self::Preprocessed,
        Self::Inferred,
        Self::Segmented,
        Self::Composited,
        Self::Presented,
    ];

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        ["captured", "received", "dequeued", "preprocessed", "inferred", "segmented", "composited", "presented"]
            [self as usize]
    }
}

/// The moments of one frame that have come; copied along with what is derived from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamps([Option<Nanos>; Moment::ALL.len()]);

impl Stamps {
    /// Notes that `moment` came at `time`.
    pub fn set(&mut self, moment: Moment, time: Nanos) {
        self.0[moment as usize] = Some(time);
    }

    /// When `moment` came, if it has.
    pub fn get(&self, moment: Moment) -> Option<Nanos> {
        self.0[moment as usize]
    }

    /// Nanoseconds from `a` to `b`, if both have come.
    pub fn between(&self, a: Moment, b: Moment) -> Option<Nanos> {
        Some(self.get(b)?.saturating_sub(self.get(a)?))
    }

    /// How long `stage` took, if both its ends have come.
    pub fn stage(&self, stage: Stage) -> Option<Nanos> {
        let (a, b) = stage.ends();
        self.between(a, b)
    }

    /// Takes over the moments that have come in `later`.
    pub fn add(&mut self, later: &Stamps) {
        for (own, later) in self.0.iter_mut().zip(later.0) {
            *own = later.or(*own);
        }
    }

    /// All moments by name; `None` for one that has not come.
    pub fn to_map(&self) -> BTreeMap<String, Option<Nanos>> {
        Moment::ALL.iter().map(|&m| (m.as_str().to_owned(), self.get(m))).collect()
    }
}

/// A stretch of a frame's life that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Stage {
    /// Reading and decoding.
    Source,
    /// Waiting in the mailbox of the segmenter.
    Queue,
    /// Crop, despeckle, resize, normalise.
    Preprocess,
    /// The U-Net.
    Network,
    /// Probability back at source size, components, decision.
    Postprocess,
    /// All of these three: from a frame to its answer.
    Segment,
    /// From the end of segmentation to the composited picture.
    Composite,
    /// The window update.
    Present,
    /// From the capture stamp to the return of the window update.
    CaptureToPresent,
}

impl Stage {
    /// All of them, in the order of the flow.
    pub const ALL: [Stage; 9] = [
        Self::Source,
        Self::Queue,
        Self::Preprocess,
        Self::Network,
        Self::Postprocess,
        Self::Segment,
        Self::Composite,
        Self::Present,
        Self::CaptureToPresent,
    ];

    /// The word in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        [
            "source",
            "queue",
            "preprocess",
            "network",
            "postprocess",
            "segment",
            "composite",
            "present",
            "capture_to_present",
        ][self as usize]
    }

    /// One sentence that defines it, for `--explain`.
    pub const fn explain(self) -> &'static str {
        [
            "from the moment a frame is asked of the source (a device: its capture stamp) until it is handed over, decoded",
            "from then until the segmenter takes it from its mailbox",
            "crop, despeckle, resize and normalise; on a GPU the copy of the frame to page-locked memory",
            "the U-Net, from input tensor to output tensor; on a GPU all of a frame's graph, from host to host",
            "probability back to source size, threshold, components, decision; on a GPU what is left of it",
            "preprocess, network and postprocess together: from a frame to its answer",
            "from the start of drawing overlay and HUD until the picture is complete",
            "the window update, which includes any wait of the window system",
            "from the capture stamp to the return of the window update (or the composited picture when headless)",
        ][self as usize]
    }

    /// The two moments between which it lies. `Composite` starts at a moment that is not a stamp of the frame (the
    /// display may have waited), so it is recorded directly.
    const fn ends(self) -> (Moment, Moment) {
        use Moment::*;
        match self {
            Self::Source => (Captured, Received),
            Self::Queue => (Received, Dequeued),
            Self::Preprocess => (Dequeued, Preprocessed),
            Self::Network => (Preprocessed, Inferred),
            Self::Postprocess => (Inferred, Segmented),
            Self::Segment => (Dequeued, Segmented),
            Self::Composite => (Segmented, Composited),
            Self::Present => (Composited, Presented),
            Self::CaptureToPresent => (Captured, Presented),
        }
    }
}

/// Percentiles of one stage in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the frames were at most this.
    pub p50: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
    /// Number of frames measured, after warm-up (of a shorter run: all).
    pub count: u64,
}

/// Percentiles by the name of the stage.
pub type LatencySummary = BTreeMap<String, Percentiles>;

/// What became of the frames of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Delivered by the source.
    pub captured: u64,
    /// Through the network.
    pub segmented: u64,
    /// Presented, in the window or as a composited picture.
    pub shown: u64,
    /// Written by the recorder.
    pub recorded: u64,
    /// Dropped, by cause: `segmenter_mailbox`, `display_mailbox`, `record_queue`, `source`.
    pub dropped: BTreeMap<String, u64>,
}

/// Collects the stages of every frame after warm-up.
#[derive(Clone, Debug)]
pub struct LatencyRecorder {
    stages: Vec<Histogram<u64>>,
    /// What came before; reported only of a run that ended before its warm-up did.
    early: Vec<Histogram<u64>>,
    warm_up: u64,
    seen: [u64; Stage::ALL.len()],
}

impl LatencyRecorder {
    /// Histograms from 1 ns to 100 s with three significant digits, skipping the first `warm_up` values of a stage.
    pub fn new(warm_up: u64) -> Self {
        let histogram = || Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("constant bounds are valid");
        let all = || Stage::ALL.iter().map(|_| histogram()).collect();
        Self { stages: all(), early: all(), warm_up, seen: [0; Stage::ALL.len()] }
    }

    /// Notes that `stage` took `nanos` for one frame.
    pub fn record(&mut self, stage: Stage, nanos: Nanos) {
        let i = stage as usize;
        self.seen[i] += 1;
        let warm = self.seen[i] > self.warm_up;
        let histogram = if warm { &mut self.stages[i] } else { &mut self.early[i] };
        histogram.saturating_record(nanos.max(1));
    }

    /// Notes every stage in `stages` whose two moments have come.
    pub fn record_stamps(&mut self, stamps: &Stamps, stages: &[Stage]) {
        for &stage in stages {
            if let Some(nanos) = stamps.stage(stage) {
                self.record(stage, nanos);
            }
        }
    }

    /// Percentiles of one stage, in µs; of a run that ended within its warm-up, of all its values.
    pub fn percentiles(&self, stage: Stage) -> Percentiles {
        let (h, early) = (&self.stages[stage as usize], &self.early[stage as usize]);
        let h = if h.is_empty() { early } else { h };
        let us = |q: f64| if h.is_empty() { 0.0 } else { h.value_at_quantile(q) as f64 / 1000.0 };
        Percentiles {
            p50: us(0.50),
            p95: us(0.95),
            p99: us(0.99),
            p999: us(0.999),
            max: if h.is_empty() { 0.0 } else { h.max() as f64 / 1000.0 },
            count: h.len(),
        }
    }

    /// Percentiles of all stages that were measured, in µs.
    pub fn summary(&self) -> LatencySummary {
        let measured = Stage::ALL.iter().map(|&s| (s, self.percentiles(s))).filter(|(_, p)| p.count > 0);
        measured.map(|(s, p)| (s.as_str().to_owned(), p)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut r = LatencyRecorder::new(10);
        for i in 0..10 {
            r.record(Stage::Network, 99_000_000 + i);
        }
        for i in 1..=1000u64 {
            r.record(Stage::Network, i * 1000);
        }
        let p = r.percentiles(Stage::Network);
        assert_eq!(p.count, 1000);
        for (found, expected) in [(p.p50, 500.0), (p.p95, 950.0), (p.p99, 990.0), (p.p999, 999.0), (p.max, 1000.0)] {
            assert!((found - expected).abs() <= expected * 1e-3, "{found} {expected}");
        }
        let mut short = LatencyRecorder::new(10);
        short.record(Stage::Network, 5_000);
        assert_eq!(short.percentiles(Stage::Network).count, 1, "a short run is not an empty table");
        assert!(!r.summary().contains_key("queue"), "what was not measured is not reported");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let c = Clock::manual();
        c.sleep_until(500);
        c.sleep_until(100);
        assert_eq!(c.now(), 500);
        c.advance(Duration::from_micros(1));
        assert_eq!(c.now(), 1500);
    }

    #[test]
    fn stages_lie_between_their_moments() {
        let mut s = Stamps::default();
        s.set(Moment::Captured, 10);
        assert_eq!(s.stage(Stage::Source), None);
        s.set(Moment::Received, 35);
        assert_eq!(s.stage(Stage::Source), Some(25));
        let mut later = Stamps::default();
        later.set(Moment::Received, 36);
        later.set(Moment::Presented, 90);
        s.add(&later);
        let map = s.to_map();
        assert_eq!((map.len(), map["captured"], map["segmented"]), (Moment::ALL.len(), Some(10), None));
        assert_eq!((map["received"], map["presented"]), (Some(36), Some(90)));
    }
}
