//! All integration tests in one binary, so that they link once. One file a subject.
mod dicom;
mod fuzz_corpus;
mod medical;
mod metaimage;
