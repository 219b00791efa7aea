//! A recording is proven, and what differs is named.

use std::path::Path;
use std::time::Duration;

use sonoplex::pipeline::{Control, RunOptions, Speed, Verdict, Verifier, VerifyError, verify};
use sonoplex::record::read::Recorded;

use crate::pipeline_fakes::*;

/// Records a run of the given stages.
fn record(to: &Path, source: FakeSource, segmenter: FakeSegmenter, options: RunOptions) {
    let mut parts = run_of(source, segmenter, RunOptions { record: true, ..options });
    parts.recording = Some(recording(to));
    let outcome = run(parts);
    assert!(outcome.error.is_none(), "{outcome:?}");
}

fn fast() -> RunOptions {
    RunOptions { speed: Speed::Max, ..RunOptions::default() }
}

#[test]
fn a_recording_proves_itself_and_a_pixel_that_was_changed_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    record(&to, FakeSource::new(12), FakeSegmenter::new(), fast());
    let report = verify(&to, |_| Ok(verifier())).unwrap();
    assert_eq!((report.verdict, report.compared, report.mean_dice), (Verdict::Identical, 12, 1.0));
    assert_eq!(report.to_string(), "12 masks are identical to the last bit, and 12 rows agree with their frames");
    assert_eq!(report.verdict.exit_code(), 0);

    let recorded = Recorded::open(&to).unwrap();
    for id in [7, 9] {
        let mut mask = recorded.mask(&recorded.rows[id]).unwrap().unwrap();
        mask.labels[127] = 1;
        let path = to.join(recorded.rows[id].mask.as_ref().unwrap());
        image::GrayImage::from_raw(16, 8, mask.labels).unwrap().save(path).unwrap();
    }
    let report = verify(&to, |_| Ok(verifier())).unwrap();
    assert_eq!((report.verdict, report.first_difference), (Verdict::Different, Some(7)));
    assert_eq!((report.differing_masks, report.differing_pixels), (2, 2));
    assert_eq!((report.differing_frames, report.first_fields.as_slice()), (2, &["mask".to_owned()][..]));
    assert_eq!(report.verdict.exit_code(), 1);
    assert!(report.to_string().starts_with("frame 7 is the first that differs, in mask: "), "{report}");
}

#[test]
fn other_hardware_is_not_comparable_and_says_how_far_apart_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    record(&to, FakeSource::new(4), FakeSegmenter::new(), fast());
    let other = Verifier {
        segmenter: Box::new(FakeSegmenter { filter: 1, ..FakeSegmenter::new() }),
        device: "another".to_owned(),
        ..verifier()
    };
    let report = verify(&to, |_| Ok(other)).unwrap();
    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::NotComparable, 3));
    assert_eq!((report.differing_masks, report.differing_pixels), (4, 4 * 16));
    assert!(report.mean_dice > 0.7 && report.mean_dice < 1.0);
    let text = report.to_string();
    assert!(text.contains("not comparable bit for bit: the device is `another`"), "{text}");
}

#[test]
fn dropped_frames_and_repeats_do_not_spoil_the_proof() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let slow = FakeSegmenter { takes: Duration::from_millis(5), ..FakeSegmenter::new() };
    let source = FakeSource { interval: Duration::from_millis(2), ..FakeSource::new(30) };
    record(&to, source, slow, RunOptions { repeat: true, frames: Some(80), ..RunOptions::default() });
    let recorded = Recorded::open(&to).unwrap();
    assert_eq!(recorded.rows.len(), 80, "a replay waits for the recorder");
    assert!(recorded.rows.iter().any(|r| r.mask.is_none()), "the segmenter was too slow for some");
    let report = verify(&to, |_| Ok(verifier())).unwrap();
    assert_eq!(report.verdict, Verdict::Identical, "{report}");
}

#[test]
fn a_filter_that_was_changed_on_the_way_is_changed_again() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut screen = FakeScreen::new(true);
    screen.script =
        Box::new(|drawn| if drawn.len() == 10 || drawn.len() == 20 { vec![Control::NextDespeckle] } else { vec![] });
    let source = FakeSource { interval: Duration::from_millis(4), ..FakeSource::new(60) };
    let mut parts = run_of(source, FakeSegmenter::new(), RunOptions { record: true, ..RunOptions::default() });
    parts.recording = Some(recording(&to));
    parts.screen = Some(&mut screen);
    run(parts);
    assert!(screen.drawn.iter().any(|d| d.notice == "despeckle: median"));
    let filters: Vec<_> = Recorded::open(&to).unwrap().events.into_iter().map(|e| e.value).collect();
    assert_eq!(filters, ["median", "lee"]);
    let report = verify(&to, |_| Ok(verifier())).unwrap();
    assert_eq!(report.verdict, Verdict::Identical, "{report}");
}

#[test]
fn a_gap_in_the_recording_excuses_what_comes_after_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    record(&to, FakeSource::new(6), FakeSegmenter::new(), fast());
    let gap = |before: u64| {
        std::fs::write(to.join("events.jsonl"), format!("{{\"before\":{before},\"event\":\"gap\"}}\n")).unwrap();
    };
    gap(3);
    assert_eq!(verify(&to, |_| Ok(verifier())).unwrap().verdict, Verdict::Identical, "identical is identical");
    let image = image::GrayImage::from_raw(16, 8, vec![1; 128]).unwrap();
    image.save(to.join("masks/000004.png")).unwrap();
    assert_eq!(verify(&to, |_| Ok(verifier())).unwrap().verdict, Verdict::NotComparable);
    gap(5);
    assert_eq!(verify(&to, |_| Ok(verifier())).unwrap().verdict, Verdict::Different);
}

