//! `sonoplex inspect`: what a model or a recording is.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::describe::{NetworkSummary, describe};
use sonoplex::engine::{Builder, BuilderConfig, Device, Engine, EngineError, Network, Plan};
use sonoplex::geometry::{Rect, Sector};
use sonoplex::segmentation::Class;
use sonoplex::segmenter::crop::CropKind;
use sonoplex::segmenter::{BUILT_IN, Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, SourceInfo, open};

use super::args::InspectArgs;
use super::steps::{self, Row};

/// Frames that are looked at to find the picture in a scanner's screen.
const LOOK: usize = 8;

#[derive(Serialize)]
struct ModelReport {
    file: String,
    network: NetworkSummary,
    /// Classes as the segmenter will name them, where the model is a segmenter.
    classes: Vec<Class>,
    /// What was read and what was assumed of pre- and post-processing.
    notes: Vec<String>,
    plan: Vec<Row>,
}

#[derive(Serialize)]
struct PlanReport {
    file: String,
    sha256: String,
    network_sha256: String,
    device: &'static str,
    arena_bytes: usize,
    load: Option<Load>,
    problem: Option<String>,
    plan: Vec<Row>,
}

/// How long it takes until a plan can run, in milliseconds.
#[derive(Serialize)]
struct Load {
    open_ms: f64,
    engine_ms: f64,
    context_ms: f64,
}

#[derive(Serialize)]
struct RecordingReport {
    recording: SourceInfo,
    crop: Rect,
    /// The part of the crop that is the picture of a curved array.
    sector: Option<Sector>,
    chrome: String,
}

