//! The program as a user runs it: every subcommand, and bad input in one sentence.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub fn sonoplex(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    command.args(args).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    // Nobody's own cache is read or written.
    command.env("SONOPLEX_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.output().expect("the program starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn succeeds(args: &[&str]) -> String {
    let out = sonoplex(args);
    assert!(out.status.success(), "{args:?}\n{}\n{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

/// One sentence on standard error, no panic, and the given exit code.
#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let out = sonoplex(args);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{args:?}: {said}");
    assert!(said.lines().filter(|l| l.starts_with("sonoplex: ")).count() == 1, "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?} should mention `{word}`: {said}");
    }
}

pub fn path(p: &Path) -> &str {
    p.to_str().expect("a path in UTF-8")
}

const SMALL: &str = "phantom:seed=3,size=192x144,frames=6";

#[test]
fn replay_records_a_session_that_verifies_bit_for_bit_and_plays_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (session, report, sheet) =
        (dir.path().join("session"), dir.path().join("report.json"), dir.path().join("sheet.png"));
    let args = ["replay", SMALL, "--headless", "--speed", "max", "--record", path(&session), "--json", path(&report)];
    succeeds(&[&args[..], &["--sheet", path(&sheet)]].concat());

    let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
    for count in ["captured", "segmented", "shown", "recorded"] {
        assert_eq!(report["frames"][count], 6, "{count}: {report}");
    }
    for stage in ["source", "queue", "preprocess", "network", "postprocess", "composite", "capture_to_present"] {
        assert!(report["latency_us"][stage]["p50"].as_f64() >= Some(0.0), "{stage}: {report}");
    }
    assert!(image::open(&sheet).expect("a sheet").width() > 192);

    let said = succeeds(&["replay", "--verify", path(&session)]);
    assert!(said.contains("6 masks are identical to the last bit"), "{said}");
    let said = succeeds(&["replay", path(&session), "--headless", "--speed", "max", "--json", "-"]);
    assert!(said.contains("\"captured\": 6"), "{said}");

    // A single changed pixel is found, and its frame named.
    let mask = session.join("masks/000003.png");
    let mut picture = image::open(&mask).expect("a mask").to_luma8();
    let pixel = picture.get_pixel_mut(5, 5);
    pixel.0[0] ^= 1;
    picture.save(&mask).expect("a changed mask");
    let out = sonoplex(&["replay", "--verify", path(&session)]);
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "frame 3 is the first that differs, in mask: 1 of 6 frames differ; 1 of 6 masks differ in 1 pixels"
        ),
        "{said}"
    );
}

