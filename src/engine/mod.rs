//! From a network to numbers: network ▸ builder ▸ plan ▸ engine ▸ context.
//!
//! Each step returns a new type, so a half-prepared model cannot be run. A [`Network`] is what a file declares; the
//! [`Builder`] fixes its shapes, fuses its layers and places its tensors, which gives a [`Plan`]; an [`Engine`] is a
//! plan on a device, and an [`ExecutionContext`] holds all that changes.

pub mod attribute;
pub mod builder;
pub mod calibration;
pub mod context;
pub mod cuda;
pub mod describe;
pub mod device;
mod execute;
mod gpu_run;
pub mod graph;
pub mod lower;
pub mod memory;
pub mod network;
pub mod npy;
pub mod onnx;
pub mod passes;
pub mod plan;
pub mod survey;
pub mod tactic;
pub mod tensor;
pub mod tensor_op;
pub mod timing;

#[allow(clippy::module_inception)] // the word of DESIGN.md for a plan on a device
mod engine;

pub use builder::{BuildError, Builder, BuilderConfig, Precision};
pub use calibration::{Calibration, Calibrator, Threshold};
pub use context::ExecutionContext;
pub use describe::{NetworkSummary, StepRow, describe};
pub use device::{Device, DeviceError};
pub use engine::{Engine, EngineError, TensorInfo};
pub use network::{Network, NetworkError};
pub use plan::{Plan, PlanError, PlanFault};
pub use survey::{Survey, survey};
