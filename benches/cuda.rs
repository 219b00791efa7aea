//! What the CUDA kernels take on the device that is there: `cargo bench --bench cuda [-- RESULT.json]`.
//!
//! Each filter, and each kind of layer of a U-Net of 32 channels at 256 × 256, is recorded as a graph and timed between two
//! events on the device, 200 runs to warm up, then 2,000. Nothing is copied. So is that whole U-Net, in fp16 and in int8; and it is timed from the
//! copy of a picture to the device to the arrival of its maps, by the clock of the host. Filters and the U-Net are timed with kernels that start
//! behind each other and, where the device can, early; what the program runs on that device takes the way that is faster.
//!
//! Then whole frames of 580 × 420, with ten iterations of SRAD before that U-Net, mask and regions after it: 100,000 by the
//! clock of the host, from the bytes of a frame to its answer; and each stage of them alone. At last the masks of the model of
//! the program against those of the CPU, on the phantom and on the pictures of a folder: `RESULT.json FOLDER`. Without a
//! device it says so and fails.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::backend::cpu::{ConvShape, ConvTransposeShape};
use sonoplex::backend::cuda::conv::{Conv, Halves};
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::gpu::{Gpu, GpuError, Start, Stream};
use sonoplex::backend::cuda::launch::{Launch, Region};
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{
    Builder, BuilderConfig, Calibration, Calibrator, Device, Engine, Network, Precision, Threshold,
};
use sonoplex::frame::Frame;
use sonoplex::geometry::Size;
use sonoplex::latency::{Clock, Moment, Stage};
use sonoplex::mask::Overlap;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{BUILT_IN, CropChoice, Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, open};

#[allow(dead_code)] // tests write more
#[path = "../tests/it/onnx_writer.rs"]
mod onnx_writer;

use onnx_writer::{Set, Writer};

/// The picture of the bars.
const SIZE: Size = Size::new(580, 420);
const WARM_UP: usize = 200;
/// A device that has idled is slow for so long.
const RAMP: Duration = Duration::from_millis(100);
const RUNS: usize = 2000;
const FRAMES: usize = 100_000;

/// Bytes of memory for all of it.
const ROOM: u64 = 64 << 20;

/// p50, p99 and the longest of many runs, in microseconds.
fn time(stream: &mut Stream, launches: &[Launch], start: Start) -> Result<[f32; 3], GpuError> {
    let mut graph = stream.record(&[], launches, &[], start)?;
    let begun = Instant::now();
    while begun.elapsed() < RAMP {
        stream.time(&mut graph, WARM_UP)?;
    }
    let mut times = stream.time(&mut graph, RUNS)?;
    times.sort_by(f32::total_cmp);
    Ok([RUNS / 2, RUNS * 99 / 100, RUNS - 1].map(|i| 1e3 * times[i]))
}

/// Times and prints each way to start kernels that the device has.
fn time_starts(gpu: &Gpu, stream: &mut Stream, name: &str, launches: &[Launch]) -> Result<Value, GpuError> {
    let mut found = Map::new();
    for (start, way) in [(Start::Behind, "behind"), (Start::Early, "early")] {
        if start == Start::Behind || gpu.starts_early() {
            let times = told(&format!("{name}, {way}"), time(stream, launches, start)?);
            found.insert(way.to_owned(), times);
        }
    }
    Ok(found.into())
}

/// Prints p50, p99 and the longest, and what a result says of them.
fn told(name: &str, [p50, p99, max]: [f32; 3]) -> Value {
    println!("{name:<60} {p50:>9.1} {p99:>9.1} {max:>9.1}");
    json!({ "p50_us": p50, "p99_us": p99, "max_us": max })
}

