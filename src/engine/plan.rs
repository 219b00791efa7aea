//! A network made ready for a device: fused steps, tactics, places in the arena, weights; kept as bytes.
//!
//! ```text
//! 8 bytes   SONOPLAN
//! 4 bytes   version, little endian
//! 8 bytes   length of the header, little endian
//! header    JSON
//! weights   f32, little endian
//! 32 bytes  SHA-256 of all before
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::graph::{Graph, Op, image_room};
use super::memory::Arena;
use super::network::{Network, hex};
use crate::backend::cpu::layout::Layout;

mod check;

/// Version of the bytes; a plan of another version is refused.
pub const VERSION: u32 = 2;

const PREFIX: usize = 20;
const SHA: usize = 32;

/// What an [`super::Engine`] runs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) header: Header,
    pub(super) weights: Vec<Arc<Vec<f32>>>,
    sha256: String,
    threads: usize,
}

/// All of a plan but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// SHA-256 of the network's file.
    pub network_sha256: String,
    pub values: Vec<PlanValue>,
    pub steps: Vec<PlanStep>,
    /// Values that are given.
    pub inputs: Vec<usize>,
    /// Values that come out, with their names.
    pub outputs: Vec<(String, usize)>,
    /// Elements of the arena.
    pub arena: usize,
    /// Elements of each run of weights, in the order of the file.
    pub weights: Vec<usize>,
}

/// A tensor with its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlanValue {
    pub name: String,
    pub shape: Vec<usize>,
    #[serde(default)]
    pub layout: Layout,
    pub place: Place,
}

/// Where the numbers of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// In the arena: each image `stride` elements after the one before.
    Arena { offset: usize, stride: usize },
    /// Among the weights.
    Weights(usize),
    /// Nobody needs it.
    Nowhere,
}

/// One step of a plan, as `inspect` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Name, unique in the plan.
    pub name: String,
    /// What is done.
    pub op: Op,
    /// How it is done; empty where there is one way only.
    pub tactic: String,
    /// Values that are read.
    pub(super) inputs: Vec<usize>,
    /// The value that is written.
    pub(super) output: usize,
}

impl PlanValue {
    pub(super) fn images(&self) -> usize {
        if self.shape.len() >= 2 { self.shape[0] } else { 1 }
    }

    pub(super) fn image_len(&self) -> usize {
        self.shape.iter().product::<usize>() / self.images().max(1)
    }

    /// Elements of memory that one image takes.
    pub(super) fn image_room(&self) -> usize {
        image_room(&self.shape, self.layout)
    }
}

impl Plan {
    /// The first bytes of every plan.
    pub const MAGIC: &[u8; 8] = b"SONOPLAN";

    pub(super) fn new(network: &Network, graph: Graph, arena: Arena, tactics: Vec<String>, threads: usize) -> Self {
        let place = |index: usize| {
            let (root, offset) = graph.root(index);
            match (graph.values[index].constant, arena.offsets[root]) {
                (Some(weights), _) => Place::Weights(weights),
                (None, None) => Place::Nowhere,
                (None, Some(start)) => {
                    // A slice has as many images as the whole; a reshaped tensor covers the whole in one piece.
                    let (own, whole) = (&graph.values[index], &graph.values[root]);
                    let stride = if own.images() == whole.images() { whole.image_room() } else { own.image_room() };
                    Place::Arena { offset: start + offset, stride }
                }
            }
        };
        let mut values: Vec<PlanValue> = (0..graph.values.len())
            .map(|i| PlanValue {
                name: graph.values[i].name.clone(),
                shape: graph.values[i].shape.clone(),
                layout: graph.values[i].layout,
                place: place(i),
            })
            .collect();
        let mut steps: Vec<PlanStep> = graph
            .steps
            .into_iter()
            .zip(tactics)
            .map(|(s, tactic)| PlanStep { name: s.name, op: s.op, tactic, inputs: s.inputs, output: s.output })
            .collect();
        let weights = keep_used(&mut values, &mut steps, &graph.weights);
        let header = Header {
            network_sha256: network.sha256.clone(),
            values,
            steps,
            inputs: graph.inputs,
            outputs: graph.outputs,
            arena: arena.len,
            weights: weights.iter().map(|w| w.len()).collect(),
        };
        debug_assert_eq!(check::check(&header), Ok(()), "a plan that is built is one that is read");
        let mut plan = Self { header, weights, sha256: String::new(), threads };
        let bytes = plan.to_bytes();
        plan.sha256 = hex(&bytes[bytes.len() - SHA..]);
        plan
    }

    /// The same plan on so many threads (0: one a core); its results and its hash stay.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Threads it is to run on; 0 is one a core.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// SHA-256 over network, steps, tactics, places and weights, hexadecimal; threads do not take part.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// SHA-256 of the file the network was read from.
    pub fn network_sha256(&self) -> &str {
        &self.header.network_sha256
    }

    /// What is done, in order.
    pub fn steps(&self) -> &[PlanStep] {
        &self.header.steps
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        4 * self.header.arena
    }

