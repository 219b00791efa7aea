//! Steps whose result nobody reads are left out.

use super::super::graph::Graph;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut wanted = vec![false; graph.values.len()];
    for (_, value) in &graph.outputs {
        wanted[*value] = true;
    }
    for step in graph.steps.iter().rev().filter(|s| !s.inputs.is_empty()) {
        if wanted[step.output] {
            step.inputs.iter().for_each(|&v| wanted[v] = true);
        }
    }
    graph.steps.retain(|s| wanted[s.output]);
}
