//! A plan wherever a model is expected, and the precision that a session keeps.

use std::path::Path;
use std::process::{Command, Output};

use sonoplex::engine::Precision;
use sonoplex::segmenter::{BUILT_IN, SegmenterConfig, builder, open_network};

const SMALL: &str = "phantom:seed=3,size=192x144,frames=3";

fn sonoplex(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    command.args(args).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().expect("it starts")
}

#[track_caller]
fn succeeds(args: &[&str]) -> String {
    let out = sonoplex(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text in UTF-8")
}

#[test]
fn a_plan_stands_for_its_model() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (file, session) = (at("a.plan"), at("session"));
    let network = open_network(Path::new(BUILT_IN)).expect("the built-in model");
    let config = SegmenterConfig { precision: Some(Precision::Bf16), ..SegmenterConfig::default() };
    let plan = builder(&config, &network).expect("a segmenter").build(&network).expect("a plan").of_model(BUILT_IN);
    std::fs::write(&file, plan.to_bytes()).expect("a file");

    let masks = |model: &[&str], to: &str| {
        let lines = succeeds(&[&["segment", SMALL, "-o", &at(to)], model].concat());
        let mut masks: Vec<_> = std::fs::read_dir(at(to)).expect("masks").map(|e| e.expect("a mask").path()).collect();
        masks.sort();
        assert!(lines.contains("\"class\":\"nerve\""), "the classes travel with a plan: {lines}");
        masks.iter().map(|m| std::fs::read(m).expect("a mask")).collect::<Vec<_>>()
    };
    assert!(masks(&["--model", &file], "plan") == masks(&["--precision", "bf16"], "model"), "the same bits");

    succeeds(&["replay", SMALL, "--headless", "--speed", "max", "--model", &file, "--record", &session]);
    let kept = std::fs::read_to_string(Path::new(&session).join("session.json")).expect("a session");
    assert!(kept.contains("\"precision\": \"bf16\""), "{kept}");
    assert!(succeeds(&["replay", "--verify", &session]).contains("identical to the last bit"));

    let out = sonoplex(&["segment", SMALL, "-o", &at("refused"), "--model", &file, "--precision", "fp32"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains(&format!("sonoplex build {BUILT_IN} -o {file}")), "{said}");
}

#[test]
fn a_session_is_verified_in_its_own_precision() {
    let dir = tempfile::tempdir().expect("a folder");
    let session = dir.path().join("session").to_str().expect("UTF-8").to_owned();
    succeeds(&["replay", SMALL, "--headless", "--speed", "max", "--precision", "bf16", "--record", &session]);
    assert!(succeeds(&["replay", "--verify", &session]).contains("identical to the last bit"));
}

#[test]
fn a_second_build_takes_the_tactics_that_the_first_has_timed() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let build = |plan: &str, cache: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sonoplex"));
        command.args(["build", BUILT_IN, "-o", plan, "--threads", "1"]).env("SONOPLEX_CACHE", cache);
        let out = command.output().expect("the program starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        (std::fs::read(plan).expect("a plan"), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (first, said) = build(&at("a.plan"), &at("cache"));
    assert_eq!(said, "");
    let kept = std::fs::read(at("cache/tactics.json")).expect("a cache");
    assert!(build(&at("b.plan"), &at("cache")).0 == first, "the same tactics");
    assert!(std::fs::read(at("cache/tactics.json")).expect("a cache") == kept, "nothing was timed");

    std::fs::write(at("cache/tactics.json"), "{").expect("a file");
    let (_, said) = build(&at("c.plan"), &at("cache"));
    assert!(said.contains("is no timing cache"), "{said}");
    assert!(
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(at("cache/tactics.json")).expect("a file")).is_ok()
    );
    // A folder that cannot be is a warning.
    let (_, said) = build(&at("d.plan"), &at("a.plan"));
    assert!(said.contains("the next build times all tactics anew"), "{said}");
}

#[test]
fn int8_is_calibrated_on_frames_and_keeps_its_budget() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let refused = sonoplex(&["build", BUILT_IN, "-o", &at("a.plan"), "--precision", "int8"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--calibrate FRAMES"), "{said}");

    let int8 = ["--precision", "int8", "--calibrate", SMALL, "--json", "-"];
    let build = |file: &str, more: &[&str]| {
        let said = succeeds(&[&["build", BUILT_IN, "-o", file], &int8[..], more].concat());
        serde_json::from_str::<serde_json::Value>(&said).expect("JSON")
    };
    let plain = build(&at("a.plan"), &["--budget", "0"]);
    assert_eq!(plain["calibration"]["kept"], serde_json::json!([]));
    assert!(plain["calibration"]["classes"][0]["dice"].as_f64().expect("a number") > 0.9, "{plain}");
    // A budget that bytes cannot keep leaves layers out until all are.
    let out = sonoplex(&[&["build", BUILT_IN, "-o", &at("b.plan")], &int8[..], &["--budget", "1"]].concat());
    let strict: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(!strict["calibration"]["kept"].as_array().expect("a list").is_empty(), "{strict}");
    // And says when that is not enough.
    let classes = strict["calibration"]["classes"].as_array().expect("a list");
    let short = classes.iter().any(|class| class["dice"].as_f64().expect("a number") < 1.0);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(said.contains("less than `--budget 1`: no layer is left to keep"), short, "{said} {strict}");

    let session = at("session");
    succeeds(&["replay", SMALL, "--headless", "--speed", "max", "--model", &at("a.plan"), "--record", &session]);
    assert!(succeeds(&["replay", "--verify", &session]).contains("identical to the last bit"));
}

#[test]
fn what_build_writes_segments_and_is_rebuilt_by_the_command_that_it_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (file, segmented) = (at("a.plan"), at("segmented"));
    let said = succeeds(&["build", BUILT_IN, "-o", &file, "--no-timing", "--calibrate", SMALL, "--frames", "2"]);
    assert!(said.contains("compared    2 frames") && said.contains("dice        1.00000 nerve"), "{said}");
    let bytes = std::fs::read(&file).expect("a plan");
    succeeds(&["segment", SMALL, "-o", &segmented, "--model", &file]);
    let said = succeeds(&["inspect", &file]);
    assert!(said.contains("plan        ") && said.contains("\nload        "), "{said}");

    std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("a file");
    let out = sonoplex(&["segment", SMALL, "-o", &segmented, "--model", &file]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "{said}");
    let command = said.split('`').find(|part| part.starts_with("sonoplex build ")).expect("a command");
    succeeds(&command.split(' ').skip(1).collect::<Vec<_>>());
    assert!(std::fs::read(&file).expect("a plan") == bytes, "the same plan to the last bit: {command}");

    let out = sonoplex(&["build", &file, "-o", &at("b.plan")]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("it is a plan already"));
}