    /// Shape of what `step` writes.
    pub fn output_shape(&self, step: &PlanStep) -> &[usize] {
        self.header.values.get(step.output).map_or(&[], |v| &v.shape)
    }

    /// The tactic of every step that has a choice, by the name of the step; what
    /// [`BuilderConfig::tactics`](super::BuilderConfig::tactics) takes.
    pub fn tactics(&self) -> BTreeMap<String, String> {
        self.steps().iter().filter(|s| !s.tactic.is_empty()).map(|s| (s.name.clone(), s.tactic.clone())).collect()
    }

    /// The plan as bytes; the same plan gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("a header has nothing that JSON cannot hold");
        let numbers: usize = self.weights.iter().map(|w| w.len()).sum();
        let mut bytes = Vec::with_capacity(PREFIX + header.len() + 4 * numbers + SHA);
        bytes.extend_from_slice(Self::MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        for number in self.weights.iter().flat_map(|w| w.iter()) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sha = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sha);
        bytes
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no plan, one of another version, cut off, damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.get(..8) != Some(Self::MAGIC.as_slice()) {
            return Err(PlanError::NotAPlan);
        }
        let cut = || PlanError::Cut { found: bytes.len() };
        let version = bytes.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).ok_or_else(cut)?;
        if version != VERSION {
            return Err(PlanError::Version { found: version });
        }
        let length = bytes.get(12..PREFIX).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or_else(cut)?;
        let body = bytes.len().checked_sub(PREFIX + SHA).ok_or_else(cut)?;
        let length = usize::try_from(length).ok().filter(|&n| n <= body).ok_or_else(cut)?;
        let (content, sha) = bytes.split_at(bytes.len() - SHA);
        if Sha256::digest(content).as_slice() != sha {
            return Err(PlanError::Damaged);
        }
        let (header, numbers) = content[PREFIX..].split_at(length);
        let contradiction = |found: String| PlanError::Contradiction { found };
        let header: Header = serde_json::from_slice(header).map_err(|e| contradiction(e.to_string()))?;
        let total = header.weights.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)).and_then(|n| n.checked_mul(4));
        if total != Some(numbers.len()) {
            return Err(contradiction(format!("its weights take {} bytes, not what its header says", numbers.len())));
        }
        check::check(&header).map_err(contradiction)?;
        let mut rest = numbers.as_chunks::<4>().0;
        let mut weights = Vec::with_capacity(header.weights.len());
        for &n in &header.weights {
            let (own, after) = rest.split_at(n);
            weights.push(Arc::new(own.iter().map(|&b| f32::from_le_bytes(b)).collect()));
            rest = after;
        }
        Ok(Self { header, weights, sha256: hex(sha), threads: 0 })
    }
}

/// The weights that are still read after the passes, with every index to them renewed.
fn keep_used(values: &mut [PlanValue], steps: &mut [PlanStep], all: &[Arc<Vec<f32>>]) -> Vec<Arc<Vec<f32>>> {
    let mut new_index: BTreeMap<usize, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    let mut keep = |index: &mut usize| {
        *index = *new_index.entry(*index).or_insert_with(|| {
            kept.push(all[*index].clone());
            kept.len() - 1
        });
    };
    let read: std::collections::BTreeSet<usize> = steps.iter().flat_map(|s| s.inputs.iter().copied()).collect();
    for step in steps {
        match &mut step.op {
            Op::Conv { weights, bias, .. } | Op::ConvTranspose { weights, bias, .. } => {
                keep(weights);
                bias.iter_mut().for_each(&mut keep);
            }
            Op::BatchNorm { numbers, .. } => numbers.iter_mut().for_each(&mut keep),
            Op::Tensor(op) => op.weights_mut().into_iter().for_each(&mut keep),
            _ => {}
        }
    }
    for (number, value) in values.iter_mut().enumerate() {
        match &mut value.place {
            Place::Weights(index) if read.contains(&number) => keep(index),
            place @ Place::Weights(_) => *place = Place::Nowhere,
            _ => {}
        }
    }
    kept
}

/// Why bytes are not a plan that can be run.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// Something else.
    #[error("cannot read the plan: it does not begin with `SONOPLAN`; {REBUILD}")]
    NotAPlan,
    /// Another version.
    #[error("cannot read the plan: expected version {VERSION}, found {found}; {REBUILD}")]
    Version {
        /// Version of the bytes.
        found: u32,
    },
    /// Too short.
    #[error("cannot read the plan: it ends after {found} bytes, before its own end; {REBUILD}")]
    Cut {
        /// Bytes there are.
        found: usize,
    },
    /// Its checksum does not agree.
    #[error("cannot read the plan: its SHA-256 does not agree with its bytes, so it was changed or cut; {REBUILD}")]
    Damaged,
    /// It says what cannot be.
    #[error("cannot read the plan: {found}; {REBUILD}")]
    Contradiction {
        /// What was found.
        found: String,
    },
}

/// What to do about a plan that cannot be used.
pub const REBUILD: &str = "build it again from its ONNX model";
