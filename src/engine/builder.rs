//! From a network to a plan: shapes fixed, layers fused, tensors placed, tactics chosen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribute::Node;
use super::calibration::Calibration;
use super::device::{Device, DeviceError};
use super::graph::{Graph, Step};
use super::network::Network;
use super::plan::Plan;
use super::{lower, memory, passes, tactic};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::layout::Layout;

/// What a plan is built for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuilderConfig {
    /// Where it will run.
    pub device: Device,
    /// Threads that compute; 0 is one a core. They change the time, never the result.
    pub threads: usize,
    /// How far factors may be rounded.
    pub precision: Precision,
    /// What tensors hold: needed for [`Precision::Int8`], and read for no other.
    pub calibration: Option<Calibration>,
    /// Shapes of inputs, by name: needed where the file leaves them open.
    pub inputs: BTreeMap<String, Vec<usize>>,
    /// Tactics by the name of the step, as a session stored them; steps that are not named get the first that fits.
    pub tactics: Option<BTreeMap<String, String>>,
}

/// How far the factors of convolutions may be rounded; sums are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Not at all.
    #[default]
    Fp32,
    /// To bfloat16, where the processor multiplies it.
    Bf16,
    /// To bfloat16 after Winograd's larger transform too, which makes some ten times as much of the rounding.
    Bf16Fast,
    /// To bytes, with a scale for each tensor and for the weights of each output channel; what does not gain by it is
    /// rounded as by `Bf16Fast`.
    Int8,
    /// To halves, tensors too: what a GPU computes in where it does not multiply bytes.
    Fp16,
}

impl Precision {
    /// All of them, the exact one first.
    pub const ALL: [Self; 5] = [Self::Fp32, Self::Bf16, Self::Bf16Fast, Self::Int8, Self::Fp16];

    /// What is meant on a device: what was asked for, else the most exact that it computes in.
    pub fn on(asked: Option<Self>, device: Device) -> Self {
        asked.unwrap_or(if matches!(device, Device::Cuda(_)) { Self::Fp16 } else { Self::Fp32 })
    }

    /// Whether GPUs compute in it.
    pub fn is_of_gpus(self) -> bool {
        matches!(self, Self::Fp16 | Self::Int8)
    }

    /// Whether a tactic rounds no further.
    pub fn allows(self, tactic: &str) -> bool {
        match self {
            Self::Fp32 | Self::Fp16 => !tactic.contains("_bf16") && !tactic.contains("_int8"),
            Self::Bf16 => !tactic.starts_with("winograd4_bf16") && !tactic.contains("_int8"),
            Self::Bf16Fast => !tactic.contains("_int8"),
            Self::Int8 => true,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Bf16Fast => "bf16-fast",
            Self::Int8 => "int8",
            Self::Fp16 => "fp16",
        })
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.to_string() == text).ok_or_else(|| {
            let known = Self::ALL.map(|p| format!("`{p}`"));
            let (last, others) = known.split_last().expect("there are some");
            format!("expected {} or {last}, found `{text}`", others.join(", "))
        })
    }
}

/// Turns networks into plans.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: BuilderConfig,
}

impl Builder {
    /// A builder with these settings.
    pub fn new(config: BuilderConfig) -> Self {
        Self { config }
    }

    /// Its settings.
    pub fn config(&self) -> &BuilderConfig {
        &self.config
    }

    /// The same builder at another precision, with the calibration that [`Precision::Int8`] needs.
    pub fn rounding(mut self, precision: Precision, calibration: Option<Calibration>) -> Self {
        (self.config.precision, self.config.calibration) = (precision, calibration);
        self
    }

    /// The plan of `network`.
    ///
    /// # Errors
    /// When an input has no fixed shape, an operator is not understood, a node contradicts its inputs, the device is
    /// not there, or a stored tactic does not fit.
    pub fn build(&self, network: &Network) -> Result<Plan, BuildError> {
        let (device, precision) = (self.config.device.resolve()?, self.config.precision);
        match (device, precision) {
            (Device::Cuda(_), _) if precision.is_of_gpus() => self.build_for_gpu(network),
            (Device::Cuda(_), _) | (_, Precision::Fp16) => Err(BuildError::Precision { device, precision }),
            _ => self.build_with(network, passes::PASSES),
        }
    }

    /// The plan of `network` with these passes alone, to compare a pass with its absence.
    ///
    /// # Errors
    /// As for [`Builder::build`].
    pub fn build_with(&self, network: &Network, passes: &[passes::Pass]) -> Result<Plan, BuildError> {
        let mut graph = lower::lower(network, &self.config.inputs)?;
        graph.blocks = match self.config.precision {
            Precision::Fp32 => Layout::Blocked,
            _ if Isa::has_bf16() => Layout::BlockedBf16,
            _ => Layout::Blocked,
        };
        self.passed(&mut graph, passes.iter(), false)?;
        let tactics = tactic::choose(&graph, self.config.precision, self.config.tactics.as_ref())?;
        let device = Device::Cpu;
        self.placed(network, &BuilderConfig { device, ..self.config.clone() }, graph, tactics)
    }

