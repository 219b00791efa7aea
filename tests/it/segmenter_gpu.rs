//! Whole frames as one graph, against the segmenter of the CPU.

use std::path::Path;

use prost::Message;
use sonoplex::backend::cpu::components::Components;
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::engine::onnx::StringStringEntryProto;
use sonoplex::frame::{Frame, PixelFormat, Yuv, YuvLayout};
use sonoplex::geometry::{Rect, Size};
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{CropChoice, Segmenter, SegmenterConfig, SegmenterError};

use super::naive::Random;
use super::onnx_writer::{Set, Writer};

/// A network that knows bright from dark around each pixel; `planes` maps: bright, dark, neither, times `gain`.
pub fn bright_and_dark(channels: usize, planes: usize, gain: f32) -> Writer {
    bright_and_dark_of(8, channels, planes, gain)
}

/// The same with so many channels between.
pub fn bright_and_dark_of(own: usize, channels: usize, planes: usize, gain: f32) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, channels, 32, 48]);
    let three = [("kernel_shape", Set::Ints(&[3, 3])), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let blur = 1.0 / (9 * channels) as f32;
    let weight = w.floats(&[own, channels, 3, 3], vec![blur; 9 * own * channels]);
    let none = w.floats(&[own], vec![0.0; own]);
    let skip = w.node("Conv", &[&x, &weight, &none], &three);
    let skip = w.node("Relu", &[&skip], &[]);
    let down = w.max_pool(&skip);
    let weight = w.floats(&[own, own, 2, 2], vec![1.0 / own as f32; 4 * own * own]);
    let two = [("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))];
    let up = w.node("ConvTranspose", &[&down, &weight, &none], &two);
    let joined = w.node("Concat", &[&skip, &up], &[("axis", Set::Int(1))]);
    let joint = 2 * own;
    let sign = |o: usize| [gain, -gain, 0.0][o] / joint as f32;
    let weight = w.floats(&[planes, joint, 1, 1], (0..joint * planes).map(|i| sign(i / joint)).collect());
    let bias = w.floats(&[planes], [-0.5 * gain, 0.3 * gain, 0.0][..planes].to_vec());
    let y = w.node("Conv", &[&joined, &weight, &bias], &[("kernel_shape", Set::Ints(&[1, 1]))]);
    w.output(&y);
    w
}

/// Writes the network with its description as `DIR/toy.onnx`.
pub fn write(writer: &Writer, metadata: &[(&str, &str)], folder: &Path) -> std::path::PathBuf {
    let mut model = writer.model.clone();
    let entry = |(k, v): &(&str, &str)| StringStringEntryProto { key: format!("sonoplex.{k}"), value: (*v).to_owned() };
    model.metadata_props = metadata.iter().map(entry).collect();
    let path = folder.join("toy.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("a folder to write to");
    path
}

/// Discs of some brightness on grey speckle; of a colour where there are colours.
fn picture(random: &mut Random, id: u64, size: Size, format: PixelFormat) -> Frame {
    let noise = random.bytes(size.area());
    let disc = |i: usize, [x, y]: [f32; 2], radius: f32| {
        let (dx, dy) = ((i % size.width as usize) as f32 - x, (i / size.width as usize) as f32 - y);
        dx.hypot(dy) <= radius
    };
    let (w, h) = (size.width as f32, size.height as f32);
    let at = 4.0 * id as f32;
    let level = |i: usize| {
        let level = match () {
            () if disc(i, [0.3 * w + at, 0.4 * h], 0.12 * w) => 200,
            () if disc(i, [0.7 * w, 0.6 * h + at], 0.1 * w) => 190,
            () if disc(i, [0.7 * w, 0.2 * h], 0.08 * w) => 10,
            () => 100,
        };
        level + noise[i] / 8
    };
    let pixels = match format {
        PixelFormat::Gray8 => (0..size.area()).map(level).collect(),
        PixelFormat::Yuv(yuv) => {
            assert_eq!(yuv.layout, YuvLayout::Nv12);
            let differences = format.bytes(size) - size.area();
            (0..size.area()).map(level).chain((0..differences).map(|i| 100 + noise[i] / 4)).collect()
        }
        _ => (0..size.area()).flat_map(|i| [level(i), level(i) / 2 + 60, 255 - level(i)]).collect(),
    };
    Frame::new(id, size, format, pixels)
}

/// Opens segmenters that run whole frames as one graph.
pub type Opened<'a> = &'a mut dyn FnMut(&SegmenterConfig) -> Segmenter;

fn close(found: &Segmentation, expected: &Segmentation, name: &str) {
    assert_eq!((found.size, found.crop, found.sector), (expected.size, expected.crop, expected.sector), "{name}");
    let apart = found.probability.iter().zip(&expected.probability).map(|(a, b)| a.abs_diff(*b)).max();
    assert_eq!(found.probability.len(), expected.probability.len(), "{name}");
    assert!(apart <= Some(3), "{name}: {apart:?} of 255");
    for (i, (own, other)) in found.findings.iter().zip(&expected.findings).enumerate() {
        let class = i as u8 + 1;
        let dice = found.mask.dice(&expected.mask, class);
        assert!(dice >= 0.99, "{name}, class {class}: Dice {dice}");
        assert_eq!(own.state, other.state, "{name}, class {class}");
        assert!((own.confidence - other.confidence).abs() <= 0.01, "{name}, class {class}");
        // What is said is said of the mask that is there.
        let mut labels = found.mask.labels.clone();
        let regions = Components::default().find(&mut labels, found.size, class, 1).to_vec();
        assert_eq!(own.area_px, found.mask.area(class), "{name}, class {class}");
        assert_eq!(own.contours.len(), regions.len(), "{name}, class {class}");
        assert_eq!(own.centroid.is_some(), own.area_px > 0, "{name}, class {class}");
        if let (Some(a), Some(b)) = (own.centroid, other.centroid) {
            assert!((a[0] - b[0]).hypot(a[1] - b[1]) < 0.5, "{name}, class {class}: {a:?} {b:?}");
        }
    }
}

/// Frames of every kind through one segmenter each; the graph is recorded again where something changes.
pub fn check_frames(open: Opened) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random(71);
    let srad = Despeckle::Srad { iterations: 3, step: 0.5, speckle: 0.5, dynamic_range: 60.0 };
    let letterbox = [("resize", "letterbox"), ("filter", "bilinear"), ("min_area", "0.02")];
    let softmax = [("classes", "bright, dark"), ("activation", "softmax"), ("output", "logits")];
    let one = [("classes", "bright"), ("output", "logits")];
    let cases = [
        (1, 2, &letterbox[..], CropChoice::Full, Despeckle::Off),
        (3, 1, &one, CropChoice::Rect(Rect { x: 7, y: 5, width: 60, height: 41 }), srad),
        (1, 3, &softmax, CropChoice::Full, Despeckle::Median { radius: 1 }),
        (1, 1, &one, CropChoice::Auto, Despeckle::Off),
    ];
    for (number, (channels, planes, metadata, crop, despeckle)) in cases.into_iter().enumerate() {
        let mut network = bright_and_dark(channels, planes, 20.0);
        if metadata.iter().any(|(key, _)| *key == "activation") {
            // The background's map comes first.
            network = background_first(network, [2, 0, 1]);
        }
        let model = write(&network, metadata, folder.path());
        let config = SegmenterConfig { model, crop, despeckle, threads: 2, ..SegmenterConfig::default() };
        let (mut expected, mut found) = (Segmenter::open(&config).expect("a sound model"), open(&config));
        let (mut a, mut b) = (Segmentation::default(), Segmentation::default());
        let mut classes = Vec::new();
        // Twice the same, another place, colours, another size, back, and video.
        let (gray, nv12) = (PixelFormat::Gray8, PixelFormat::Yuv(Yuv::studio(YuvLayout::Nv12)));
        let kinds = [
            (90, 64, gray),
            (90, 64, gray),
            (90, 64, PixelFormat::Rgb8),
            (71, 80, gray),
            (90, 64, gray),
            (71, 64, nv12),
        ];
        for (id, (width, height, format)) in kinds.into_iter().enumerate() {
            let frame = picture(&mut random, id as u64, Size::new(width, height), format);
            let name = format!("case {number}, frame {id}");
            expected.segment(&frame, &Clock::manual(), &mut a).unwrap_or_else(|e| panic!("{name}: {e}"));
            found.segment(&frame, &Clock::manual(), &mut b).unwrap_or_else(|e| panic!("{name}: {e}"));
            close(&b, &a, &name);
            classes.extend(a.mask.labels.iter().max());
        }
        assert_eq!(classes.iter().max(), Some(&(a.findings.len() as u8)), "case {number} finds all its classes");
    }
}

/// The same network with its maps in another order.
fn background_first(writer: Writer, order: [usize; 3]) -> Writer {
    let mut writer = writer;
    let names: Vec<String> = writer.graph().node.last().expect("the last convolution").input[1..].to_vec();
    for name in names {
        let tensor = writer.graph().initializer.iter_mut().find(|t| t.name == name).expect("its weights");
        let run = tensor.float_data.len() / order.len();
        tensor.float_data = order.iter().flat_map(|&o| tensor.float_data[o * run..][..run].to_vec()).collect();
    }
    writer
}

/// Maps without numbers, and more regions than come back as such.
pub fn check_hard_frames(open: Opened) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let size = Size::new(96, 64);
    let one = [("classes", "bright"), ("output", "logits"), ("min_area", "0")];
    let config = |model| SegmenterConfig { model, crop: CropChoice::Full, threads: 2, ..SegmenterConfig::default() };
    let mut out = Segmentation::default();

    let model = write(&bright_and_dark(1, 1, f32::NAN), &one, folder.path());
    let frame = Frame::new(3, size, PixelFormat::Gray8, vec![90; size.area()]);
    let refused = open(&config(model)).segment(&frame, &Clock::manual(), &mut out);
    assert!(matches!(refused, Err(SegmenterError::NotANumber { id: 3 })), "{refused:?}");

    // A mask of single pixels, each a region.
    let mut dots = Writer::new(13);
    let x = dots.input("image", &[1, 1, 64, 96]);
    let (weight, bias) = (dots.floats(&[8, 1, 1, 1], vec![1.0; 8]), dots.floats(&[8], vec![0.0; 8]));
    let x = dots.node("Conv", &[&x, &weight, &bias], &[("kernel_shape", Set::Ints(&[1, 1]))]);
    let (weight, bias) = (dots.floats(&[1, 8, 1, 1], vec![5.0; 8]), dots.floats(&[1], vec![-20.0]));
    let x = dots.node("Conv", &[&x, &weight, &bias], &[("kernel_shape", Set::Ints(&[1, 1]))]);
    dots.output(&x);
    let model = write(&dots, &one, folder.path());
    let bright = |i: usize| (i % 96).is_multiple_of(3) && (i / 96).is_multiple_of(3);
    let pixels = (0..size.area()).map(|i| if bright(i) { 255 } else { 0 }).collect();
    let frame = Frame::new(4, size, PixelFormat::Gray8, pixels);
    open(&config(model)).segment(&frame, &Clock::manual(), &mut out).expect("many are no error");
    assert_eq!(out.findings[0].contours.len(), 32 * 22);
    assert_eq!(out.findings[0].area_px, 32 * 22);
}
