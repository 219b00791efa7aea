//! All integration tests in one binary, so that they link once. One file a subject.
mod dicom;
mod medical;
mod metaimage;
