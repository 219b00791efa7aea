//! An activation after a convolution is applied where the convolution stores its result.

use super::super::graph::{Graph, Op};
use crate::backend::cpu::activation::Activation;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        fuse(graph, at);
        at += 1;
    }
}

fn fuse(graph: &mut Graph, at: usize) -> Option<()> {
    let reader = graph.only_reader(graph.steps[at].output)?;
    let Op::Activate(wanted) = graph.steps[reader].op else { return None };
    let own = graph.steps[at].op.activation_mut()?;
    if *own != Activation::None {
        return None;
    }
    *own = wanted;
    graph.steps[at].output = graph.steps[reader].output;
    graph.steps.remove(reader);
    Some(())
}
