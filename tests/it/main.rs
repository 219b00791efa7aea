//! All integration tests in one binary, so that they link once. One file a subject.

mod annotated;
#[cfg(feature = "camera")]
mod camera;
mod cli;
mod cli_check;
mod crop;
mod dicom;
mod display;
mod engine_exports;
mod engine_mutations;
mod engine_networks;
mod engine_npy;
mod engine_oracle;
mod engine_passes;
mod engine_passes_exports;
mod engine_plan;
mod engine_refusals;
mod fuzz_corpus;
mod images;
mod kernels_conv;
mod kernels_onnx;
mod kernels_oracle;
mod kernels_pictures;
mod kernels_pool;
mod live_graph;
mod medical;
mod metaimage;
mod naive;
mod onnx_backend;
mod onnx_writer;
mod open;
mod phantom;
mod pipeline;
mod pipeline_fakes;
mod pipeline_stop;
mod pipeline_text;
mod pipeline_verify;
mod record;
mod segmenter;
mod segmenter_models;
mod segmenter_spec;
mod segmenter_toy;
mod tidy;
#[cfg(feature = "video")]
mod video;
mod video_bad;
