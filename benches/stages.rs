//! How long each stage of one frame takes, alone: `cargo bench`, or `cargo bench -- despeckle` for some of them.

use criterion::{Criterion, criterion_group, criterion_main};
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::display::{Compositor, Hud, Scene, Style};
use sonoplex::frame::{Frame, PixelFormat, Yuv, YuvLayout};
use sonoplex::geometry::Size;
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, open};

/// A frame of the competition's size.
fn frame() -> Frame {
    let mut source = open("phantom:seed=1,size=580x420", &OpenOptions::default()).expect("a phantom");
    source.next().expect("a frame").expect("more than none")
}

fn despeckle(c: &mut Criterion) {
    let (frame, pool) = (frame(), Pool::new(0));
    let mut out = vec![0; frame.size.area()];
    let mut scratch = Scratch::default();
    let mut group = c.benchmark_group("despeckle 580x420");
    for name in ["median", "median:radius=2", "bilateral", "lee", "kuan", "frost", "nlm", "srad:iterations=10"] {
        let filter: Despeckle = name.parse().expect("a filter");
        group.bench_function(name, |b| b.iter(|| filter.run(&pool, frame.size, &frame.pixels, &mut out, &mut scratch)));
    }
}

fn segment(c: &mut Criterion) {
    let (frame, clock) = (frame(), Clock::monotonic());
    let mut group = c.benchmark_group("segment 580x420 with nerve-vessel");
    group.sample_size(20);
    for threads in [1, 2] {
        let config = SegmenterConfig { threads, ..SegmenterConfig::default() };
        let mut segmenter = Segmenter::open(&config).expect("the built-in model");
        let mut answer = Segmentation::default();
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter(|| segmenter.segment(&frame, &clock, &mut answer).expect("an answer"));
        });
    }
}

fn compose(c: &mut Criterion) {
    let (frame, clock) = (frame(), Clock::monotonic());
    let mut segmenter = Segmenter::open(&SegmenterConfig::default()).expect("the built-in model");
    let mut answer = Segmentation::default();
    segmenter.segment(&frame, &clock, &mut answer).expect("an answer");
    let (style, hud, classes) = (Style::default(), Hud::default(), segmenter.classes().to_vec());
    let mut compositor = Compositor::new();
    c.bench_function("compose 1280x800", |b| {
        b.iter(|| {
            let scene = Scene {
                frame: &frame,
                segmentation: Some(&answer),
                matched: true,
                truth: None,
                classes: &classes,
                edges: None,
                style: &style,
                hud: Some(&hud),
            };
            compositor.compose(Size::new(1280, 800), &scene).pixels[0]
        });
    });
}

fn source(c: &mut Criterion) {
    let mut source = open("phantom:seed=1,size=580x420,frames=1000000", &OpenOptions::default()).expect("a phantom");
    c.bench_function("phantom 580x420", |b| b.iter(|| source.next().expect("a frame")));
}

/// What a network and a screen make of frames as cards give them.
fn layouts(c: &mut Criterion) {
    let size = Size::new(1920, 1080);
    let mut group = c.benchmark_group("1920x1080");
    let video = |layout| PixelFormat::Yuv(Yuv::studio(layout));
    for (name, format) in [
        ("I420", video(YuvLayout::I420)),
        ("NV12", video(YuvLayout::Nv12)),
        ("YUYV", video(YuvLayout::Yuyv)),
        ("RGB", PixelFormat::Rgb8),
    ] {
        let pixels = (0..format.bytes(size)).map(|i| (i * 7919 % 251) as u8).collect();
        let frame = Frame::new(0, size, format, pixels);
        let mut buffer = Vec::new();
        group.bench_function(format!("{name} to grey"), |b| b.iter(|| frame.gray(&mut buffer).len()));
        group.bench_function(format!("{name} to colours"), |b| b.iter(|| frame.plain(&mut buffer).0.len()));
    }
}

criterion_group!(benches, source, layouts, despeckle, segment, compose);
criterion_main!(benches);
