//! What every field means of the report, of a verification and of a recorded session: the text of `--explain`.

use crate::latency::Stage;

/// A field and its meaning; `*` in the path stands for any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// For example `latency_us.*.p99`.
    pub path: String,
    /// One sentence.
    pub meaning: &'static str,
}

/// A path and its meaning. Fields of a list's elements follow `[]`: `classes[].name`.
pub type Field = (&'static str, &'static str);

const FIELDS: &[Field] = &[
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
    (
        "device_us",
        "of `bench` on a GPU: stages of a frame, each timed alone on the device after the run; empty on the CPU and with --streams",
    ),
    (
        "device_us.*",
        "median microseconds of 200 runs of a graph of this stage alone: what that adds up to is more than the whole",
    ),
    ("device_us.h2d", "the frame, from host to device"),
    ("device_us.d2h", "the answer, from device to host"),
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

/// What `replay` writes beside its report, each with a title.
pub const FILES: &[(&str, &[Field])] = &[
    ("--verify --json: a verification", VERIFY),
    ("session.json of a recorded session", SESSION),
    ("frames.jsonl: one row for every frame", ROW),
    ("events.jsonl: what changed the segmenter on the way", EVENT),
];

const VERIFY: &[Field] = &[
    (
        "verdict",
        "`identical`; `different`: a mask or a row is another, or a row contradicts its frame; `not_comparable`: see `reasons`",
    ),
    ("rows", "rows of frames.jsonl that were compared"),
    ("compared", "masks that were computed again and compared"),
    ("differing_frames", "frames whose mask or row differs"),
    ("first_difference", "id of the first of them; null where there is none"),
    ("first_fields", "what differs in it: `mask`, or names of fields of its row"),
    ("differing_masks", "masks that differ"),
    ("differing_pixels", "pixels whose class differs, over all masks"),
    ("mean_dice", "mean Dice of the nerve between recorded and new masks, 1 when both are empty"),
    (
        "reasons",
        "why a difference would prove nothing: another model, plan, device, setting, or frames that were not recorded",
    ),
];

const SESSION: &[Field] = &[
    ("version", "version of this layout; a newer one is refused, an older one is read"),
    ("sonoplex", "version of the program that wrote it"),
    ("source", "what was replayed or captured"),
    ("notes", "what was assumed or left out of the source, and whose clock stamped it, one sentence each"),
    ("model", "path or name of the model"),
    ("model_sha256", "SHA-256 of the model file, hexadecimal"),
    ("plan_sha256", "SHA-256 of the plan: network, precision and the tactic of every step"),
    ("tactics", "the tactic of every step, by the name of the step"),
    ("tactics.*", "how this step was computed"),
    ("device", "the CPU path and its threads, or the GPU and driver, that computed it"),
    ("classes", "classes of the masks, class 1 first"),
    ("classes[].name", "name of the class"),
    ("classes[].color", "red, green and blue of its overlay, 0 to 255"),
    (
        "settings",
        "how it was run: despeckle, threshold, crop, precision, description of the model, speed, loop, start, end, threads, gstreamer",
    ),
    ("settings.*", "this setting as it is written on the command line; of gstreamer its version"),
    ("ended", "why it ended; null while it runs, and after a crash"),
    ("frames", "what became of the frames, as in the report of the run"),
    ("frames.*", "as in the report of the run; `recorded` counts this session alone"),
    ("frames.dropped.*", "frames dropped for this cause, as in the report of the run"),
    ("latency_us", "percentiles of every stage, as in the report of the run"),
    ("latency_us.*", "a stage, as in the report of the run"),
    ("latency_us.*.*", "a percentile, the slowest or the number of values, as in the report of the run"),
];

const ROW: &[Field] = &[
    ("id", "number of the frame in the run, from 0"),
    ("time_ns", "presentation time since the start of the recording or capture, in nanoseconds"),
    ("frame", "the raw frame, a PNG without loss; its text `sonoplex` repeats id, time_ns and the stamp captured_ns"),
    ("mask", "class of every pixel, a PNG (0 background); absent where the frame was not segmented"),
    ("spacing", "distance of neighbouring pixels; absent where it is unknown"),
    ("spacing.*", "millimetres between columns (x_mm), between rows (y_mm)"),
    ("crop", "where in the frame the network looked"),
    ("crop.*", "leftmost column, uppermost row, columns and rows, in pixels"),
    (
        "sector",
        "the fan within the crop that a curved array fills, alone looked at; null where the picture is a rectangle",
    ),
    ("sector.apex", "column and row of the point that all its lines come from, in pixels"),
    ("sector.edges", "columns that the left and the right edge move with each row"),
    ("sector.near", "radius of the upper arc in pixels, 0 where there is none"),
    ("sector.far", "radius of the lower arc in pixels; absent where it was not seen"),
    ("state", "`nerve`, `uncertain` or `no_nerve`"),
    ("probability", "confidence of the nerve, 0 to 1"),
    ("area_px", "pixels of the nerve"),
    ("area_mm2", "the same in mm², where the spacing is known"),
    ("dice", "agreement with the truth where the source knows it, by class"),
    ("dice.*", "2|X∩Y| / (|X|+|Y|), 1 when both are empty"),
    ("stamps_ns", "every moment of the frame, in nanoseconds of the run's clock; null for one that did not come"),
    ("stamps_ns.captured", "the source began to deliver it, or a device's own capture stamp"),
    ("stamps_ns.received", "the source handed it over, decoded"),
    ("stamps_ns.dequeued", "the segmenter took it; null: a newer frame replaced it first"),
    ("stamps_ns.preprocessed", "cropped, despeckled, resized and normalised"),
    ("stamps_ns.inferred", "the network has answered"),
    ("stamps_ns.segmented", "probability back at source size, mask, decision"),
    (
        "stamps_ns.composited",
        "the first picture that shows it is drawn, perhaps before its mask is known; null: not on the screen within a second of its answer",
    ),
    ("stamps_ns.presented", "the window update with that picture has returned; null: never, or a headless run"),
];

const EVENT: &[Field] = &[
    ("before", "id of the first frame that it concerns"),
    (
        "event",
        "`reset`: it forgot earlier frames; `despeckle`: another filter; `gap`: it saw frames that are not recorded",
    ),
    ("value", "the new filter; absent otherwise"),
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
