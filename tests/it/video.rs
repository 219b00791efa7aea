//! Video files against OpenCV and against the bytes they were made of; live graphs; the annotated mp4.
#![cfg(feature = "video")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::record::annotated::AnnotatedVideo;
use sonoplex::source::{Source, SourceError, gst as live, video};

/// Runs a graph to its end.
fn make(graph: &str) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(graph).unwrap_or_else(|e| panic!("{graph}: {e}"));
    run(&pipeline);
}

fn run(pipeline: &gst::Element) {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("the graph ends");
    if let gst::MessageView::Error(e) = message.view() {
        panic!("{} {:?}", e.error(), e.debug());
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A test picture that tells its index, at `frames` frames and 30 Hz, into `file` by way of `encoder`.
fn test_video(file: &Path, frames: u32, encoder: &str) {
    make(&format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=30/1 \
         ! {encoder} ! filesink location={}",
        file.display()
    ));
}

const H264: &str = "x264enc key-int-max=10 speed-preset=ultrafast bframes=2 ! h264parse";

fn read_all(source: &mut dyn Source) -> Vec<Frame> {
    std::iter::from_fn(|| source.next().unwrap()).collect()
}

fn open(path: &Path) -> Box<dyn Source> {
    video::open(path).unwrap_or_else(|e| panic!("{e}"))
}

fn error_of(path: &Path) -> String {
    match video::open(path) {
        Ok(mut source) => loop {
            match source.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{} was read to its end", path.display()),
                Err(e) => return e.to_string(),
            }
        },
        Err(e) => e.to_string(),
    }
}

struct Oracle {
    frames: usize,
    size: Size,
    times_ms: Vec<f64>,
    rgb: Vec<u8>,
}

/// What OpenCV reads, or `None` with a line where there is no Python.
fn oracle(path: &Path) -> Option<Oracle> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SONOPLEX_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !python.exists() {
        println!("skipped: no Python at `{}`, so no comparison with OpenCV", python.display());
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("rgb");
    let run = Command::new(python).arg(root.join("tests/oracles/video.py")).arg(path).arg(&raw).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let number = |v: &serde_json::Value| v.as_f64().unwrap();
    Some(Oracle {
        frames: number(&json["frames"]) as usize,
        size: Size::new(number(&json["size"][0]) as u32, number(&json["size"][1]) as u32),
        times_ms: json["times_ms"].as_array().unwrap().iter().map(number).collect(),
        rgb: std::fs::read(raw).unwrap(),
    })
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64
}

/// Frames, sizes, times and pixels are those of OpenCV. Both convert YUV to RGB by rounding of their own and spread
/// colour over its neighbours differently: on average at most `tolerance` levels.
fn compare(path: &Path, tolerance: f64) {
    let frames = read_all(&mut *open(path));
    let Some(expected) = oracle(path) else { return };
    assert_eq!(frames.len(), expected.frames, "{}", path.display());
    let mut at = 0;
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!((frame.id, frame.size), (i as u64, expected.size));
        let time = frame.time.as_secs_f64() * 1e3;
        let wanted = expected.times_ms[i] - expected.times_ms[0];
        assert!((time - wanted).abs() < 1.1, "{} frame {i}: {time} ms, OpenCV {wanted} ms", path.display());
        let rgb = &expected.rgb[at..at + frame.size.area() * 3];
        at += rgb.len();
        let ours: Vec<u8> = match frame.format {
            PixelFormat::Rgb8 => frame.pixels.clone(),
            PixelFormat::Gray8 => frame.pixels.iter().flat_map(|&v| [v; 3]).collect(),
        };
        let d = mean_difference(&ours, rgb);
        assert!(d <= tolerance, "{} frame {i}: mean difference {d}", path.display());
    }
}

