//! All integration tests in one binary, so that they link once. One file a subject.
mod annotated;
mod camera;
mod dicom;
mod fuzz_corpus;
mod images;
mod live_graph;
mod medical;
mod metaimage;
mod open;
mod phantom;
mod video;
mod video_bad;
