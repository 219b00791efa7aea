//! Any bytes opened as a picture, or as the pages of a TIFF, give frames or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../played.rs"]
mod played;

fuzz_target!(|bytes: &[u8]| played::survives(sonoplex::source::images::open, bytes));
