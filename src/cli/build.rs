//! `sonoplex build`: a model made into a plan, and what its precision costs and gains.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{
    BuildError, Builder, BuilderConfig, Calibration, Device, Engine, EngineError, ExecutionContext, Network, Plan,
    Precision,
};
use sonoplex::segmenter::spec::ModelSpec;
use sonoplex::segmenter::{SegmenterConfig, builder, open_network};

use super::args::BuildArgs;
use super::calibrate::{Comparison, Frames};
use super::say;
use super::timings::Timings;

/// Runs that the median is of, after [`WARM_UP`] others.
const RUNS: usize = 21;
const WARM_UP: usize = 3;

#[derive(Serialize)]
struct Report {
    file: String,
    model: String,
    device: Device,
    precision: Precision,
    sha256: String,
    network_sha256: String,
    steps: usize,
    bytes: usize,
    runs: usize,
    median_ms: Option<f64>,
    fp32_median_ms: Option<f64>,
    absent: Option<String>,
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
    let Built { plan, exact, absent, comparison } = plans(args, model)?;
    let bytes = plan.to_bytes();
    sonoplex::write::whole(output, &bytes).with_context(|| format!("cannot write `{}`", output.display()))?;
    let mut report = Report {
        file: output.display().to_string(),
        model: model.clone(),
        device: plan.device(),
        precision: plan.precision(),
        sha256: plan.sha256().to_owned(),
        network_sha256: plan.network_sha256().to_owned(),
        steps: plan.steps().len(),
        bytes: bytes.len(),
        runs: RUNS,
        median_ms: None,
        fp32_median_ms: None,
        absent,
        calibration: comparison,
    };
    if report.absent.is_none() {
        [report.median_ms, report.fp32_median_ms] = medians([plan, exact])?.map(Some);
    }
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &text(&report)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A model, and how plans are made of it.
struct Model<'a> {
    args: &'a BuildArgs,
    name: &'a str,
    config: SegmenterConfig,
    network: Network,
    timings: Timings,
}

impl<'a> Model<'a> {
    fn open(args: &'a BuildArgs, name: &'a str) -> anyhow::Result<Self> {
        let path = Path::new(name);
        let mut network = open_network(path)?;
        // The file beside the model does not go with the plan; what it says does.
        network.metadata = ModelSpec::metadata(path, &network.metadata)?;
        let config = SegmenterConfig { model: name.into(), threads: args.threads, ..SegmenterConfig::default() };
        // The guess multiplies bytes wherever a GPU does, whose twin it is then.
        let timed = !args.no_timing && !matches!(args.device, Device::Cuda(_));
        Ok(Self { args, name, config, network, timings: Timings::open(timed, Device::Cpu) })
    }

    fn plan(&self, device: Device, precision: Precision, calibration: Option<Calibration>) -> anyhow::Result<Plan> {
        let (args, network) = (self.args, &self.network);
        let config = SegmenterConfig { precision: Some(precision), ..self.config.clone() };
        let inputs = args.input.iter().cloned().collect();
        // Any network can be built; only one that segments pictures knows its size by itself.
        let builder = match builder(&config, network) {
            Ok(builder) if args.input.is_empty() => builder,
            _ => Builder::new(BuilderConfig { threads: args.threads, precision, inputs, ..Default::default() }),
        };
        let config = BuilderConfig { device, calibration, ..builder.config().clone() };
        let plan = match device {
            Device::Cuda(_) => self.for_gpu(&config),
            _ => self.timings.build(&config, network),
        };
        let plan = plan.with_context(|| format!("cannot build `{}`", self.name))?.of_model(self.name);
        Ok(if args.no_timing { plan.with_options(&["--no-timing"]) } else { plan })
    }

    /// A plan for a GPU, which need not be there; what has no kernel is said now.
    fn for_gpu(&self, config: &BuilderConfig) -> anyhow::Result<Plan> {
        let (device, precision) = (config.device, config.precision);
        if !precision.is_of_gpus() {
            bail!(BuildError::Precision { device, precision });
        }
        let plan = Timings::open(!self.args.no_timing, device).build(config, &self.network)?;
        Program::new(&plan)?;
        Ok(plan)
    }
}

/// What is in the way, without advice for one who would run it here.
fn why(error: EngineError) -> String {
    match error {
        EngineError::Gpu { found } => found,
        other => other.to_string(),
    }
}

/// What was built.
struct Built {
    plan: Plan,
    /// The same network in fp32 on the processor.
    exact: Plan,
    /// Why the plan cannot run here.
    absent: Option<String>,
    /// How far the two are apart on frames.
    comparison: Option<Comparison>,
}

