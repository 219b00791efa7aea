//! What a model says of itself is read, overruled and refused as models/README.md tells.

use std::path::Path;

use sonoplex::segmenter::spec::{Activation, Fit, KEYS, ModelSpec, Output, Scale};
use sonoplex::segmenter::{Segmenter, SegmenterConfig};

use super::segmenter_toy::{mirror, write};

fn read(folder: &Path, metadata: &[(&str, &str)]) -> Result<ModelSpec, String> {
    let entries = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    ModelSpec::read(&folder.join("toy.onnx"), &entries).map_err(|e| e.to_string())
}

#[test]
fn a_file_beside_the_model_overrules_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = [("sonoplex.resize", "stretch"), ("sonoplex.output", "logits"), ("author", "somebody")];
    let spec = read(folder.path(), &metadata).unwrap();
    assert_eq!((spec.resize, spec.output), (Some(Fit::Stretch), Some(Output::Logits)));

    let text = "resize = \"letterbox\"\nclasses = [\"nerve\", \"vessel\"]\nthresholds = [0.4, 1]\n[sonoplex]\nmean = 0.5\nstd = 0.25\nactivation = \"softmax\"\n";
    std::fs::write(folder.path().join("MODEL.toml"), text).unwrap();
    let spec = read(folder.path(), &metadata).unwrap();
    assert_eq!((spec.resize, spec.output), (Some(Fit::Letterbox), Some(Output::Logits)));
    assert_eq!(spec.classes.as_deref(), Some(["nerve".to_owned(), "vessel".to_owned()].as_slice()));
    assert_eq!(spec.thresholds, Some(vec![0.4, 1.0]));
    assert_eq!(spec.scale, Some(Scale::Standard { mean: vec![0.5], std: vec![0.25] }));
    assert_eq!(spec.activation, Some(Activation::Softmax));
    assert!(spec.notes.iter().any(|n| n.contains("MODEL.toml") && n.contains("letterbox")), "{:?}", spec.notes);

    std::fs::write(folder.path().join("toy.toml"), "resize = \"stretch\"").unwrap();
    let spec = read(folder.path(), &metadata).unwrap();
    assert_eq!((spec.resize, spec.classes), (Some(Fit::Stretch), None), "the file of its own name comes first");
}

#[test]
fn unknown_keys_and_bad_values_are_refused_with_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |key: &str, value: &str| read(folder.path(), &[(key, value)]).unwrap_err();
    let error = refused("sonoplex.treshold", "0.5");
    assert!(error.contains("unknown key `treshold`") && error.contains("`thresholds`"), "{error}");
    let error = refused("sonoplex.colors", "#12345");
    assert!(error.contains("`colors`") && error.contains("#RRGGBB") && error.contains("`#12345`"), "{error}");
    assert!(refused("sonoplex.mean", "0.5").contains("std"));
    assert!(read(folder.path(), &[("sonoplex.mean", "0.5"), ("sonoplex.std", "0")]).is_err());
    // Whatever is written, every key has an answer.
    for key in KEYS {
        for value in ["", "nonsense", "-1", "1e40", "#ffffff", "0.5..0.8", "nan", "é"] {
            let _ = read(folder.path(), &[(&format!("sonoplex.{key}"), value)]);
        }
    }
    for text in ["resize = ", "[other]\na = 1", "resize = 3", "nearest = 1", "\u{0}"] {
        std::fs::write(folder.path().join("MODEL.toml"), text).unwrap();
        assert!(read(folder.path(), &[]).is_err(), "{text}");
    }
}

#[test]
fn what_nobody_says_is_assumed_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = write(mirror(1, -1, -1), &[], folder.path());
    let segmenter = Segmenter::open(&SegmenterConfig { model, ..Default::default() }).unwrap();
    let info = segmenter.model();
    let told = info.notes.join("\n");
    for part in ["256x256", "stretch", "scale = unit", "output = probability", "sigmoid", "`nerve`", "uncalibrated"] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
    assert_eq!((info.name.as_str(), info.input_size.to_string().as_str()), ("toy", "256x256"));
    assert_eq!((info.sha256.len(), info.plan_sha256.len()), (64, 64));
}

#[test]
fn a_model_that_is_no_segmenter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |channels, metadata: &[(&str, &str)]| {
        let model = write(mirror(channels, 8, 8), metadata, folder.path());
        Segmenter::open(&SegmenterConfig { model, ..Default::default() }).err().map(|e| e.to_string())
    };
    assert!(refused(5, &[]).unwrap().contains("expected an input [1, 1 or 3, height, width]"));
    assert!(refused(1, &[("classes", "a,b")]).unwrap().contains("2 classes"));
    assert!(refused(1, &[("activation", "softmax")]).unwrap().contains("background"));
    assert!(refused(1, &[("thresholds", "0.1,0.2,0.3")]).unwrap().contains("`thresholds`"));
    assert!(refused(1, &[("mask", "other")]).unwrap().contains("`other`"));
    assert!(refused(3, &[("classes", "a,b")]).is_none(), "three maps are a background and two classes");
    let config = SegmenterConfig { model: folder.path().join("none.onnx"), ..Default::default() };
    assert!(Segmenter::open(&config).err().unwrap().to_string().contains("none.onnx"));
}
