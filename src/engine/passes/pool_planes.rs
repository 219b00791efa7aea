//! The mean of every plane, as squeeze and excitation take it, is a pooling with one window: a pooling keeps the layout
//! that convolutions give it. What lies in planes after all becomes a plain mean again, which is faster there.
//!
//! # References
//! Hu et al., "Squeeze-and-excitation networks", CVPR 2018.

use super::super::graph::{Graph, Op, Step};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::layout::Layout;
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::reduce::{Reduce, Reduction};

/// The mean over height and width of a tensor of this shape.
fn mean(shape: &[usize]) -> Reduce {
    Reduce::new(Reduction::Mean, shape, |axis| axis >= 2)
}

/// Makes poolings of means; before layouts are chosen.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        at += pool(graph, at).unwrap_or(1);
    }
}

/// Makes a pooling of the mean at `at`, and returns how many steps stand in its place.
fn pool(graph: &mut Graph, at: usize) -> Option<usize> {
    let step = &graph.steps[at];
    let Op::Tensor(TensorOp::Reduce(reduce)) = &step.op else { return None };
    let shape = graph.values[step.inputs[0]].shape.clone();
    let &[images, channels, height, width] = shape.as_slice() else { return None };
    if *reduce != mean(&shape) || height * width == 1 {
        return None;
    }
    let size = [height, width];
    let (stride, dilation, pads, ceil_mode) = ([1, 1], [1, 1], [0; 4], false);
    let shape = PoolShape { channels, in_size: size, kernel: size, stride, pads, dilation, ceil_mode };
    graph.steps[at].op = Op::AveragePool { shape, padded: false };
    let (name, output) = (graph.steps[at].name.clone(), graph.steps[at].output);
    if graph.values[output].shape == [images, channels, 1, 1] {
        return Some(1);
    }
    let name = format!("{name}/pooled");
    let pooled = graph.value(name.clone(), vec![images, channels, 1, 1]);
    graph.steps[at].output = pooled;
    graph.steps.insert(at + 1, Step { name, op: Op::Copy, inputs: vec![pooled], output });
    Some(2)
}

/// Makes means of poolings that lie in planes; after layouts were chosen.
pub fn back(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        let step = &graph.steps[at];
        let Op::AveragePool { shape, .. } = &step.op else { continue };
        let whole = shape.kernel == shape.in_size && shape.pads == [0; 4] && shape.out_size() == [1, 1];
        if whole && graph.values[step.output].layout == Layout::Planar {
            let reduce = mean(&graph.values[step.inputs[0]].shape);
            graph.steps[at].op = Op::Tensor(TensorOp::Reduce(reduce));
        }
    }
}
