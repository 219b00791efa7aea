//! Every seed and every past find of the fuzzers, read again: a value or one sentence, never a panic.

use std::path::{Path, PathBuf};

use sonoplex::engine::{Builder, Network, Plan, npy};
use sonoplex::pipeline::config::PipelineConfig;
use sonoplex::segmenter::spec::ModelSpec;

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

#[test]
fn images() {
    corpus("images").iter().for_each(|path| survives(sonoplex::source::images::open, path));
}

#[test]
fn containers() {
    for seed in corpus("container") {
        let mut file = std::fs::File::open(&seed).expect("a seed");
        let found = sonoplex::source::video_container::Container::read(&mut file).expect("it can be read");
        assert!(found.promised.is_none_or(|promised| promised > found.len), "{}: {found:?}", seed.display());
    }
}

#[test]
fn arrays() {
    let read = corpus("npy").iter().filter(|p| npy::parse(&std::fs::read(p).expect("a seed")).is_ok()).count();
    assert_eq!(read, 3, "the sound seeds are read, the others refused");
}

#[test]
fn plans() {
    let read = corpus("plan").iter().filter(|p| Plan::from_bytes(&std::fs::read(p).expect("a seed")).is_ok()).count();
    assert_eq!(read, 2, "two seeds are whole");
}

#[test]
fn networks() {
    let built = corpus("onnx").into_iter().filter(|path| {
        let network = Network::from_onnx(&std::fs::read(path).expect("a seed"));
        network.is_ok_and(|network| Builder::default().build(&network).is_ok())
    });
    let mut names: Vec<_> = built.map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["pooled.onnx", "resize.onnx", "unet.onnx"], "the sound seeds are built, the others refused");
}

#[test]
fn pipelines() {
    let read = |path: &PathBuf| String::from_utf8(std::fs::read(path).expect("a seed")).ok();
    let sound = corpus("pipeline")
        .iter()
        .filter(|path| read(path).is_some_and(|text| PipelineConfig::parse(&text, path).is_ok()))
        .count();
    assert_eq!(sound, 1, "the sound seed is read, the others refused");
}

#[test]
fn descriptions_of_models() {
    let pair = |line: &str| line.split_once('=').map(|(k, v)| (format!("sonoplex.{k}"), v.to_owned()));
    let mut read = corpus("spec");
    read.retain(|path| {
        let text = std::fs::read_to_string(path).expect("a seed");
        ModelSpec::read(Path::new("absent.onnx"), &text.lines().filter_map(pair).collect()).is_ok()
    });
    let names: Vec<_> = read.iter().filter_map(|p| p.file_name()?.to_str()).collect();
    assert_eq!(names, ["sound.txt"], "the sound seed is read, the others refused");
}

#[test]
fn sessions() {
    for seed in corpus("session") {
        let dir = tempfile::tempdir().expect("a folder");
        let session = sonoplex::session::Session { version: 1, ..Default::default() };
        let text = serde_json::to_vec(&session).expect("JSON");
        std::fs::write(dir.path().join("session.json"), text).expect("a session");
        std::fs::copy(&seed, dir.path().join("frames.jsonl")).expect("rows");
        // Its pictures are not there: every row is one sentence, whatever it points to.
        let first = sonoplex::source::session::open(dir.path()).and_then(|mut s| s.next());
        assert!(first.is_err(), "{}", seed.display());
    }
}
