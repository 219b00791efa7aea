//! All integration tests in one binary, so that they link once. One file a subject.
mod camera;
mod dicom;
mod images;
mod medical;
mod metaimage;
mod open;
mod phantom;
mod video;
