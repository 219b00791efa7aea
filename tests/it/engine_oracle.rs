//! The engine against ONNX Runtime: small networks in many spellings, and the two models that are shared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, npy};

use crate::engine_exports::exports;
use crate::engine_networks::{Up, residual, unet, variety, wide};
use crate::naive::farthest;
use crate::onnx_writer::Writer;

/// Largest difference from ONNX Runtime that is accepted: sums of some hundred products in another order.
const TOLERANCE: f32 = 1e-4;

fn python() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let given = std::env::var_os("SONOPLEX_PYTHON").map(PathBuf::from);
    given.into_iter().chain([beside]).find(|p| p.exists())
}

fn shared(path: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let root = std::env::var_os("SONOPLEX_SHARED").map_or(beside, PathBuf::from);
    Some(root.join(path)).filter(|p| p.exists())
}

/// Runs the engine on a model with one input, which lies beside it.
fn run(model: &Path, threads: usize) -> (Vec<usize>, Vec<f32>) {
    let network = Network::open(model).expect("the model is sound");
    let name = &network.inputs[0].name;
    let stem = model.with_extension("");
    let input = npy::read(Path::new(&format!("{}.{name}.npy", stem.display()))).expect("written before");
    let inputs = BTreeMap::from([(name.clone(), input.shape.clone())]);
    let plan = Builder::new(BuilderConfig { threads, inputs, ..Default::default() }).build(&network);
    let engine =
        Engine::new(plan.unwrap_or_else(|e| panic!("{}: {e}", model.display()))).expect("tactics of this machine");
    let mut context = engine.context();
    context.bind(name, &input.shape, &input.data).expect("the shape was fixed to it");
    context.enqueue().expect("the CPU never refuses");
    let output = &engine.outputs()[0];
    (output.shape.clone(), context.output(&output.name).expect("named by the engine").to_vec())
}

/// Compares every model of `folder` with ONNX Runtime; false where there is none.
fn compare(folder: &Path) -> bool {
    let Some(python) = python() else {
        println!("skipped: no Python with ONNX Runtime (SONOPLEX_PYTHON or .venv)");
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/engine.py");
    let status = Command::new(python).arg(script).arg(folder).status().expect("the interpreter was found");
    assert!(status.success(), "the oracle failed");
    let mut models: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is ours")
        .map(|e| e.expect("it can be read").path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    models.sort();
    assert!(!models.is_empty());
    for model in models {
        let expected = npy::read(&model.with_extension("out.npy")).expect("the oracle wrote it");
        let (shape, found) = run(&model, 2);
        assert_eq!(shape, expected.shape, "{}", model.display());
        let worst = farthest(&found, &expected.data);
        println!("{}: largest difference {worst:e}", model.file_stem().expect("it has a name").to_string_lossy());
        assert!(worst <= TOLERANCE && found.iter().all(|v| v.is_finite()), "{}: {worst}", model.display());
        assert_eq!(run(&model, 1).1, found, "{}: threads change the result", model.display());
    }
    true
}

fn save(folder: &Path, name: &str, mut writer: Writer, shape: &[usize]) {
    std::fs::write(folder.join(format!("{name}.onnx")), writer.bytes()).expect("the folder is ours");
    let data = writer.randoms(shape.iter().product());
    npy::write(&folder.join(format!("{name}.image.npy")), shape, &data).expect("the folder is ours");
}

#[test]
fn networks_in_many_spellings_agree_with_onnx_runtime() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let cases = [
        ("transpose", [1, 1, 16, 24], Up::Transpose, false, false, ""),
        ("transpose_norm_sigmoid", [1, 3, 24, 16], Up::Transpose, true, false, "Sigmoid"),
        ("resize_pad_softmax", [1, 1, 20, 28], Up::Resize, true, true, "Softmax"),
        ("upsample_pad", [1, 2, 16, 16], Up::Upsample, true, true, ""),
        ("linear_batch", [3, 1, 12, 20], Up::Linear, true, false, "Softmax"),
        ("transpose_batch", [2, 1, 16, 16], Up::Transpose, true, true, "Sigmoid"),
    ];
    for (name, shape, up, norm, pad, head) in cases {
        save(folder.path(), name, unet(shape, up, norm, pad, head), &shape);
    }
    save(folder.path(), "open_size", unet([1, 1, 0, 0], Up::Transpose, true, false, ""), &[1, 1, 32, 16]);
    save(folder.path(), "residual", residual(1), &[1, 3, 12, 14]);
    save(folder.path(), "wide", wide(1), &[1, 3, 22, 18]);
    save(folder.path(), "wide_batch", wide(3), &[3, 3, 22, 18]);
    save(folder.path(), "residual_batch", residual(2), &[2, 3, 12, 14]);
    save(folder.path(), "variety", variety(1), &[1, 4, 13, 17]);
    save(folder.path(), "variety_batch", variety(3), &[3, 4, 13, 17]);
    for images in [1, 2] {
        for (name, shape, writer) in exports(images) {
            save(folder.path(), &format!("{name}_{images}"), writer, &shape);
        }
    }
    compare(folder.path());
}

#[test]
fn the_shared_models_agree_with_onnx_runtime() {
    let Some(models) = shared("models") else {
        println!("skipped: no ../shared/models");
        return;
    };
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    for (name, shape) in
        [("brachial-plexus-unet16-96x128", [1, 1, 96, 128]), ("nerve-vessel-unet16-256x256", [1, 1, 256, 256])]
    {
        std::fs::copy(models.join(format!("{name}.onnx")), folder.path().join(format!("{name}.onnx")))
            .expect("it is there");
        let data: Vec<f32> = Writer::new(13).randoms(shape.iter().product()).iter().map(|v| 0.5 + 0.5 * v).collect();
        npy::write(&folder.path().join(format!("{name}.image.npy")), &shape, &data).expect("the folder is ours");
    }
    compare(folder.path());
}
