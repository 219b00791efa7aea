//! Whether a network will run, and what will be fused: `sonoplex check`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::builder::BuildError;
use super::graph::Graph;
use super::lower::{self, OPERATORS};
use super::memory;
use super::network::Network;
use super::passes::PASSES;
use crate::backend::cpu::layout::Layout;

/// What would become of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Survey {
    /// Whether a plan can be built.
    pub runs: bool,
    /// Why not, where something else than a node is in the way.
    pub problem: Option<String>,
    /// Nodes that cannot be computed.
    pub not_supported: Vec<Unsupported>,
    /// Operators of the file.
    pub operators: BTreeMap<String, OperatorCount>,
    /// What has to be given.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
    /// Nodes of the file.
    pub layers: usize,
    /// Steps before the passes.
    pub steps_before: usize,
    /// Steps of the plan.
    pub steps_after: usize,
    /// Passes that change something, in order.
    pub passes: Vec<PassEffect>,
    /// Steps of the plan by what they do.
    pub steps: BTreeMap<String, usize>,
    /// Billions of floating-point operations of one run, 2 a multiply-add.
    pub gflop: f64,
    /// Bytes of the weights that the plan keeps.
    pub weight_bytes: u64,
    /// Bytes of all tensors of a run.
    pub arena_bytes: u64,
}

/// A node that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsupported {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What is in the way, and what would help.
    pub reason: String,
}

/// How often an operator is in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperatorCount {
    /// Nodes of it.
    pub nodes: usize,
    /// How many of them cannot be computed.
    pub not_supported: usize,
}

/// A tensor at the border of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Dimensions, fixed where they could be.
    pub shape: String,
    /// Type in the file; all are given and come out as float32.
    pub dtype: String,
}

/// What a pass does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassEffect {
    /// Name of the pass.
    pub pass: String,
    /// What it is for.
    pub meaning: String,
    /// Steps before it.
    pub before: usize,
    /// Steps after it.
    pub after: usize,
}

/// Looks at `network`, with the shapes of `given` where the file leaves them open.
pub fn survey(network: &Network, given: &BTreeMap<String, Vec<usize>>) -> Survey {
    let mut survey = Survey { layers: network.nodes.len(), ..Survey::default() };
    let tensor = |d: &super::network::Declared| Tensor {
        name: d.name.clone(),
        shape: given.get(&d.name).map_or_else(|| d.shape_text(), |s| format!("{s:?}")),
        dtype: d.dtype.clone(),
    };
    survey.inputs = network.inputs.iter().map(tensor).collect();
    survey.outputs = network.outputs.iter().map(tensor).collect();
    let mut refused = BTreeSet::new();
    match lower::refusals(network, given) {
        Ok(list) => {
            for (index, error) in list {
                let node = &network.nodes[index];
                let reason = match error {
                    BuildError::Node { found, .. } => found,
                    BuildError::Unsupported { advice, .. } => format!("the operator is not supported; {advice}"),
                    other => other.to_string(),
                };
                survey.not_supported.push(Unsupported {
                    node: node.name.clone(),
                    operator: node.operator.clone(),
                    reason,
                });
                refused.insert(index);
            }
        }
        Err(error) => {
            survey.problem = Some(error.to_string());
            // Without shapes only the operators as such can be told.
            refused.extend(
                (0..network.nodes.len())
                    .filter(|&i| OPERATORS.binary_search(&network.nodes[i].operator.as_str()).is_err()),
            );
        }
    }
    for (index, node) in network.nodes.iter().enumerate() {
        let count = survey.operators.entry(node.operator.clone()).or_default();
        count.nodes += 1;
        count.not_supported += usize::from(refused.contains(&index));
    }
    if survey.problem.is_none() && survey.not_supported.is_empty() {
        match lower::lower(network, given) {
            Ok(graph) => fuse(&mut survey, graph),
            Err(error) => survey.problem = Some(error.to_string()),
        }
    }
    survey
}

/// Runs the passes and says what each does.
fn fuse(survey: &mut Survey, mut graph: Graph) {
    survey.steps_before = graph.steps.len();
    // As in full precision.
    graph.blocks = Layout::Blocked;
    for (name, pass) in PASSES {
        let (steps, values) = (graph.steps.clone(), graph.values.clone());
        pass(&mut graph);
        if graph.steps != steps || graph.values != values {
            survey.passes.push(PassEffect {
                pass: (*name).to_owned(),
                meaning: meaning(name),
                before: steps.len(),
                after: graph.steps.len(),
            });
        }
    }
    survey.steps_after = graph.steps.len();
    let mut weights = BTreeSet::new();
    for step in &graph.steps {
        *survey.steps.entry(step.op.summary(step.inputs.len())).or_insert(0) += 1;
        survey.gflop += (step.op.flops() * graph.values[step.output].images() as u64) as f64 / 1e9;
        weights.extend(step.op.weights());
        weights.extend(step.inputs.iter().filter_map(|&v| graph.values[v].constant));
    }
    survey.weight_bytes = weights.iter().map(|&w| 4 * graph.weights[w].len() as u64).sum();
    for (tensor, (_, value)) in survey.outputs.iter_mut().zip(&graph.outputs) {
        tensor.shape = format!("{:?}", graph.values[*value].shape);
    }
    match memory::place(&graph) {
        Ok(arena) => {
            survey.arena_bytes = 4 * arena.len as u64;
            survey.runs = true;
        }
        Err(found) => survey.problem = Some(found),
    }
}

/// What a pass is for, in half a line.
fn meaning(pass: &str) -> String {
    let known = MEANINGS.iter().find(|(name, _)| *name == pass);
    known.map_or_else(|| pass.replace('_', " "), |(_, meaning)| (*meaning).to_owned())
}

const MEANINGS: &[(&str, &str)] = &[
    ("affine", "batch normalisations that no convolution takes become a factor and an offset"),
    ("alias_reshape", "reshapes cost nothing"),
    ("alias_slice", "slices are read where they lie"),
    ("drop_unused", "what nobody reads is left out"),
    ("adopt_grids", "rounding that the model brings along into the tensors that are kept as bytes"),
    ("fold_batch_norm", "batch normalisations into the weights of convolutions"),
    ("fold_pad", "borders of zeros into convolutions"),
    ("block_channels", "tensors between convolutions in blocks of channels"),
    ("fuse_activation", "activations into the steps before them"),
    ("fuse_activation_planar", "activations into steps that are not in blocks"),
    ("fuse_bias", "biases into products of matrices"),
    ("fuse_max_pool", "max-pooling beside the convolutions that it reads"),
    ("fuse_residual", "additions of shortcuts into convolutions"),
    ("fuse_softmax", "softmax of the channels into the convolutions before it"),
    ("merge_moves", "movements that follow each other become one, or none"),
    ("merge_norm", "normalisations that were written out, with their scale"),
    ("merge_norm_moved", "the same, after transpositions have gone"),
    ("name_activation", "activations that were written out"),
    ("open_binary", "room for activations after sums and products"),
    ("pool_planes", "means of planes as poolings, which keep the layout of convolutions"),
    ("reduce_planes", "poolings of planes as means, where they are in no such layout"),
    ("remove_concat", "joined tensors are written in place"),
    ("scale_channels", "constants of channels into batch normalisations, or left out where they change nothing"),
    ("sink_transpose", "transpositions behind what does not mind them, to cancel"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pass_has_a_meaning() {
        for (name, _) in PASSES {
            assert!(MEANINGS.iter().any(|(known, _)| known == name), "{name}");
        }
    }
}
