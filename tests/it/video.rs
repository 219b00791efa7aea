//! Video files against OpenCV and against the bytes they were made of.
#![cfg(feature = "video")]

use std::path::{Path, PathBuf};
use std::process::Command;

use gstreamer as gst;
use gstreamer::prelude::*;
use sonoplex::frame::{Frame, PixelFormat, Yuv, YuvLayout};
use sonoplex::geometry::Size;
use sonoplex::source::{Source, video};

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
pub fn test_video(file: &Path, frames: u32, encoder: &str) {
    make(&format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=30/1 \
         ! {encoder} ! filesink location={}",
        file.display()
    ));
}

pub const H264: &str = "x264enc key-int-max=10 speed-preset=ultrafast bframes=2 ! h264parse";

pub fn read_all(source: &mut dyn Source) -> Vec<Frame> {
    std::iter::from_fn(|| source.next().unwrap()).collect()
}

pub fn open(path: &Path) -> Box<dyn Source> {
    video::open(path).unwrap_or_else(|e| panic!("{e}"))
}

pub fn error_of(path: &Path) -> String {
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
    let (mut at, mut worst) = (0, 0.0);
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!((frame.id, frame.size), (i as u64, expected.size));
        let time = frame.time.as_secs_f64() * 1e3;
        let wanted = expected.times_ms[i] - expected.times_ms[0];
        assert!((time - wanted).abs() < 1.1, "{} frame {i}: {time} ms, OpenCV {wanted} ms", path.display());
        let rgb = &expected.rgb[at..at + frame.size.area() * 3];
        at += rgb.len();
        let mut buffer = Vec::new();
        let (plain, channels) = frame.plain(&mut buffer);
        let ours: Vec<u8> = plain.iter().flat_map(|&v| std::iter::repeat_n(v, 3 / channels)).collect();
        let d = mean_difference(&ours, rgb);
        assert!(d <= tolerance, "{} frame {i}: mean difference {d}", path.display());
        worst = d.max(worst);
    }
    println!("{}: at most {worst:.3} levels from OpenCV, mean of a frame", path.display());
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
        compare(&path, 1.0);
    }
}

/// A picture whose every byte depends on its place and its index.
pub fn noise(index: u32, len: usize) -> Vec<u8> {
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
    let bytes = match format {
        "GRAY8" => size.area(),
        "I420" => size.area() * 3 / 2,
        "GRAY16_LE" => size.area() * 2,
        _ => size.area() * 4,
    };
    for (i, &ms) in times_ms.iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(noise(i as u32, bytes));
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
    // What decoders and cards give stays as it is.
    let i420 = PixelFormat::Yuv(Yuv::studio(YuvLayout::I420));
    for (name, format) in [("GRAY16_LE", PixelFormat::Gray16), ("I420", i420)] {
        let path = dir.path().join(format!("{name}.mkv"));
        noise_video(&path, name, size, &times, "avenc_ffv1 ! matroskamux");
        for (i, frame) in read_all(&mut *open(&path)).iter().enumerate() {
            assert_eq!(frame.format, format, "{name}, frame {i}");
            assert!(frame.pixels == noise(i as u32, format.bytes(size)), "{name}, frame {i}");
        }
    }
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
        let mut source = open(&path);
        let frames = read_all(&mut *source);
        let mean = 6.0 / ((times[6] - times[0]) as f64 * 1e-3);
        assert!(name == "v.mp4" || (source.info().rate_hz.unwrap() - mean).abs() < 0.01, "{:?}", source.info());
        let found: Vec<_> = frames.iter().map(|f| f.time.as_secs_f64() * 1e3).collect();
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
        for (id, index) in [30, 0, 44, 7, 8, 9, 3, 29, 29, 12].into_iter().enumerate() {
            source.seek(index).unwrap();
            let frame = source.next().unwrap().unwrap_or_else(|| panic!("{name}: no frame {index}"));
            assert_eq!(frame.id, id as u64, "{name}: ids go on counting");
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
    compare(&path, 1.5);
}
