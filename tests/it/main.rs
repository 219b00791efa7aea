//! All integration tests in one binary, so that they link once. One file a subject.

#[cfg(feature = "camera")]
mod camera;
mod cli;
mod crop;
mod dicom;
mod display;
mod display_scene;
mod engine_networks;
mod engine_oracle;
mod fuzz_corpus;
mod images;
mod kernels_conv;
mod kernels_onnx;
mod kernels_oracle;
mod medical;
mod metaimage;
mod naive;
mod onnx_writer;
mod open;
mod phantom;
mod segmenter;
mod segmenter_models;
mod segmenter_spec;
mod segmenter_toy;
mod tidy;
#[cfg(feature = "video")]
mod video;
