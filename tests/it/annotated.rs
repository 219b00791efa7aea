//! The annotated mp4: times, sizes, and a disk that is full.
#![cfg(feature = "video")]

use std::path::Path;
use std::time::Duration;

use sonoplex::geometry::Size;
use sonoplex::record::annotated::AnnotatedVideo;

use crate::video::{noise, open, read_all};

#[test]
fn the_annotated_video_keeps_times_and_pads_odd_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("annotated.mp4");
    let size = Size::new(161, 121);
    let times = [0, 33, 70, 300, 1300, 1333].map(Duration::from_millis);
    let mut video = AnnotatedVideo::create(&path, size).unwrap();
    println!("{}", video.encoder());
    let picture = |i: usize| [40 * i as u8, 255 - 40 * i as u8, 128].repeat(size.area());
    for (i, &time) in times.iter().enumerate() {
        video.write(&picture(i), size, time).unwrap();
    }
    assert!(video.write(&[0; 3], Size::new(1, 1), times[5] * 2).is_err());
    video.finish().unwrap();
    let frames = read_all(&mut *open(&path));
    assert_eq!((frames.len(), frames[0].size), (6, Size::new(162, 122)));
    for (i, frame) in frames.iter().enumerate() {
        assert!(frame.time.abs_diff(times[i]) < Duration::from_millis(2), "{:?} {:?}", frame.time, times[i]);
        for at in [[0, 0], [161, 121], [80, 60]] {
            let found = frame.rgb(at[0], at[1]);
            let close = found.iter().zip(&picture(i)).all(|(&a, &b)| a.abs_diff(b) < 12);
            assert!(close, "frame {i} {at:?}: {found:?}");
        }
    }
}

#[test]
fn an_annotated_video_that_cannot_be_written_says_why() {
    let size = Size::new(64, 48);
    let nowhere = AnnotatedVideo::create(Path::new("/nonexistent/folder/a.mp4"), size);
    let error = nowhere.err().expect("there is no such folder").to_string();
    println!("{error}");
    assert!(error.contains("/nonexistent/folder/a.mp4"));
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut video = AnnotatedVideo::create(Path::new("/dev/full"), size).unwrap();
    let mut result = Ok(());
    for i in 0..2000u32 {
        result = video.write(&noise(i, size.area() * 3), size, Duration::from_millis(u64::from(i) * 40));
        if result.is_err() {
            break;
        }
    }
    let error = result.and_then(|()| video.finish()).expect_err("the disk is full").to_string();
    println!("{error}");
    assert!(error.contains("/dev/full"), "{error}");
}

#[test]
fn a_replay_that_loops_goes_on_in_its_video() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loop.mp4");
    let size = Size::new(64, 48);
    let mut video = AnnotatedVideo::create(&path, size).unwrap();
    for ms in [0, 30, 60, 0, 30, 60, 60] {
        video.write(&noise(ms, size.area() * 3), size, Duration::from_millis(u64::from(ms))).unwrap();
    }
    video.finish().unwrap();
    let times: Vec<u128> = read_all(&mut *open(&path)).iter().map(|f| (f.time.as_micros() + 500) / 1000).collect();
    assert_eq!(times, [0, 30, 60, 100, 130, 160, 200]);
}
