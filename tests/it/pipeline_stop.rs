//! Every way to end a run: nothing hangs, the first error is told, what was recorded is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sonoplex::frame::Frame;
use sonoplex::pipeline::{
    Annotate, BoxError, Control, Ended, Recording, Run, RunError, RunOptions, Speed, Verdict, Watchdog, verify,
};
use sonoplex::record::read::Recorded;
use sonoplex::record::{EventKind, Recorder};
use sonoplex::segmentation::Segmentation;

use crate::pipeline_fakes::*;
use crate::record::FullDisk;

/// Endless, so that only what a test does ends the run.
fn endless() -> FakeSource {
    FakeSource { interval: Duration::from_millis(1), ..FakeSource::new(1_000_000) }
}

fn options(speed: Speed) -> RunOptions {
    RunOptions { speed, record: true, ..RunOptions::default() }
}

#[test]
fn the_stop_flag_ends_every_kind_of_run_and_completes_the_recording() {
    for speed in [Speed::Max, Speed::Times(1.0)] {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("run");
        let options = options(speed);
        let stop = Arc::clone(&options.stop);
        let mut tell = |p: &sonoplex::pipeline::Progress| {
            if p.frames.segmented > 20 {
                stop.store(true, Ordering::SeqCst);
            }
        };
        let mut parts = run_of(endless(), FakeSegmenter::new(), options);
        parts.recording = Some(recording(&to));
        parts.progress = Some(&mut tell);
        let outcome = run(parts);
        assert_eq!((outcome.ended, outcome.error.is_none()), (Ended::Stopped, true));
        let recorded = Recorded::open(&to).unwrap();
        assert_eq!(recorded.rows.len() as u64, outcome.report.frames.captured, "nothing captured is lost");
        assert_eq!(recorded.session.ended.as_deref(), Some("stopped by the user"));
        if speed == Speed::Max {
            assert!(recorded.rows.iter().all(|r| r.mask.is_some()), "and all of it is segmented");
        }
    }
}

#[test]
fn a_closed_window_and_the_quit_key_end_it() {
    for by_key in [false, true] {
        let mut screen = FakeScreen::new(true);
        if by_key {
            screen.script = Box::new(|drawn| if drawn.len() > 5 { vec![Control::Quit] } else { Vec::new() });
        } else {
            screen.closes_after = Some(5);
        }
        let mut parts = run_of(endless(), FakeSegmenter::new(), RunOptions::default());
        parts.screen = Some(&mut screen);
        let outcome = run(parts);
        assert_eq!((outcome.ended, outcome.error.is_none()), (Ended::WindowClosed, true));
        assert_eq!(outcome.report.ended, "window closed");
    }
}

#[test]
fn a_window_that_is_closed_while_frozen_ends_it() {
    let mut screen = FakeScreen::new(true);
    screen.script = Box::new(|drawn| if drawn.len() == 5 { vec![Control::Freeze] } else { Vec::new() });
    screen.closes_after = Some(15);
    let mut parts = run_of(endless(), FakeSegmenter::new(), RunOptions::default());
    parts.screen = Some(&mut screen);
    assert_eq!(run(parts).ended, Ended::WindowClosed);
}