#[test]
fn every_usual_container_is_read_as_opencv_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder, format) in [
        ("a.mp4", format!("{H264} ! mp4mux"), "mp4, H.264"),
        ("a.mov", format!("{H264} ! qtmux"), "mov, H.264"),
        ("a.mkv", format!("{H264} ! matroskamux"), "mkv, H.264"),
        ("a.avi", "jpegenc quality=95 ! avimux".to_owned(), "avi, MJPEG"),
    ] {
        let path = dir.path().join(name);
        test_video(&path, 40, &encoder);
        let source = open(&path);
        let info = source.info();
        assert_eq!((info.format.as_str(), info.size), (format, Some(Size::new(160, 120))), "{name}");
        assert!((info.rate_hz.unwrap() - 30.0).abs() < 0.1, "{name}: {:?}", info.rate_hz);
        assert!(info.frames.is_none_or(|n| n.abs_diff(40) <= 3), "{name}: {:?}", info.frames);
        assert!(!info.live);
        compare(&path, 3.0);
    }
}

/// A picture whose every byte depends on its place and its index.
fn noise(index: u32, len: usize) -> Vec<u8> {
    let mut state = index.wrapping_mul(0x9e37_79b9) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(step).collect()
}

/// Noise pictures at the given times, through `encoder` into `path`.
fn noise_video(path: &Path, format: &str, size: Size, times_ms: &[u64], encoder: &str) {
    gst::init().unwrap();
    let (w, h) = (size.width, size.height);
    // avenc_ffv1 of GStreamer 1.22 writes rubbish without a rate.
    let rate = if encoder.contains("ffv1") { "25/1" } else { "0/1" };
    let graph = format!(
        "appsrc name=in format=time caps=video/x-raw,format={format},width={w},height={h},framerate={rate} ! {encoder} \
         ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&graph).unwrap();
    let source = pipeline.downcast_ref::<gst::Pipeline>().unwrap().by_name("in").unwrap();
    let source = source.downcast::<gstreamer_app::AppSrc>().unwrap();
    let bytes = if format == "GRAY8" { 1 } else { 4 };
    for (i, &ms) in times_ms.iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(noise(i as u32, size.area() * bytes));
        let times_of = buffer.get_mut().unwrap();
        times_of.set_pts(gst::ClockTime::from_mseconds(ms));
        times_of.set_duration(gst::ClockTime::from_mseconds(40));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    run(&pipeline);
}

#[test]
fn lossless_video_gives_back_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let size = Size::new(64, 48);
    let times: Vec<u64> = (0..12).map(|i| i * 40).collect();
    let path = dir.path().join("grey.mkv");
    noise_video(&path, "GRAY8", size, &times, "avenc_ffv1 ! matroskamux");
    let mut source = open(&path);
    assert_eq!(source.info().format, "mkv, FFV1");
    let frames = read_all(&mut *source);
    assert_eq!(frames.len(), 12);
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame.format, PixelFormat::Gray8);
        assert!(frame.pixels == noise(i as u32, size.area()), "frame {i}");
    }
    compare(&path, 0.0);
    let path = dir.path().join("colour.mkv");
    noise_video(&path, "BGRx", size, &times, "avenc_ffv1 ! matroskamux");
    for (i, frame) in read_all(&mut *open(&path)).iter().enumerate() {
        let bgrx = noise(i as u32, size.area() * 4);
        let rgb: Vec<u8> = bgrx.chunks_exact(4).flat_map(|p| [p[2], p[1], p[0]]).collect();
        assert!(frame.format == PixelFormat::Rgb8 && frame.pixels == rgb, "frame {i}");
    }
    compare(&path, 0.0);
}

#[test]
fn a_variable_frame_rate_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let times = [500, 540, 700, 710, 1000, 2000, 2033];
    for (name, encoder) in [
        ("v.mkv", "matroskamux"),
        ("v.mp4", "videoconvert ! x264enc bframes=0 tune=zerolatency ! video/x-h264,stream-format=avc ! mp4mux"),
    ] {
        let path = dir.path().join(name);
        noise_video(&path, "GRAY8", Size::new(64, 48), &times, encoder);
        let found: Vec<_> = read_all(&mut *open(&path)).iter().map(|f| f.time.as_secs_f64() * 1e3).collect();
        assert_eq!(found.len(), times.len(), "{name}");
        for (found, &made) in found.iter().zip(&times) {
            assert!((found - (made - times[0]) as f64).abs() < 1.1, "{name}: {found} {made}");
        }
    }
}

