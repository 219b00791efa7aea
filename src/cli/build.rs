//! `sonoplex build`: a model made into a plan, and what its precision costs and gains.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use sonoplex::engine::{Builder, BuilderConfig, Engine, ExecutionContext, Plan, Precision};
use sonoplex::segmenter::spec::ModelSpec;
use sonoplex::segmenter::{SegmenterConfig, builder, open_network};

use super::args::BuildArgs;
use super::calibrate::{Comparison, Frames};
use super::timings::Timings;

/// Runs that the median is of, after [`WARM_UP`] others.
const RUNS: usize = 21;
const WARM_UP: usize = 3;

#[derive(Serialize)]
struct Report {
    file: String,
    model: String,
    precision: Precision,
    sha256: String,
    network_sha256: String,
    steps: usize,
    bytes: usize,
    runs: usize,
    median_ms: f64,
    fp32_median_ms: f64,
    calibration: Option<Comparison>,
}

pub fn main(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let (Some(model), Some(output), false) = (&args.model, &args.output, args.explain) else {
        return super::explain::build();
    };
    if Plan::is_plan(Path::new(model)) {
        bail!("cannot build `{model}`: it is a plan already; give the model that it was built from");
    }
    super::targets::check_files(model, &[("--output", Some(output)), ("--json", args.json.as_deref())])?;
    let (plan, exact, comparison) = plans(args, model)?;
    let bytes = plan.to_bytes();
    sonoplex::write::whole(output, &bytes).with_context(|| format!("cannot write `{}`", output.display()))?;
    let mut report = Report {
        file: output.display().to_string(),
        model: model.clone(),
        precision: plan.precision(),
        sha256: plan.sha256().to_owned(),
        network_sha256: plan.network_sha256().to_owned(),
        steps: plan.steps().len(),
        bytes: bytes.len(),
        runs: RUNS,
        median_ms: 0.0,
        fp32_median_ms: 0.0,
        calibration: comparison,
    };
    [report.median_ms, report.fp32_median_ms] = medians([plan, exact])?;
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &text(&report)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn config(args: &BuildArgs, model: &str) -> SegmenterConfig {
    SegmenterConfig {
        model: model.into(),
        threads: args.threads,
        precision: Some(args.precision),
        ..SegmenterConfig::default()
    }
}

/// The plan that is asked for, the same network in fp32, and how far the two are apart on frames.
fn plans(args: &BuildArgs, model: &str) -> anyhow::Result<(Plan, Plan, Option<Comparison>)> {
    let path = Path::new(model);
    let mut network = open_network(path)?;
    // The file beside the model does not go with the plan; what it says does.
    network.metadata = ModelSpec::metadata(path, &network.metadata)?;
    let inputs: std::collections::BTreeMap<_, _> = args.input.iter().cloned().collect();
    let timings = Timings::open(!args.no_timing);
    let build = |precision, calibration| -> anyhow::Result<Plan> {
        let config = SegmenterConfig { precision: Some(precision), ..config(args, model) };
        let plain = BuilderConfig { threads: args.threads, precision, inputs: inputs.clone(), ..Default::default() };
        // Any network can be built; only one that segments pictures knows its size by itself.
        let builder = match builder(&config, &network) {
            Ok(builder) if inputs.is_empty() => builder,
            _ => Builder::new(plain),
        };
        let builder = builder.rounding(precision, calibration);
        let plan = timings.build(builder.config(), &network).with_context(|| format!("cannot build `{model}`"))?;
        let plan = plan.of_model(model);
        Ok(if args.no_timing { plan.with_options(&["--no-timing"]) } else { plan })
    };
    let exact = build(Precision::Fp32, None)?;
    let config = config(args, model);
    let frames = args.calibrate.as_ref().map(|spec| Frames { spec, count: args.frames, config: &config });
    let (plan, comparison) = match (args.precision, frames) {
        (Precision::Int8, Some(frames)) => {
            let goal = (args.range, f64::from(args.budget));
            let build = |calibration| build(Precision::Int8, Some(calibration));
            let (plan, comparison) = frames.quantize(&exact, goal, &build)?;
            let [count, range, budget] = [args.frames.to_string(), args.range.to_string(), args.budget.to_string()];
            let options = ["--calibrate", frames.spec, "--frames", &count, "--range", &range, "--budget", &budget];
            (plan.with_options(&options), Some(comparison))
        }
        (precision, frames) => {
            let plan = build(precision, None)?;
            let comparison = frames.map(|frames| frames.compare(&exact, &plan)).transpose()?;
            (plan, comparison)
        }
    };
    Ok((plan, exact, comparison))
}

/// Median times of the networks alone, in milliseconds; they take turns, so that both meet the same machine.
fn medians(plans: [Plan; 2]) -> anyhow::Result<[f64; 2]> {
    let [a, b] = plans;
    let mut contexts = [ready(a)?, ready(b)?];
    let mut times = [Vec::new(), Vec::new()];
    for run in 0..WARM_UP + RUNS {
        for (context, times) in contexts.iter_mut().zip(&mut times) {
            let start = Instant::now();
            context.enqueue()?;
            context.synchronize()?;
            if run >= WARM_UP {
                times.push(start.elapsed());
            }
        }
    }
    Ok(times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[RUNS / 2].as_secs_f64() * 1e3
    }))
}

/// A context with something in its inputs.
fn ready(plan: Plan) -> anyhow::Result<ExecutionContext> {
    let mut context = Engine::new(plan)?.context();
    context.bind_noise();
    Ok(context)
}

fn text(report: &Report) -> anyhow::Result<String> {
    let mut t = String::new();
    writeln!(t, "plan        {}, sha256 {}", report.file, report.sha256)?;
    writeln!(t, "model       {}, {}", report.model, report.precision)?;
    writeln!(t, "size        {} steps, {:.1} MB", report.steps, report.bytes as f64 / 1e6)?;
    let (own, exact) = (report.median_ms, report.fp32_median_ms);
    writeln!(t, "time        {own:.2} ms a run, fp32 {exact:.2} ms (medians of {} runs in turn)", report.runs)?;
    let Some(c) = &report.calibration else { return Ok(t) };
    writeln!(t, "compared    {} frames of {}, with fp32", c.frames, c.source)?;
    for class in &c.classes {
        writeln!(t, "dice        {:.5} {}", class.dice, class.class)?;
    }
    if let Some(w) = &c.worst {
        let name = if w.name.is_empty() { String::new() } else { format!(" ({})", w.name) };
        writeln!(t, "worst       {:.5} {} in frame {}{name}", w.dice, w.class, w.frame)?;
    }
    match c.kept.len() {
        0 => {}
        n => writeln!(t, "kept        {n} layers in bf16 to stay within the budget")?,
    }
    writeln!(t, "states      {} of {} frames changed theirs", c.states_changed, c.frames)?;
    Ok(t)
}
