//! Any bytes opened as a DICOM recording give frames or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../played.rs"]
mod played;

fuzz_target!(|bytes: &[u8]| played::survives(sonoplex::source::dicom::open, bytes));
