//! After warm-up nothing is allocated between the mailbox and the composited picture.
//!
//! A program of its own, since it counts the allocations of all threads.

mod counting;
#[path = "it/engine_exports.rs"]
mod engine_exports;
#[path = "it/onnx_writer.rs"]
#[allow(dead_code)] // the exports do not need all of it
mod onnx_writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use counting::ALLOCATIONS;
use sonoplex::display::{Compositor, Hud, Overlay, Scene, Style};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network};
use sonoplex::frame::Frame;
use sonoplex::geometry::{Sector, Size};
use sonoplex::latency::{Clock, LatencyRecorder, Stage};
use sonoplex::pipeline::Mailbox;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, open};

/// Frames until every buffer has been as large as it gets; twice the phantom's heartbeat at its rate.
const WARM_UP: usize = 60;
const MEASURED: usize = 30;

/// One test, since the count is that of all threads.
#[test]
fn nothing_is_allocated_after_warm_up() {
    a_frame_goes_from_the_mailbox_to_the_picture_without_an_allocation();
    no_operation_of_an_exported_network_allocates();
}

fn a_frame_goes_from_the_mailbox_to_the_picture_without_an_allocation() {
    for (despeckle, curved) in [("off", false), ("srad:iterations=2", false), ("off", true)] {
        let config = SegmenterConfig { despeckle: despeckle.parse().expect("a filter"), ..SegmenterConfig::default() };
        let mut segmenter = Segmenter::open(&config).expect("the built-in model");
        let classes = segmenter.classes().to_vec();
        let mut source = open("phantom:seed=5,size=320x240,frames=90", &OpenOptions::default()).expect("a phantom");
        let frames: Vec<_> = std::iter::from_fn(|| source.next().expect("a frame"))
            .map(|frame| Arc::new(if curved { in_a_sector(frame) } else { frame }))
            .collect();
        assert_eq!(frames.len(), WARM_UP + MEASURED);

        let (clock, mailbox) = (Clock::monotonic(), Mailbox::new());
        let mut latency = LatencyRecorder::new(0);
        let mut answer = Segmentation::default();
        let mut compositor = Compositor::new();
        let (style, hud) = (Style { overlay: Overlay::Heat, ..Style::default() }, Hud::default());
        let mut before = 0;
        for (n, frame) in frames.iter().enumerate() {
            if n == WARM_UP {
                before = ALLOCATIONS.load(Ordering::SeqCst);
            }
            mailbox.put(Arc::clone(frame)).expect("an open mailbox");
            let taken = mailbox.try_take().expect("the frame that was just put");
            segmenter.segment(&taken, &clock, &mut answer).expect("a segmentation");
            latency.record_stamps(&answer.stamps, &[Stage::Network]);
            let scene = Scene {
                frame: &taken,
                segmentation: Some(&answer),
                matched: true,
                truth: taken.truth.as_deref(),
                classes: &classes,
                edges: None,
                style: &style,
                hud: Some(&hud),
            };
            compositor.compose(Size::new(800, 480), &scene);
        }
        let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert_eq!(allocations, 0, "allocations in {MEASURED} frames with despeckle {despeckle}, curved: {curved}");
        assert_eq!(answer.sector.is_some(), curved);
        assert!(curved || answer.findings[0].area_px > 0, "the frames must give the contours something to do");
    }
}

fn no_operation_of_an_exported_network_allocates() {
    for (name, shape, writer) in engine_exports::exports(2) {
        let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
        let config = BuilderConfig { threads: 2, ..BuilderConfig::default() };
        let engine = Engine::new(Builder::new(config).build(&network).expect("it is supported")).expect("it runs");
        let mut context = engine.context();
        context.input_mut("image").expect("its own input").fill(0.5);
        context.enqueue().expect("the CPU never refuses");
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        context.enqueue().expect("the CPU never refuses");
        assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "{name} of {shape:?}");
    }
}

/// The same as a curved array shows it: black beside a sector, and a mark there.
fn in_a_sector(mut frame: Frame) -> Frame {
    let sector = Sector { apex: [160.0, -40.0], edges: [-0.6, 0.6], near: 50.0, far: Some(270.0) };
    let bytes = frame.format.bytes(Size::new(1, 1));
    for (i, pixel) in frame.pixels.chunks_exact_mut(bytes).enumerate() {
        let (x, y) = (i as u32 % frame.size.width, i as u32 / frame.size.width);
        let mark = (2..12).contains(&x) && (2..12).contains(&y);
        match sector.contains(x, y) {
            true => pixel.iter_mut().for_each(|p| *p = (*p).max(4)),
            false => pixel.fill(if mark { 250 } else { 0 }),
        }
    }
    frame
}
