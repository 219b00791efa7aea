//! Which of the ways to compute a step is taken.
//!
//! Architecture invariant: a choice is a name, stored with the plan; the result of a tactic depends on nothing but its
//! input, so that the same names give the same bits.

use std::collections::BTreeMap;

use super::builder::{BuildError, Precision};
use super::graph::{Graph, Op, Step};
use crate::backend::cpu::conv::Conv;
use crate::backend::cpu::conv_transpose::ConvTranspose;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::layout::Layout;

/// The tactics that can compute `step` on this machine, the best guess first; empty where there is one way only.
pub fn offered(graph: &Graph, step: &Step) -> Vec<String> {
    between(&step.op, [step.inputs[0], step.output].map(|v| graph.values[v].layout))
}

/// The same of an operation from and to these layouts.
pub(super) fn between(op: &Op, layouts: [Layout; 2]) -> Vec<String> {
    match op {
        Op::Conv { shape, .. } => Conv::tactics_between(shape, layouts, Isa::detect()),
        Op::ConvTranspose { shape, .. } => ConvTranspose::tactics_between(shape, layouts, Isa::detect()),
        _ => Vec::new(),
    }
}

/// Those of them that round no further than `precision`; a layer that is `kept` does not multiply bytes.
pub(super) fn allowed(mut offered: Vec<String>, precision: Precision, kept: bool) -> Vec<String> {
    offered.retain(|tactic| precision.allows(tactic) && !(kept && tactic.contains("_int8")));
    offered
}

/// The tactic of every step: the stored one where there is one, else the best guess; empty where there is no choice.
///
/// # Errors
/// When a stored tactic is not offered on this machine.
pub fn choose(
    graph: &Graph,
    precision: Precision,
    stored: Option<&BTreeMap<String, String>>,
) -> Result<Vec<String>, BuildError> {
    let choice = |step: &Step| {
        let offered = offered(graph, step);
        match stored.and_then(|map| map.get(&step.name)) {
            Some(name) if offered.contains(name) => Ok(name.clone()),
            Some(name) => {
                let known = offered.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "no choice for it".to_owned() } else { known };
                Err(BuildError::Tactic { step: step.name.clone(), found: name.clone(), known })
            }
            None => {
                let kept = graph.calibration.as_ref().is_some_and(|c| c.kept.contains(&step.name));
                Ok(allowed(offered, precision, kept).into_iter().next().unwrap_or_default())
            }
        }
    };
    graph.steps.iter().map(choice).collect()
}
