//! A batch normalisation of planes that no convolution could take becomes a factor and an offset a channel.
//!
//! # References
//! Ioffe, Szegedy, "Batch normalization", ICML 2015, algorithm 2.

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::batch_norm_affine;
use crate::backend::cpu::layout::Layout;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        let Op::BatchNorm { numbers, epsilon } = graph.steps[at].op else { continue };
        if graph.values[graph.steps[at].output].layout != Layout::Planar {
            continue;
        }
        let [gain, offset, mean, variance] = numbers.map(|n| graph.weights[n].clone());
        let (scale, shift): (Vec<f32>, Vec<f32>) =
            (0..gain.len()).map(|c| batch_norm_affine(gain[c], offset[c], mean[c], variance[c], epsilon)).unzip();
        let plane = graph.values[graph.steps[at].output].shape[2..].iter().product();
        let numbers = [graph.weight(scale), graph.weight(shift)];
        graph.steps[at].op = Op::Tensor(TensorOp::Affine { plane, numbers, activation: Activation::None });
    }
}
