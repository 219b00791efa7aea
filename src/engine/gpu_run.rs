//! Recordings on a GPU.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::cuda::{Program, Recording, Runner, STEP};
use super::engine::EngineError;
use super::plan::Plan;
use crate::backend::cuda::gpu::{Gpu, GpuError, Graph, Start, Stream};
use crate::backend::cuda::launch::{Launch, Region};
use crate::backend::cuda::module::SOURCES;

/// How the kernels of a network start, once that is found.
type StartCell = Arc<OnceLock<Start>>;

/// A program and the device that it is for, for as many contexts as one likes.
pub(super) struct Loaded {
    pub program: Arc<Program>,
    pub gpu: Gpu,
    /// How its kernels start, as the first that ran it has found.
    start: StartCell,
}

impl Loaded {
    /// # Errors
    /// When the device is not there, or refuses.
    pub fn new(program: Program, index: usize) -> Result<Self, EngineError> {
        let gpu = Gpu::open(index).map_err(|e| refused(&e))?;
        let early = can_start_early(&gpu, &program);
        let start = if early { start_of(index, &program) } else { Arc::new(Start::Behind.into()) };
        Ok(Self { program: Arc::new(program), gpu, start })
    }

    /// A stream of its own that runs nothing yet.
    pub fn runner(&self) -> GpuRunner {
        GpuRunner {
            gpu: self.gpu.clone(),
            program: self.program.clone(),
            stream: None,
            graph: None,
            start: self.start.clone(),
            stages: Vec::new(),
        }
    }
}

/// A device that has idled is slow for so long.
const WARM_UP: Duration = Duration::from_millis(300);

/// What each step of a plan takes on its device: the median of so many runs of a graph of its own.
///
/// # Errors
/// When the device is not there, or refuses, or a step has no kernel.
pub(super) fn time_steps(plan: &Plan, index: usize, runs: usize) -> Result<Vec<Duration>, EngineError> {
    // Every step alone, as if nothing went before it.
    let loaded = Loaded { start: Arc::new(Start::Behind.into()), ..Loaded::new(Program::new(plan)?, index)? };
    let mut runner = loaded.runner();
    runner.record(&loaded.program.by_steps())?;
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        runner.enqueue()?;
        runner.found()?;
    }
    // Steps without kernels are no stages.
    let mut timed = runner.time_stages(runs)?.into_iter().filter(|(name, _)| *name == STEP);
    let mut time = |launches: &Range<usize>| match launches.is_empty() {
        true => Duration::ZERO,
        false => timed.next().map_or(Duration::ZERO, |(_, us)| Duration::from_secs_f32(us.max(0.0) * 1e-6)),
    };
    Ok(loaded.program.steps.iter().map(&mut time).collect())
}

/// A device with its driver and our kernels, by which times are kept.
///
/// # Errors
/// When it is not there.
pub(super) fn machine(index: usize) -> Result<String, EngineError> {
    let gpu = Gpu::open(index).map_err(|e| refused(&e))?;
    let about = gpu.about();
    Ok(format!("{}, driver {}, {}, kernels {}", about.name, about.driver, about.target, SOURCES.trim()))
}

/// Each way to start kernels is timed twice a turn.
const TURNS: usize = 6;
/// The early start must save this much: less may be chance.
const CLEARLY: f32 = 0.97;

/// One stream of a GPU.
pub(super) struct GpuRunner {
    gpu: Gpu,
    /// The network, which has the same constants at the start of the memory of every recording.
    program: Arc<Program>,
    stream: Option<Stream>,
    graph: Option<Graph>,
    start: StartCell,
    stages: Vec<Stage>,
}

