//! The rules of the house, so that nobody has to remember them.

use std::path::{Path, PathBuf};

const LINE_LIMIT: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with one of the endings, as (path relative to the project, text).
fn files(dir: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(dir)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.map(|e| e.expect("a readable folder").path()) {
            let name = entry.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if entry.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(entry);
            } else if endings.iter().any(|e| name.ends_with(e)) {
                let text = std::fs::read_to_string(&entry).expect("a text file");
                let path = entry.strip_prefix(root()).expect("below the project").to_string_lossy().into_owned();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let all = ["src", "tests", "benches", "examples", "kernels", "fuzz", "train/src", "train/tests"];
    let long = all.iter().flat_map(|d| files(d, &[".rs", ".cu", ".cuh", ".c", ".h"]));
    let long = long.map(|(p, t)| (p, t.lines().count())).filter(|(_, n)| *n > LINE_LIMIT);
    report("split these by subject", &long.map(|(p, n)| format!("{p}: {n} lines")).collect::<Vec<_>>());
}

/// The rooms of every layer, lowest first, as the table of ARCHITECTURE.md has them.
fn layers() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let level = cells.next().filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))?;
        let rooms = cells.next()?.split(", ").map(|room| room.trim_matches('`').to_owned());
        Some((level.to_owned(), rooms.collect()))
    });
    let (mut levels, mut rooms): (Vec<_>, Vec<_>) = rows.unzip();
    levels.reverse();
    rooms.reverse();
    assert_eq!(levels, ["0", "0'", "1", "2", "3", "4"], "the layers of the design");
    rooms
}

/// The layer of a file below `src`; a file may use layers below its own, and its own folder.
fn layer<'a>(layers: &[Vec<String>], path: &'a str) -> (usize, &'a str) {
    let room = path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
    // The table of contents names every room.
    let found =
        if room == "lib" { Some(layers.len() - 1) } else { layers.iter().position(|l| l.iter().any(|r| r == room)) };
    (found.unwrap_or_else(|| panic!("`{room}` has no layer: add it to the table of ARCHITECTURE.md")), room)
}

#[test]
fn imports_point_down_only() {
    let (layers, mut broken) = (layers(), Vec::new());
    for (path, text) in files("src", &[".rs"]) {
        let (level, room) = layer(&layers, &path);
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for used in code.match_indices("crate::").map(|(i, m)| &code[i + m.len()..]) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // The binary's own `crate::cli`, and braces, which name one room a line in this house.
                if name.is_empty() || room == "lib" || room == "main" || room == "cli" {
                    continue;
                }
                let other = name.as_str();
                let (below, _) = layer(&layers, other);
                // Plain values know each other.
                if room != other && below >= level && level != 0 {
                    broken.push(format!("{path}:{}: {room} uses {other}", n + 1));
                }
            }
            if code.contains("use crate::{") {
                broken.push(format!("{path}:{}: name one room a line", n + 1));
            }
        }
    }
    report("imports point down only", &broken);
}

#[test]
fn unsafe_lives_in_the_backend_and_is_proven() {
    let mut broken = Vec::new();
    for (path, text) in ["src", "train/src"].iter().flat_map(|d| files(d, &[".rs"])) {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // An `unsafe fn` states its contract; clippy asks for it where the function is public.
            let opens = code.contains("unsafe {") || code.contains("unsafe impl");
            if !opens {
                continue;
            }
            if !path.starts_with("src/backend/") {
                broken.push(format!("{path}:{}: unsafe outside the backend", n + 1));
            }
            // The proof may stand above attributes and above the first line of a statement.
            let above = &lines[n.saturating_sub(12)..=n];
            if !above.iter().any(|l| l.contains("SAFETY:") || l.contains("# Safety")) {
                broken.push(format!("{path}:{}: no SAFETY line", n + 1));
            }
        }
    }
    report("each unsafe block is in the backend, with its proof", &broken);
}

#[test]
fn every_kernel_has_a_cpu_twin() {
    let mut broken = Vec::new();
    for (path, _) in files("kernels", &[".cu"]) {
        let stem = Path::new(&path).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let twin = [format!("src/backend/cpu/{stem}.rs"), format!("src/backend/cpu/{stem}/mod.rs")];
        if !twin.iter().any(|t| root().join(t).exists()) {
            broken.push(format!("{path}: no src/backend/cpu/{stem}.rs"));
        }
    }
    report("one stem per operation", &broken);
}

#[test]
fn nothing_is_left_open() {
    let words =
        [["to", "do!("].concat(), ["unimpl", "emented!("].concat(), ["FIX", "ME"].concat(), ["#[ig", "nore"].concat()];
    let mut broken = Vec::new();
    for (path, text) in
        ["src", "tests", "benches", "examples", "train/src", "train/tests"].iter().flat_map(|d| files(d, &[".rs"]))
    {
        for (n, line) in text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w.as_str())) {
                broken.push(format!("{path}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    report("finish these", &broken);
}

#[test]
fn no_room_is_called_by_a_word_that_says_nothing() {
    let mut broken = Vec::new();
    for (path, _) in files("src", &[".rs"]) {
        if ["utils", "helpers", "manager", "handler"].iter().any(|w| path.contains(w)) {
            broken.push(path);
        }
    }
    report("name these by what they do", &broken);
}

#[test]
fn models_and_files_stay_small() {
    let size = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
    let models = std::fs::read_dir(root().join("models")).into_iter().flatten().flatten();
    let total: u64 = models.map(|e| size(&e.path())).sum();
    assert!(total <= 12 << 20, "models/ holds {total} bytes, at most 12 MiB");
}
