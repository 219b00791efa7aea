//! A plan as launches of kernels on a GPU: where its tensors lie, its constants, and what is run in order.
//!
//! Nothing here needs a device. The CPU's engine on the plan of the same network is the specification.

use std::ops::Range;

use super::engine::{EngineError, TensorInfo};
use super::plan::{Plan, PlanStep};
use crate::backend::cuda::launch::{Launch, Region};

mod emit;
mod floats;
mod kernels;
mod pointwise;
mod tensors;
mod weights;

/// What a GPU does for one run of a network: in fp16 with sums of f32, or in bytes with whole sums.
#[derive(Clone, Debug)]
pub struct Program {
    /// Bytes of device memory.
    pub room: u64,
    /// Bytes that stay as they are, and where.
    pub constants: Vec<(Region, Vec<u8>)>,
    /// Every piece of memory that holds a tensor, or that a kernel works in.
    pub tensors: Vec<Region>,
    /// Kernels in order.
    pub launches: Vec<Launch>,
    /// Which of them each step of the plan has become.
    pub steps: Vec<Range<usize>>,
    /// How many steps are computed on floats, as the CPU does, because no kernel computes them on halves or codes.
    pub on_floats: usize,
    /// What has to be given: planes of floats.
    pub inputs: Vec<(TensorInfo, Region)>,
    /// What comes out: planes of floats.
    pub outputs: Vec<(TensorInfo, Region)>,
}

impl Program {
    /// The program of a plan that was built for a GPU.
    ///
    /// # Errors
    /// When it has a step that no kernel computes.
    pub fn new(plan: &Plan) -> Result<Self, CudaError> {
        emit::program(plan, true)
    }

    /// The same with memory of its own for every tensor, so that one who watches sees every access to another.
    ///
    /// # Errors
    /// As for [`Program::new`].
    pub fn apart(plan: &Plan) -> Result<Self, CudaError> {
        emit::program(plan, false)
    }
}

/// What a stage of [`Program::by_steps`] is called.
pub(super) const STEP: &str = "step";

/// The tactics of every step of a plan for a GPU, the one that is probably fastest first; none where there is one way only.
///
/// # Errors
/// When it has a step that no kernel computes.
pub(super) fn tactics(plan: &Plan) -> Result<Vec<Vec<String>>, CudaError> {
    let tensors = emit::tensors(plan)?;
    Ok(plan.header.steps.iter().map(|step| tensors.tactics(&plan.header, step)).collect())
}

/// What is run as one graph, whole: copies to the device, kernels, copies from it.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// Bytes of device memory.
    pub room: u64,
    /// Every piece of memory that is written; constants aside.
    pub tensors: Vec<Region>,
    /// Bytes that stay as they are, and where.
    pub constants: Vec<(Region, &'a [u8])>,
    /// Where what is given goes, piece after piece.
    pub given: Vec<Region>,
    /// Kernels in order, by stage.
    pub stages: Vec<(&'static str, Vec<Launch>)>,
    /// Where what is found comes from, piece after piece.
    pub found: Vec<Region>,
}

impl Program {
    /// The network alone: its inputs are given, its outputs are found.
    pub fn recording(&self) -> Recording<'_> {
        self.recorded(vec![("network", self.launches.clone())])
    }

    /// The same with every step of the plan as a stage.
    pub(super) fn by_steps(&self) -> Recording<'_> {
        self.recorded(self.steps.iter().map(|own| (STEP, self.launches[own.clone()].to_vec())).collect())
    }

    fn recorded(&self, stages: Vec<(&'static str, Vec<Launch>)>) -> Recording<'_> {
        Recording {
            room: self.room,
            tensors: self.tensors.clone(),
            constants: self.constants.iter().map(|(region, bytes)| (*region, bytes.as_slice())).collect(),
            given: self.inputs.iter().map(|(_, region)| *region).collect(),
            stages,
            found: self.outputs.iter().map(|(_, region)| *region).collect(),
        }
    }
}

impl Recording<'_> {
    /// All kernels in order.
    pub fn launches(&self) -> Vec<Launch> {
        self.stages.iter().flat_map(|(_, launches)| launches).cloned().collect()
    }
}

/// What runs recordings: a stream of a GPU, or what stands for one in a test.
pub trait Runner: Send {
    /// Takes a recording in the place of the one before.
    ///
    /// # Errors
    /// When the device refuses.
    fn record(&mut self, recording: &Recording) -> Result<(), EngineError>;

    /// What is given to the next run, piece after piece; waits for the end of the last one.
    ///
    /// # Errors
    /// When that has failed.
    fn given(&mut self) -> Result<&mut [u8], EngineError>;

    /// Starts a run and does not wait.
    ///
    /// # Errors
    /// When the device refuses.
    fn enqueue(&mut self) -> Result<(), EngineError>;

    /// What was found, piece after piece; waits for the end of the run.
    ///
    /// # Errors
    /// When it has failed.
    fn found(&mut self) -> Result<&[u8], EngineError>;

    /// Microseconds that each stage takes on the device, copies too: of each the median of so many runs of a graph of its own,
    /// so that nothing is in the graph that counts. Nothing where there is no device.
    ///
    /// # Errors
    /// When the device refuses.
    fn time_stages(&mut self, _runs: usize) -> Result<Vec<(&'static str, f32)>, EngineError> {
        Ok(Vec::new())
    }
}

/// Why a plan cannot run on a GPU.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("cannot compute the step `{step}` ({operation}) on a GPU: {found}; use `--device cpu`")]
pub struct CudaError {
    /// The step.
    pub step: String,
    /// What it does.
    pub operation: String,
    /// What is in the way.
    pub found: String,
}

impl CudaError {
    fn of(step: &PlanStep, found: impl Into<String>) -> Self {
        let operation = step.op.summary(step.inputs.len());
        Self { step: step.name.clone(), operation, found: found.into() }
    }
}
