//! Any bytes read as a NumPy array give numbers or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| drop(sonoplex::engine::npy::parse(bytes)));
