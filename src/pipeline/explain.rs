//! What every field of the report means: the text of `--explain`.

use crate::latency::Stage;

/// A field and its meaning; `*` in the path stands for any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// For example `latency_us.*.p99`.
    pub path: String,
    /// One sentence.
    pub meaning: &'static str,
}

const FIELDS: &[(&str, &str)] = &[
    ("sonoplex", "version of the program that wrote the report"),
    ("source", "what was replayed or captured, as it was given"),
    ("format", "what the source turned out to be"),
    ("model", "path or name of the model"),
    ("model_sha256", "SHA-256 of the model file, hexadecimal; empty where none was loaded"),
    ("plan_sha256", "SHA-256 of the plan: network, precision and the tactic of every step"),
    ("device", "the CPU path or the GPU and driver that computed the network"),
    (
        "policy",
        "`every frame`: the source waits and nothing is dropped; `newest frame`: older frames give way and are counted",
    ),
    ("speed", "how many seconds of recording pass in one second; `max`: as fast as possible"),
    ("ended", "why the run ended"),
    ("error", "the first error of any thread; null when there was none"),
    ("duration_s", "seconds from the start of the threads to the end of the last one"),
    ("segmented_per_second", "frames.segmented divided by duration_s, warm-up included"),
    ("warm_up", "so many first values of every stage are in no percentile, unless the run was no longer than that"),
    ("frames", "what became of the frames"),
    ("frames.captured", "frames that the source delivered"),
    ("frames.segmented", "frames that went through the network"),
    ("frames.shown", "different frames that were presented in the window, or composited when headless"),
    ("frames.recorded", "frames that are complete on disk"),
    ("frames.dropped", "frames dropped, by cause; one frame can be counted under several"),
    (
        "frames.dropped.segmenter_mailbox",
        "frames that a newer one replaced before the segmenter was free: shown, not segmented",
    ),
    ("frames.dropped.display_mailbox", "frames that a newer one replaced before the display was free: never shown"),
    (
        "frames.dropped.record_queue",
        "frames that the recorder did not take (queue full, or recorder failed): not on disk",
    ),
    (
        "frames.dropped.source",
        "frames that the source itself lost: damaged or unreadable pictures, gaps that a device or decoder reports, pictures of a device that nobody asked for in time",
    ),
    (
        "latency_us",
        "percentiles of every stage that was measured, in microseconds, from an HDR histogram of three significant digits",
    ),
    ("latency_us.*.p50", "half of the measured frames took at most this long, in microseconds"),
    ("latency_us.*.p95", "95 % of them took at most this long"),
    ("latency_us.*.p99", "99 % of them took at most this long"),
    ("latency_us.*.p999", "99.9 % of them took at most this long; below 1000 frames it is the slowest"),
    ("latency_us.*.max", "the slowest of them"),
    ("latency_us.*.count", "how many values were measured, after warm-up"),
    ("latency_us.h2d", "the input, from host to device"),
    ("latency_us.compute", "everything that the device computes for one frame"),
    ("latency_us.d2h", "the answer, from device to host"),
    ("states", "segmented frames by the state of the nerve"),
    ("states.nerve", "frames whose confidence was above the upper threshold, with hysteresis"),
    ("states.no_nerve", "frames in which it was looked for and not found"),
    ("states.uncertain", "frames whose confidence lay between the thresholds"),
    ("dice", "agreement with the truth where the source knows it, by class"),
    ("dice.*", "mean over those frames of 2|X∩Y| / (|X|+|Y|), 1 when both are empty"),
    ("dice_frames", "number of segmented frames whose truth is known"),
    ("alarms", "how often the watchdog had something to say"),
    ("alarms.no_signal", "times that the source delivered nothing for longer than it may"),
    ("alarms.segmenter_stuck", "times that the segmenter was at one frame for longer than it may"),
    ("notes", "what was assumed or left out, one sentence each"),
];

/// Every field of the report with its meaning, in the order of the report.
pub fn explain() -> Vec<Explained> {
    let mut all: Vec<_> = FIELDS.iter().map(|&(path, meaning)| Explained { path: path.to_owned(), meaning }).collect();
    let at = all.iter().position(|e| e.path == "latency_us").expect("in the list") + 1;
    let stages = Stage::ALL
        .iter()
        .map(|stage| Explained { path: format!("latency_us.{}", stage.as_str()), meaning: stage.explain() });
    all.splice(at..at, stages);
    all
}

/// The meaning of one field, by its full path.
pub fn meaning(path: &str) -> Option<&'static str> {
    let fits = |pattern: &str| {
        pattern.split('.').count() == path.split('.').count()
            && pattern.split('.').zip(path.split('.')).all(|(p, name)| p == "*" || p == name)
    };
    explain().into_iter().find(|e| fits(&e.path)).map(|e| e.meaning)
}
