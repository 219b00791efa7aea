//! All integration tests in one binary, so that they link once. One file a subject.

mod kernels_conv;
mod kernels_onnx;
mod kernels_oracle;
mod kernels_pictures;
mod kernels_pool;
mod naive;

mod engine_mutations;
mod engine_networks;
mod engine_npy;
mod engine_oracle;
mod engine_passes;
mod engine_plan;
mod engine_refusals;
mod onnx_writer;
