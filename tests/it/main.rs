//! All integration tests in one binary, so that they link once. One file a subject.
mod camera;
mod images;
mod open;
mod phantom;
mod video;
