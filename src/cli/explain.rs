//! `--explain`: what every field means of what a command writes.

use std::path::Path;
use std::process::ExitCode;

use sonoplex::pipeline::explain::{self, Field};

/// A line of `segment`.
const SEGMENT: &[Field] = &[
    ("input", "what was segmented, as it was given"),
    ("image", "the file within a folder, where the frame has one"),
    ("frame", "number of the frame in its input, from 0"),
    ("width", "columns of the frame, in pixels; mask and numbers are at this size"),
    ("height", "rows of the frame, in pixels"),
    ("crop", "where in the frame the network looked; outside it there is no answer"),
    ("crop.*", "leftmost column, uppermost row, columns and rows, in pixels"),
    (
        "sector",
        "the fan within the crop that a curved array fills, alone looked at; null where the picture is a rectangle",
    ),
    ("sector.apex", "column and row of the point that all its lines come from, in pixels"),
    ("sector.edges", "columns that the left and the right edge move with each row"),
    ("sector.near", "radius of the upper arc in pixels, 0 where there is none"),
    ("sector.far", "radius of the lower arc in pixels; absent where it was not seen"),
    (
        "calibrated",
        "whether a presence output of the model, which its card has to vouch for, is behind `probability`; if not, it is a score",
    ),
    ("class", "name of the first class of the model: what is looked for"),
    (
        "state",
        "`nerve`, `uncertain` or `no_nerve`: the probability against the two thresholds of the model, with hysteresis",
    ),
    ("probability", "0 to 1: the model's presence output or the mean of its highest pixels, whichever is less"),
    ("area_px", "pixels of the mask of this class"),
    ("area_mm2", "the same in mm²; null where the pixel spacing is unknown"),
    ("centroid", "mean column and row of those pixels, pixel centres at whole numbers; null where there are none"),
    ("bounding_box", "the smallest rectangle around them; null where there are none"),
    ("bounding_box.*", "leftmost column, uppermost row, columns and rows, in pixels"),
    (
        "contour",
        "outlines of the components, largest first: lists of column and row, clockwise, the last joins the first",
    ),
    ("dice", "agreement with the truth, 2|X∩Y| / (|X|+|Y|), 1 when both are empty; null where the truth is unknown"),
    ("classes", "the other classes of the model, with the same fields"),
    ("classes[].*", "as the field of that name of the first class"),
    ("classes[].bounding_box.*", "leftmost column, uppermost row, columns and rows, in pixels"),
    ("mask", "the indexed PNG that was written: 0 background, 1 the first class, at the size of the frame"),
    ("overlay", "the PNG for people that was written: the frame, what was found over it, and what that means below it"),
];