/// What is broken, and the words that the error must contain.
type Fault = (&'static str, fn(&mut FakeSource, &mut FakeSegmenter, &mut FakeScreen));

#[test]
fn an_error_or_a_panic_in_any_thread_surfaces_and_the_others_finish() {
    let faults: [Fault; 5] = [
        ("cannot capture from `fake:`: told to fail; try again", |s, _, _| s.fails_at = Some(30)),
        ("the source thread has panicked", |s, _, _| s.panics_at = Some(30)),
        ("told to fail", |_, s, _| s.fails_at = Some(30)),
        ("the segmenter thread has panicked", |_, s, _| s.panics_at = Some(30)),
        ("cannot show the picture: told to fail", |_, _, s| s.fails_after = Some(30)),
    ];
    for (expected, break_it) in faults {
        for (speed, window) in [(Speed::Max, false), (Speed::Times(0.2), true)] {
            let dir = tempfile::tempdir().unwrap();
            let to = dir.path().join("run");
            let (mut source, mut segmenter, mut screen) = (endless(), FakeSegmenter::new(), FakeScreen::new(window));
            break_it(&mut source, &mut segmenter, &mut screen);
            let mut parts = run_of(source, segmenter, options(speed));
            parts.screen = Some(&mut screen);
            parts.recording = Some(recording(&to));
            let outcome = run(parts);
            let error = outcome.error.expect(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!((outcome.ended, outcome.report.error.as_ref()), (Ended::Failed, Some(&error)));
            let recorded = Recorded::open(&to).unwrap();
            assert_eq!(recorded.session.ended.as_ref(), Some(&error));
            assert_eq!(recorded.rows.len() as u64, outcome.report.frames.recorded);
            assert!(recorded.rows.len() >= 10, "{expected}: {} frames kept", recorded.rows.len());
        }
    }
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_a_readable_session() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let recorder = Recorder::create_on(Box::new(FullDisk::after(20_000)), &to, session()).unwrap();
    let mut parts = run_of(endless(), FakeSegmenter::new(), options(Speed::Max));
    parts.recording = Some(Recording { recorder, annotate: None });
    let outcome = run(parts);
    let error = outcome.error.expect("the disk is full").to_string();
    assert!(error.contains("the disk is full; the") && error.contains("stay readable"), "{error}");
    let recorded = Recorded::open(&to).unwrap();
    assert!(!recorded.rows.is_empty());
    assert_eq!(recorded.rows.len() as u64, outcome.report.frames.recorded);
    for row in &recorded.rows {
        recorded.frame(row).unwrap();
        assert!(recorded.mask(row).unwrap().is_some());
    }
}

struct FailingVideo {
    panics: bool,
}

impl Annotate for FailingVideo {
    fn write(&mut self, frame: &Frame, _: Option<&Segmentation>) -> Result<(), BoxError> {
        assert!(!(self.panics && frame.id == 10), "told to panic");
        if frame.id == 10 { Err("no encoder".into()) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn an_encoder_that_fails_or_panics_ends_the_run() {
    for panics in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("run");
        let mut parts = run_of(endless(), FakeSegmenter::new(), options(Speed::Max));
        parts.recording = Some(Recording { annotate: Some(Box::new(FailingVideo { panics })), ..recording(&to) });
        let error = run(parts).error.expect("it fails").to_string();
        let expected = if panics { "the recorder thread has panicked" } else { "annotated video: no encoder" };
        assert!(error.contains(expected), "{error}");
        assert_eq!(Recorded::open(&to).unwrap().rows.len(), 11);
    }
}

fn impatient() -> Watchdog {
    let ms = Duration::from_millis;
    Watchdog { source_silent: ms(20), segmenter_stuck: ms(20), grace: ms(200) }
}

#[test]
fn a_silent_device_is_shown_as_no_signal_and_does_not_hold_up_the_stop() {
    let source = FakeSource { silent_at: Some(5), ..endless() }.live();
    let mut screen = FakeScreen::new(true);
    screen.script =
        Box::new(|drawn| if drawn.last().is_some_and(|d| d.no_signal) { vec![Control::Quit] } else { Vec::new() });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let options = RunOptions { watchdog: impatient(), record: true, ..RunOptions::default() };
    let mut parts = run_of(source, FakeSegmenter::new(), options);
    parts.screen = Some(&mut screen);
    parts.recording = Some(recording(&to));
    let outcome = run(parts);
    assert_eq!((outcome.ended, outcome.error.is_none()), (Ended::WindowClosed, true), "silence is no error");
    assert!(outcome.report.alarms.no_signal >= 1);
    assert!(outcome.report.notes.iter().any(|n| n.contains("the source did not answer")));
    assert_eq!(Recorded::open(&to).unwrap().rows.len(), 5, "what came before is kept");
}

#[test]
fn a_stuck_segmenter_is_shown_and_its_old_mask_is_not() {
    let segmenter = FakeSegmenter { hangs_at: Some(5), ..FakeSegmenter::new() };
    let mut screen = FakeScreen::new(true);
    let begun = Instant::now();
    screen.script = Box::new(move |drawn| {
        let gone = drawn.last().is_some_and(|d| d.stuck && d.mask_of.is_none());
        if gone || begun.elapsed() > Duration::from_secs(50) { vec![Control::Quit] } else { Vec::new() }
    });
    let source = FakeSource { interval: Duration::from_millis(20), ..FakeSource::new(1_000_000) }.live();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let options = RunOptions { watchdog: impatient(), record: true, frames: None, ..RunOptions::default() };
    // A live source is not paced; this one paces itself by its sleep.
    let mut parts = run_of(FakeSource { sleeps: Duration::from_millis(2), ..source }, segmenter, options);
    parts.screen = Some(&mut screen);
    parts.recording = Some(recording(&to));
    let outcome = run(parts);
    assert!(matches!(outcome.error, None | Some(RunError::Stuck { thread: "segmenter", .. })), "{outcome:?}");
    assert!(outcome.report.alarms.segmenter_stuck >= 1);
    let (rows, frames) = (Recorded::open(&to).unwrap().rows, outcome.report.frames);
    assert!(rows.len() as u64 + frames.dropped["record_queue"] == frames.captured, "raw frames go on: {frames:?}");
    assert!(rows.len() > 6);
}

#[test]
fn the_record_key_starts_and_ends_recordings_that_stand_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let mut number = 0;
    let mut screen = FakeScreen::new(true);
    let (mut stage, mut since) = (0, 0);
    screen.script = Box::new(move |drawn| {
        let Some((last, frame)) = drawn.last().and_then(|d| Some((d, d.frame?))) else { return Vec::new() };
        let (next, control) = match stage {
            0 | 1 | 4 | 6 if frame > since + 10 => (true, Control::Record),
            2 if last.notice.contains("run-1") => (true, Control::NextDespeckle),
            3 if last.notice == "despeckle: median" => (true, Control::Record),
            5 if last.notice.contains("run-2") => (true, Control::Record),
            7 if last.notice.contains("run-3") => (true, Control::Quit),
            _ => (false, Control::Redraw),
        };
        if next {
            (stage, since) = (stage + 1, frame);
            return vec![control];
        }
        Vec::new()
    });
    let mut parts = run_of(endless(), FakeSegmenter::new(), RunOptions::default());
    parts.screen = Some(&mut screen);
    parts.open_recording = Some(Box::new(move || {
        number += 1;
        Ok(recording(&root.join(format!("run-{number}"))))
    }));
    let outcome = run(parts);
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert!(screen.drawn.iter().any(|d| d.recording) && screen.drawn.iter().any(|d| !d.recording));
    let names = ["run-1", "run-2", "run-3"];
    let [first, second, third] =
        names.map(|name| Recorded::open(&dir.path().join(name)).expect("a session of its own"));
    assert!(!first.rows.is_empty() && !second.rows.is_empty() && !third.rows.is_empty());
    assert!(first.rows.last().unwrap().id < second.rows[0].id);
    let rows = first.rows.len() + second.rows.len() + third.rows.len();
    assert_eq!(rows as u64, outcome.report.frames.recorded);
    assert_eq!(first.events[0].event, EventKind::Reset, "it begins with a fresh segmenter");
    assert!(first.events.iter().all(|e| e.event != EventKind::Despeckle));
    for later in [second, third] {
        assert!(later.events.iter().any(|e| e.event == EventKind::Despeckle && e.value == "median"));
    }
    for name in names {
        let report = verify(&dir.path().join(name), |_| Ok(verifier())).unwrap();
        assert_eq!(report.verdict, Verdict::Identical, "{name}: {report}");
    }
}

/// Keeps the recorder waiting until the other end is dropped.
struct Waiting(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Annotate for Waiting {
    fn write(&mut self, _: &Frame, _: Option<&Segmentation>) -> Result<(), BoxError> {
        let _ = self.0.lock().expect("one thread").recv();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_device_never_waits_for_the_recorder_and_a_replay_does() {
    for live in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("run");
        let (hold, gate) = std::sync::mpsc::channel();
        let mut hold = Some(hold);
        let mut tell = |p: &sonoplex::pipeline::Progress| {
            if p.frames.captured == 500 || !live {
                drop(hold.take());
            }
        };
        let interval = Duration::from_micros(200);
        let source = FakeSource { interval, ..FakeSource::new(500) };
        let mut parts = run_of(source, FakeSegmenter::new(), RunOptions { live, ..options(Speed::Times(1.0)) });
        let annotate = Some(Box::new(Waiting(gate.into())) as Box<dyn Annotate>);
        parts.recording = Some(Recording { annotate, ..recording(&to) });
        parts.progress = Some(&mut tell);
        let outcome = run(parts);
        assert!(outcome.error.is_none(), "{outcome:?}");
        let (rows, frames) = (Recorded::open(&to).unwrap().rows.len() as u64, &outcome.report.frames);
        assert_eq!(frames.captured, 500);
        assert_eq!(rows + frames.dropped["record_queue"], 500);
        assert_eq!(frames.dropped["record_queue"] > 0, live, "{frames:?}");
        // Where every recorded frame was one that the segmenter had no time for, there is nothing to compare.
        let Ok(report) = verify(&to, |_| Ok(verifier())) else { continue };
        assert_ne!(report.verdict, Verdict::Different, "what was dropped excuses what differs: {report}");
    }
}

#[test]
fn a_bad_picture_of_a_folder_is_counted_named_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        image::save_buffer(dir.path().join(name), &[50; 64 * 64], 64, 64, image::ColorType::L8).unwrap();
    }
    std::fs::write(dir.path().join("2.png"), b"no picture").unwrap();
    let source = sonoplex::source::images::open(dir.path()).unwrap();
    let options = RunOptions { speed: Speed::Max, ..RunOptions::default() };
    let outcome = run(Run { source, ..run_of(endless(), FakeSegmenter::new(), options) });
    assert_eq!((outcome.report.frames.captured, outcome.report.frames.segmented), (2, 2));
    assert_eq!(outcome.report.frames.dropped["source"], 1);
    assert_eq!(outcome.ended, Ended::EndOfSource);
    let error = outcome.error.expect("it is not passed in silence").to_string();
    assert!(error.contains("2.png") && outcome.report.error.as_ref() == Some(&error), "{error}");
}
