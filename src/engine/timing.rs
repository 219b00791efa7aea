//! Tactics chosen by timing: every layer in its place in the network, with the caches as they will be.
//!
//! Each round builds the whole network with the next candidate of every layer and profiles it, so that a round takes no
//! longer than a few runs. Layers of one shape are timed together, and what was timed is kept in a [`TimingCache`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::builder::{BuildError, Builder, BuilderConfig};
use super::device::Device;
use super::engine::{Engine, EngineError};
use super::graph::Op;
use super::network::Network;
use super::plan::{Plan, PlanStep};
use super::{cuda, gpu_run, tactic};
use crate::backend::cpu::isa::{self, Isa};
use crate::backend::cpu::layout::Layout;
use crate::backend::cpu::pool::Pool;

/// Raised when a tactic of an old name is computed in a new way.
const KERNELS: u32 = 2;
/// A tactic that is not this much faster than the guess does not displace it: timing is not more exact.
const CLEARLY: f64 = 0.97;
/// Runs of a round, after [`WARM_UP`] others; the fastest counts.
const RUNS: usize = 11;
const WARM_UP: usize = 2;

/// Runs of each step on a GPU, of which the median counts.
const RUNS_ON_GPU: usize = 200;

/// What tactics took, in microseconds, by the shape of the layer; for one processor or one kind of GPU alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingCache {
    /// What it holds for: processor, instructions, version of the kernels; or device, driver, hash of the kernels.
    machine: String,
    times: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Default for TimingCache {
    fn default() -> Self {
        Self { machine: format!("{}, {}, kernels {KERNELS}", isa::model(), Isa::detect()), times: BTreeMap::new() }
    }
}

impl TimingCache {
    /// An empty one of a device.
    ///
    /// # Errors
    /// When it is a GPU that is not there.
    pub fn of(device: Device) -> Result<Self, EngineError> {
        match device {
            Device::Cuda(index) => Ok(Self { machine: gpu_run::machine(index)?, times: BTreeMap::new() }),
            Device::Auto | Device::Cpu => Ok(Self::default()),
        }
    }

    /// Whether its times are those of the device and the kernels that another one is of.
    pub fn is_like(&self, other: &Self) -> bool {
        self.machine == other.machine
    }

    fn add(&mut self, layer: &str, tactic: &str, microseconds: f64) {
        let own = self.times.entry(layer.to_owned()).or_default().entry(tactic.to_owned()).or_insert(f64::INFINITY);
        *own = own.min(microseconds);
    }

    fn has(&self, layer: &str, tactic: &str) -> bool {
        self.times.get(layer).is_some_and(|times| times.contains_key(tactic))
    }

    /// The fastest of `candidates`; the first, which is the guess, where none is clearly faster.
    fn fastest<'a>(&self, layer: &str, candidates: &'a [String]) -> &'a str {
        let time = |tactic: &str| self.times.get(layer).and_then(|t| t.get(tactic)).copied().unwrap_or(f64::INFINITY);
        let best = candidates.iter().min_by(|a, b| time(a).total_cmp(&time(b))).unwrap_or(&candidates[0]);
        if time(best) < CLEARLY * time(&candidates[0]) { best } else { &candidates[0] }
    }
}

/// How long each step of a plan takes.
pub type Timer<'a> = &'a mut dyn FnMut(Plan) -> Result<Vec<Duration>, EngineError>;

