//! Order, pace, drops, pairs, freezing and stepping.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use sonoplex::latency::{Clock, Moment};
use sonoplex::pipeline::{Control, Ended, RunOptions, Speed};
use sonoplex::record::read::Recorded;

use crate::pipeline_fakes::*;

fn fast() -> RunOptions {
    RunOptions { speed: Speed::Max, warm_up: 0, ..RunOptions::default() }
}

#[test]
fn without_a_window_at_full_speed_nothing_is_dropped_and_order_is_kept() {
    let segmenter = FakeSegmenter { takes: Duration::from_micros(200), ..FakeSegmenter::new() };
    let (log, buffers) = (Arc::clone(&segmenter.log), Arc::clone(&segmenter.buffers));
    let mut screen = FakeScreen::new(false);
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut parts = run_of(FakeSource::new(200), segmenter, RunOptions { record: true, ..fast() });
    parts.screen = Some(&mut screen);
    parts.recording = Some(recording(&to));
    let outcome = run(parts);
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert_eq!(outcome.ended, Ended::EndOfSource);
    let frames = &outcome.report.frames;
    assert_eq!((frames.captured, frames.segmented, frames.shown, frames.recorded), (200, 200, 200, 200));
    assert!(frames.dropped.values().all(|&n| n == 0), "{frames:?}");
    assert_eq!(*log.lock().unwrap(), (0..200).collect::<Vec<_>>());
    let shown: Vec<_> = screen.drawn.iter().map(|d| (d.frame.unwrap(), d.mask_of.unwrap(), d.matched)).collect();
    assert_eq!(shown, (0..200).map(|i| (i, i, true)).collect::<Vec<_>>());
    let recorded = Recorded::open(&to).unwrap();
    assert_eq!(recorded.rows.iter().map(|r| r.id).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(recorded.rows.iter().all(|r| r.mask.is_some()));
    assert_eq!(recorded.session.ended.as_deref(), Some("end of recording"));
    assert_eq!(recorded.session.frames.recorded, 200);
    for row in &recorded.rows {
        let came = |moment: Moment| row.stamps_ns[moment.as_str()];
        assert_eq!(row.stamps_ns.len(), Moment::ALL.len(), "what did not happen is said to be null");
        assert!(came(Moment::Composited) >= came(Moment::Segmented) && came(Moment::Presented).is_none(), "{row:?}");
    }
    // At most: a pair waits, one is shown, one remembered, one filled, and what the recorder has not written yet.
    assert!(buffers.lock().unwrap().len() <= 1 + 3 + 130 + 2, "{}", buffers.lock().unwrap().len());
    let latency = &outcome.report.latency_us;
    assert_eq!(latency["capture_to_present"].count, 200, "a headless run measures up to the composited picture");
    assert_eq!(latency["composite"].count, 200);
    assert!(!latency.contains_key("present"), "nothing was presented");
    assert_eq!(outcome.report.dice_frames, 200);
    assert!((outcome.report.dice["nerve"] - 2.0 / 3.0).abs() < 0.01, "{}", outcome.report.dice["nerve"]);
    assert_eq!(outcome.report.states["nerve"], 200);
}

#[test]
fn after_warm_up_no_segmentation_is_allocated() {
    let segmenter = FakeSegmenter::new();
    let buffers = Arc::clone(&segmenter.buffers);
    let mut screen = FakeScreen::new(false);
    let mut parts = run_of(FakeSource::new(1000), segmenter, fast());
    parts.screen = Some(&mut screen);
    assert_eq!(run(parts).report.frames.segmented, 1000);
    let used = buffers.lock().unwrap().len();
    assert!(used <= 6, "{used} buffers: one each waits, is filled, handed over, scored, shown and recent");
}

#[test]
fn a_replay_is_paced_by_its_own_times() {
    for (speed, factor) in [(1.0, 1), (0.5, 2)] {
        let clock = Clock::manual();
        let dir = tempfile::tempdir().unwrap();
        let options =
            RunOptions { speed: Speed::Times(speed), clock: clock.clone(), record: true, ..RunOptions::default() };
        let mut parts = run_of(FakeSource::new(5), FakeSegmenter::new(), options);
        parts.recording = Some(recording(&dir.path().join("run")));
        let outcome = run(parts);
        assert_eq!(outcome.report.frames.captured, 5);
        assert_eq!(clock.now(), 4 * 40_000_000 * factor, "four intervals at speed {speed}");
        let rows = Recorded::open(&dir.path().join("run")).unwrap().rows;
        let received: Vec<_> = rows.iter().map(|r| r.stamps_ns[Moment::Received.as_str()].unwrap()).collect();
        assert_eq!(received, (0..5).map(|i| i * 40_000_000 * factor).collect::<Vec<_>>());
        assert_eq!(outcome.report.duration_s, 0.16 * factor as f64);
    }
}

#[test]
fn a_slow_segmenter_drops_and_the_drops_are_counted() {
    let (open, gate) = mpsc::channel();
    let segmenter = FakeSegmenter { gate: Some(gate), ..FakeSegmenter::new() };
    let log = Arc::clone(&segmenter.log);
    let mut screen = FakeScreen::new(true);
    let mut open = Some(open);
    // The segmenter begins when the window shows the last picture: that never waits.
    screen.script = Box::new(move |drawn| {
        if drawn.last().is_some_and(|d| d.frame == Some(29)) {
            drop(open.take());
        }
        Vec::new()
    });
    let options = RunOptions { clock: Clock::manual(), ..RunOptions::default() };
    let mut parts = run_of(FakeSource::new(30), segmenter, options);
    parts.screen = Some(&mut screen);
    let frames = run(parts).report.frames;
    let log = log.lock().unwrap();
    assert_eq!(frames.captured, 30);
    assert_eq!(frames.segmented, log.len() as u64);
    assert_eq!(frames.segmented + frames.dropped["segmenter_mailbox"], 30);
    assert!(log.len() <= 2 && log.last() == Some(&29), "the first, and then the newest: {log:?}");
    assert_eq!(frames.shown + frames.dropped["display_mailbox"], 30);
    let last = screen.drawn.last().unwrap();
    assert_eq!((last.frame, last.mask_of, last.matched), (Some(29), Some(29), true));
}

#[test]
fn an_older_mask_is_said_to_be_older_and_sync_shows_none() {
    for sync in [false, true] {
        let segmenter = FakeSegmenter { takes: Duration::from_millis(12), ..FakeSegmenter::new() };
        let source = FakeSource { interval: Duration::from_millis(3), ..FakeSource::new(60) };
        let mut screen = FakeScreen::new(true);
        let mut parts = run_of(source, segmenter, RunOptions { sync, ..RunOptions::default() });
        parts.screen = Some(&mut screen);
        let outcome = run(parts);
        for d in screen.drawn.iter().filter(|d| d.mask_of.is_some()) {
            assert_eq!(d.matched, d.mask_of == d.frame, "{d:?}");
            assert!(d.mask_of <= d.frame);
        }
        let unmatched = screen.drawn.iter().filter(|d| d.frame.is_some() && !d.matched).count();
        assert_eq!(unmatched > 0, !sync, "{unmatched} pictures without their own mask, sync {sync}");
        let frames = outcome.report.frames;
        if sync {
            assert_eq!(frames.shown + frames.dropped["display_mailbox"], frames.segmented);
        } else {
            assert_eq!(frames.shown + frames.dropped["display_mailbox"], frames.captured);
        }
    }
}

#[test]
fn a_repeated_recording_keeps_counting_and_never_goes_back_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let options = RunOptions { repeat: true, frames: Some(10), record: true, ..fast() };
    let mut parts = run_of(FakeSource::new(4), FakeSegmenter::new(), options);
    parts.recording = Some(recording(&dir.path().join("run")));
    let outcome = run(parts);
    assert_eq!(outcome.ended, Ended::Limit);
    let recorded = Recorded::open(&dir.path().join("run")).unwrap();
    assert_eq!(recorded.rows.iter().map(|r| r.id).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let times: Vec<_> = recorded.rows.iter().map(|r| r.time_ns / 1_000_000).collect();
    assert_eq!(times, (0..10).map(|i| i * 40).collect::<Vec<_>>());
    let resets: Vec<_> = recorded.events.iter().map(|e| e.before).collect();
    assert_eq!(resets, [4, 8], "the segmenter forgets at the joint");
}

#[test]
fn an_empty_source_that_repeats_ends() {
    let outcome = run(run_of(FakeSource::new(0), FakeSegmenter::new(), RunOptions { repeat: true, ..fast() }));
    assert_eq!(outcome.ended, Ended::EndOfSource);
}

#[test]
fn a_frozen_recording_waits_and_steps_both_ways() {
    let source = FakeSource { interval: Duration::from_millis(10), ..FakeSource::new(40) };
    let mut screen = FakeScreen::new(true);
    let mut stage = 0;
    let mut held = 0;
    screen.script = Box::new(move |drawn| {
        let Some(last) = drawn.last() else { return Vec::new() };
        let Some(level) = last.level else { return Vec::new() };
        let settled = drawn.iter().rev().take(4).all(|d| d.level == last.level && d.frozen);
        match stage {
            0 if level >= 5 => {
                stage = 1;
                vec![Control::Freeze]
            }
            1 if settled => {
                (stage, held) = (2, level);
                vec![Control::Step(2)]
            }
            2 if settled && level > held => {
                (stage, held) = (3, level);
                vec![Control::Step(-1)]
            }
            3 if level < held => {
                stage = 4;
                // Further back than anything that is kept.
                vec![Control::Step(-200)]
            }
            4 if settled && last.matched && level == 0 => {
                stage = 5;
                vec![Control::Freeze]
            }
            _ => Vec::new(),
        }
    });
    let mut parts = run_of(source, FakeSegmenter::new(), RunOptions::default());
    parts.screen = Some(&mut screen);
    let outcome = run(parts);
    assert_eq!(outcome.ended, Ended::EndOfSource, "{outcome:?}");
    assert!(outcome.report.frames.captured > 40, "it went back and played again");
    assert_eq!(screen.drawn.last().unwrap().level, Some(39));
}

#[test]
fn a_source_that_cannot_go_back_says_so_and_the_run_goes_on() {
    let source = FakeSource { interval: Duration::from_millis(1), seeks: false, ..FakeSource::new(10) };
    let mut screen = FakeScreen::new(true);
    let mut stage = 0;
    screen.script = Box::new(move |drawn| {
        let Some(last) = drawn.last().filter(|d| d.frame.is_some()) else { return Vec::new() };
        stage += 1;
        match stage {
            1 => vec![Control::Step(-100)],
            _ if last.notice.contains("told not to go back") => vec![Control::Quit],
            _ => Vec::new(),
        }
    });
    let mut parts = run_of(source, FakeSegmenter::new(), RunOptions::default());
    parts.screen = Some(&mut screen);
    let outcome = run(parts);
    assert_eq!((outcome.ended, outcome.error.is_none()), (Ended::WindowClosed, true));
}

#[test]
fn progress_is_told_to_the_end() {
    let mut last = 0;
    let mut tell = |p: &sonoplex::pipeline::Progress| last = p.frames.segmented;
    let mut parts = run_of(FakeSource::new(20), FakeSegmenter::new(), fast());
    parts.progress = Some(&mut tell);
    let stop = Arc::clone(&parts.options.stop);
    run(parts);
    assert_eq!(last, 20);
    assert!(!stop.load(Ordering::SeqCst), "the flag of the user is the user's");
}

#[test]
fn rows_carry_the_stamps_of_the_screen_and_null_for_what_was_never_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let segmenter = FakeSegmenter { takes: Duration::from_millis(7), ..FakeSegmenter::new() };
    let source = FakeSource { interval: Duration::from_millis(2), ..FakeSource::new(80) };
    let mut screen = FakeScreen { takes: Duration::from_millis(5), ..FakeScreen::new(true) };
    let mut parts = run_of(source, segmenter, RunOptions { record: true, ..RunOptions::default() });
    parts.screen = Some(&mut screen);
    parts.recording = Some(recording(&to));
    let frames = run(parts).report.frames;
    let rows = Recorded::open(&to).unwrap().rows;
    assert_eq!(rows.len(), 80);
    let drawn: std::collections::BTreeSet<_> = screen.drawn.iter().filter_map(|d| d.frame).collect();
    assert!(drawn.len() > 5 && drawn.len() < 80, "some were dropped: {}", drawn.len());
    for row in &rows {
        let [captured, composited, presented] =
            [Moment::Captured, Moment::Composited, Moment::Presented].map(|m| row.stamps_ns[m.as_str()]);
        assert_eq!((composited.is_some(), presented.is_some()), (drawn.contains(&row.id), drawn.contains(&row.id)));
        assert!(composited.is_none() || (captured <= composited && composited <= presented), "{row:?}");
    }
    assert_eq!(rows.iter().filter(|r| r.stamps_ns["presented"].is_some()).count() as u64, frames.shown);
}

