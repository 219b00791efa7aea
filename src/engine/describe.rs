//! What a network or a plan is, for `inspect`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lower;
use super::network::{Declared, Network};
use super::plan::Plan;

/// What a model file holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkSummary {
    /// Name of the graph.
    pub name: String,
    /// What wrote the file.
    pub producer: String,
    /// Version of ONNX's operators.
    pub opset: i64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Nodes.
    pub layers: usize,
    /// How many nodes there are of each operator.
    pub operators: BTreeMap<String, usize>,
    /// Numbers in the weights that nodes read.
    pub parameters: u64,
    /// Floating-point operations of all convolutions for the declared input, 2 a multiply-add; absent where the file
    /// leaves a shape open.
    pub flops: Option<u64>,
    /// What has to be given.
    pub inputs: Vec<TensorSummary>,
    /// What comes out.
    pub outputs: Vec<TensorSummary>,
    /// `metadata_props` of the file.
    pub metadata: BTreeMap<String, String>,
    /// Why it could not be built as it is, where so.
    pub problem: Option<String>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorSummary {
    /// Name.
    pub name: String,
    /// `[1, 1, 256, 256]`, with names where the file leaves a dimension open.
    pub shape: String,
    /// `float32`.
    pub dtype: String,
}

/// One row of the table of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRow {
    /// Name of the step.
    pub name: String,
    /// What it does, with what is done in the same step: `conv + add + relu`.
    pub op: String,
    /// Shape of what it writes.
    pub shape: Vec<usize>,
    /// How it is computed; empty where there is one way.
    pub tactic: String,
    /// Billions of floating-point operations, 2 a multiply-add, for all images.
    pub gflop: f64,
}

/// What `network` is, at the input size that its file declares.
pub fn describe(network: &Network) -> NetworkSummary {
    let mut operators = BTreeMap::new();
    for node in &network.nodes {
        *operators.entry(node.operator.clone()).or_insert(0) += 1;
    }
    let read: BTreeSet<&str> = network.nodes.iter().flat_map(|n| &n.inputs).map(String::as_str).collect();
    let parameters = network
        .constants
        .iter()
        .filter(|(name, _)| read.contains(name.as_str()))
        .map(|(_, t)| t.data.len() as u64)
        .sum();
    let (flops, problem) = match lower::lower(network, &BTreeMap::new()) {
        Ok(graph) => {
            let of = |s: &super::graph::Step| s.op.flops() * graph.values[s.output].images() as u64;
            (Some(graph.steps.iter().map(of).sum()), None)
        }
        Err(error) => (None, Some(error.to_string())),
    };
    let summary = |d: &Declared| TensorSummary { name: d.name.clone(), shape: d.shape_text(), dtype: d.dtype.clone() };
    NetworkSummary {
        name: network.name.clone(),
        producer: network.producer.clone(),
        opset: network.opset,
        sha256: network.sha256.clone(),
        layers: network.nodes.len(),
        operators,
        parameters,
        flops,
        inputs: network.inputs.iter().map(summary).collect(),
        outputs: network.outputs.iter().map(summary).collect(),
        metadata: network.metadata.clone(),
        problem,
    }
}

impl Plan {
    /// The steps as rows of a table.
    pub fn table(&self) -> Vec<StepRow> {
        let row = |step: &super::plan::PlanStep| {
            let shape = self.output_shape(step).to_vec();
            let images = if shape.len() >= 2 { shape[0] } else { 1 };
            StepRow {
                name: step.name.clone(),
                op: step.op.summary(step.inputs.len()),
                gflop: (step.op.flops() * images as u64) as f64 / 1e9,
                shape,
                tactic: step.tactic.clone(),
            }
        };
        self.steps().iter().map(row).collect()
    }
}