#[test]
fn seeking_gives_the_same_frame_as_reading_up_to_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder) in [
        ("s.mp4", format!("{H264} ! mp4mux")),
        ("s.mkv", format!("{H264} ! matroskamux")),
        ("s.avi", "jpegenc ! avimux".to_owned()),
        ("s264.avi", "x264enc key-int-max=10 bframes=0 ! avimux".to_owned()),
    ] {
        let path = dir.path().join(name);
        test_video(&path, 45, &encoder);
        let all = read_all(&mut *open(&path));
        assert_eq!(all.len(), 45, "{name}");
        let mut source = open(&path);
        let mut id = 0;
        for index in [30, 0, 44, 7, 8, 9, 3, 29, 29, 12] {
            source.seek(index).unwrap();
            let frame = source.next().unwrap().unwrap_or_else(|| panic!("{name}: no frame {index}"));
            assert_eq!(frame.id, id, "{name}: ids go on counting");
            id += 1;
            let expected = &all[index as usize];
            assert_eq!(frame.time, expected.time, "{name} frame {index}");
            assert!(frame.pixels == expected.pixels, "{name} frame {index}: other pixels");
        }
        source.seek(99).unwrap();
        assert!(source.next().unwrap().is_none(), "{name}: behind the end is the end");
        assert!(source.next().unwrap().is_none(), "{name}: and it stays there");
        assert_eq!(source.info().frames, Some(45), "{name}: the end tells the number of frames");
        source.seek(44).unwrap();
        assert!(source.next().unwrap().unwrap().pixels == all[44].pixels, "{name}: back from the end");
        assert!(source.next().unwrap().is_none());
    }
}

#[test]
fn sound_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.mkv");
    make(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48 ! jpegenc ! matroskamux name=m ! filesink location={} \
         audiotestsrc num-buffers=44 ! audio/x-raw,channels=1 ! vorbisenc ! m.",
        path.display()
    ));
    let mut source = open(&path);
    assert_eq!(read_all(&mut *source).len(), 30);
    assert!(source.info().notes.iter().any(|n| n.contains("sound")), "{:?}", source.info().notes);
    let only = dir.path().join("only_sound.mp4");
    make(&format!("audiotestsrc num-buffers=44 ! avenc_aac ! mp4mux ! filesink location={}", only.display()));
    assert!(error_of(&only).contains("no pictures"), "{}", error_of(&only));
}

#[test]
fn bad_files_are_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.mp4");
    test_video(&whole, 60, &format!("{H264} ! mp4mux faststart=true"));
    let bytes = std::fs::read(&whole).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let late = dir.path().join("late.mp4");
    test_video(&late, 60, &format!("{H264} ! mp4mux"));
    let late = std::fs::read(&late).unwrap();
    let cases = [
        (write("empty.mp4", b""), "the file is empty"),
        (write("text.mp4", b"this is a shopping list\nbread\nbutter\n"), "as a video"),
        (write("noise.mp4", &noise(3, 5000)), "as a video"),
        (write("headless.mp4", &late[..late.len() / 2]), "its index (`moov`) is missing"),
        (dir.path().join("absent.mp4"), "cannot read"),
        (dir.path().to_owned(), "cannot read"),
    ];
    for (path, expected) in &cases {
        let error = error_of(path);
        println!("{error}");
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    let mut spoilt = bytes.clone();
    let from = spoilt.len() - 3000;
    spoilt[from..].copy_from_slice(&noise(5, 3000));
    // A decoder may conceal what is spoilt, or give up: it ends, and it does not panic.
    let mut source = open(&write("spoilt.mp4", &spoilt));
    while let Ok(Some(_)) = source.next() {}
}

