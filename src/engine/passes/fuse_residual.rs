//! The addition of a shortcut after a convolution is done where the convolution stores its result.
//!
//! # References
//! He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, equation 1.

use super::super::graph::{Graph, Op};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fuse);
}

/// Makes the addition at `at` part of the convolution before it. The convolution moves to where the addition was: only
/// there is the shortcut sure to be computed.
fn fuse(graph: &mut Graph, at: usize) -> Option<()> {
    if graph.steps[at].op != Op::Binary(Arithmetic::Add) {
        return None;
    }
    let (a, b) = (graph.steps[at].inputs[0], graph.steps[at].inputs[1]);
    if a == b || graph.values[a].shape != graph.values[b].shape {
        return None;
    }
    let writer = |value: usize| {
        let index = graph.writer(value)?;
        let step = &graph.steps[index];
        let plain = matches!(step.op, Op::Conv { activation: Activation::None, .. }) && step.inputs.len() == 1;
        (plain && graph.only_reader(value) == Some(at)).then_some(index)
    };
    // Of two convolutions the later one: what it waits for is computed anyway.
    let (conv, shortcut) = match (writer(a), writer(b)) {
        (Some(x), Some(y)) => {
            if x > y {
                (x, b)
            } else {
                (y, a)
            }
        }
        (Some(x), None) => (x, b),
        (None, Some(y)) => (y, a),
        (None, None) => return None,
    };
    let mut step = graph.steps[conv].clone();
    step.inputs.push(shortcut);
    step.output = graph.steps[at].output;
    graph.steps[at] = step;
    graph.steps.remove(conv);
    Some(())
}
