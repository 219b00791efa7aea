//! Which way the loss falls.

use burn::backend::{Autodiff, Flex};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, backend::AutodiffBackend, backend::Backend};

use crate::export::values;
use crate::loss::{Loss, Truth};
use crate::network::Network;

/// What a step learns from.
pub struct Lesson<'a, B: Backend> {
    /// `[N, 1, H, W]`.
    pub picture: Tensor<B, 4>,
    /// What is to be found in it.
    pub truth: &'a Truth<B>,
    /// What is to be made small.
    pub loss: &'a Loss,
    /// Seed of the dropout.
    pub noise: u64,
}

/// A backend on which networks learn.
pub trait Learn: AutodiffBackend {
    /// The loss of a batch, and its gradients; running statistics of batch norms move.
    fn gradients(network: &Network<Self>, lesson: Lesson<Self>) -> (f64, GradientsParams) {
        by_burn(network, lesson)
    }
}

/// [`Learn::gradients`] by burn's own autodiff, on any backend.
pub fn by_burn<B: AutodiffBackend>(network: &Network<B>, lesson: Lesson<B>) -> (f64, GradientsParams) {
    let loss = lesson.loss.of(network.forward(lesson.picture, Some(lesson.noise)), lesson.truth);
    let gradients = GradientsParams::from_grads(loss.backward(), network);
    (f64::from(values(loss)[0]), gradients)
}

impl Learn for Autodiff<Flex> {}

#[cfg(feature = "cuda")]
impl Learn for Autodiff<burn::backend::Cuda> {}
