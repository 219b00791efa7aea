//! A border of zeros before a convolution becomes the padding of the convolution.

use super::super::graph::{Graph, Op};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fold);
}

/// Folds the border that step `at` draws into every convolution that reads it; `None` where one reader is something else.
fn fold(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::Pad { pads, size, level, .. } = graph.steps[at].op else { return None };
    let (from, to) = (graph.steps[at].inputs[0], graph.steps[at].output);
    let readers = graph.readers(to);
    let takes = |r: &usize| {
        matches!(graph.steps[*r].op, Op::Conv { .. }) && graph.steps[*r].inputs.iter().skip(1).all(|&v| v != to)
    };
    if level != 0.0 || graph.is_output(to) || !readers.iter().all(takes) {
        return None;
    }
    for reader in readers {
        let step = &mut graph.steps[reader];
        step.inputs[0] = from;
        if let Op::Conv { shape, .. } = &mut step.op {
            shape.in_size = size;
            shape.pads.iter_mut().zip(pads).for_each(|(own, more)| *own += more);
        }
    }
    graph.steps.remove(at);
    Some(())
}