/// A model, a plan or a recording, as `inspect` reports it.
const INSPECT: &[Field] = &[
    ("file", "of a model or a plan: what was inspected"),
    ("network", "of a model: what the file declares"),
    ("network.name", "name of the graph"),
    ("network.producer", "the program that wrote the file, and its version"),
    ("network.opset", "version of ONNX's operators"),
    ("network.sha256", "SHA-256 of the file, hexadecimal"),
    ("network.layers", "number of nodes"),
    ("network.operators", "how many nodes there are of each operator"),
    ("network.operators.*", "nodes of this operator"),
    ("network.parameters", "numbers in the weights that nodes read"),
    (
        "network.flops",
        "floating-point operations of all convolutions for one frame, 2 a multiply-add; null while a shape is open",
    ),
    ("network.inputs", "tensors that have to be given"),
    ("network.outputs", "tensors that come out"),
    ("network.*[].name", "name of the tensor"),
    ("network.*[].shape", "its dimensions, with a name where the file leaves one open"),
    ("network.*[].dtype", "type of its numbers"),
    ("network.metadata", "what the file says beside the graph: sizes, scaling, classes, thresholds"),
    ("network.metadata.*", "one entry of that, as it stands there"),
    ("network.problem", "why it cannot be built as it is; null where it can"),
    ("classes", "classes of the masks, class 1 first; none where the model is no segmenter"),
    ("classes[].name", "name of the class"),
    ("classes[].color", "red, green and blue of its overlay, 0 to 255"),
    ("notes", "what was read and what was assumed of pre- and post-processing, one sentence each"),
    ("sha256", "of a plan: SHA-256 of network, precision and the tactic of every step"),
    ("network_sha256", "of a plan: SHA-256 of the model that it was made from"),
    ("device", "of a plan: cpu, or gpu"),
    (
        "arena_bytes",
        "of a plan: the one block of memory for all tensors of a frame, in bytes; on a GPU its weights too",
    ),
    ("load", "of a plan: how long it took to make it ready to run, in milliseconds; null where it cannot run here"),
    ("load.open_ms", "the file was mapped, read and held against its checksums"),
    ("load.engine_ms", "threads were started and the weights laid out for their tactics"),
    ("load.context_ms", "the memory of a run was allocated and zeroed"),
    ("problem", "of a plan: why it cannot run on this machine; null where it can"),
    ("plan", "the fused steps, in order; of a model with `--plan` alone"),
    ("plan[].name", "name of the step: that of its first layer"),
    ("plan[].op", "what it does, with what is done in the same step"),
    ("plan[].shape", "shape of what it writes"),
    ("plan[].tactic", "how it is computed; empty where there is one way"),
    (
        "plan[].median_ms",
        "what the step took, median of some runs; absent with --no-timing, for a GPU, and where it cannot run",
    ),
    ("plan[].gflops", "gflop in a second of that time"),
    ("plan[].share", "median_ms by the sum of those of all steps"),
    ("plan[].gflop", "billions of floating-point operations for one frame, 2 a multiply-add"),
    ("recording", "of a recording: what it says of itself"),
    ("recording.name", "what was opened, as it was given"),
    ("recording.format", "container and coding, as they were found"),
    ("recording.size", "size of the first frame"),
    ("recording.size.*", "columns and rows, in pixels"),
    ("recording.frames", "number of frames; null where it is unknown"),
    ("recording.rate_hz", "frames a second (of a variable rate the mean); null where it is unknown"),
    ("recording.spacing", "distance of neighbouring pixels; null is uncalibrated"),
    ("recording.spacing.*", "millimetres between columns (x_mm), between rows (y_mm)"),
    (
        "recording.orientation",
        "how the picture lies in the file and what was done to bring it upright; null: as stored",
    ),
    ("recording.live", "whether it is a device: not to be paced or sought"),
    ("recording.truth", "classes of the true masks that come with it, class 1 first; empty where there are none"),
    ("recording.truth[].name", "name of the class"),
    ("recording.truth[].color", "red, green and blue, 0 to 255"),
    ("recording.notes", "what was assumed or left out, one sentence each"),
    ("crop", "where in the frame the ultrasound picture lies"),
    ("crop.*", "leftmost column, uppermost row, columns and rows, in pixels"),
    (
        "sector",
        "the fan within the crop that a curved array fills, alone looked at; null where the picture is a rectangle",
    ),
    ("sector.apex", "column and row of the point that all its lines come from, in pixels"),
    ("sector.edges", "columns that the left and the right edge move with each row"),
    ("sector.near", "radius of the upper arc in pixels, 0 where there is none"),
    ("sector.far", "radius of the lower arc in pixels; absent where it was not seen"),
    ("chrome", "the kind of picture, and what of the scanner's screen was found around it"),
];

/// Whether a model will run, as `check` reports it.
const CHECK: &[Field] = &[
    ("file", "the model as it was given"),
    ("name", "name of the graph in the file"),
    ("producer", "what wrote the file"),
    ("opset", "version of ONNX's operators that the file means"),
    ("runs", "true where a plan can be built on this machine"),
    ("problem", "why not, where something else than a node is in the way, such as an open input shape; else null"),
    ("not_supported", "nodes that cannot be computed; nodes that read from them are not looked at"),
    ("not_supported[].node", "name of the node"),
    ("not_supported[].operator", "its operator, in ONNX's words"),
    ("not_supported[].reason", "what is in the way, and what would help"),
    ("operators", "operators of the file by name"),
    ("operators.*", "one operator"),
    ("operators.*.nodes", "nodes of this operator"),
    ("operators.*.not_supported", "how many of them cannot be computed"),
    ("inputs", "what has to be given"),
    ("inputs[].name", "name of the input"),
    ("inputs[].shape", "its dimensions; names where the file leaves them open and --input does not fix them"),
    ("inputs[].dtype", "its type in the file; it is given as float32"),
    ("outputs", "what comes out"),
    ("outputs[].name", "name of the output"),
    ("outputs[].shape", "its dimensions, as computed"),
    ("outputs[].dtype", "its type in the file; it comes out as float32"),
    ("gpu", "what a GPU would run with --device cuda:N; told without one"),
    ("gpu.kernels", "kernels of one run, in fp16; null where it does not run there"),
    (
        "gpu.on_floats",
        "steps that are computed in f32, slower, for want of a kernel for fp16; null where it does not run there",
    ),
    ("gpu.bytes", "device memory for tensors and weights; null likewise"),
    ("gpu.problem", "the first step that has no kernel, or why there is no plan; else null"),
    ("layers", "nodes of the file"),
    ("steps_before", "steps before the passes: nodes without those that are computed at build"),
    ("steps_after", "steps of the plan"),
    ("passes", "passes of the builder that change something, in order"),
    ("passes[].pass", "name of the pass, its file in src/engine/passes"),
    ("passes[].meaning", "what it is for"),
    ("passes[].before", "steps before it"),
    ("passes[].after", "steps after it"),
    ("steps", "steps of the plan: what each does, and how many do the same"),
    ("steps.*", "how many steps do this"),
    ("gflop", "billions of floating-point operations of one run, 2 a multiply-add; convolutions and products alone"),
    ("weight_bytes", "bytes of the weights that the plan keeps, as f32"),
    ("arena_bytes", "bytes of the memory that holds all tensors of a run"),
];

