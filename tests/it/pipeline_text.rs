//! Pipelines as text, reports as JSON: what is written is understood, and what is not is refused or explained.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sonoplex::latency::Stage;
use sonoplex::pipeline::keys::{KEYS, sections};
use sonoplex::pipeline::{PipelineConfig, Report, RunOptions, Speed, explain};

use crate::pipeline_fakes::*;

fn parse(text: &str) -> Result<PipelineConfig, String> {
    PipelineConfig::parse(text, Path::new("p.toml")).map_err(|e| e.to_string())
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")
}

#[test]
fn the_pipelines_that_come_with_it_are_understood() {
    for name in ["live", "replay", "batch", "bench"] {
        let path = folder().join(name).with_extension("toml");
        let config = PipelineConfig::open(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.source.spec.as_deref(), Some("phantom:"));
    }
    let batch = PipelineConfig::open(&folder().join("batch.toml")).unwrap();
    assert_eq!(batch.source.speed, Some(Speed::Max));
    assert_eq!(batch.record.video, Some(true));
    assert_eq!(batch.segmenter.threshold, None, "what is not said is left open");
}

#[test]
fn every_key_is_taken_and_the_readme_has_them_all() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for key in KEYS {
        let config = parse(&format!("[{}]\n{} = {}\n", key.section, key.name, key.example)).unwrap();
        assert_ne!(config, PipelineConfig::default(), "{key:?} changes something");
        let line = format!("| `{}` | {} | `{} = {}` | {} |", key.name, key.expects, key.name, key.example, key.meaning);
        assert!(readme.contains(&line), "pipelines/README.md lacks\n{line}");
    }
    for section in sections() {
        assert!(readme.contains(&format!("## `[{section}]`")));
    }
}

#[test]
fn values_arrive_as_they_were_meant() {
    let config = parse(
        "[source]\nspeed = 0.5\nstart = 1\nend = 2.5\nloop = true\n[segmenter]\nthreads = 0x4\n[display]\nopacity = 1\n[bench]\nframes = 1_000\n",
    )
    .unwrap();
    assert_eq!(config.source.speed, Some(Speed::Times(0.5)));
    assert_eq!(
        (config.source.start, config.source.end),
        (Some(Duration::from_secs(1)), Some(Duration::from_millis(2500)))
    );
    assert_eq!((config.segmenter.threads, config.display.opacity), (Some(4), Some(1.0)));
    assert_eq!((config.source.repeat, config.bench.frames), (Some(true), Some(1000)));
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_the_nearest_key() {
    for (text, expected) in [
        ("[source]\nsped = 1\n", "line 2: there is no key in [source] `sped`; did you mean `speed`?"),
        ("\n[segmentor]\n", "line 2: there is no section `segmentor`; did you mean `segmenter`?"),
        ("[record]\nxyz = 1\n", "there are `dir`, `video`"),
        ("spec = \"phantom:\"\n", "there is no section `spec`"),
        ("source = 3\n", "`source` expects a section, written `[NAME]`, found the number `3`"),
        (
            "[source]\n\nspeed = \"fast\"\n",
            "line 3: `source.speed` expects a number from 0.001 to 1000, or \"max\", found the string `fast`",
        ),
        ("[source]\nspeed = 0\n", "found the number `0`"),
        ("[source]\nstart = -1\n", "`source.start` expects seconds, not negative, found the number `-1`"),
        ("[source]\nstart = 5\nend = 4\n", "`source.end` expects seconds after source.start"),
        ("[source]\nend = inf\n", "found the number `inf`"),
        ("[display]\nwindow = \"yes\"\n", "`display.window` expects true or false, found the string `yes`"),
        ("[display]\noverlay = \"dots\"\n", "expects \"contour\", \"fill\" or \"heat\""),
        ("[display]\nopacity = 1.5\n", "expects a number from 0 to 1, found the number `1.5`"),
        ("[segmenter]\nthreads = 1.5\n", "expects a whole number"),
        ("[segmenter]\nmodel = [1]\n", "found a list"),
        ("[bench]\nframes = 0\n", "expects a whole number, at least 1"),
        ("[source\n", "line 1"),
        ("[source]\nspeed = 1\nspeed = 2\n", "line 3"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(expected), "{text:?}\n{error}\n{expected}");
        assert!(error.contains("`p.toml`") && !error.contains('\n'), "{error}");
    }
    let missing = PipelineConfig::open(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(missing.contains("cannot read the pipeline `no/such.toml`"), "{missing}");
}

fn fields(value: &Value, path: &str, out: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, value) in map {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            fields(value, &path, out);
            out.push(path);
        }
    }
}

#[test]
fn every_field_of_a_real_report_is_explained() {
    let mut window = FakeScreen::new(true);
    let source = FakeSource { interval: Duration::from_millis(1), ..FakeSource::new(20) };
    let mut parts = run_of(source, FakeSegmenter::new(), RunOptions { warm_up: 0, ..RunOptions::default() });
    parts.screen = Some(&mut window);
    let report = run(parts).report;
    assert_eq!(report.latency_us.len(), Stage::ALL.len(), "every stage was measured: {:?}", report.latency_us.keys());
    let json = report.to_json();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap().frames, report.frames);
    let mut found = Vec::new();
    fields(&serde_json::from_str(&json).unwrap(), "", &mut found);
    assert!(found.len() > 70, "{}", found.len());
    for path in &found {
        let meaning = sonoplex::pipeline::explain::meaning(path);
        assert!(meaning.is_some_and(|m| m.len() > 10), "`{path}` is not explained");
    }
    for stage in ["queue", "present"] {
        let path = format!("latency_us.{stage}");
        assert!(explain().iter().any(|e| e.path == path));
    }
    let table = report.to_string();
    for word in ["20 captured", "capture_to_present", "p99.9", "dice     nerve", "end of recording"] {
        assert!(table.contains(word), "{word}\n{table}");
    }
}

#[test]
fn speeds_round_trip() {
    for text in ["1", "0.5", "max"] {
        assert_eq!(text.parse::<Speed>().unwrap().to_string(), text);
    }
    for bad in ["0", "-1", "fast", "nan", "inf", "1e9", ""] {
        assert!(bad.parse::<Speed>().unwrap_err().to_string().contains("`max`"), "{bad}");
    }
}
