//! A frame through the network on the CPU, one step after the other.

use crate::backend::cpu::pool::Pool;
use crate::engine::ExecutionContext;
use crate::latency::{Clock, Moment};
use crate::segmentation::Segmentation;

use super::compute::{Answer, Picture};
use super::model::Model;
use super::postprocess::{Maps, Postprocessor};
use super::preprocess::{Input, Preprocessor};
use super::{SegmenterError, scaled};

/// Buffers and tables of all steps, kept from frame to frame.
pub(super) struct OnCpu {
    pub context: ExecutionContext,
    pool: Pool,
    before: Preprocessor,
    after: Postprocessor,
}

impl OnCpu {
    pub fn new(context: ExecutionContext, threads: usize) -> Self {
        Self { context, pool: Pool::new(threads), before: Preprocessor::default(), after: Postprocessor::default() }
    }

    /// Fills `probability` and `mask` of `out`.
    pub fn run(
        &mut self,
        model: &Model,
        picture: &Picture,
        clock: &Clock,
        out: &mut Segmentation,
    ) -> Result<Answer<'_>, SegmenterError> {
        let Picture { frame, gray, crop, inside, despeckle, placed } = *picture;
        let input = Input { placed, size: model.size, filter: model.filter, scale: &model.scale };
        let tensor = self.context.input_mut(&model.input)?;
        debug_assert_eq!(tensor.len(), model.channels * model.size.area());
        self.before.run(&self.pool, (gray, frame.size), (crop.rect, inside), &despeckle, &input, tensor);
        out.stamps.set(Moment::Preprocessed, clock.now());

        self.context.enqueue()?;
        self.context.synchronize()?;
        out.stamps.set(Moment::Inferred, clock.now());

        let maps = Maps {
            data: self.context.output(&model.mask)?,
            size: model.map_size,
            meaning: model.meaning(),
            placed: scaled(placed, model.size, model.map_size),
        };
        // "No nerve" would be a lie about a frame that was not looked at.
        if maps.data.iter().any(|v| v.is_nan()) {
            return Err(SegmenterError::NotANumber { id: frame.id });
        }
        self.after.run(&self.pool, &maps, &model.thresholds, inside, out);
        let presence = match &model.presence {
            Some(name) => Some(self.context.output(name)?),
            None => None,
        };
        Ok(Answer { presence, regions: &[] })
    }
}
