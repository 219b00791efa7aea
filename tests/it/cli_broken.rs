//! Disks that are full and pipes that are closed: a sentence where there is room for one, never a panic, never half a file.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

const SMALL: &str = "phantom:seed=3,size=192x144,frames=3";

fn output(command: &mut Command) -> Output {
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().expect("the program starts")
}

/// Runs the program behind words of the shell that prepare what it inherits.
fn shell(prepare: &str, args: &[&str]) -> Output {
    let script = format!("{prepare}; exec \"$@\"");
    output(Command::new("sh").args(["-c", &script, "sh", env!("CARGO_BIN_EXE_sonoplex")]).args(args))
}

#[test]
fn a_standard_error_that_takes_nothing_ends_no_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let segment = ["-v", "-v", "segment", SMALL, "-o", out.to_str().expect("UTF-8")];
    let runs: [(&[&str], i32); 4] = [
        (&segment, 0),
        (&["replay", SMALL], 0),
        (&["replay", "absent.mp4", "--headless"], 1),
        (&["replay", "--no-such-option"], 2),
    ];
    for (args, code) in runs {
        for prepare in ["exec 2>&-", "exec 2>/dev/full"] {
            if prepare.contains("/dev/full") && !Path::new("/dev/full").exists() {
                println!("skipped: there is no /dev/full");
                continue;
            }
            assert_eq!(shell(prepare, args).status.code(), Some(code), "{args:?} after {prepare}");
        }
        let mut closed = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
        let mut child = closed.args(args).env_remove("DISPLAY").stdout(Stdio::null()).stderr(Stdio::piped());
        child = child.env_remove("WAYLAND_DISPLAY");
        let mut child = child.spawn().expect("the program starts");
        drop(child.stderr.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{args:?} into a closed pipe");
    }
}

#[test]
fn a_disk_without_room_leaves_no_half_picture_and_no_half_report() {
    let dir = tempfile::tempdir().expect("a folder");
    let [out, lines, json, sheet, report] = ["out", "lines", "lines.json", "sheet.png", "report.json"]
        .map(|name| dir.path().join(name).to_str().expect("UTF-8").to_owned());
    // No file may grow beyond 2 KiB: the system refuses as it does on a full disk, a part of the way.
    let full = "trap '' XFSZ; ulimit -f 4";
    let runs: [(Vec<&str>, &str); 4] = [
        (vec!["segment", SMALL, "-o", &out], "overlay.png"),
        (vec!["segment", SMALL, "-o", &lines, "--json", &json], "_overlay.png"),
        (vec!["replay", SMALL, "--headless", "--sheet", &sheet], "sheet.png"),
        (vec!["replay", SMALL, "--headless", "--json", &report], "report.json"),
    ];
    for (args, word) in runs {
        let done = shell(full, &args);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        let sentences: Vec<_> = said.lines().filter(|l| l.starts_with("sonoplex: ")).collect();
        assert!(sentences.len() == 1 && sentences[0].contains("cannot write"), "{args:?}: {said}");
        assert!(sentences[0].contains(word), "{args:?} should name `{word}`: {said}");
    }
    let mut left = Vec::new();
    for folder in [dir.path().to_owned(), dir.path().join("out"), dir.path().join("lines")] {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.is_file() {
                left.push(entry);
            }
        }
    }
    for path in &left {
        let name = path.file_name().and_then(|n| n.to_str()).expect("UTF-8");
        let whole = match path.extension().and_then(|e| e.to_str()) {
            Some("png") => image::open(path).is_ok(),
            _ => std::fs::read_to_string(path).is_ok_and(|t| t.is_empty() || t.ends_with('\n')),
        };
        assert!(whole && !name.starts_with('.') && !name.contains("overlay"), "{left:?}");
    }
}
