//! All integration tests in one binary, so that they link once. One file a subject.
mod crop;

mod tidy;
mod display;
mod kernels_conv;
mod kernels_onnx;
mod kernels_oracle;
mod naive;
mod images;
mod open;
mod phantom;
mod camera;
mod video;
mod display;
mod engine_networks;
mod engine_oracle;
mod onnx_writer;
mod segmenter;
mod segmenter_models;
mod segmenter_spec;
mod segmenter_toy;
mod dicom;
mod medical;
mod metaimage;