/// Why tactics could not be timed.
#[derive(Debug, thiserror::Error)]
pub enum TimingError {
    /// The network cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The device fails.
    #[error(transparent)]
    Run(#[from] EngineError),
}

/// Times steps on the device of the plan: the fastest of a few runs, on a GPU the median of many.
///
/// # Errors
/// When the plan cannot run here.
pub fn measure(plan: Plan) -> Result<Vec<Duration>, EngineError> {
    if let Device::Cuda(index) = plan.device() {
        return gpu_run::time_steps(&plan, index, RUNS_ON_GPU);
    }
    let mut context = Engine::new(plan)?.context();
    context.bind_noise();
    for _ in 0..WARM_UP {
        context.enqueue()?;
    }
    let mut best = context.profile()?;
    for _ in 1..RUNS {
        best.iter_mut().zip(context.profile()?).for_each(|(best, time)| *best = time.min(*best));
    }
    Ok(best)
}

/// The plan of `network` with the fastest tactics: those that `cache` does not know are timed, and `progress` is told
/// which round begins, of how many.
///
/// # Errors
/// As [`Builder::build`], and when the device fails.
pub fn build(
    config: &BuilderConfig,
    network: &Network,
    cache: &mut TimingCache,
    timer: Timer,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Plan, TimingError> {
    let with = |tactics| Builder::new(BuilderConfig { tactics: Some(tactics), ..config.clone() }).build(network);
    let guess = Builder::new(config.clone()).build(network)?;
    let threads = Pool::new(config.threads).threads();
    let of_gpu = if guess.is_for_gpu() { cuda::tactics(&guess).map_err(EngineError::from)? } else { Vec::new() };
    let layers: Vec<(String, String, Vec<String>)> = guess
        .steps()
        .iter()
        .enumerate()
        .filter_map(|(index, step)| {
            let candidates = of_gpu.get(index).cloned().unwrap_or_else(|| candidates(&guess, step, config));
            (candidates.len() > 1).then(|| (step.name.clone(), key(&guess, step, threads), candidates))
        })
        .collect();
    let mut waiting: Vec<Vec<&str>> = layers
        .iter()
        .map(|(_, key, candidates)| {
            let unknown = |tactic: &&String| !cache.has(key, tactic);
            candidates.iter().filter(unknown).map(String::as_str).collect()
        })
        .collect();
    let rounds = waiting.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        progress(round + 1, rounds);
        let mut tactics = guess.tactics();
        let mut timed = BTreeSet::new();
        for ((name, _, _), waiting) in layers.iter().zip(&mut waiting) {
            if let Some(tactic) = waiting.pop() {
                tactics.insert(name.clone(), tactic.to_owned());
                timed.insert(name.as_str());
            }
        }
        let plan = with(tactics)?;
        let step = |s: &PlanStep| (s.name.clone(), s.tactic.clone(), pooling(&plan, s));
        let steps: Vec<(String, String, Option<usize>)> = plan.steps().iter().map(step).collect();
        let times = timer(plan)?;
        for ((name, tactic, pooling), time) in steps.iter().zip(&times) {
            if let Some((_, key, _)) = layers.iter().find(|(own, ..)| own == name && timed.contains(own.as_str())) {
                // One that pools on the way has done both.
                let pool = pooling.and_then(|index| times.get(index)).copied().unwrap_or_default();
                cache.add(key, tactic, (*time + pool).as_secs_f64() * 1e6);
            }
        }
    }
    let mut tactics = guess.tactics();
    for (name, key, candidates) in &layers {
        tactics.insert(name.clone(), cache.fastest(key, candidates).to_owned());
    }
    Ok(with(tactics)?)
}

/// What is worth timing of what could compute `step`, the guess first: the widest instructions, and of one way the
/// coarsest factors that are allowed.
fn candidates(plan: &Plan, step: &PlanStep, config: &BuilderConfig) -> Vec<String> {
    let kept = config.calibration.as_ref().is_some_and(|c| c.kept.contains(&step.name));
    let mut offered = tactic::allowed(tactic::between(&step.op, plan.layouts(step)), config.precision, kept);
    let wide = offered.first().map_or("", |first| isa::split(first).1).to_owned();
    offered.retain(|tactic| tactic != "naive" && isa::split(tactic).1 == wide);
    let coarser = |tactic: &str| {
        let (stem, _) = isa::split(tactic);
        !stem.ends_with("_bf16") && !stem.ends_with("_int8") && offered.contains(&format!("{stem}_bf16{wide}"))
    };
    offered.iter().filter(|tactic| !coarser(tactic)).cloned().collect()
}

/// The pooling that a step of a plan for a GPU may do on the way, by some of its tactics.
fn pooling(plan: &Plan, step: &PlanStep) -> Option<usize> {
    let reads = |other: &PlanStep| matches!(other.op, Op::MaxPool(_)) && other.inputs[0] == step.output;
    if plan.is_for_gpu() && matches!(step.op, Op::Conv { .. }) { plan.steps().iter().position(reads) } else { None }
}

/// What makes two layers take the same time.
fn key(plan: &Plan, step: &PlanStep, threads: usize) -> String {
    let kept = |layout| match layout {
        Layout::Planar => "planar",
        Layout::Blocked => "f32",
        Layout::BlockedBf16 => "bf16",
        Layout::BlockedU8(_) => "u8",
    };
    let [from, to] = plan.layouts(step).map(kept);
    let shape = match &step.op {
        Op::Conv { shape, .. } => format!("{shape:?}"),
        Op::ConvTranspose { shape, .. } => format!("{shape:?}"),
        other => format!("{other:?}"),
    };
    let fused = step.op.summary(step.inputs.len());
    let pooled = if pooling(plan, step).is_some() { " pooled" } else { "" };
    format!("{fused} {shape} {from}>{to} {threads} threads{pooled}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole sums are pooled on their way, split ones by a step of its own: they are compared with both done.
    #[test]
    fn what_may_pool_on_its_way_is_timed_with_the_pooling() {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/mini.onnx");
        let network = Network::open(model.as_ref()).expect("a model that ships");
        let plan = Builder::default().build_for_gpu(&network).expect("it has kernels");
        let of_gpu: Vec<_> = plan.steps().iter().map(|step| (pooling(&plan, step), key(&plan, step, 1))).collect();
        let pools = plan.steps().iter().filter(|step| matches!(step.op, Op::MaxPool(_))).count();
        assert_eq!(of_gpu.iter().filter(|(pool, _)| pool.is_some()).count(), pools);
        for (pool, key) in &of_gpu {
            assert!(pool.is_none_or(|index| matches!(plan.steps()[index].op, Op::MaxPool(_))), "{pool:?}");
            assert_eq!(key.ends_with(" pooled"), pool.is_some(), "{key}");
        }
        let plan = Builder::default().build(&network).expect("supported");
        assert!(plan.steps().iter().all(|step| pooling(&plan, step).is_none()), "a processor does so in one step");
    }
}
