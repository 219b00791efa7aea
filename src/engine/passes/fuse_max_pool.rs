//! A max-pooling is done by the convolution that it reads, beside its output: the rows of a window are pooled when the last
//! of them is stored.
//!
//! Architecture invariant: the last of the passes, since no other one knows that a step may write two values.

use super::super::graph::{Graph, Op, Then};
use crate::backend::cpu::layout::Layout;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fuse);
}

/// Makes the pooling at `at` part of the convolution before it.
fn fuse(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::MaxPool(shape) = &graph.steps[at].op else { return None };
    let (shape, from, output) = (shape.clone(), graph.steps[at].inputs[0], graph.steps[at].output);
    let layout = graph.values[from].layout;
    let writer = graph.writer(from)?;
    let Op::Conv { activation, then: then @ None, .. } = &mut graph.steps[writer].op else { return None };
    // An activation that is more than bounds is applied to all values after the convolution, unless they are bytes.
    let whole = activation.bounds().is_some() || matches!(layout, Layout::BlockedU8(_));
    if !whole || !layout.is_blocked() || shape.dilation != [1, 1] {
        return None;
    }
    *then = Some(Then::MaxPool { shape, output });
    graph.steps.remove(at);
    Some(())
}