#[test]
fn a_session_without_masks_has_nothing_to_prove() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    drop(recording(&to));
    assert!(matches!(verify(&to, |_| Ok(verifier())), Err(VerifyError::Nothing { frames: 0, .. })));
    let error = verify(&to, |_| Err("no such model".into())).unwrap_err().to_string();
    assert!(error.contains("no such model"), "{error}");
}

/// What somebody does to a row.
type Change = fn(&mut serde_json::Value);

#[test]
fn every_field_of_a_row_that_was_changed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    record(&to, FakeSource::new(6), FakeSegmenter::new(), fast());
    let path = to.join("frames.jsonl");
    let rows = std::fs::read_to_string(&path).unwrap();
    let changes: [(&str, Change); 11] = [
        ("id", |r| r["id"] = 3.into()),
        ("frame", |r| r["frame"] = "frames/000003.png".into()),
        ("time_ns", |r| r["time_ns"] = 160_000_001u64.into()),
        ("stamps_ns.captured", |r| r["stamps_ns"]["captured"] = 0.into()),
        ("stamps_ns", |r| r["stamps_ns"]["dequeued"] = 1_000_000_000_000_000u64.into()),
        ("crop", |r| r["crop"]["width"] = 15.into()),
        ("state", |r| r["state"] = "uncertain".into()),
        ("probability", |r| r["probability"] = 0.750_000_1f32.into()),
        ("area_px", |r| r["area_px"] = 1.into()),
        ("area_mm2", |r| r["area_mm2"] = 1.0.into()),
        ("mask", |r| drop(r.as_object_mut().unwrap().remove("mask"))),
    ];
    for (field, change) in changes {
        let mut lines: Vec<serde_json::Value> = rows.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        change(&mut lines[4]);
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let report = verify(&to, |_| Ok(verifier())).unwrap();
        assert_eq!((report.verdict, report.differing_frames), (Verdict::Different, 1), "{field}: {report}");
        assert!(report.first_fields.iter().any(|f| f == field), "{field}: {report}");
        let id = if field == "id" { 3 } else { 4 };
        assert!(report.to_string().starts_with(&format!("frame {id} is the first that differs, in ")), "{report}");
    }
    std::fs::write(&path, &rows).unwrap();
    for field in ["model_sha256", "plan_sha256", "device"] {
        let path = to.join("session.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut session: serde_json::Value = serde_json::from_str(&text).unwrap();
        session[field] = "another".into();
        std::fs::write(&path, session.to_string()).unwrap();
        let report = verify(&to, |_| Ok(verifier())).unwrap();
        assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::NotComparable, 3), "{field}");
        assert!(report.to_string().contains(&format!("the {field} is `")), "{report}");
        // Other hardware is no excuse for a row that contradicts its own frame.
        let changed = rows.replacen("\"time_ns\":40000000", "\"time_ns\":40000001", 1);
        assert_ne!(changed, rows);
        std::fs::write(to.join("frames.jsonl"), changed).unwrap();
        assert_eq!(verify(&to, |_| Ok(verifier())).unwrap().verdict, Verdict::Different, "{field}");
        std::fs::write(to.join("frames.jsonl"), &rows).unwrap();
        std::fs::write(&path, text).unwrap();
    }
}

#[test]
fn a_session_in_which_the_user_went_back_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut screen = FakeScreen::new(true);
    let mut stage = 0;
    screen.script = Box::new(move |drawn| {
        let Some((last, level)) = drawn.last().and_then(|d| Some((d, d.level?))) else { return Vec::new() };
        // Frames that were under way when it froze have come.
        let settled = drawn.len() > 9 && drawn.iter().rev().take(9).all(|d| d.frozen && d.level == last.level);
        let (next, control) = match stage {
            0 if level >= 8 => (1, Control::Freeze),
            1 if settled => (2, Control::Step(-200)),
            2 if level == 0 && last.matched => (3, Control::Freeze),
            _ => return Vec::new(),
        };
        stage = next;
        vec![control]
    });
    let source = FakeSource { interval: Duration::from_millis(5), ..FakeSource::new(20) };
    let mut parts = run_of(source, FakeSegmenter::new(), RunOptions { record: true, ..RunOptions::default() });
    parts.recording = Some(recording(&to));
    parts.screen = Some(&mut screen);
    let outcome = run(parts);
    assert!(outcome.error.is_none(), "{outcome:?}");
    let rows = Recorded::open(&to).unwrap().rows;
    assert_eq!(rows.len() as u64, outcome.report.frames.captured);
    assert!(!rows.iter().map(|r| r.time_ns).is_sorted(), "the time went back");
    let report = verify(&to, |_| Ok(verifier())).unwrap();
    assert_eq!((report.verdict, report.rows), (Verdict::Identical, rows.len() as u64), "{report}");
}
