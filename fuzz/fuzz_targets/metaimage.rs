//! Any bytes opened as a MetaImage sequence give frames or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../played.rs"]
mod played;

fuzz_target!(|bytes: &[u8]| played::survives(sonoplex::source::metaimage::open, bytes));
