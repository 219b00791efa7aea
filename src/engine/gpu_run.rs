//! Recordings on a GPU.

use std::sync::Arc;

use super::cuda::{Program, Recording, Runner};
use super::engine::EngineError;
use crate::backend::cuda::gpu::{Gpu, GpuError, Graph, Stream};

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
        GpuRunner { gpu: self.gpu.clone(), stream: None, graph: None }
    }
}

/// One stream of a GPU.
pub(super) struct GpuRunner {
    gpu: Gpu,
    stream: Option<Stream>,
    graph: Option<Graph>,
}

impl GpuRunner {
    fn graph(&mut self) -> &mut Graph {
        self.graph.as_mut().expect("something was recorded before")
    }
}

impl Runner for GpuRunner {
    fn record(&mut self, recording: &Recording) -> Result<(), EngineError> {
        self.graph = None;
        let mut ready = || -> Result<Graph, GpuError> {
            let stream = match &mut self.stream {
                Some(stream) if stream.room() >= recording.room => stream,
                small => {
                    // Given back first, so that there need not be room for both.
                    *small = None;
                    small.insert(self.gpu.stream(recording.room)?)
                }
            };
            recording.constants.iter().try_for_each(|(region, bytes)| stream.upload(*region, bytes))?;
            stream.record(&recording.given, &recording.launches, &recording.found)
        };
        self.graph = Some(ready().map_err(|e| refused(&e))?);
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
}

fn refused(error: &GpuError) -> EngineError {
    EngineError::Gpu { found: error.to_string() }
}
