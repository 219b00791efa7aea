//! The mean of the weights of many steps, which judges better than those of the last one.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, backend::Backend};

use crate::network::Network;

/// Moves `mean` towards `now`: mean · decay + now · (1 − decay), running statistics too.
///
/// # References
/// Polyak & Juditsky, 1992; with an exponential window as in Tarvainen & Valpola, NeurIPS 2017.
pub fn update<B: Backend>(mean: Network<B>, now: &Network<B>, decay: f64) -> Network<B> {
    let mut collected = Collect(GradientsParams::new());
    Module::<B>::visit(now, &mut collected);
    Module::<B>::map(mean, &mut Mix { now: collected.0, decay })
}

/// The decay of a step: that of the settings, less at first, so that the start is soon forgotten.
pub fn decay(most: f64, step: usize) -> f64 {
    most.min((step as f64 + 1.0) / (step as f64 + 10.0))
}

/// A map from the name of a weight to its tensor, whatever its rank: that is what burn keeps gradients in.
struct Collect(GradientsParams);

impl<B: Backend> ModuleVisitor<B> for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.register::<B, D>(param.id, param.val());
    }
}

struct Mix {
    now: GradientsParams,
    decay: f64,
}

impl<B: Backend> ModuleMapper<B> for Mix {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let id: ParamId = param.id;
        let Some(now) = self.now.remove::<B, D>(id) else { return param };
        param.map(|mean| mean * self.decay + now * (1.0 - self.decay))
    }
}
