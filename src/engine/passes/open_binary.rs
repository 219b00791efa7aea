//! An element-by-element step of planes whose result one activation alone reads gets room for that activation.

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::layout::Layout;

/// Runs the pass; [`super::fuse_activation`] then puts the activation in.
pub fn run(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        let Op::Binary(op) = graph.steps[at].op else { continue };
        if graph.values[graph.steps[at].output].layout != Layout::Planar {
            continue;
        }
        let reader = graph.only_reader(graph.steps[at].output);
        if reader.is_some_and(|r| matches!(graph.steps[r].op, Op::Activate(_))) {
            graph.steps[at].op = Op::Tensor(TensorOp::Binary { op, activation: Activation::None });
        }
    }
}