pub fn main(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    if args.explain {
        return super::explain::inspect();
    }
    super::targets::check_files(args.file(), &[("--json", args.json.as_deref())])?;
    let text = if Plan::is_plan(Path::new(args.file())) {
        stored_plan(args)?
    } else if is_model(args.file()) {
        model(args)?
    } else {
        recording(args)?
    };
    if args.json.as_deref() != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// By name, since ONNX has no signature; everything else is told by its content.
fn is_model(file: &str) -> bool {
    file == BUILT_IN || Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

fn stored_plan(args: &InspectArgs) -> anyhow::Result<String> {
    let start = Instant::now();
    let plan = Plan::open(Path::new(args.file()))?;
    let open_ms = milliseconds(start);
    let (device, name) = if plan.is_for_gpu() { (Device::Cuda(0), "gpu") } else { (Device::Cpu, "cpu") };
    // A plan for another machine can be read all the same.
    let loaded = plan.clone().on(device, args.threads, None).map_err(anyhow::Error::from);
    let (load, problem) = match loaded.and_then(|plan| Ok(load(plan, open_ms)?)) {
        Ok(load) => (Some(load), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let measured = problem.is_none() && !args.no_timing && device == Device::Cpu;
    let rows = steps::rows(&plan.clone().with_threads(args.threads), measured)?;
    let arena_bytes = if plan.is_for_gpu() { Program::new(&plan)?.room as usize } else { plan.arena_bytes() };
    let report = PlanReport {
        file: args.file().to_owned(),
        sha256: plan.sha256().to_owned(),
        network_sha256: plan.network_sha256().to_owned(),
        device: name,
        arena_bytes,
        load,
        problem,
        plan: rows,
    };
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    let mut t = String::new();
    writeln!(t, "plan        {}, sha256 {}, of the network {}", report.file, report.sha256, report.network_sha256)?;
    writeln!(t, "device      {}", report.device)?;
    writeln!(t, "arena       {:.1} MB", report.arena_bytes as f64 / 1e6)?;
    if let Some(Load { open_ms, engine_ms, context_ms }) = report.load {
        let total = open_ms + engine_ms + context_ms;
        let parts = format!("{open_ms:.1} file, {engine_ms:.1} weights, {context_ms:.1} memory");
        writeln!(t, "load        {total:.1} ms: {parts}")?;
    }
    if let Some(problem) = &report.problem {
        writeln!(t, "problem     {problem}")?;
    }
    steps::table(&mut t, &report.plan)?;
    Ok(t)
}

/// Makes a plan ready to run.
fn load(plan: Plan, open_ms: f64) -> Result<Load, EngineError> {
    let start = Instant::now();
    let engine = Engine::new(plan)?;
    let engine_ms = milliseconds(start);
    let start = Instant::now();
    let _context = engine.context();
    Ok(Load { open_ms, engine_ms, context_ms: milliseconds(start) })
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn model(args: &InspectArgs) -> anyhow::Result<String> {
    let config = SegmenterConfig { model: args.file().into(), ..SegmenterConfig::default() };
    let network = sonoplex::segmenter::open_network(&config.model)?;
    let summary = describe(&network);
    let (classes, notes) = match Segmenter::open(&config) {
        Ok(s) => (s.classes().to_vec(), s.model().notes.clone()),
        // Any network can be inspected; why it is no segmenter of pictures is part of the answer.
        Err(error) => (Vec::new(), vec![format!("not a segmenter: {error}")]),
    };
    let plan = if args.plan { plan(args, &network)? } else { Vec::new() };
    let report = ModelReport { file: args.file().to_owned(), network: summary, classes, notes, plan };
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    model_text(&report)
}

fn plan(args: &InspectArgs, network: &Network) -> anyhow::Result<Vec<Row>> {
    let inputs = args.input.iter().cloned().collect();
    let threads = args.threads;
    let config = BuilderConfig { device: Device::Cpu, threads, inputs, ..BuilderConfig::default() };
    Ok(steps::rows(&Builder::new(config).build(network)?, !args.no_timing)?)
}

fn model_text(report: &ModelReport) -> anyhow::Result<String> {
    let (n, mut t) = (&report.network, String::new());
    writeln!(t, "model       {}", report.file)?;
    writeln!(
        t,
        "network     {} ({}, opset {}), sha256 {}",
        n.name,
        n.producer,
        n.opset,
        &n.sha256[..16.min(n.sha256.len())]
    )?;
    for i in &n.inputs {
        writeln!(t, "input       {} {} {}", i.name, i.shape, i.dtype)?;
    }
    for o in &n.outputs {
        writeln!(t, "output      {} {} {}", o.name, o.shape, o.dtype)?;
    }
    let operators: Vec<String> = n.operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
    writeln!(t, "layers      {}: {} (--plan lists the fused steps with their shapes)", n.layers, operators.join(", "))?;
    writeln!(t, "size        {:.3} M parameters", n.parameters as f64 / 1e6)?;
    match n.flops {
        Some(flops) => writeln!(t, "work        {:.3} GFLOP a frame (2 a multiply-add)", flops as f64 / 1e9)?,
        None => {
            writeln!(t, "work        unknown until the input shape is fixed: --input NAME=1x1x256x256 with --plan")?
        }
    }
    for (i, class) in report.classes.iter().enumerate() {
        let [r, g, b] = class.color;
        writeln!(t, "class {}     {} #{r:02x}{g:02x}{b:02x}", i + 1, class.name)?;
    }
    if let Some(problem) = &n.problem {
        writeln!(t, "problem     {problem}")?;
    }
    for note in &report.notes {
        writeln!(t, "note        {note}")?;
    }
    if !report.plan.is_empty() {
        steps::table(&mut t, &report.plan)?;
    }
    Ok(t)
}

fn recording(args: &InspectArgs) -> anyhow::Result<String> {
    let mut source = open(args.file(), &OpenOptions::default())?;
    let mut finder = sonoplex::segmenter::CropTracker::default();
    let mut gray = Vec::new();
    let mut found = None;
    let mut first = None;
    for _ in 0..LOOK {
        let Some(frame) = source.next()? else { break };
        found = Some(finder.update(frame.gray(&mut gray), frame.size));
        first.get_or_insert((frame.size, frame.spacing));
    }
    let mut info = source.info().clone();
    let (Some(found), Some((size, spacing))) = (found, first) else {
        anyhow::bail!("cannot inspect `{}`: it has no frames; check that the recording is complete", args.file());
    };
    info.size = info.size.or(Some(size));
    info.spacing = info.spacing.or(spacing);
    let kind = match found.kind {
        CropKind::Linear => "linear array",
        CropKind::Curved => "curved array",
        CropKind::None => "no chrome",
    };
    let chrome = format!("{kind}: {}", found.note);
    let report = RecordingReport { recording: info, crop: found.rect, sector: found.sector, chrome };
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    let (i, mut t) = (&report.recording, String::new());
    let or_unknown = |v: Option<String>| v.unwrap_or_else(|| "unknown".to_owned());
    writeln!(t, "recording   {}", i.name)?;
    writeln!(t, "format      {}", i.format)?;
    writeln!(t, "size        {}", or_unknown(i.size.map(|s| s.to_string())))?;
    writeln!(t, "frames      {}", or_unknown(i.frames.map(|n| n.to_string())))?;
    writeln!(t, "rate        {}", or_unknown(i.rate_hz.map(|r| format!("{r:.3} Hz"))))?;
    let spacing = i.spacing.map(|s| format!("{:.4} x {:.4} mm", s.x_mm, s.y_mm));
    writeln!(t, "spacing     {}", spacing.unwrap_or_else(|| "uncalibrated".to_owned()))?;
    writeln!(t, "orientation {}", i.orientation.as_deref().unwrap_or("as stored"))?;
    writeln!(t, "picture     {} ({})", report.crop, report.chrome)?;
    if let Some(sector) = report.sector {
        writeln!(t, "sector      {sector}")?;
    }
    let classes: Vec<&str> = i.truth.iter().map(|c| c.name.as_str()).collect();
    writeln!(t, "truth       {}", if classes.is_empty() { "none".to_owned() } else { classes.join(", ") })?;
    for note in &i.notes {
        writeln!(t, "note        {note}")?;
    }
    Ok(t)
}