/// A part of what is recorded: its name, copies to the device and from it, kernels.
type Stage = (&'static str, [Vec<Region>; 2], Vec<Launch>);

impl GpuRunner {
    fn graph(&mut self) -> &mut Graph {
        self.graph.as_mut().expect("something was recorded before")
    }
}

impl Runner for GpuRunner {
    fn record(&mut self, recording: &Recording) -> Result<(), EngineError> {
        self.graph = None;
        let mut ready = || -> Result<Graph, GpuError> {
            let mut known = self.program.room;
            let stream = match &mut self.stream {
                Some(stream) if stream.room() >= recording.room => stream,
                small => {
                    known = 0;
                    // Given back first, so that there need not be room for both.
                    *small = None;
                    small.insert(self.gpu.stream(recording.room)?)
                }
            };
            let mut new = recording.constants.iter().filter(|(region, _)| region.offset >= known);
            new.try_for_each(|(region, bytes)| stream.upload(*region, bytes))?;
            let launches = recording.launches();
            let start = *self.start.get_or_init(|| faster(stream, &self.program));
            stream.record(&recording.given, &launches, &recording.found, start)
        };
        let made = ready();
        if made.is_err() {
            // What was uploaded may be half of it.
            self.stream = None;
        }
        self.graph = Some(made.map_err(|e| refused(&e))?);
        let kernels = recording.stages.iter().map(|(name, launches)| (*name, Default::default(), launches.clone()));
        self.stages = kernels.filter(|(_, _, launches)| !launches.is_empty()).collect();
        self.stages.insert(0, ("h2d", [recording.given.clone(), Vec::new()], Vec::new()));
        self.stages.push(("d2h", [Vec::new(), recording.found.clone()], Vec::new()));
        Ok(())
    }

    fn given(&mut self) -> Result<&mut [u8], EngineError> {
        self.graph().given().map_err(|e| refused(&e))
    }

    fn enqueue(&mut self) -> Result<(), EngineError> {
        let (Some(stream), Some(graph)) = (&mut self.stream, &mut self.graph) else {
            unreachable!("something was recorded before")
        };
        stream.run(graph).map_err(|e| refused(&e))
    }

    fn found(&mut self) -> Result<&[u8], EngineError> {
        self.graph().found().map_err(|e| refused(&e))
    }

    fn time_stages(&mut self, runs: usize) -> Result<Vec<(&'static str, f32)>, EngineError> {
        let start = self.start.get().copied().unwrap_or(Start::Behind);
        let Some(stream) = &mut self.stream else { return Ok(Vec::new()) };
        let mut time = |given: &[Region], launches: &[Launch], found: &[Region]| -> Result<f32, GpuError> {
            let mut graph = stream.record(given, launches, found, start)?;
            // Some to warm up.
            stream.time(&mut graph, runs / 4)?;
            let mut times = stream.time(&mut graph, runs.max(1))?;
            times.sort_by(f32::total_cmp);
            Ok(1e3 * times[times.len() / 2])
        };
        let timed = self.stages.iter().map(|(name, [given, found], launches)| {
            time(given, launches, found).map(|us| (*name, us)).map_err(|e| refused(&e))
        });
        timed.collect()
    }
}

/// Whether there is a choice. `SONOPLEX_EARLY_START=off` says that there is none, for a device that takes harm.
fn can_start_early(gpu: &Gpu, program: &Program) -> bool {
    let off = std::env::var_os("SONOPLEX_EARLY_START").is_some_and(|value| value == "off");
    gpu.starts_early() && program.launches.len() > 1 && !off
}

/// Where it is kept how the kernels of a network start on a device. Whoever runs it first finds out, while others wait for it:
/// beside other streams a race would tell little.
fn start_of(index: usize, program: &Program) -> StartCell {
    static STARTS: Mutex<BTreeMap<(usize, u64), StartCell>> = Mutex::new(BTreeMap::new());
    let mut network = DefaultHasher::new();
    format!("{:?}", program.launches).hash(&mut network);
    let mut starts = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
    starts.entry((index, network.finish())).or_default().clone()
}

/// How the kernels of a network start: early, where that gives the same bits in less time.
fn faster(stream: &mut Stream, program: &Program) -> Start {
    match race(stream, &program.recording()) {
        Ok([behind, early]) => {
            tracing::info!("the network takes {early:.1} µs with kernels that start early, {behind:.1} µs without");
            if early < CLEARLY * behind { Start::Early } else { Start::Behind }
        }
        Err(found) => {
            tracing::warn!("kernels do not start early on this device: {found}");
            Start::Behind
        }
    }
}

/// Microseconds of both ways to start kernels, the median of each.
fn race(stream: &mut Stream, recording: &Recording) -> Result<[f32; 2], String> {
    let text = |error: GpuError| error.to_string();
    let launches = recording.launches();
    let mut record = |start| stream.record(&recording.given, &launches, &recording.found, start).map_err(text);
    let mut graphs = [record(Start::Behind)?, record(Start::Early)?];
    let mut times = [Vec::new(), Vec::new()];
    let mut run = |way: usize, input: usize| -> Result<Vec<u8>, String> {
        let graph = &mut graphs[way];
        let given = graph.given().map_err(text)?.as_chunks_mut().0.iter_mut().enumerate();
        given.for_each(|(i, float)| *float = ((i * (i + input) % 97) as f32 / 96.0).to_le_bytes());
        times[way].extend(stream.time(graph, 1).map_err(text)?);
        Ok(graph.found().map_err(text)?.to_vec())
    };
    for turn in 0..TURNS {
        // Before each run with a new input, the memory is as another input has left it: who reads too early finds that.
        let (a, b) = (2 * turn, 2 * turn + 1);
        let behind = run(0, a)?;
        let early = run(1, b)?;
        if run(0, b)? != early || run(1, a)? != behind {
            return Err("they give other bits".to_owned());
        }
        if behind == early {
            return Err("what the network gives does not depend on its input, so nobody could see it".to_owned());
        }
    }
    Ok(times.map(|mut times| {
        times.sort_by(f32::total_cmp);
        1e3 * times[times.len() / 2]
    }))
}

fn refused(error: &GpuError) -> EngineError {
    EngineError::Gpu { found: error.to_string() }
}
