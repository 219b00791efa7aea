//! What is written comes back, whatever ends the writing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::{Size, Spacing};
use sonoplex::latency::{Counts, LatencySummary, Moment, Stamps};
use sonoplex::mask::Mask;
use sonoplex::record::read::Recorded;
use sonoplex::record::{Disk, Event, EventKind, OsDisk, RecordError, Recorder};
use sonoplex::segmentation::{Finding, Segmentation, State};
use sonoplex::session::{Imprint, Session};

use crate::kernels_cuda::formats;
use crate::pipeline_fakes::{classes, session};

/// A disk with room for so many bytes. What does not fit is not written, as the real one sees to.
pub struct FullDisk {
    disk: OsDisk,
    room: usize,
}

impl FullDisk {
    pub fn after(room: usize) -> Self {
        Self { disk: OsDisk::default(), room }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

impl Disk for FullDisk {
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes)?;
        self.disk.write(path, bytes)
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes)?;
        self.disk.replace(path, bytes)
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes)?;
        self.disk.append(path, bytes)
    }
}

fn frame(id: u64, size: Size, format: PixelFormat) -> Frame {
    let pixels = (0..format.bytes(size)).map(|i| (i as u64 * 7 + id * 13) as u8).collect();
    let mut frame = Frame::new(id, size, format, pixels);
    frame.time = Duration::from_micros(33_367 * id);
    frame.spacing = Some(Spacing { x_mm: 0.1, y_mm: 0.125 });
    frame.truth = Some(Arc::new(Mask { size, labels: vec![1; size.area()] }));
    frame.stamps.set(Moment::Captured, 100 + id);
    frame
}

fn segmentation(frame: &Frame) -> Segmentation {
    let mut seg = Segmentation { frame_id: frame.id, size: frame.size, ..Segmentation::default() };
    seg.crop = frame.size.full();
    seg.mask = Mask { size: frame.size, labels: (0..frame.size.area()).map(|i| (i % 3) as u8).collect() };
    let area_px = seg.mask.area(1);
    seg.findings = vec![Finding {
        state: State::Uncertain,
        confidence: 0.5,
        area_px,
        area_mm2: Some(area_px as f64 * 0.0125),
        ..Finding::default()
    }];
    seg.stamps = frame.stamps;
    seg.stamps.set(Moment::Segmented, 500 + frame.id);
    seg
}

/// So a session proves its masks, whatever the card gave.
#[test]
fn video_is_stored_in_colours_of_the_same_grey() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("session");
    let mut recorder = Recorder::create(&to, session()).unwrap();
    let frames: Vec<Frame> =
        formats().into_iter().zip(0..).map(|(format, id)| frame(id, Size::new(21, 9), format)).collect();
    for frame in &frames {
        recorder.write(frame, None).unwrap();
    }
    recorder.finish(Counts::default(), LatencySummary::new(), "end of recording").unwrap();
    let recorded = Recorded::open(&to).unwrap();
    for (row, frame) in recorded.rows.iter().zip(&frames) {
        let read = recorded.frame(row).unwrap();
        assert_eq!(read.gray(&mut Vec::new()), frame.gray(&mut Vec::new()), "{:?}", frame.format);
        assert_eq!(read.rgb(20, 8), frame.rgb(20, 8), "{:?}", frame.format);
    }
}

#[test]
fn frames_masks_and_rows_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a/b");
    let mut recorder = Recorder::create(&to, session()).unwrap();
    recorder.set_truth(&classes());
    let frames = [
        frame(0, Size::new(31, 17), PixelFormat::Gray8),
        frame(1, Size::new(1, 1), PixelFormat::Gray8),
        frame(2, Size::new(20, 9), PixelFormat::Rgb8),
    ];
    recorder.write(&frames[0], Some(&segmentation(&frames[0]))).unwrap();
    recorder.event(&Event { before: 2, event: EventKind::Despeckle, value: "lee".to_owned() }).unwrap();
    let mut shown = Stamps::default();
    shown.set(Moment::Presented, 700);
    frames[1].shown.set(shown).expect("once");
    recorder.write(&frames[1], None).unwrap();
    recorder.write(&frames[2], Some(&segmentation(&frames[2]))).unwrap();
    let counts = Counts { captured: 3, recorded: 3, ..Counts::default() };
    recorder.finish(counts.clone(), LatencySummary::new(), "end of recording").unwrap();

    let recorded = Recorded::open(&to).unwrap();
    assert_eq!(recorded.session.frames, counts);
    assert_eq!(recorded.session.ended.as_deref(), Some("end of recording"));
    assert_eq!(recorded.events, [Event { before: 2, event: EventKind::Despeckle, value: "lee".to_owned() }]);
    for (row, frame) in recorded.rows.iter().zip(&frames) {
        let read = recorded.frame(row).unwrap();
        assert_eq!((read.id, read.size, read.format, read.time), (frame.id, frame.size, frame.format, frame.time));
        assert_eq!(read.pixels, frame.pixels);
        assert_eq!(read.spacing, frame.spacing);
        let expected = (frame.id != 1).then(|| segmentation(frame).mask);
        assert_eq!(recorded.mask(row).unwrap(), expected);
    }
    let row = &recorded.rows[0];
    assert_eq!((row.state, row.probability), (Some(State::Uncertain), Some(0.5)));
    assert_eq!((row.stamps_ns["segmented"], row.stamps_ns["presented"]), (Some(500), None));
    assert_eq!(row.dice["nerve"], segmentation(&frames[0]).mask.dice(frames[0].truth.as_ref().unwrap(), 1));
    assert_eq!(recorded.rows[1].stamps_ns["captured"], Some(101));
    assert_eq!(recorded.rows[1].stamps_ns["presented"], Some(700));
    let imprint = recorded.imprint(&recorded.rows[2]).unwrap();
    assert_eq!(imprint, Some(Imprint { id: 2, time_ns: 66_734_000, captured_ns: Some(102) }));
    assert!(!to.join("session.new").exists());
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Recorder::create(dir.path(), session()).expect("an empty one is taken");
    let error = Recorder::create(dir.path(), session()).unwrap_err();
    assert!(matches!(error, RecordError::NotEmpty { .. }) && error.to_string().contains("not empty"), "{error}");
    let file = dir.path().join("session.json");
    let error = Recorder::create(&file, session()).unwrap_err();
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
}

