//! `sonoplex train` finds the trainer and runs it, or says how to get it.

use std::process::{Command, Output};

fn train(trainer: &str, args: &[&str]) -> Output {
    // neither the one that the source builds nor one in PATH may answer
    let empty = tempfile::tempdir().expect("a folder");
    let copy = empty.path().join("sonoplex");
    std::fs::copy(env!("CARGO_BIN_EXE_sonoplex"), &copy).expect("a copy of the program");
    let mut command = Command::new(&copy);
    command.arg("train").args(args).env("SONOPLEX_TRAIN", trainer).env("PATH", "");
    command.output().expect("it runs")
}

#[test]
fn a_trainer_that_is_absent_is_told_how_to_get() {
    let out = train("", &["--data", "x"]);
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("sonoplex-train") && text.contains("tools/train-build.sh"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn the_trainer_gets_every_argument_and_its_status_is_ours() {
    let out = train("/bin/echo", &["--help", "--data", "a b", "--rate=0.1"]);
    assert!(out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stdout), "--help --data a b --rate=0.1\n");
    assert_eq!(train("/bin/false", &["--resume", "run"]).status.code(), Some(1));
}
