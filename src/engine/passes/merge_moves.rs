//! Movements of numbers that follow each other become one, or none: transpositions that cancel, reshapes between them.
//! What is left of repeating rows and columns becomes the nearest-neighbour resize that it is.

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, Rounding};
use crate::backend::cpu::strided::Strided;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        while merge(graph, at).is_some() {}
        name(graph, at);
        at += 1;
    }
    super::drop_unused::run(graph);
}

/// Where the step `at` takes its numbers from.
fn places(graph: &Graph, at: usize) -> Option<Strided> {
    let step = &graph.steps[at];
    match &step.op {
        Op::Copy => Some(Strided::whole(&graph.values[step.output].shape).merged()),
        Op::Tensor(TensorOp::Transpose { shape, order }) => Some(Strided::whole(shape).transposed(order).merged()),
        Op::Tensor(TensorOp::Strided(strided)) => Some(strided.clone()),
        _ => None,
    }
}

/// Lets the step `at` read what the movement before it reads.
fn merge(graph: &mut Graph, at: usize) -> Option<()> {
    let second = places(graph, at)?;
    let before = graph.writer(graph.steps[at].inputs[0])?;
    let first = places(graph, before)?;
    // A copy is for an output of its own, or disappears later; two of them are not worth a change.
    if graph.steps[at].op == Op::Copy && graph.steps[before].op == Op::Copy && graph.is_output(graph.steps[at].output) {
        return None;
    }
    let both = second.after(&first)?;
    let input = graph.steps[before].inputs[0];
    let whole = both.run_of() == Some(0) && both.out_len() == graph.values[input].len();
    graph.steps[at].op = if whole { Op::Copy } else { Op::Tensor(TensorOp::Strided(both)) };
    graph.steps[at].inputs = vec![input];
    Some(())
}

/// A repetition of rows and columns by whole factors.
fn name(graph: &mut Graph, at: usize) -> Option<()> {
    let step = &graph.steps[at];
    let Op::Tensor(TensorOp::Strided(strided)) = &step.op else { return None };
    let (from, to) = (&graph.values[step.inputs[0]].shape, &graph.values[step.output].shape);
    let (&[n, c, h, w], &[on, oc, oh, ow]) = (from.as_slice(), to.as_slice()) else { return None };
    if (n, c) != (on, oc) || oh % h != 0 || ow % w != 0 {
        return None;
    }
    let (down, across) = (oh / h, ow / w);
    let repeated = Strided { shape: vec![n * c * h, down, w, across], strides: vec![w as isize, 0, 1, 0], offset: 0 };
    if repeated.merged() != strided.merged() {
        return None;
    }
    graph.steps[at].op = Op::Resize(ResizeShape {
        planes: c,
        in_size: [h, w],
        out_size: [oh, ow],
        scales: Some([down as f32, across as f32]),
        coordinates: Coordinates::Asymmetric,
        interpolation: Interpolation::Nearest(Rounding::Floor),
    });
    Some(())
}
