//! A network made ready for a device: fused steps, tactics, places in the arena, weights; kept as bytes ([`bytes`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::builder::{BuildError, BuilderConfig, Precision};
use super::device::Device;
use super::engine::TensorInfo;
use super::graph::{Graph, Op, image_room};
use super::memory::Arena;
use super::network::{Network, hex};
use crate::backend::cpu::layout::Layout;

pub mod bytes;
mod check;
mod origin;
mod weights;

pub use bytes::{PlanError, PlanFault, VERSION};
pub use origin::Origin;
pub(super) use weights::Weights;

/// What an [`super::Engine`] runs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) header: Header,
    pub(super) weights: Vec<Weights>,
    origin: Origin,
    sha256: String,
    threads: usize,
    device: Device,
    /// Where it was read from; empty where it was built.
    file: PathBuf,
}

/// All of a plan but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// SHA-256 of the network's file.
    pub network_sha256: String,
    /// What its tactics were chosen among.
    pub precision: Precision,
    /// Whether it is for a GPU, where tensors are channels-last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpu: bool,
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
    pub(super) fn new(
        network: &Network,
        config: &BuilderConfig,
        graph: Graph,
        arena: Arena,
        tactics: Vec<String>,
    ) -> Result<Self, BuildError> {
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
            precision: config.precision,
            gpu: matches!(config.device, Device::Cuda(_)),
            values,
            steps,
            inputs: graph.inputs,
            outputs: graph.outputs,
            arena: arena.len,
            weights: weights.iter().map(|w| w.len()).collect(),
        };
        // What a GPU has no numbers for is in the plan for the processor.
        let checked = check::check(&header);
        debug_assert!(checked.is_ok() || header.gpu, "a plan that is built is one that is read: {checked:?}");
        checked.map_err(|found| BuildError::Plan { found })?;
        let mut options = Vec::new();
        if config.precision != Precision::default() {
            options.extend(["--precision".to_owned(), config.precision.to_string()]);
        }
        if let Device::Cuda(_) = config.device {
            options.extend(["--device".to_owned(), config.device.to_string()]);
        }
        for (name, shape) in &config.inputs {
            let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
            options.extend(["--input".to_owned(), format!("{name}={shape}")]);
        }
        let origin = Origin {
            model: String::new(),
            options,
            name: network.name.clone(),
            producer: network.producer.clone(),
            metadata: network.metadata.clone(),
        };
        let sha256 = hex(&bytes::sha256(&bytes::json(&header), &weights));
        let (threads, device) = (config.threads, config.device);
        Ok(Self { header, weights, origin, sha256, threads, device, file: PathBuf::new() })
    }

    /// The same plan as that of the model of this name, for [`Plan::command`].
    pub fn of_model(mut self, model: &str) -> Self {
        self.origin.model = model.to_owned();
        self
    }

    /// The same plan, built again by [`Plan::command`] with these options too.
    pub fn with_options(mut self, options: &[&str]) -> Self {
        self.origin.options.extend(options.iter().map(|&o| o.to_owned()));
        self
    }

    /// The same plan on this device and so many threads, where it has the precision that is asked for.
    ///
    /// # Errors
    /// When the device is not there, or the plan has another precision.
    pub fn on(self, device: Device, threads: usize, precision: Option<Precision>) -> Result<Self, PlanError> {
        let device = match device.resolve() {
            Err(_) if self.header.gpu => {
                let command = self.origin.for_device(None).command(&self.file);
                return Err(PlanError::NoDriver { path: self.file, command });
            }
            resolved => resolved?,
        };
        match (self.header.gpu, device) {
            (false, Device::Cuda(_)) => {
                let command = self.origin.for_device(Some(device)).command(&self.file);
                return Err(PlanError::Processor { path: self.file, device, command });
            }
            (true, Device::Auto | Device::Cpu) => {
                let command = self.origin.for_device(None).command(&self.file);
                return Err(PlanError::Gpu { path: self.file, command });
            }
            _ => {}
        }
        match precision {
            Some(expected) if expected != self.precision() => {
                if self.header.gpu && !expected.is_of_gpus() {
                    return Err(BuildError::Precision { device, precision: expected }.into());
                }
                let mut origin = self.origin.without("--precision");
                origin.options.splice(..0, ["--precision".to_owned(), expected.to_string()]);
                let command = origin.command(&self.file);
                Err(PlanError::Precision { path: self.file.clone(), expected, found: self.precision(), command })
            }
            _ => Ok(Self { device, ..self.with_threads(threads) }),
        }
    }

    /// The command that builds it again.
    pub fn command(&self) -> String {
        self.origin.command(&self.file)
    }

    /// Where it comes from, and what its model says of itself.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is for a GPU.
    pub fn is_for_gpu(&self) -> bool {
        self.header.gpu
    }

    /// How far its tactics may round.
    pub fn precision(&self) -> Precision {
        self.header.precision
    }

    /// What has to be given.
    pub fn inputs(&self) -> Vec<TensorInfo> {
        self.header.inputs.iter().map(|&v| self.info(&self.header.values[v].name, v)).collect()
    }

    /// What comes out.
    pub fn outputs(&self) -> Vec<TensorInfo> {
        self.header.outputs.iter().map(|(name, v)| self.info(name, *v)).collect()
    }

    fn info(&self, name: &str, value: usize) -> TensorInfo {
        TensorInfo { name: name.to_owned(), shape: self.header.values[value].shape.clone() }
    }

    /// Whether it still has all of its weights.
    fn is_whole(&self) -> bool {
        self.weights.iter().map(|w| w.len()).eq(self.header.weights.iter().copied())
    }

    /// Takes the weights out, but for those that steps read as they are; a plan keeps these without its file.
    pub(super) fn take_weights(&mut self) -> Vec<Weights> {
        let mut read = BTreeSet::new();
        for step in &self.header.steps {
            if !matches!(step.op, Op::Conv { .. } | Op::ConvTranspose { .. }) {
                read.extend(step.op.weights());
            }
        }
        read.extend(self.header.values.iter().filter_map(|v| match v.place {
            Place::Weights(index) => Some(index),
            _ => None,
        }));
        let kept = self.weights.iter().enumerate();
        let kept = kept.map(|(i, w)| if read.contains(&i) { w.owned() } else { Weights::default() }).collect();
        std::mem::replace(&mut self.weights, kept)
    }

    /// The same plan on so many threads (0: one a core); its results and its hash stay.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Where it is to run.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Threads it is to run on; 0 is one a core.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// SHA-256 over network, precision, steps, tactics, places and weights, hexadecimal; neither threads nor origin take
    /// part.
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

    /// How what `step` reads first and what it writes lie in memory.
    pub fn layouts(&self, step: &PlanStep) -> [Layout; 2] {
        [step.inputs[0], step.output].map(|v| self.header.values[v].layout)
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
}

/// The weights that are still read after the passes, with every index to them renewed.
fn keep_used(values: &mut [PlanValue], steps: &mut [PlanStep], all: &[Arc<Vec<f32>>]) -> Vec<Weights> {
    let mut new_index: BTreeMap<usize, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    let mut keep = |index: &mut usize| {
        *index = *new_index.entry(*index).or_insert_with(|| {
            kept.push(Weights::Own(all[*index].clone()));
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
