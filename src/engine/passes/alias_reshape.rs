//! A reshape disappears: its output is its input under another shape.

use super::super::graph::{Graph, Op, Part};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        let (op, from, to) = (&graph.steps[at].op, graph.steps[at].inputs[0], graph.steps[at].output);
        // What is given or asked for from outside keeps memory of its own; so does what lies in a joined buffer.
        let plain = |v: usize| graph.values[v].part_of.is_none() && graph.values[v].constant.is_none();
        let whole = !graph.values.iter().any(|v| v.part_of.is_some_and(|p| p.whole == from || p.whole == to));
        let inside = plain(from) && plain(to) && whole && !graph.inputs.contains(&from) && !graph.is_output(to);
        if matches!(op, Op::Copy) && inside && graph.values[from].layout == graph.values[to].layout {
            graph.values[to].part_of = Some(Part { whole: from, offset: 0 });
            graph.steps.remove(at);
        } else {
            at += 1;
        }
    }
}
