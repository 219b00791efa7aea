//! Every seed and every past find of the fuzzers, played again: frames or one sentence, never a panic.

use std::path::{Path, PathBuf};

use crate::medical::survives;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(folder).expect("a corpus").map(|e| e.expect("a seed").path()).collect();
    assert!(!files.is_empty(), "seeds for {target}");
    files
}

#[test]
fn metaimage() {
    corpus("metaimage").iter().for_each(|path| survives(sonoplex::source::metaimage::open, path));
}

#[test]
fn dicom() {
    corpus("dicom").iter().for_each(|path| survives(sonoplex::source::dicom::open, path));
}
