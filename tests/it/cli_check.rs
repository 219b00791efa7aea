//! `sonoplex check`: a model that runs, one that waits for its size, one that cannot run.

use serde_json::Value;

use crate::cli::{path, sonoplex, succeeds, text};
use crate::cli_explain::{all_explained, explained};
use crate::engine_exports::exports;
use crate::engine_networks::{Up, unet, wide};
use crate::onnx_writer::Writer;

fn save(folder: &std::path::Path, name: &str, writer: &Writer) -> String {
    let file = folder.join(name);
    std::fs::write(&file, writer.bytes()).expect("the folder is ours");
    path(&file).to_owned()
}

#[test]
fn a_model_that_runs_says_what_is_fused() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = save(dir.path(), "unet.onnx", &unet([1, 1, 16, 16], Up::Transpose, true, false, "Sigmoid"));
    let said = succeeds(&["check", &model]);
    for words in ["verdict     it runs", "7 BatchNormalization", "fold_batch_norm", "5  conv 3x3 + relu", "GFLOP"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // What it says of the plan is what the plan is.
    let wide = ("in blocks", Vec::new(), wide(1));
    for (name, _, writer) in exports(1).into_iter().chain([wide]) {
        let model = save(dir.path(), "export.onnx", &writer);
        let report: Value = serde_json::from_str(&succeeds(&["check", &model, "--json", "-"])).expect("JSON");
        let network = sonoplex::engine::Network::from_onnx(&writer.bytes()).expect("sound");
        let plan = sonoplex::engine::Builder::default().build(&network).expect("it runs");
        assert_eq!(report["steps_after"].as_u64(), Some(plan.steps().len() as u64), "{name}");
        assert_eq!(report["arena_bytes"].as_u64(), Some(plan.arena_bytes() as u64), "{name}");
        let mut steps = serde_json::Map::new();
        for row in plan.table() {
            let count = steps.get(&row.op).and_then(Value::as_u64).unwrap_or(0);
            steps.insert(row.op, (count + 1).into());
        }
        assert_eq!(report["steps"], Value::Object(steps), "{name}");
        assert!(report["steps_after"].as_u64() < report["steps_before"].as_u64(), "{name}");
    }
}

#[test]
fn an_open_size_and_a_foreign_operator_are_named_with_what_helps() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = save(dir.path(), "open.onnx", &unet([1, 1, 0, 0], Up::Transpose, false, false, ""));
    let out = sonoplex(&["check", &open]);
    let said = text(&out.stdout);
    assert!(!out.status.success() && said.contains("it does not run") && said.contains("--input image=1x1x"), "{said}");
    let said = succeeds(&["check", &open, "--input", "image=1x1x32x16"]);
    assert!(said.contains("[1, 1, 32, 16]") && said.contains("it runs"), "{said}");

    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 2, 8, 8]);
    let x = w.conv(&x, 2, 2, 3);
    let a = w.node("LSTM", &[&x], &[]);
    let a = w.node("Relu", &[&a], &[]);
    let b = w.node("NonMaxSuppression", &[&x], &[]);
    let y = w.node("Add", &[&a, &b], &[]);
    w.output(&y);
    let foreign = save(dir.path(), "foreign.onnx", &w);
    let out = sonoplex(&["check", &foreign, "--json", "-"]);
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(!out.status.success() && report["runs"] == false, "{report}");
    let nodes: Vec<&str> =
        report["not_supported"].as_array().expect("a list").iter().filter_map(|n| n["operator"].as_str()).collect();
    assert_eq!(nodes, ["LSTM", "NonMaxSuppression"]);
    assert_eq!(report["operators"]["LSTM"]["not_supported"], 1);
    assert!(text(&sonoplex(&["check", &foreign]).stdout).contains("2 nodes are not supported"));
}

#[test]
fn every_field_is_explained() {
    let dir = tempfile::tempdir().expect("a folder");
    let patterns = explained("check", "--json");
    let mut w = unet([1, 1, 16, 16], Up::Transpose, true, false, "");
    for foreign in [false, true] {
        if foreign {
            w.node("LSTM", &["t0"], &[]);
        }
        let model = save(dir.path(), "model.onnx", &w);
        let report: Value = serde_json::from_slice(&sonoplex(&["check", &model, "--json", "-"]).stdout).expect("JSON");
        assert_eq!(report["not_supported"].as_array().map(Vec::len), Some(usize::from(foreign)));
        all_explained(&report, &patterns, "check");
    }
}
