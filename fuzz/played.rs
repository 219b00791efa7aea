//! Opens bytes as a file and plays its first frames.

use std::io::Write;
use std::path::Path;

use sonoplex::source::{Source, SourceError};

/// Frames or an error, whatever the bytes are; a panic is what the fuzzer looks for.
pub fn survives(open: fn(&Path) -> Result<Box<dyn Source>, SourceError>, bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for a temporary file");
    let Ok(mut source) = open(file.path()) else { return };
    for _ in 0..4 {
        if !matches!(source.next(), Ok(Some(_))) {
            return;
        }
    }
}
