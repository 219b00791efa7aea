//! All integration tests in one binary, so that they link once. One file a subject.
mod annotated;
mod camera;
mod live_graph;
mod video;
mod video_bad;
