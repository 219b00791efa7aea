//! Every field of every JSON that a command writes is explained by the same command.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sonoplex::engine::{Builder, BuilderConfig};
use sonoplex::segmenter::{BUILT_IN, open_network};

const SMALL: &str = "phantom:seed=3,size=192x144,frames=4";

fn sonoplex(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    let out = command.args(args).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().expect("it starts");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text in UTF-8")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The paths that the part of `--explain` with `title` names.
pub fn explained(command: &str, title: &str) -> Vec<String> {
    let text = sonoplex(&[command, "--explain"]);
    let part = text.split("# ").find(|part| part.starts_with(title));
    let part = part.unwrap_or_else(|| panic!("`{command} --explain` has no part `{title}`: {text}"));
    part.lines()
        .skip(1)
        .filter(|l| !l.is_empty())
        .map(|line| {
            let (path, meaning) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` has no meaning"));
            assert!(meaning.trim().len() > 8, "`{line}` says nothing");
            path.to_owned()
        })
        .collect()
}

/// Paths of all fields; those of a list's elements follow `[]`.
fn paths(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                // Names of steps have dots of their own.
                let key = key.replace('.', "_");
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                paths(value, &path, out);
                out.push(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, &format!("{path}[]"), out)),
        _ => {}
    }
}

#[track_caller]
pub fn all_explained(value: &Value, patterns: &[String], what: &str) {
    let mut found = Vec::new();
    paths(value, "", &mut found);
    assert!(!found.is_empty(), "{what}: {value}");
    let fits = |pattern: &str, path: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), path.split('.').collect());
        let part = |(p, name): (&&str, &&str)| match p.strip_prefix('*') {
            Some(end) => name.ends_with(end) && (end.is_empty() != name.ends_with("[]")),
            None => p == name,
        };
        pattern.len() == path.len() && pattern.iter().zip(&path).all(part)
    };
    for path in found {
        assert!(patterns.iter().any(|p| fits(p, &path)), "{what}: `{path}` is not explained");
    }
}

#[test]
fn replay_verify_and_bench() {
    let dir = tempfile::tempdir().expect("a folder");
    let session = dir.path().join("session");
    let to = session.to_str().expect("UTF-8");
    let report = json(&sonoplex(&["replay", SMALL, "--headless", "--record", to, "--start", "0", "--json", "-"]));
    for command in ["replay", "live", "bench"] {
        all_explained(&report, &explained(command, "--json: the report"), command);
    }
    let bench = json(&sonoplex(&["bench", SMALL, "--frames", "3", "--warm-up", "1", "--json", "-"]));
    all_explained(&bench, &explained("bench", "--json: the report"), "bench");
    let streams = json(&sonoplex(&["bench", SMALL, "--frames", "2", "--streams", "2", "--json", "-"]));
    let streams = streams.as_array().expect("a list");
    streams.iter().for_each(|report| all_explained(report, &explained("bench", "--json: the report"), "streams"));
    let verified = json(&sonoplex(&["replay", "--verify", to, "--json", "-"]));
    all_explained(&verified, &explained("replay", "--verify"), "verify");

    let read = |name: &str| std::fs::read_to_string(session.join(name)).expect(name);
    let kept = json(&read("session.json"));
    all_explained(&kept, &explained("replay", "session.json"), "session.json");
    let settings = &kept["settings"];
    assert_eq!(
        (&settings["speed"], &settings["start"], &settings["end"]),
        (&json("\"max\""), &json("\"0\""), &json("\"none\""))
    );
    for name in ["loop", "threads", "gstreamer", "despeckle", "crop", "threshold", "precision"] {
        assert!(settings[name].is_string(), "{name}: {settings}");
    }
    assert_eq!(settings["gstreamer"].as_str() != Some("none"), cfg!(feature = "video"));
    let rows = explained("replay", "frames.jsonl");
    for line in read("frames.jsonl").lines() {
        all_explained(&json(line), &rows, "frames.jsonl");
    }
    let event = json(r#"{"before":3,"event":"despeckle","value":"lee"}"#);
    all_explained(&event, &explained("replay", "events.jsonl"), "events.jsonl");
    all_explained(&json(&sonoplex(&["live", "--json", "-"])), &explained("live", "--json without"), "devices");
}

#[test]
fn segment_and_inspect() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let patterns = explained("segment", "one JSON line");
    let lines = sonoplex(&["segment", SMALL, "-o", &at("out")]);
    assert!(lines.lines().any(|l| l.contains("\"bounding_box\":{")), "something must be found: {lines}");
    lines.lines().for_each(|line| all_explained(&json(line), &patterns, "segment"));

    let patterns = explained("inspect", "--json");
    let plan = at("model.plan");
    let network = open_network(Path::new(BUILT_IN)).expect("the built-in model");
    let built = Builder::new(BuilderConfig::default()).build(&network).expect("a plan");
    std::fs::write(&plan, built.to_bytes()).expect("a file");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/nerve-vessel.onnx");
    for args in [vec![SMALL], vec![model.to_str().expect("UTF-8"), "--plan"], vec![&plan]] {
        let args = [&["inspect"], &args[..], &["--json", "-"]].concat();
        all_explained(&json(&sonoplex(&args)), &patterns, &args.join(" "));
    }
}

#[test]
fn build() {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = dir.path().join("a.plan").to_str().expect("UTF-8").to_owned();
    let args = ["build", BUILT_IN, "-o", &plan, "--precision", "bf16", "--calibrate", SMALL, "--json", "-"];
    let report = json(&sonoplex(&args));
    all_explained(&report, &explained("build", "--json"), "build");
    let compared = &report["calibration"];
    assert_eq!((&report["precision"], &compared["frames"]), (&json("\"bf16\""), &json("4")));
    let dice = compared["classes"][0]["dice"].as_f64().expect("a number");
    assert!(dice > 0.9 && dice <= 1.0 && report["fp32_median_ms"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn live_refuses_a_place_in_a_recording() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("p.toml");
    for key in ["start", "end"] {
        std::fs::write(&file, format!("[source]\nspec = \"phantom:\"\n{key} = 2\n")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
        let out =
            command.args(["live", "--headless", "--frames", "2", "--pipeline"]).arg(&file).output().expect("runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("only a recording has such places") && said.lines().count() == 1, "{said}");
    }
}
