//! Recordings on a GPU.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::cuda::{Program, Recording, Runner, STEP};
use super::engine::EngineError;
use super::plan::Plan;
use crate::backend::cuda::gpu::{Gpu, GpuError, Graph, Stream};
use crate::backend::cuda::launch::{Launch, Region};
use crate::backend::cuda::module::SOURCES;

/// A program and the device that it is for, for as many contexts as one likes.
pub(super) struct Loaded {
    pub program: Arc<Program>,
    pub gpu: Gpu,
}

impl Loaded {
    /// # Errors
    /// When the device is not there, or refuses.
    pub fn new(program: Program, index: usize) -> Result<Self, EngineError> {
        let gpu = Gpu::open(index).map_err(|e| refused(&e))?;
        Ok(Self { program: Arc::new(program), gpu })
    }

    /// A stream of its own that runs nothing yet.
    pub fn runner(&self) -> GpuRunner {
        GpuRunner { gpu: self.gpu.clone(), kept: self.program.room, stream: None, graph: None, stages: Vec::new() }
    }
}

/// What each step of a plan takes on its device: the median of so many runs of a graph of its own.
///
/// # Errors
/// When the device is not there, or refuses, or a step has no kernel.
pub(super) fn time_steps(plan: &Plan, index: usize, runs: usize) -> Result<Vec<Duration>, EngineError> {
    let loaded = Loaded::new(Program::new(plan)?, index)?;
    let mut runner = loaded.runner();
    runner.record(&loaded.program.by_steps())?;
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

/// One stream of a GPU.
pub(super) struct GpuRunner {
    gpu: Gpu,
    /// Bytes of memory that the network has, and in which every recording has the same constants.
    kept: u64,
    stream: Option<Stream>,
    graph: Option<Graph>,
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
            let mut known = self.kept;
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
            stream.record(&recording.given, &recording.launches(), &recording.found)
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
        let Some(stream) = &mut self.stream else { return Ok(Vec::new()) };
        let mut time = |given: &[Region], launches: &[Launch], found: &[Region]| -> Result<f32, GpuError> {
            let mut graph = stream.record(given, launches, found)?;
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

fn refused(error: &GpuError) -> EngineError {
    EngineError::Gpu { found: error.to_string() }
}
