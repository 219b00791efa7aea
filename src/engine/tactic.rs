//! Which of the ways to compute a step is taken.
//!
//! Architecture invariant: a choice is a name, stored with the plan; the result of a tactic depends on nothing but its
//! input, so that the same names give the same bits.

use std::collections::BTreeMap;

use super::builder::BuildError;
use super::graph::{Graph, Op};
use crate::backend::cpu::conv::Conv;
use crate::backend::cpu::conv_transpose::ConvTranspose;
use crate::backend::cpu::isa::Isa;

/// The tactics that can compute `op` on this machine, the best guess first; empty where there is one way only.
pub fn offered(op: &Op) -> Vec<&'static str> {
    match op {
        Op::Conv { shape, .. } => Conv::tactics(shape, Isa::detect()),
        Op::ConvTranspose { shape, .. } => ConvTranspose::tactics(shape, Isa::detect()),
        _ => Vec::new(),
    }
}

/// The tactic of every step: the stored one where there is one, else the best guess; empty where there is no choice.
///
/// # Errors
/// When a stored tactic is not offered on this machine.
pub fn choose(graph: &Graph, stored: Option<&BTreeMap<String, String>>) -> Result<Vec<String>, BuildError> {
    let choice = |step: &super::graph::Step| {
        let offered = offered(&step.op);
        match stored.and_then(|map| map.get(&step.name)) {
            Some(name) if offered.contains(&name.as_str()) => Ok(name.clone()),
            Some(name) => {
                let known = offered.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "no choice for it".to_owned() } else { known };
                Err(BuildError::Tactic { step: step.name.clone(), found: name.clone(), known })
            }
            None => Ok(offered.first().map_or_else(String::new, |t| (*t).to_owned())),
        }
    };
    graph.steps.iter().map(choice).collect()
}
