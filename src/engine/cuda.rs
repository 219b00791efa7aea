//! A plan as launches of kernels on a GPU: where its tensors lie, its constants, and what is run in order.
//!
//! Nothing here needs a device. The CPU's engine on the plan of the same network is the specification.

use super::engine::TensorInfo;
use super::plan::{Plan, PlanStep};
use crate::backend::cuda::launch::{Launch, Region};

mod emit;
mod tensors;

/// What a GPU does for one run of a network of one picture, in fp16 with sums of f32.
#[derive(Clone, Debug)]
pub struct Program {
    /// Bytes of device memory.
    pub room: u64,
    /// Bytes that stay as they are, and where.
    pub constants: Vec<(Region, Vec<u8>)>,
    /// Every piece of memory that holds a tensor.
    pub tensors: Vec<Region>,
    /// Kernels in order.
    pub launches: Vec<Launch>,
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
