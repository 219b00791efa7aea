//! What computes: the CPU step by step, or a GPU whole frames.

use std::sync::Arc;

use crate::backend::cpu::components::Component;
use crate::backend::cpu::despeckle::Despeckle;
use crate::engine::cuda::{Program, Runner};
use crate::engine::{Engine, EngineError, ExecutionContext, Plan};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::latency::Clock;
use crate::segmentation::Segmentation;

use super::crop::CropFound;
use super::model::Model;
use super::on_cpu::OnCpu;
use super::on_gpu::OnGpu;
use super::{SegmenterConfig, SegmenterError};

/// A plan on its device.
pub(super) enum Compute {
    Cpu(Box<OnCpu>),
    Gpu(Box<OnGpu>),
}

/// A frame, and what of it is the picture.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub frame: &'a Frame,
    /// Its grey levels; empty where nobody needs them here.
    pub gray: &'a [u8],
    pub crop: CropFound,
    /// 255 where there is picture in the crop; empty where there is everywhere.
    pub inside: &'a [u8],
    pub despeckle: Despeckle,
    /// Where it comes to lie in the input of the network.
    pub placed: Rect,
}

/// What else was found than probability and mask.
pub(super) struct Answer<'a> {
    /// What the presence output says.
    pub presence: Option<&'a [f32]>,
    /// The regions of each class, where they are known already; then those that are too small have left the mask.
    pub regions: &'a [Option<Vec<Component>>],
}

impl Compute {
    /// Prepares a plan for its device, and says what that is.
    pub fn new(plan: Plan, config: &SegmenterConfig) -> Result<(Self, Engine), SegmenterError> {
        let engine = Engine::new(plan)?;
        let own = match engine.on_gpu() {
            Some((program, runner)) => Self::on_runner(program, runner),
            None => Self::Cpu(Box::new(OnCpu::new(engine.context(), config.threads))),
        };
        Ok((own, engine))
    }

    pub fn on_runner(program: Arc<Program>, runner: Box<dyn Runner>) -> Self {
        Self::Gpu(Box::new(OnGpu::new(program, runner)))
    }

    /// Fills `probability` and `mask` of `out`, whose `size` and `crop` are set.
    pub fn run(
        &mut self,
        model: &Model,
        picture: &Picture,
        clock: &Clock,
        out: &mut Segmentation,
    ) -> Result<Answer<'_>, SegmenterError> {
        match self {
            Self::Cpu(own) => own.run(model, picture, clock, out),
            Self::Gpu(own) => own.run(model, picture, clock, out),
        }
    }

    /// The output `mask` on an input whose values are `value(i)`.
    pub fn trial(&mut self, input: &str, mask: &str, value: impl Fn(usize) -> f32) -> Result<Vec<f32>, EngineError> {
        let context = match self {
            Self::Gpu(own) => return own.trial(mask, value),
            Self::Cpu(own) => &mut own.context,
        };
        context.input_mut(input)?.iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
        context.enqueue()?;
        context.synchronize()?;
        Ok(context.output(mask)?.to_vec())
    }

    /// The network alone, with what the last frame put in.
    ///
    /// # Errors
    /// On a GPU, where it is part of a graph.
    pub fn context(&mut self) -> Result<&mut ExecutionContext, EngineError> {
        match self {
            Self::Cpu(own) => Ok(&mut own.context),
            Self::Gpu(_) => {
                Err(EngineError::Gpu { found: "whole frames are one graph, which is not looked into".to_owned() })
            }
        }
    }
}
