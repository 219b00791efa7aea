//! A program on a GPU: its memory, its constants and its launches as one graph.

use std::sync::{Mutex, PoisonError};

use super::cuda::Program;
use super::engine::EngineError;
use crate::backend::cuda::gpu::{About, Gpu, GpuError, Graph};

/// A program on a device, for as many contexts as one likes.
pub(super) struct Loaded {
    pub program: Program,
    index: usize,
    /// The first runner, for whoever comes first.
    first: Mutex<Option<Runner>>,
    pub about: About,
}

/// A device with a program that is ready to run; one for each context.
pub(super) struct Runner {
    gpu: Gpu,
    graph: Graph,
}

impl Loaded {
    /// # Errors
    /// When the device is not there, or refuses.
    pub fn new(program: Program, index: usize) -> Result<Self, EngineError> {
        let first = Runner::new(&program, index)?;
        let about = first.gpu.about().clone();
        Ok(Self { program, index, first: Mutex::new(Some(first)), about })
    }

    /// # Errors
    /// As for [`Loaded::new`].
    pub fn runner(&self) -> Result<Runner, EngineError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| Runner::new(&self.program, self.index), Ok)
    }
}

impl Runner {
    fn new(program: &Program, index: usize) -> Result<Self, EngineError> {
        let ready = || -> Result<Self, GpuError> {
            let mut gpu = Gpu::open(index, program.room)?;
            program.constants.iter().try_for_each(|(region, bytes)| gpu.upload(*region, bytes))?;
            let graph = gpu.record(&program.launches)?;
            Ok(Self { gpu, graph })
        };
        ready().map_err(|e| refused(&e))
    }

    /// Copies the inputs up and starts a run.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue(&mut self, program: &Program, host: &[f32]) -> Result<(), EngineError> {
        let mut rest = host;
        for (_, region) in &program.inputs {
            let (own, after) = rest.split_at(region.bytes as usize / 4);
            self.gpu.upload(*region, bytemuck::cast_slice(own)).map_err(|e| refused(&e))?;
            rest = after;
        }
        self.graph.run().map_err(|e| refused(&e))
    }

    /// Waits for the run, and copies the outputs down.
    ///
    /// # Errors
    /// When the run has failed.
    pub fn fetch(&mut self, program: &Program, host: &mut [f32]) -> Result<(), EngineError> {
        let given: usize = program.inputs.iter().map(|(_, region)| region.bytes as usize / 4).sum();
        let mut rest = &mut host[given..];
        for (_, region) in &program.outputs {
            let (own, after) = rest.split_at_mut(region.bytes as usize / 4);
            self.gpu.download(*region, bytemuck::cast_slice_mut(own)).map_err(|e| refused(&e))?;
            rest = after;
        }
        Ok(())
    }
}

fn refused(error: &GpuError) -> EngineError {
    EngineError::Gpu { found: error.to_string() }
}
