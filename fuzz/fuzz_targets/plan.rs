//! Any bytes read as a plan give a plan or one sentence. What lies behind the checksums is mutated, with matching ones,
//! by `tests/it/engine_plan.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| drop(sonoplex::engine::Plan::from_bytes(bytes)));
