//! Which way the loss falls.

use burn::backend::{Autodiff, Flex};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, backend::AutodiffBackend};

use crate::export::values;
use crate::loss::{Loss, Truth};
use crate::network::Network;

/// A backend on which networks learn.
pub trait Learn: AutodiffBackend {
    /// The loss of a batch, and its gradients; running statistics of batch norms move.
    ///
    /// # Shapes
    /// `picture` is `[N, 1, H, W]`; `noise` is the seed of the dropout.
    fn gradients(
        network: &Network<Self>,
        picture: Tensor<Self, 4>,
        truth: &Truth<Self>,
        loss: &Loss,
        noise: u64,
    ) -> (f64, GradientsParams) {
        by_burn(network, picture, truth, loss, noise)
    }
}

/// [`Learn::gradients`] by burn's own autodiff, on any backend.
pub fn by_burn<B: AutodiffBackend>(
    network: &Network<B>,
    picture: Tensor<B, 4>,
    truth: &Truth<B>,
    loss: &Loss,
    noise: u64,
) -> (f64, GradientsParams) {
    let loss = loss.of(network.forward(picture, Some(noise)), truth);
    let gradients = GradientsParams::from_grads(loss.backward(), network);
    (f64::from(values(loss)[0]), gradients)
}

impl Learn for Autodiff<Flex> {}

#[cfg(feature = "cuda")]
impl Learn for Autodiff<burn::backend::Cuda> {}