#[test]
fn a_frozen_screen_holds_no_row_back_and_a_stop_writes_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let source = FakeSource { interval: Duration::from_millis(5), ..FakeSource::new(1_000_000) };
    let mut screen = FakeScreen::new(true);
    let (rows, mut frozen_at) = (to.join("frames.jsonl"), None);
    screen.script = Box::new(move |drawn| {
        let Some(last) = drawn.last() else { return Vec::new() };
        match frozen_at {
            None if last.frame >= Some(10) => {
                frozen_at = last.frame;
                vec![Control::Freeze]
            }
            // A device goes on unseen, and is on disk all the same.
            Some(_) => {
                let seen = std::fs::read_to_string(&rows).map_or(0, |t| t.lines().count());
                if seen > 60 { vec![Control::Quit] } else { Vec::new() }
            }
            None => Vec::new(),
        }
    });
    let options = RunOptions { record: true, live: true, ..RunOptions::default() };
    let mut parts = run_of(source, FakeSegmenter::new(), options);
    parts.screen = Some(&mut screen);
    parts.recording = Some(recording(&to));
    let outcome = run(parts);
    assert_eq!((outcome.ended, outcome.error.is_none()), (Ended::WindowClosed, true));
    let rows = Recorded::open(&to).unwrap().rows;
    assert_eq!(rows.len() as u64, outcome.report.frames.captured, "nothing captured is lost");
    assert!(rows.iter().filter(|r| r.stamps_ns["composited"].is_none()).count() > 30);
}

#[test]
fn a_device_that_knows_the_age_of_its_pictures_is_believed() {
    let (age, sleeps) = (Some(Duration::from_millis(40)), Duration::from_millis(5));
    for live in [true, false] {
        let source = FakeSource { age, sleeps, ..FakeSource::new(40) };
        let source = if live { source.live() } else { source };
        let outcome =
            run(run_of(source, FakeSegmenter::new(), RunOptions { speed: Speed::Max, ..RunOptions::default() }));
        let source = outcome.report.latency_us["source"];
        assert_eq!((39.5e3..80e3).contains(&source.p50), live, "live {live}: {source:?}");
    }
}
