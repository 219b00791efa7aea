//! All integration tests in one binary, so that they link once. One file a subject.
mod crop;

mod tidy;
mod kernels_conv;
mod naive;
mod images;
mod open;
mod phantom;
mod camera;
mod video;
mod display;
