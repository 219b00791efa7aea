//! Any metadata, one `key=value` a line, gives the description of a model or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonoplex::segmenter::spec::ModelSpec;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pair = |line: &str| line.split_once('=').map(|(k, v)| (format!("sonoplex.{}", k.trim()), v.trim().to_owned()));
    let metadata = text.lines().filter_map(pair).collect();
    drop(ModelSpec::read(std::path::Path::new("fuzzed.onnx"), &metadata));
});
