//! `sonoplex check`: whether a model will run, and what will be fused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{Builder, BuilderConfig, Network, Survey, survey};

use super::args::CheckArgs;

/// Nodes of one operator that are listed at most.
const LISTED: usize = 8;

#[derive(Serialize)]
struct Report {
    file: String,
    name: String,
    producer: String,
    opset: i64,
    #[serde(flatten)]
    survey: Survey,
    gpu: OnGpu,
}

/// What a GPU would run; no device is needed to tell.
#[derive(Serialize)]
struct OnGpu {
    kernels: Option<usize>,
    on_floats: Option<usize>,
    bytes: Option<u64>,
    problem: Option<String>,
}

impl OnGpu {
    fn of(network: &Network, inputs: BTreeMap<String, Vec<usize>>) -> Self {
        let config = BuilderConfig { inputs, ..BuilderConfig::default() };
        let plan = Builder::new(config).build_for_gpu(network).map_err(|e| e.to_string());
        match plan.and_then(|plan| Program::new(&plan).map_err(|e| e.to_string())) {
            Ok(program) => Self {
                kernels: Some(program.launches.len()),
                on_floats: Some(program.on_floats),
                bytes: Some(program.room),
                problem: None,
            },
            Err(problem) => Self { kernels: None, on_floats: None, bytes: None, problem: Some(problem) },
        }
    }
}

pub fn main(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let Some(file) = args.model.as_ref().filter(|_| !args.explain) else { return super::explain::check() };
    super::targets::check_files(file, &[("--json", args.json.as_deref())])?;
    let network: Network = sonoplex::segmenter::open_network(Path::new(file))?;
    let survey = survey(&network, &args.input.iter().cloned().collect());
    let report = Report {
        file: file.clone(),
        name: network.name.clone(),
        producer: network.producer.clone(),
        opset: network.opset,
        survey,
        gpu: OnGpu::of(&network, args.input.iter().cloned().collect()),
    };
    if let Some(path) = &args.json {
        super::write_json(path, &report)?;
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &text(&report)?)?;
    }
    Ok(if report.survey.runs { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report) -> anyhow::Result<String> {
    let (s, mut t) = (&report.survey, String::new());
    writeln!(t, "model       {}", report.file)?;
    writeln!(t, "network     {} ({}, opset {})", report.name, report.producer, report.opset)?;
    let verdict = match (&s.problem, s.not_supported.len()) {
        (None, 0) => "it runs".to_owned(),
        (Some(problem), _) => format!("it does not run: {problem}"),
        (None, 1) => "it does not run: 1 node is not supported".to_owned(),
        (None, n) => format!("it does not run: {n} nodes are not supported"),
    };
    writeln!(t, "verdict     {verdict}")?;
    for (what, tensors) in [("input", &s.inputs), ("output", &s.outputs)] {
        for tensor in tensors {
            writeln!(t, "{what:<11} {} {} {}", tensor.name, tensor.shape, tensor.dtype)?;
        }
    }
    let operator = |(name, count): (&String, &sonoplex::engine::survey::OperatorCount)| match count.not_supported {
        0 => format!("{} {name}", count.nodes),
        n => format!("{} {name} ({n} not supported)", count.nodes),
    };
    let operators: Vec<String> = s.operators.iter().map(operator).collect();
    writeln!(t, "operators   {}", operators.join(", "))?;
    if s.runs {
        writeln!(t, "work        {:.3} GFLOP a run (2 a multiply-add)", s.gflop)?;
        let (weights, arena) = (s.weight_bytes as f64 / 1e6, s.arena_bytes as f64 / 1e6);
        writeln!(t, "memory      {weights:.1} MB of weights, {arena:.1} MB of tensors")?;
        match &report.gpu {
            OnGpu { kernels: Some(kernels), on_floats: Some(on_floats), bytes: Some(bytes), .. } => {
                let slower = match on_floats {
                    0 => String::new(),
                    1 => "; 1 step takes floats, which is slower".to_owned(),
                    n => format!("; {n} steps take floats, which is slower"),
                };
                writeln!(
                    t,
                    "gpu         {kernels} kernels in fp16, {:.1} MB with weights{slower}",
                    *bytes as f64 / 1e6
                )?;
            }
            OnGpu { problem, .. } => writeln!(t, "gpu         {}", problem.as_deref().unwrap_or("it does not run"))?,
        }
        writeln!(t, "steps       {} layers, {} steps, {} after fusing", s.layers, s.steps_before, s.steps_after)?;
        writeln!(t, "\n{:<18} {:>14}  what it does", "pass", "steps")?;
        for p in &s.passes {
            writeln!(t, "{:<18} {:>14}  {}", p.pass, format!("{} -> {}", p.before, p.after), p.meaning)?;
        }
        writeln!(t, "\nsteps of the plan")?;
        let mut steps: Vec<_> = s.steps.iter().collect();
        steps.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
        for (name, count) in steps {
            writeln!(t, "{count:>6}  {name}")?;
        }
    }
    not_supported(&mut t, s)?;
    Ok(t)
}

/// The nodes that cannot be computed, with the reason, those of one operator together.
fn not_supported(t: &mut String, s: &Survey) -> std::fmt::Result {
    if s.not_supported.is_empty() {
        return Ok(());
    }
    writeln!(t, "\nnot supported (what reads from these was not looked at)")?;
    let mut groups: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for one in &s.not_supported {
        match groups.iter_mut().find(|g| (g.0, g.1) == (&one.operator, &one.reason)) {
            Some(group) => group.2.push(&one.node),
            None => groups.push((&one.operator, &one.reason, vec![&one.node])),
        }
    }
    for (operator, reason, nodes) in groups {
        writeln!(t, "  {operator}: {reason}")?;
        let shown: Vec<String> = nodes.iter().take(LISTED).map(|n| format!("`{n}`")).collect();
        let more = if nodes.len() > LISTED { format!(" and {} more", nodes.len() - LISTED) } else { String::new() };
        writeln!(t, "    {}{more}", shown.join(", "))?;
    }
    Ok(())
}