/// The plan that is asked for, compared with fp32.
fn plans(args: &BuildArgs, model: &str) -> anyhow::Result<Built> {
    let model = Model::open(args, model)?;
    let (device, precision) = (args.device, Precision::on(args.precision, args.device));
    let on_gpu = matches!(device, Device::Cuda(_));
    let exact = model.plan(Device::Cpu, Precision::Fp32, None)?;
    let frames = args.calibrate.as_ref().map(|spec| Frames { spec, count: args.frames, config: &model.config });
    // The processor computes on the grids that a GPU does, and is always there.
    let twin = match &frames {
        Some(frames) if precision == Precision::Int8 => {
            let build = |calibration| model.plan(Device::Cpu, precision, Some(calibration));
            Some(frames.quantize(&exact, (args.range, f64::from(args.budget)), &build)?)
        }
        _ => None,
    };
    let (mut plan, mut comparison) = match twin {
        Some((own, _, comparison)) if !on_gpu => (own, Some(comparison)),
        Some((_, calibration, comparison)) => (model.plan(device, precision, Some(calibration))?, Some(comparison)),
        None => (model.plan(device, precision, None)?, None),
    };
    let on_the_processor = comparison.as_ref().map_or(1.0, Comparison::least);
    let absent = if on_gpu { Engine::new(plan.clone()).err().map(why) } else { None };
    match (&frames, &absent, &mut comparison) {
        (Some(frames), None, Some(found)) if on_gpu => {
            let kept = std::mem::take(&mut found.kept);
            *found = Comparison { kept, ..frames.compare(&exact, &plan)? };
        }
        (Some(frames), None, none @ None) => *none = Some(frames.compare(&exact, &plan)?),
        (Some(_), Some(absent), None) => bail!("cannot compare with fp32: {absent}; leave `--calibrate` out"),
        _ => {}
    }
    if let (Precision::Int8, Some(frames)) = (precision, &frames) {
        let dices = [on_the_processor, comparison.as_ref().map_or(1.0, Comparison::least)];
        missed(args.budget, dices, if on_gpu { "fp16" } else { "bf16" });
        let [count, range, budget] = [args.frames.to_string(), args.range.to_string(), args.budget.to_string()];
        let options = ["--calibrate", frames.spec, "--frames", &count, "--range", &range, "--budget", &budget];
        plan = plan.with_options(&options);
    }
    Ok(Built { plan, exact, absent, comparison })
}

/// Says when the masks are further from fp32 than they may be: of a GPU the layers were chosen on the processor, which may
/// have stayed within the budget; else there is no layer left to keep.
fn missed(budget: f32, [on_the_processor, found]: [f64; 2], precise: &str) {
    let within = |dice: f64| dice >= f64::from(budget);
    if !within(found) {
        let help = if within(on_the_processor) { "give a higher one, or" } else { "no layer is left to keep; take" };
        say(format_args!(
            "sonoplex: int8 has a Dice of {found:.6} to fp32, less than `--budget {budget}`: {help} `--precision {precise}`"
        ));
    }
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
    let kind = if matches!(report.device, Device::Cuda(_)) { " for a GPU" } else { "" };
    writeln!(t, "model       {}, {}{kind}", report.model, report.precision)?;
    writeln!(t, "size        {} steps, {:.1} MB", report.steps, report.bytes as f64 / 1e6)?;
    match (report.median_ms, report.fp32_median_ms, &report.absent) {
        (Some(own), Some(exact), _) => {
            let on = if kind.is_empty() { "" } else { " on the processor" };
            writeln!(
                t,
                "time        {own:.2} ms a run, fp32{on} {exact:.2} ms (medians of {} runs in turn)",
                report.runs
            )?;
        }
        (_, _, absent) => writeln!(t, "time        not measured: {}", absent.as_deref().unwrap_or_default())?,
    }
    let Some(c) = &report.calibration else { return Ok(t) };
    let twin = if kind.is_empty() || c.device != Device::Cpu { "" } else { ", by the processor on the same ranges" };
    writeln!(t, "compared    {} frames of {}, with fp32{twin}", c.frames, c.source)?;
    for class in &c.classes {
        writeln!(t, "dice        {:.5} {}", class.dice, class.class)?;
    }
    if let Some(w) = &c.worst {
        let name = if w.name.is_empty() { String::new() } else { format!(" ({})", w.name) };
        writeln!(t, "worst       {:.5} {} in frame {}{name}", w.dice, w.class, w.frame)?;
    }
    match c.kept.len() {
        0 => {}
        n => {
            let precision = if kind.is_empty() { Precision::Bf16 } else { Precision::Fp16 };
            writeln!(t, "kept        {n} layers in {precision} to stay within the budget")?;
        }
    }
    writeln!(t, "states      {} of {} frames changed theirs", c.states_changed, c.frames)?;
    Ok(t)
}