    /// The plan of `network` for a GPU, which need not be there: with the steps that [`super::cuda`] makes launches of. In
    /// int8 where that is asked for, else in fp16.
    ///
    /// # Errors
    /// As for [`Builder::build`].
    pub fn build_for_gpu(&self, network: &Network) -> Result<Plan, BuildError> {
        let mut graph = lower::lower(network, &self.config.inputs)?;
        let passes = passes::PASSES.iter().filter(|(name, _)| !passes::CPU_ALONE.contains(name));
        self.passed(&mut graph, passes.chain(&passes::GPU_ALONE), true)?;
        let stored = |step: &Step| self.config.tactics.as_ref().and_then(|own| own.get(&step.name)).cloned();
        let tactics = graph.steps.iter().map(|step| stored(step).unwrap_or_default()).collect();
        let precision = if self.config.precision == Precision::Int8 { Precision::Int8 } else { Precision::Fp16 };
        let device = if matches!(self.config.device, Device::Cuda(_)) { self.config.device } else { Device::Cuda(0) };
        self.placed(network, &BuilderConfig { device, precision, ..self.config.clone() }, graph, tactics)
    }

    /// Runs passes; those that keep tensors as bytes need to know what they hold.
    fn passed<'a>(
        &self,
        graph: &mut Graph,
        passes: impl Iterator<Item = &'a passes::Pass>,
        gpu: bool,
    ) -> Result<(), BuildError> {
        if self.config.precision == Precision::Int8 {
            graph.calibration = Some(self.config.calibration.clone().unwrap_or_default());
        }
        passes.for_each(|(_, pass)| pass(graph));
        // A quantised network brings ranges along.
        match &graph.calibration {
            Some(calibration) if calibration.ranges.is_empty() => Err(BuildError::Calibration { gpu }),
            _ => Ok(()),
        }
    }

    fn placed(
        &self,
        network: &Network,
        config: &BuilderConfig,
        graph: Graph,
        tactics: Vec<String>,
    ) -> Result<Plan, BuildError> {
        let arena = memory::place(&graph).map_err(|found| BuildError::Memory { found })?;
        Plan::new(network, config, graph, arena, tactics)
    }
}

/// Why a network cannot become a plan. The message says which node, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An operator that is not understood.
    #[error("cannot compute the node `{node}`: the operator `{operator}` is not supported; {advice}")]
    Unsupported {
        /// Node.
        node: String,
        /// Operator.
        operator: String,
        /// What would help.
        advice: String,
    },
    /// A node contradicts its inputs, or asks for what is not computed.
    #[error("cannot compute the node `{node}` ({operator}): {found}")]
    Node {
        /// Node.
        node: String,
        /// Operator.
        operator: String,
        /// What is wrong, and what was expected.
        found: String,
    },
    /// What a device cannot do of it.
    #[error("cannot make a plan of the network: {found}; use `--device cpu`")]
    Plan {
        /// What was found.
        found: String,
    },
    /// An output that cannot be given.
    #[error("cannot give the tensor `{name}`: {found}")]
    Output {
        /// Tensor.
        name: String,
        /// What is wrong.
        found: String,
    },
    /// The file leaves the shape open and nobody fixed it.
    #[error(
        "cannot fix the shape of the input `{name}`: the model declares {declared}; give it, for example `--input {name}={example}`"
    )]
    InputOpen {
        /// Input.
        name: String,
        /// What the file says.
        declared: String,
        /// A shape that would do.
        example: String,
    },
    /// The shape that was given contradicts the file.
    #[error("cannot use the shape {given:?} for the input `{name}`: the model declares {declared}")]
    InputShape {
        /// Input.
        name: String,
        /// What the file says.
        declared: String,
        /// What was given.
        given: Vec<usize>,
    },
    /// An input that is not made of numbers that f32 can hold.
    #[error(
        "cannot use the input `{name}` of type {found}: expected floats, whole numbers or truths; move the conversion out of the model"
    )]
    InputType {
        /// Input.
        name: String,
        /// Its type.
        found: String,
    },
    /// A shape for something that is no input.
    #[error("cannot fix the shape of `{name}`: the model has no such input; it has {known}")]
    UnknownInput {
        /// What was given.
        name: String,
        /// Inputs there are.
        known: String,
    },
    /// A stored tactic that does not fit.
    #[error(
        "cannot compute the step `{step}` with the tactic `{found}`: this machine offers {known}; leave the stored tactics out to choose new ones"
    )]
    Tactic {
        /// Step.
        step: String,
        /// What was stored.
        found: String,
        /// What there is.
        known: String,
    },
    /// Nobody knows what tensors hold.
    #[error(
        "cannot round to int8 without frames to calibrate on: build a plan with `sonoplex build MODEL.onnx -o FILE.plan{} --precision int8 --calibrate FRAMES`, and run that",
        if *gpu { " --device cuda:0" } else { "" }
    )]
    Calibration {
        /// Whether it was to be for a GPU.
        gpu: bool,
    },
    /// The tensors do not fit.
    #[error("cannot place the tensors of the network: {found}")]
    Memory {
        /// What is wrong.
        found: String,
    },
    /// The device does not compute in it.
    #[error(
        "cannot compute in {precision} on `{device}`: a GPU computes in fp16, which nothing else does, or in int8; leave `--precision` out, or change `--device`"
    )]
    Precision {
        /// Where it was to run.
        device: Device,
        /// What was asked for.
        precision: Precision,
    },
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl BuildError {
    /// The error for an operator that is not understood, with what would help.
    pub(super) fn unsupported(node: &Node) -> Self {
        let advice = match node.operator.as_str() {
            "If" | "Loop" | "Scan" | "SequenceConstruct" | "SequenceAt" | "SplitToSequence" => {
                "control flow is not run: export by tracing with a fixed input size, or run onnxsim over the file"
                    .to_owned()
            }
            name if name.contains('.') => {
                "it is of a domain other than ONNX's own: export with standard operators alone".to_owned()
            }
            _ => {
                format!("export the model without it; docs/operators.md lists the {} that are", lower::OPERATORS.len())
            }
        };
        Self::Unsupported { node: node.name.clone(), operator: node.operator.clone(), advice }
    }
}