#[test]
fn segment_writes_masks_overlays_and_lines() {
    let dir = tempfile::tempdir().expect("a folder");
    let picture = dir.path().join("black.png");
    image::GrayImage::new(120, 90).save(&picture).expect("a picture");
    let out = dir.path().join("out");
    let output = sonoplex(&["segment", path(&picture), "-o", path(&out)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    assert_eq!((line["width"].as_u64(), line["height"].as_u64()), (Some(120), Some(90)));
    assert_eq!(line["state"], "no_nerve");
    assert!(text(&output.stderr).contains("no nerve found"));
    let mask = image::open(out.join("black_mask.png")).expect("a mask");
    assert_eq!((mask.width(), mask.height()), (120, 90));
    assert!(out.join("black_overlay.png").exists());
}

#[test]
fn one_bad_picture_does_not_take_the_others_with_it() {
    let (dir, out) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for name in ["a.png", "c.png"] {
        image::GrayImage::new(40, 30).save(dir.path().join(name)).expect("a picture");
    }
    let cut = &std::fs::read(dir.path().join("a.png")).expect("a file")[..40];
    std::fs::write(dir.path().join("b.png"), cut).expect("a cut picture");
    let done = sonoplex(&["segment", path(dir.path()), "-o", path(out.path())]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout).lines().count(), 2, "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("b.png"), "{}", text(&done.stderr));
}

#[test]
fn what_is_read_is_never_written_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let picture = dir.path().join("x.png");
    image::GrayImage::new(40, 30).save(&picture).expect("a picture");
    let before = std::fs::read(&picture).expect("a file");
    fails(&["segment", path(dir.path()), "-o", path(dir.path())], 1, &["--output"]);
    fails(&["replay", path(&picture), "--headless", "--sheet", path(&picture)], 1, &["--sheet"]);
    fails(&["inspect", path(&picture), "--json", path(&picture)], 1, &["--json"]);
    assert_eq!(std::fs::read(&picture).expect("a file"), before);
}

#[test]
fn a_session_that_lost_rows_is_not_proven() {
    let dir = tempfile::tempdir().expect("a folder");
    let session = dir.path().join("session");
    succeeds(&["replay", SMALL, "--headless", "--record", path(&session)]);
    let said = text(&sonoplex(&["replay", "--verify", path(&session), "--threads", "1"]).stdout);
    assert!(said.contains("6 masks are identical"), "threads change no bit: {said}");
    let out = sonoplex(&["replay", "--verify", path(&session), "--threshold", "0.9"]);
    assert_eq!(out.status.code(), Some(3), "another threshold is another question");
    let rows = session.join("frames.jsonl");
    let kept = std::fs::read_to_string(&rows).expect("rows");
    let cut: String = kept.lines().take(4).map(|l| format!("{l}\n")).collect();
    std::fs::write(&rows, cut).expect("fewer rows");
    fails(&["replay", "--verify", path(&session)], 1, &["expected 6", "found 4"]);
}

#[test]
fn bench_reports_every_stage_and_explains_every_number() {
    let said = succeeds(&["bench", SMALL, "--frames", "4", "--warm-up", "1", "--json", "-"]);
    let start = said.find('{').expect("JSON");
    let report: Value = serde_json::from_str(&said[start..]).expect("JSON");
    assert_eq!(report["latency_us"]["network"]["count"], 4);
    assert!(report["latency_us"]["network"]["p50"].as_f64() > Some(0.0));
    let explained = succeeds(&["bench", "--explain"]);
    for word in ["capture_to_present", "p999", "dropped"] {
        assert!(explained.contains(word), "{word}");
    }
}

#[test]
fn bench_runs_several_streams_over_the_same_frames() {
    let said = succeeds(&["bench", SMALL, "--streams", "2", "--frames", "9", "--warm-up", "2", "--json", "-"]);
    let reports: Vec<Value> = serde_json::from_str(&said).expect("a list");
    assert_eq!(reports.len(), 2);
    for report in &reports {
        // More than the source has: they come again.
        assert_eq!(
            (&report["frames"]["segmented"], &report["latency_us"]["segment"]["count"]),
            (&11.into(), &9.into())
        );
        assert_eq!(report["dice"], reports[0]["dice"], "the same frames give the same");
    }
    let said = succeeds(&["bench", SMALL, "--streams", "2", "--frames", "3", "--warm-up", "0"]);
    assert!(["stream 1 ", "stream 2 ", "together"].iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn inspect_tells_models_from_recordings() {
    let said = succeeds(&["inspect", SMALL]);
    for word in ["192x144", "6", "phantom"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/nerve-vessel.onnx");
    let said = succeeds(&["inspect", path(&model)]);
    for word in ["GFLOP", "parameters", "nerve", "vessel", "stretch"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(succeeds(&["inspect", path(&model), "--plan"]).contains("Conv"));
}

#[test]
fn live_lists_devices_and_stops_after_the_frames_it_was_asked_for() {
    assert!(succeeds(&["live"]).contains("phantom:"));
    let said = succeeds(&["live", "phantom:size=160x120,fps=60", "--headless", "--frames", "5", "--json", "-"]);
    assert!(said.contains("\"captured\""), "{said}");
}

#[test]
fn bad_input_is_one_sentence() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let p = dir.path().join(name);
        std::fs::write(&p, bytes).expect("a file");
        p
    };
    let empty = file("empty.mp4", b"");
    let noise = file("noise.dcm", &[7; 300]);
    let png = file("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\0\0\0\0");
    let mha = file(
        "lies.mha",
        b"ObjectType = Image\nNDims = 3\nDimSize = 900 900 9\nElementType = MET_UCHAR\nElementDataFile = LOCAL\nxx",
    );
    let onnx = file("noise.onnx", &[0xff; 64]);
    let toml = file("typo.toml", b"[source]\nspeeed = 1\n");
    let nothing = dir.path().join("nothing");
    std::fs::create_dir(&nothing).expect("a folder");
    for bad in [&empty, &noise, &png, &mha, &nothing, &dir.path().join("absent.mp4")] {
        fails(&["replay", path(bad), "--headless"], 1, &[]);
        fails(&["inspect", path(bad)], 1, &[]);
        fails(&["segment", path(bad), "-o", path(&dir.path().join("o"))], 1, &[]);
    }
    fails(&["inspect", path(&onnx)], 1, &["noise.onnx"]);
    fails(&["replay", SMALL, "--headless", "--model", path(&onnx)], 1, &["noise.onnx"]);
    fails(&["replay", "--headless", "--pipeline", path(&toml)], 1, &["speeed", "speed"]);
    fails(&["replay", "phantom:sed=3", "--headless"], 1, &["sed", "seed"]);
    fails(&["replay", SMALL, "--headless", "--crop", "999x999+0+0"], 1, &["999x999+0+0"]);
    fails(&["replay", SMALL, "--headless", "--device", "cuda:7"], 1, &["cuda:7", "cpu"]);
    fails(&["replay", SMALL, "--headless", "--record", path(dir.path())], 1, &["record"]);
}