/// A layer of each kind, with its operations; all of them read and write the same memory.
fn unet_layers() -> Vec<(String, u64, Vec<Launch>)> {
    let region = |offset: u64, bytes: usize| Region { offset: offset << 20, bytes: bytes as u64 };
    let halves = |offset, pixels: usize, channels: usize| {
        Halves::slice(region(offset, 2 * pixels * channels), pixels, channels, 0, channels)
    };
    let mut layers = Vec::new();
    for (level, joined) in (0..5).flat_map(|level| [(level, false), (level, true)]).filter(|&l| l != (4, true)) {
        let (outs, side) = (32 << level, 256 >> level);
        let shape = ConvShape {
            in_channels: if joined { 2 * outs } else { outs },
            out_channels: outs,
            groups: 1,
            in_size: [side; 2],
            kernel: [3, 3],
            stride: [1, 1],
            pads: [1; 4],
            dilation: [1, 1],
        };
        let conv = Conv::convolution(&shape).expect("one that the kernel computes");
        let packed = conv.pack(&vec![0.0; outs * shape.in_channels * 9]).len();
        let [from, to] = [(0, shape.in_channels), (16, outs)].map(|(at, channels)| halves(at, side * side, channels));
        let (constants, scratch) =
            ((region(32, packed), region(60, 4 * outs)), region(24, conv.scratch_bytes() as usize));
        let launches = conv.launches(from, constants, None, to, [0.0, f32::INFINITY], scratch);
        layers.push((format!("conv 3x3, {} to {outs}, {side}x{side}", shape.in_channels), shape.flops(), launches));
    }
    for level in 0..4 {
        let (outs, side) = (32 << level, 128 >> level);
        let shape = ConvTransposeShape {
            in_channels: 2 * outs,
            out_channels: outs,
            groups: 1,
            in_size: [side; 2],
            kernel: [2, 2],
            stride: [2, 2],
            pads: [0; 4],
            dilation: [1, 1],
            output_padding: [0; 2],
        };
        let conv = Conv::transposed(&shape).expect("one that the kernel computes");
        let packed = conv.pack(&vec![0.0; 8 * outs * outs]).len();
        let (from, to) = (halves(0, side * side, 2 * outs), halves(16, 4 * side * side, outs));
        let bounds = [f32::NEG_INFINITY, f32::INFINITY];
        let (constants, scratch) =
            ((region(32, packed), region(60, 4 * outs)), region(24, conv.scratch_bytes() as usize));
        let launches = conv.launches(from, constants, None, to, bounds, scratch);
        layers.push((format!("up 2x2, {} to {outs}, {side}x{side}", 2 * outs), shape.flops(), launches));
    }
    layers
}