#[test]
fn a_run_that_crashed_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut recorder = Recorder::create(&to, session()).unwrap();
    for id in 0..3 {
        let frame = frame(id, Size::new(8, 8), PixelFormat::Gray8);
        recorder.write(&frame, Some(&segmentation(&frame))).unwrap();
    }
    // Neither finished nor dropped: the process is gone.
    std::mem::forget(recorder);
    assert_eq!(Recorded::open(&to).unwrap().rows.len(), 3);
    assert_eq!(Recorded::open(&to).unwrap().session.ended, None);

    let rows = to.join("frames.jsonl");
    let text = std::fs::read_to_string(&rows).unwrap();
    std::fs::write(&rows, &text[..text.len() - 20]).unwrap();
    assert_eq!(Recorded::open(&to).unwrap().rows.len(), 2, "a line that was cut short is left out");
    std::fs::write(&rows, text.replacen("\"id\":1", "\"id\":oops", 1)).unwrap();
    let error = Recorded::open(&to).unwrap_err().to_string();
    assert!(error.contains("line 2"), "a line in the middle is an error: {error}");
}

#[test]
fn a_full_disk_is_one_sentence_and_every_row_stays_complete() {
    let size = Size::new(40, 30);
    for room in (1_500..12_000).step_by(250) {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("run");
        let Ok(mut recorder) = Recorder::create_on(Box::new(FullDisk::after(room)), &to, session()) else { continue };
        let error = (0..)
            .find_map(|id| {
                let frame = frame(id, size, PixelFormat::Gray8);
                recorder.write(&frame, Some(&segmentation(&frame))).err()
            })
            .expect("it fills up");
        assert!(matches!(error, RecordError::Full { .. }), "{error}");
        assert!(error.to_string().contains(&format!("the {} frames recorded before", recorder.frames())), "{error}");
        let frames = recorder.frames();
        let _ = recorder.finish(Counts::default(), LatencySummary::new(), &error.to_string());
        let recorded = Recorded::open(&to).unwrap();
        assert_eq!(recorded.rows.len() as u64, frames);
        for row in &recorded.rows {
            assert_eq!(recorded.frame(row).unwrap().pixels, frame(row.id, size, PixelFormat::Gray8).pixels);
            assert!(recorded.mask(row).unwrap().is_some());
        }
    }
}

#[test]
fn a_folder_that_disappears_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut recorder = Recorder::create(&to, session()).unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    let error = recorder.write(&frame(0, Size::new(4, 4), PixelFormat::Gray8), None).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
    assert!(!error.to_string().contains('\n'));
}

#[test]
fn lying_sessions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Recorded::open(dir.path()).unwrap_err().to_string();
    assert!(open().contains("session.json"));
    std::fs::write(dir.path().join("session.json"), "{").unwrap();
    assert!(open().contains("expected a session"));
    let newer = Session { version: 99, ..session() };
    std::fs::write(dir.path().join("session.json"), serde_json::to_vec(&newer).unwrap()).unwrap();
    assert!(open().contains("found 99"));
    let known = Session { version: 1, ..session() };
    std::fs::write(dir.path().join("session.json"), serde_json::to_vec(&known).unwrap()).unwrap();
    assert!(open().contains("frames.jsonl"));
    let row = r#"{"id":0,"time_ns":0,"frame":"../../etc/passwd","stamps_ns":{}}"#;
    std::fs::write(dir.path().join("frames.jsonl"), format!("{row}\n")).unwrap();
    let recorded = Recorded::open(dir.path()).unwrap();
    let error = recorded.frame(&recorded.rows[0]).unwrap_err().to_string();
    assert!(error.contains("files inside the session"), "{error}");
}

#[test]
fn a_session_of_an_older_version_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    let mut recorder = Recorder::create(&to, session()).unwrap();
    let frame = frame(0, Size::new(8, 8), PixelFormat::Gray8);
    recorder.write(&frame, None).unwrap();
    recorder.finish(Counts::default(), LatencySummary::new(), "end of recording").unwrap();
    // As version 1 wrote it: only what had happened, and a raw frame that says nothing of itself.
    let row = r#"{"id":0,"time_ns":0,"frame":"frames/000000.png","stamps_ns":{"captured":5,"received":7}}"#;
    std::fs::write(to.join("frames.jsonl"), format!("{row}\n")).unwrap();
    image::GrayImage::from_raw(8, 8, frame.pixels.clone()).unwrap().save(to.join("frames/000000.png")).unwrap();
    let text = std::fs::read_to_string(to.join("session.json")).unwrap();
    std::fs::write(to.join("session.json"), text.replace("\"version\": 2", "\"version\": 1")).unwrap();
    let recorded = Recorded::open(&to).unwrap();
    assert_eq!(recorded.session.version, 1);
    assert_eq!(recorded.rows[0].stamps_ns.get("received"), Some(&Some(7)));
    assert_eq!(recorded.imprint(&recorded.rows[0]).unwrap(), None);
    assert_eq!(recorded.frame(&recorded.rows[0]).unwrap().pixels, frame.pixels);
}
