//! All integration tests in one binary, so that they link once. One file a subject.

mod display;
mod kernels_conv;
mod kernels_onnx;
mod kernels_oracle;
mod naive;
