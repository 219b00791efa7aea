//! Any bytes as the rows of a recorded session give frames or one sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonoplex::source::Source;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("session.json"), r#"{"version":1,"sonoplex":"0","source":"","model":"","model_sha256":"","plan_sha256":"","tactics":{},"device":"","classes":[],"settings":{},"ended":null,"frames":{"captured":0,"segmented":0,"shown":0,"recorded":0,"dropped":{}},"latency_us":{}}"#)
        .expect("room for a session");
    std::fs::write(dir.path().join("frames.jsonl"), bytes).expect("room for rows");
    let Ok(mut source) = sonoplex::source::session::open(dir.path()) else { return };
    for _ in 0..4 {
        if !matches!(source.next(), Ok(Some(_))) {
            return;
        }
    }
});
