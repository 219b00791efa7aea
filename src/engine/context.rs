//! What changes while a plan runs: the arena and the scratch memory of one stream of frames.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cuda::Runner;
use super::engine::{EngineError, Inner, TensorInfo};
use super::gpu_run::GpuRunner;
use super::plan::{Place, PlanValue};
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::layout::unpack;

/// One stream through an [`super::Engine`]. After it is made, nothing is allocated.
pub struct ExecutionContext {
    inner: Arc<Inner>,
    /// On a GPU what is bound and what comes out, one after the other.
    arena: Aligned,
    scratch: Aligned,
    /// What runs on a GPU; made for the first run.
    runner: Option<GpuRunner>,
}

impl ExecutionContext {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let ends = || inner.inputs.iter().chain(&inner.outputs).map(|t| t.shape.iter().product::<usize>()).sum();
        let arena = Aligned::zeros(if inner.gpu.is_some() { ends() } else { inner.plan.header.arena });
        let scratch = Aligned::zeros(inner.scratch);
        Self { inner, arena, scratch, runner: None }
    }

    /// The memory of an input, to write to; it keeps what was written for the runs that follow.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn input_mut(&mut self, name: &str) -> Result<&mut [f32], EngineError> {
        let inner = &self.inner;
        let range = self.input_range(find(&inner.inputs, name, "input")?);
        Ok(&mut self.arena[range])
    }

    /// Fills every input with numbers from 0 to 1 that follow no pattern, to measure times.
    pub fn bind_noise(&mut self) {
        for index in 0..self.inner.inputs.len() {
            let range = self.input_range(index);
            for (i, number) in self.arena[range].iter_mut().enumerate() {
                *number = (i as u32 + 1).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32;
            }
        }
    }

    /// Copies a tensor into an input.
    ///
    /// # Errors
    /// When there is no such input, or the shape is another one.
    pub fn bind(&mut self, name: &str, shape: &[usize], data: &[f32]) -> Result<(), EngineError> {
        let expected = &self.inner.inputs[find(&self.inner.inputs, name, "input")?].shape;
        if expected != shape || expected.iter().product::<usize>() != data.len() {
            return Err(EngineError::Shape {
                name: name.to_owned(),
                expected: expected.clone(),
                found: shape.to_vec(),
                elements: data.len(),
            });
        }
        self.input_mut(name)?.copy_from_slice(data);
        Ok(())
    }

    /// Starts a run on what is bound. On the CPU it has ended when this returns.
    ///
    /// # Errors
    /// On the CPU never; a GPU may refuse.
    pub fn enqueue(&mut self) -> Result<(), EngineError> {
        let inner = &self.inner;
        if let Some(gpu) = &inner.gpu {
            let runner = match &mut self.runner {
                Some(runner) => runner,
                none => {
                    let mut runner = gpu.runner();
                    runner.record(&gpu.program.recording())?;
                    none.insert(runner)
                }
            };
            let given = runner.given()?;
            given.copy_from_slice(&bytemuck::cast_slice(&self.arena)[..given.len()]);
            return runner.enqueue();
        }
        for (step, kernel) in inner.plan.header.steps.iter().zip(&inner.kernels) {
            kernel.run(inner, step, &mut self.arena, &mut self.scratch);
        }
        Ok(())
    }

    /// Runs on what is bound, and how long each step took.
    ///
    /// # Errors
    /// On a GPU, whose steps are one graph.
    pub fn profile(&mut self) -> Result<Vec<Duration>, EngineError> {
        let inner = &self.inner;
        self.on_the_cpu()?;
        let timed = inner.plan.header.steps.iter().zip(&inner.kernels).map(|(step, kernel)| {
            let start = Instant::now();
            kernel.run(inner, step, &mut self.arena, &mut self.scratch);
            start.elapsed()
        });
        Ok(timed.collect())
    }

    /// Runs on what is bound, and shows the values of every picture as its step has made it: `see(name, values)`, once
    /// for each image, plane by plane.
    ///
    /// # Errors
    /// On a GPU, whose steps are one graph.
    pub fn enqueue_observed(&mut self, see: &mut dyn FnMut(&str, &[f32])) -> Result<(), EngineError> {
        let inner = &self.inner;
        self.on_the_cpu()?;
        let header = &inner.plan.header;
        let mut planes = Vec::new();
        let mut show = |arena: &[f32], value: &PlanValue| {
            let Place::Arena { offset, stride } = value.place else { return };
            if value.shape.len() != 4 {
                return;
            }
            for image in 0..value.images() {
                let own = &arena[offset + image * stride..][..value.image_room()];
                if !value.layout.is_blocked() {
                    see(&value.name, own);
                    continue;
                }
                let (channels, pixels) = (value.shape[1], value.shape[2] * value.shape[3]);
                planes.resize(channels * pixels, 0.0);
                unpack(&inner.pool, value.layout, channels, pixels, own, &mut planes);
                see(&value.name, &planes);
            }
        };
        header.inputs.iter().for_each(|&v| show(&self.arena, &header.values[v]));
        for (step, kernel) in header.steps.iter().zip(&inner.kernels) {
            kernel.run(inner, step, &mut self.arena, &mut self.scratch);
            let written = std::iter::once(step.output).chain(step.op.second_output());
            written.for_each(|v| show(&self.arena, &header.values[v]));
        }
        Ok(())
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// On the CPU never; a GPU may have failed since.
    pub fn synchronize(&mut self) -> Result<(), EngineError> {
        let Some(runner) = &mut self.runner else { return Ok(()) };
        let found = runner.found()?;
        let arena: &mut [u8] = bytemuck::cast_slice_mut(&mut self.arena);
        // Outputs come after inputs.
        let start = arena.len() - found.len();
        arena[start..].copy_from_slice(found);
        Ok(())
    }

    fn on_the_cpu(&self) -> Result<(), EngineError> {
        let found = || "its steps are one graph, which is not looked into".to_owned();
        if self.inner.gpu.is_some() { Err(EngineError::Gpu { found: found() }) } else { Ok(()) }
    }

    /// The numbers of an output, as the last run left them.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn output(&self, name: &str) -> Result<&[f32], EngineError> {
        let index = find(&self.inner.outputs, name, "output")?;
        Ok(&self.arena[self.output_range(index)])
    }

    fn input_range(&self, index: usize) -> Range<usize> {
        match self.inner.gpu {
            Some(_) => self.end_range(index),
            None => self.range(self.inner.plan.header.inputs[index]),
        }
    }

    fn output_range(&self, index: usize) -> Range<usize> {
        match self.inner.gpu {
            Some(_) => self.end_range(self.inner.inputs.len() + index),
            None => self.range(self.inner.plan.header.outputs[index].1),
        }
    }

    /// Where one of the inputs, then outputs, lies where they follow each other.
    fn end_range(&self, index: usize) -> Range<usize> {
        let mut lens = self.inner.inputs.iter().chain(&self.inner.outputs).map(|t| t.shape.iter().product::<usize>());
        let start: usize = lens.by_ref().take(index).sum();
        start..start + lens.next().unwrap_or(0)
    }

    fn range(&self, value: usize) -> Range<usize> {
        let value = &self.inner.plan.header.values[value];
        let Place::Arena { offset, .. } = value.place else { unreachable!("inputs and outputs lie in the arena") };
        offset..offset + value.shape.iter().product::<usize>()
    }
}

impl std::fmt::Debug for ExecutionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutionContext").field("arena_bytes", &(4 * self.arena.len())).finish()
    }
}

fn find(tensors: &[TensorInfo], name: &str, kind: &'static str) -> Result<usize, EngineError> {
    tensors.iter().position(|t| t.name == name).ok_or_else(|| {
        let known = tensors.iter().map(|t| format!("`{}`", t.name)).collect::<Vec<_>>().join(", ");
        EngineError::UnknownTensor { kind, name: name.to_owned(), known }
    })
}
