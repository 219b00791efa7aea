//! The specification of every operation, in plain Rust, and the same made fast.
//!
//! One file an operation. Where an operation has more than one way to be computed, each way is a *tactic* in a file
//! of its own ([`conv`]), the last of them the naive loop that the others are compared with.
//!
//! Architecture invariant: a result never depends on the number of threads, because every output value is computed
//! by one task, in one order.

pub mod activation;
mod affinity;
pub mod aligned;
pub mod bilateral;
pub mod blocked;
pub mod canny;
pub mod components;
pub mod conv;
pub mod conv_transpose;
pub mod crop;
pub mod despeckle;
mod dot;
pub mod elementwise;
pub mod error;
pub mod frost;
pub mod isa;
pub mod kuan;
mod lanes;
pub mod layout;
pub mod lee;
pub mod mask;
pub mod math;
pub mod matmul;
pub mod max_pool;
pub mod median;
pub mod nlm;
pub mod normalize;
mod parts;
pub mod pool;
pub mod quantize;
pub mod reduce;
pub mod resize;
pub mod resize_axis;
pub mod resize_tensor;
pub mod select;
pub mod softmax;
pub mod srad;
pub mod strided;
pub mod take;
mod unroll;
mod window;

pub use activation::Activation;
pub use conv::{Conv, ConvShape};
pub use conv_transpose::{ConvTranspose, ConvTransposeShape};
pub use despeckle::{Despeckle, DespeckleError, Scratch};
pub use error::KernelError;
pub use isa::Isa;
pub use max_pool::{PoolShape, average_pool, max_pool};
pub use pool::Pool;
pub use resize::{Filter, Resampler};