#[test]
fn a_cut_file_plays_to_the_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder) in [
        ("c.mp4", format!("{H264} ! mp4mux faststart=true")),
        ("c.mkv", format!("{H264} ! matroskamux")),
        ("c.avi", "jpegenc ! avimux".to_owned()),
    ] {
        let path = dir.path().join(name);
        test_video(&path, 60, &encoder);
        let whole = read_all(&mut *open(&path));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let mut source = open(&path);
        assert!(source.info().notes.iter().any(|n| n.contains("is cut")), "{name}: {:?}", source.info().notes);
        let mut read = 0;
        let error = loop {
            match source.next() {
                Ok(Some(frame)) => {
                    // The last one before the cut may be half a frame.
                    let same = frame.pixels == whole[read].pixels;
                    assert!(same || read > 20, "{name} frame {read}");
                    read += 1;
                }
                Ok(None) => panic!("{name}: the cut was not noticed"),
                Err(e) => break e.to_string(),
            }
        };
        println!("{error}");
        assert!((20..60).contains(&read), "{name}: {read} frames");
        assert!(error.contains("the file is cut: it has"), "{error}");
        assert!(matches!(source.next(), Ok(None)), "{name}: said once");
    }
}

#[test]
fn a_graph_of_ones_own_is_a_live_source() {
    let mut source = live::open("videotestsrc num-buffers=60 ! video/x-raw,width=161,height=121").unwrap();
    assert!(source.info().live);
    let frames = read_all(&mut *source);
    assert_eq!((frames.len(), frames[0].size), (60, Size::new(161, 121)), "rows are unpadded");
    assert!((frames[59].time.as_secs_f64() - 59.0 / 30.0).abs() < 1e-6);
    assert!(frames.iter().enumerate().all(|(i, f)| f.id == i as u64));
    assert!(matches!(source.seek(0), Err(SourceError::Device { .. })));
    let mut paced =
        live::open("videotestsrc is-live=true num-buffers=5 ! video/x-raw,format=GRAY8,framerate=50/1").unwrap();
    assert!(read_all(&mut *paced).iter().all(|f| f.format == PixelFormat::Gray8));
}

#[test]
fn wrong_graphs_and_absent_devices_are_one_clear_sentence() {
    let text = |result: Result<Box<dyn Source>, SourceError>| result.err().expect("it is wrong").to_string();
    for (error, expected) in [
        (text(live::open("")), "the graph is empty"),
        (text(live::open("videotestsource ! foo")), "gstreamer has no `"),
        (text(live::open("videotestsrc ! audioconvert")), "gstreamer says"),
        (text(live::open("videotestsrc !")), "cannot"),
        (text(live::v4l2(Path::new("/dev/video987"))), "`phantom:`"),
        (text(live::rtsp("rtsp://127.0.0.1:9/none")), "cannot capture from `rtsp://127.0.0.1:9/none`"),
    ] {
        println!("{error}");
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

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
    assert!(video.write(&picture(0), size, times[5]).unwrap_err().to_string().contains("later than"));
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
fn a_scan_grabbed_from_the_screen_has_as_many_frames_as_opencv_finds() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("SONOPLEX_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join("data/recordings/aifa_bp_20210816_131218_0003.mp4");
    if !path.exists() {
        println!("skipped: `{}` is absent", path.display());
        return;
    }
    let mut source = open(&path);
    println!("{:?}", source.info());
    assert_eq!(source.info().size, Some(Size::new(800, 600)));
    assert!((source.info().rate_hz.unwrap() - 37.0).abs() < 0.5);
    let estimate = source.info().frames.unwrap();
    let mut frames = 0;
    while source.next().unwrap().is_some() {
        frames += 1;
    }
    assert!(frames > 0 && estimate.abs_diff(frames) <= 2, "estimate {estimate}, found {frames}");
    if let Some(expected) = oracle(&path) {
        assert_eq!(frames as usize, expected.frames);
    }
}
