//! Softmax over the channels is done by the convolution that it follows: a row of pixels at a time, where the last layer of a
//! network is computed so.
//!
//! Architecture invariant: after layouts are chosen, since only planes are normalised so.

use super::super::graph::{Graph, Op, Then};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::layout::Layout;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fuse);
}

/// Makes the softmax at `at` part of the convolution before it.
fn fuse(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::Softmax { axis, inner, .. } = graph.steps[at].op else { return None };
    let (from, to) = (graph.steps[at].inputs[0], graph.steps[at].output);
    let writer = graph.writer(from)?;
    let alone = graph.only_reader(from) == Some(at) && graph.values[from].layout == Layout::Planar;
    let Op::Conv { shape, activation: Activation::None, then: then @ None, .. } = &mut graph.steps[writer].op else {
        return None;
    };
    let [h, w] = shape.out_size();
    if !alone || (axis, inner) != (shape.out_channels, h * w) {
        return None;
    }
    *then = Some(Then::Softmax);
    graph.steps[writer].output = to;
    graph.steps.remove(at);
    Some(())
}
