//! Live pictures through GStreamer's test sources, and what is said when there are none.
#![cfg(feature = "video")]

use std::path::Path;

use sonoplex::frame::{Matrix, PixelFormat, Yuv, YuvLayout};
use sonoplex::geometry::Size;
use sonoplex::source::{Source, SourceError, gst as live};

use crate::video::read_all;

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

/// Of what cards give nothing is converted on the way, and its colours are those that GStreamer makes of it, whose fast
/// conversions make 253 of white; another matrix is 15 levels away, exchanged colours 80.
#[test]
fn pictures_of_cards_come_as_they_are() {
    for (name, layout, matrix) in [
        ("YUY2", YuvLayout::Yuyv, Matrix::Bt601),
        ("UYVY", YuvLayout::Uyvy, Matrix::Bt709),
        ("NV12", YuvLayout::Nv12, Matrix::Bt709),
        ("I420", YuvLayout::I420, Matrix::Bt601),
    ] {
        let standard = if matrix == Matrix::Bt601 { "bt601" } else { "bt709" };
        let caps = format!("video/x-raw,format={name},width=161,height=121,colorimetry={standard}");
        let graph = format!("videotestsrc num-buffers=2 pattern=smpte100 ! {caps}");
        let frames = read_all(&mut *live::open(&graph).unwrap());
        let converted = format!("{graph} ! videoconvert chroma-resampler=nearest ! video/x-raw,format=RGB");
        let expected = read_all(&mut *live::open(&converted).unwrap());
        assert_eq!((frames.len(), expected.len()), (2, 2), "{name}");
        for (frame, expected) in frames.iter().zip(&expected) {
            assert_eq!(frame.format, PixelFormat::Yuv(Yuv { layout, matrix, full_range: false }), "{name}");
            let mut buffer = Vec::new();
            let (found, _) = frame.plain(&mut buffer);
            let apart: u64 = found.iter().zip(&expected.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(apart as f64 / (found.len() as f64) < 6.0, "{name}: {apart} levels of {} bytes", found.len());
        }
    }
    let deep = "videotestsrc num-buffers=1 ! video/x-raw,format=GRAY16_LE,width=64,height=48";
    assert_eq!(read_all(&mut *live::open(deep).unwrap())[0].format, PixelFormat::Gray16);
}

#[test]
fn pictures_that_nobody_asked_for_in_time_are_counted() {
    let mut source =
        live::open("videotestsrc is-live=true num-buffers=40 ! video/x-raw,width=64,height=48,framerate=100/1")
            .unwrap();
    assert!(source.next().unwrap().is_some());
    std::thread::sleep(std::time::Duration::from_millis(200));
    let read = 1 + read_all(&mut *source).len() as u64;
    assert!(source.dropped() > 5, "{} dropped", source.dropped());
    assert_eq!(read + source.dropped(), 40);
}

#[test]
fn gaps_that_the_graph_marks_are_counted() {
    let graph = "videotestsrc num-buffers=300 ! video/x-raw,width=64,height=48 ! identity drop-probability=0.2";
    let mut source = live::open(graph).unwrap();
    let read = read_all(&mut *source).len() as u64;
    // What is missing at the very beginning or end leaves no gap.
    let known = read + source.dropped();
    assert!(source.dropped() > 20 && (280..=300).contains(&known), "{read} read, {} dropped", source.dropped());
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
