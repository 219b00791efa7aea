//! Any text read as a pipeline file gives settings or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonoplex::pipeline::config::PipelineConfig;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(PipelineConfig::parse(text, std::path::Path::new("fuzzed.toml")));
    }
});