/// A plan that was built, as `build` reports it.
const BUILD: &[Field] = &[
    ("file", "the plan that was written"),
    ("model", "the model as it was given"),
    ("device", "what it is for: cpu, or cuda:N, which is any NVIDIA GPU"),
    (
        "precision",
        "how far the factors of convolutions may be rounded: fp32 (not at all), bf16, bf16-fast, int8, or on a GPU fp16",
    ),
    ("sha256", "SHA-256 of the plan: network, precision and the tactic of every step"),
    ("network_sha256", "SHA-256 of the model's file, hexadecimal"),
    ("steps", "steps of the plan"),
    ("bytes", "bytes of its file"),
    ("runs", "runs of the network that each median is of, after a warm-up; the plan and fp32 take turns"),
    ("median_ms", "median time of the network alone in this plan, in milliseconds; null where it cannot run here"),
    ("fp32_median_ms", "the same of the same network in fp32 on the processor"),
    ("absent", "why a plan for a GPU cannot run here; null where it can"),
    ("calibration", "the masks of this plan against those of fp32; null without --calibrate"),
    ("calibration.source", "what was segmented, as it was given"),
    ("calibration.frames", "frames that were compared, spread evenly, each segmented by itself"),
    ("calibration.classes", "classes of the model, class 1 first"),
    ("calibration.classes[].class", "name of the class"),
    ("calibration.classes[].dice", "2|X∩Y| / (|X|+|Y|) over the pixels of all frames together, 1 when both are empty"),
    (
        "calibration.worst",
        "the lowest Dice of a class in one frame; specks of less than 200 pixels in both are left out",
    ),
    ("calibration.worst.frame", "number of the frame in its source, from 0"),
    ("calibration.worst.name", "the file within a folder, where the frame has one"),
    ("calibration.worst.class", "name of the class"),
    ("calibration.worst.dice", "the Dice of this class in this frame"),
    (
        "calibration.kept",
        "layers that int8 left in bf16, on a GPU in fp16, the costliest first, to stay within --budget",
    ),
    (
        "calibration.device",
        "what computed the masks of the plan: of one for a GPU that is not here the processor does, on the same ranges",
    ),
    ("calibration.states_changed", "frames in which `nerve`, `uncertain` or `no_nerve` of a class is not that of fp32"),
];

/// The list of devices.
const DEVICES: &[Field] = &[
    ("[].spec", "what to write after `sonoplex live`"),
    ("[].name", "its name for people"),
    ("[].notes", "what is known of it: its formats, or why it cannot be used now"),
];

pub fn segment() -> anyhow::Result<ExitCode> {
    show(&[("one JSON line for every frame", SEGMENT)])
}

pub fn inspect() -> anyhow::Result<ExitCode> {
    show(&[("--json, of a model, a plan or a recording", INSPECT)])
}

pub fn check() -> anyhow::Result<ExitCode> {
    show(&[("--json, of a model", CHECK)])
}

pub fn build() -> anyhow::Result<ExitCode> {
    show(&[("--json, of a plan that was built", BUILD)])
}

/// Its own list, since it has one entry for every measure wherever measures stand.
pub fn evaluate() -> anyhow::Result<ExitCode> {
    let mut text = "# --json: a model on a data set\n".to_owned();
    for (path, meaning) in sonoplex::evaluate::explain::fields() {
        text += &format!("{path:<32} {meaning}\n");
    }
    super::write_text(Path::new("-"), &text)?;
    Ok(ExitCode::SUCCESS)
}

pub fn bench() -> anyhow::Result<ExitCode> {
    show(&[])
}

/// The report, and what a recorded session holds.
pub fn replay() -> anyhow::Result<ExitCode> {
    show(explain::FILES)
}

/// The same, and the list that is printed without a source.
pub fn live() -> anyhow::Result<ExitCode> {
    let mut tables = explain::FILES.to_vec();
    tables.push(("--json without a source: the devices", DEVICES));
    show(&tables)
}

/// Every table with its title; without any, or with those of a session, the report of a run comes first.
fn show(tables: &[(&str, &[Field])]) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    if tables.len() != 1 {
        text += "# --json: the report of a run; of `bench --streams N` a list of them, one for each\n";
        for field in explain::explain() {
            text += &format!("{:<32} {}\n", field.path, field.meaning);
        }
    }
    for (title, fields) in tables {
        text += &format!("{}# {title}\n", if text.is_empty() { "" } else { "\n" });
        for (path, meaning) in *fields {
            text += &format!("{path:<32} {meaning}\n");
        }
    }
    super::write_text(Path::new("-"), &text)?;
    Ok(ExitCode::SUCCESS)
}