/// A U-Net of 32 channels and four levels, one plane of 256 × 256, with random weights.
fn unet_file() -> Vec<u8> {
    let mut w = Writer::new(13);
    let relu = |w: &mut Writer, x: &str, from: usize, to: usize| {
        let x = w.conv(x, from, to, 3);
        w.node("Relu", &[&x], &[])
    };
    let twice = |w: &mut Writer, x: &str, from: usize, to: usize| {
        let x = relu(w, x, from, to);
        relu(w, &x, to, to)
    };
    let image = w.input("image", &[1, 1, 256, 256]);
    let mut x = twice(&mut w, &image, 1, 32);
    let mut skips = Vec::new();
    for outs in [64, 128, 256, 512] {
        let down = w.max_pool(&x);
        skips.push((std::mem::take(&mut x), outs / 2));
        x = twice(&mut w, &down, outs / 2, outs);
    }
    for (skip, outs) in skips.into_iter().rev() {
        let (weight, bias) = (w.weights(&[2 * outs, outs, 2, 2], 2 * outs), w.weights(&[outs], 8));
        let two = [("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))];
        let up = w.node("ConvTranspose", &[&x, &weight, &bias], &two);
        let joined = w.node("Concat", &[&skip, &up], &[("axis", Set::Int(1))]);
        x = twice(&mut w, &joined, 2 * outs, outs);
    }
    let logits = w.conv(&x, 32, 1, 1);
    w.output(&logits);
    w.bytes()
}

/// Frames of the phantom, and the settings of a segmenter on the first device.
fn segmenter(model: &Path, despeckle: &str, device: Device) -> anyhow::Result<Segmenter> {
    let despeckle = despeckle.parse()?;
    let (model, crop) = (model.to_owned(), CropChoice::Full);
    Ok(Segmenter::open(&SegmenterConfig { model, device, despeckle, crop, ..SegmenterConfig::default() })?)
}

fn frames_of(spec: &str, most: usize) -> anyhow::Result<Vec<Frame>> {
    let mut source = open(spec, &OpenOptions::default())?;
    let mut frames = Vec::new();
    while frames.len() < most
        && let Some(frame) = source.next()?
    {
        frames.push(frame);
    }
    Ok(frames)
}

/// Whole frames: percentiles by the clock of the host, and the stages alone, in microseconds.
fn whole_frames() -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("unet32.onnx");
    std::fs::write(&model, unet_file())?;
    let mut segmenter = segmenter(&model, "srad:iterations=10", Device::Cuda(0))?;
    let frames = frames_of("phantom:seed=1,size=580x420,frames=16", 16)?;
    let (clock, mut answer) = (Clock::monotonic(), Segmentation::default());
    let mut times = Vec::with_capacity(FRAMES);
    let mut stamps = [const { Vec::new() }; 3];
    for i in 0..WARM_UP + FRAMES {
        let start = Instant::now();
        answer.stamps.set(Moment::Dequeued, clock.now());
        segmenter.segment(&frames[i % frames.len()], &clock, &mut answer)?;
        if i >= WARM_UP {
            times.push(start.elapsed().as_secs_f32() * 1e6);
            for (own, stage) in stamps.iter_mut().zip([Stage::Preprocess, Stage::Network, Stage::Postprocess]) {
                own.push(answer.stamps.stage(stage).unwrap_or(0) as f32 / 1e3);
            }
        }
    }
    times.sort_by(f32::total_cmp);
    let [p50, p99, p999, max] = [FRAMES / 2, FRAMES * 99 / 100, FRAMES * 999 / 1000, FRAMES - 1].map(|i| times[i]);
    println!("whole frames, by the host: p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} of {FRAMES}");
    let median = |times: &mut Vec<f32>| {
        times.sort_by(f32::total_cmp);
        times[times.len() / 2]
    };
    let [staging, graph, rest] = stamps.each_mut().map(median);
    println!("of it to page-locked memory {staging:.1}, the graph {graph:.1}, outlines and the rest {rest:.1}");
    let stages = segmenter.time_stages(RUNS)?;
    for (stage, us) in &stages {
        println!("{:<60} {us:>9.1}", format!("stage {stage}, alone on the device"));
    }
    let stages: Map<String, Value> = stages.into_iter().map(|(stage, us)| (stage.to_owned(), us.into())).collect();
    Ok(json!({
        "frames": FRAMES, "p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": max,
        "host_us": { "staging": staging, "graph": graph, "rest": rest }, "stages_us": stages,
    }))
}

/// Dice of the masks of the device against those of the CPU in fp32, over all frames of a source together, by class.
fn masks(spec: &str) -> anyhow::Result<Value> {
    let [mut exact, mut own] =
        [segmenter(Path::new(BUILT_IN), "off", Device::Cpu)?, segmenter(Path::new(BUILT_IN), "off", Device::Cuda(0))?];
    let classes: Vec<String> = exact.classes().iter().map(|class| class.name.clone()).collect();
    let mut pooled = vec![Overlap::default(); classes.len()];
    let (clock, mut a, mut b) = (Clock::monotonic(), Segmentation::default(), Segmentation::default());
    let frames = frames_of(spec, 200)?;
    for frame in &frames {
        exact.reset();
        own.reset();
        exact.segment(frame, &clock, &mut a)?;
        own.segment(frame, &clock, &mut b)?;
        for (class, pooled) in (1..).zip(&mut pooled) {
            *pooled += a.mask.overlap(class, &b.mask, class);
        }
    }
    let dice: Map<String, Value> =
        classes.into_iter().zip(pooled).map(|(class, overlap)| (class, overlap.dice().into())).collect();
    let found = json!({ "source": spec, "frames": frames.len(), "dice": dice });
    println!("masks of fp16 against those of the CPU: {found}");
    Ok(found)
}

/// What the tensors of a network hold on noise, which takes the time of any picture.
fn ranges(network: &Network) -> anyhow::Result<Calibration> {
    let mut context = Engine::new(Builder::default().build(network)?)?.context();
    let mut calibrator = Calibrator::default();
    context.bind_noise();
    calibrator.observe(&mut context)?;
    Ok(calibrator.calibration(Threshold::Max))
}

/// The U-Net: the graph on the device, and from picture to maps on the host.
fn network(gpu: &Gpu, precision: Precision) -> anyhow::Result<Value> {
    let network = Network::from_onnx(&unet_file())?;
    let calibration = if precision == Precision::Int8 { Some(ranges(&network)?) } else { None };
    let config = BuilderConfig { device: Device::Cuda(0), precision, calibration, ..BuilderConfig::default() };
    let plan = Builder::new(config).build(&network)?;
    let program = Program::new(&plan)?;
    let mut stream = gpu.stream(program.room)?;
    program.constants.iter().try_for_each(|(region, bytes)| stream.upload(*region, bytes))?;
    let on_device = time_starts(gpu, &mut stream, &format!("U-Net, {precision}, on the device"), &program.launches)?;
    let mut context = Engine::new(plan)?.context();
    context.bind_noise();
    let mut times = Vec::new();
    for _ in 0..WARM_UP + RUNS {
        let start = Instant::now();
        context.enqueue()?;
        context.synchronize()?;
        times.push(start.elapsed().as_secs_f32() * 1e6);
    }
    let mut times = times.split_off(WARM_UP);
    times.sort_by(f32::total_cmp);
    let times = [RUNS / 2, RUNS * 99 / 100, RUNS - 1].map(|i| times[i]);
    let on_host = told(&format!("U-Net, {precision}, with copies, by the host"), times);
    Ok(json!({ "on_device": on_device, "with_copies": on_host }))
}

fn main() -> anyhow::Result<()> {
    let gpu = Gpu::open(0)?;
    let mut stream = gpu.stream(ROOM)?;
    let about = gpu.about().clone();
    println!(
        "{}, compute capability {}, driver {}, kernels for {}",
        about.name, about.capability, about.driver, about.target
    );
    let area = SIZE.area() as u64;
    let (src, dst) = (Region { offset: 0, bytes: area }, Region { offset: 1 << 20, bytes: area });
    // The same numbers on every run.
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    // Speckle on blocks: some filters take longer on some pictures.
    let picture: Vec<u8> = (0..area)
        .map(|i| {
            let block = i % 580 / 60 * 40 + i / 580 / 50 * 30;
            ((block % 200) as u8) / 4 * 3 + (random() >> 58) as u8
        })
        .collect();
    stream.upload(src, &picture)?;
    let mut filters = Vec::new();
    println!("{:<60} {:>9} {:>9} {:>9}", "microseconds", "p50", "p99", "max");
    for filter in Despeckle::ALL.into_iter().skip(1) {
        let scratch = Region { offset: 2 << 20, bytes: scratch_bytes(&filter, SIZE) };
        let (name, launches) = (filter.to_string(), launches(&filter, SIZE, src, dst, scratch));
        let times = time_starts(&gpu, &mut stream, &name, &launches)?;
        filters.push(json!({ "filter": name, "on_device": times }));
    }
    // Halves between -1 and 1: with zeros a device runs faster than it ever will.
    let noise: Vec<u8> = (0..ROOM).map(|i| (random() >> 56) as u8 & if i % 2 == 1 { 0xbb } else { 0xff }).collect();
    stream.upload(Region { offset: 0, bytes: ROOM }, &noise)?;
    let mut layers = Vec::new();
    println!("{:<60} {:>9} {:>9} {:>9} TFLOP/s", "microseconds", "p50", "p99", "max");
    for (name, flops, launches) in unet_layers() {
        let [p50, p99, max] = time(&mut stream, &launches, Start::Behind)?;
        let rate = flops as f64 / f64::from(p50) / 1e6;
        println!("{name:<60} {p50:>9.1} {p99:>9.1} {max:>9.1} {rate:>7.1}");
        layers.push(json!({ "layer": name, "p50_us": p50, "p99_us": p99, "max_us": max, "tflops": rate }));
    }
    let (unet, unet_int8) = (network(&gpu, Precision::Fp16)?, network(&gpu, Precision::Int8)?);
    let frames = whole_frames()?;
    // Cargo adds `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let specs = ["phantom:seed=3,size=580x420,frames=200"].into_iter().chain(given.get(1).map(String::as_str));
    let masks = specs.map(masks).collect::<anyhow::Result<Vec<Value>>>()?;
    if let Some(path) = given.first() {
        let result = json!({
            "device": about, "size": [580, 420], "runs": RUNS, "despeckle": filters, "layers": layers, "unet": unet,
            "unet_int8": unet_int8,
            "whole_frames": frames, "masks": masks,
        });
        std::fs::write(path, format!("{result:#}\n")).with_context(|| format!("cannot write `{path}`"))?;
    }
    Ok(())
}
