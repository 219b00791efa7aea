//! What the tests of DICOM and MetaImage share: the oracles, the recordings, and damage.

use std::path::{Path, PathBuf};
use std::process::Command;

use sonoplex::frame::Frame;
use sonoplex::source::{Source, SourceError};

/// Opens a file as one kind of source.
pub type Open = fn(&Path) -> Result<Box<dyn Source>, SourceError>;

/// Runs an oracle; `None`, with a line that says so, where there is no Python for it.
pub fn oracle(script: &str, args: &[&Path], verb: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SONOPLEX_PYTHON").map_or(root.join(".venv/bin/python"), PathBuf::from);
    if !python.exists() {
        println!("skipped: no Python at {}; `make test` sets it up", python.display());
        return None;
    }
    let out = Command::new(python).arg(root.join("tests/oracles").join(script)).arg(verb).args(args).output();
    let out = out.expect("the oracle starts");
    assert!(out.status.success(), "{script} {verb}: {}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8(out.stdout).expect("oracles print UTF-8"))
}

/// A recording beside the repository; `None`, with a line that says so, where it is absent.
pub fn recording(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SONOPLEX_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("data/recordings").join(name);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// All frames of a source; ids are checked on the way.
pub fn frames(source: &mut dyn Source) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    while let Some(frame) = source.next().unwrap_or_else(|e| panic!("frame {}: {e}", all.len())) {
        assert_eq!(frame.id, all.len() as u64);
        all.push(frame);
    }
    assert!(source.next().expect("the end is no error").is_none(), "the end is final");
    all
}

/// Largest difference between the frames and what the oracle wrote.
pub fn difference(frames: &[Frame], expected: &[u8]) -> u8 {
    let found: Vec<u8> = frames.iter().flat_map(|f| f.pixels.iter().copied()).collect();
    assert_eq!(found.len(), expected.len(), "bytes of all frames");
    found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// Opens and plays a damaged file: a value or one sentence, whatever it holds.
pub fn survives(open: Open, path: &Path) {
    let told = |e: SourceError| {
        let text = e.to_string();
        assert!(!text.contains('\n') && text.len() > 30, "one sentence: {text:?}");
    };
    let mut source = match open(path) {
        Ok(source) => source,
        Err(e) => return told(e),
    };
    for _ in 0..4 {
        match source.next() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(e) => return told(e),
        }
    }
}

/// Cuts a file at `cuts` places and flips bits at as many, and opens each.
pub fn torture(open: Open, bytes: &[u8], cuts: usize, head: usize, folder: &Path, name: &str) {
    let path = folder.join(format!("damaged-{name}"));
    let head = head.min(bytes.len());
    // Every byte of the head, and evenly through the rest.
    let step = (bytes.len() / cuts.max(1)).max(1);
    for cut in (0..head).step_by((head / cuts.max(1)).max(1)).chain((head..bytes.len()).step_by(step)) {
        std::fs::write(&path, &bytes[..cut]).expect("a temporary file");
        survives(open, &path);
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..cuts {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut damaged = bytes.to_vec();
        let range = if seed & 1 == 0 { head } else { bytes.len() };
        let at = (seed >> 20) as usize % range.max(1);
        match seed >> 1 & 3 {
            0 => damaged[at] ^= 1 << (seed >> 3 & 7),
            1 => damaged[at] = 0xff,
            2 => damaged[at] = 0,
            _ => damaged[at] = (seed >> 8) as u8,
        }
        std::fs::write(&path, &damaged).expect("a temporary file");
        survives(open, &path);
    }
}
