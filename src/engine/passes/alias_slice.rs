//! A slice that is one run of numbers disappears: it is read where it lies.

use super::super::graph::{Graph, Op, Part};
use super::super::tensor_op::TensorOp;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        let step = &graph.steps[at];
        let (from, to) = (step.inputs[0], step.output);
        let run = match &step.op {
            Op::Tensor(TensorOp::Strided(strided)) => strided.run_of(),
            _ => None,
        };
        // What is given or asked for from outside keeps memory of its own; what lies in a joined buffer may be apart.
        let plain = |v: usize| graph.values[v].part_of.is_none() && graph.values[v].constant.is_none();
        let single = graph.values[from].images() == 1 && graph.values[to].images() == 1;
        let holds = graph.values.iter().any(|v| v.part_of.is_some_and(|p| p.whole == to));
        let inside = plain(from) && plain(to) && !holds && !graph.inputs.contains(&from) && !graph.is_output(to);
        match run {
            Some(offset) if inside && single => {
                graph.values[to].part_of = Some(Part { whole: from, offset });
                graph.steps.remove(at);
            }
            _ => at += 1,
        }
    }
}
