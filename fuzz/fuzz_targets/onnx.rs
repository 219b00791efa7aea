//! Any bytes read as an ONNX file give a plan or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonoplex::engine::{Builder, Network};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(network) = Network::from_onnx(bytes) {
        drop(Builder::default().build(&network));
    }
});
