//! Whole networks as launches, against the CPU's engine on the same network.

use sonoplex::backend::cuda::launch::Arg;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{Builder, Engine, Network, TensorInfo};

use super::kernels_cuda::Machine;
use super::kernels_cuda_net_more::{attentive, irregular, moved, normed, pooled};
use super::naive::Random;
use super::onnx_writer::{Set, Writer};

pub fn relu(w: &mut Writer, x: &str, from: usize, to: usize) -> String {
    let x = w.conv(x, from, to, 3);
    w.node("Relu", &[&x], &[])
}

pub fn up(w: &mut Writer, x: &str, from: usize, to: usize) -> String {
    let (weight, bias) = (w.weights(&[from, to, 2, 2], from), w.weights(&[to], 8));
    let two = [("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))];
    w.node("ConvTranspose", &[x, &weight, &bias], &two)
}

pub fn larger(w: &mut Writer, x: &str, mode: &str) -> String {
    let scales = w.floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
    let asked = if mode == "linear" { "half_pixel" } else { "asymmetric" };
    let settings = [
        ("mode", Set::Text(mode)),
        ("coordinate_transformation_mode", Set::Text(asked)),
        ("nearest_mode", Set::Text("floor")),
    ];
    w.node("Resize", &[x, "", &scales], &settings)
}

pub fn join(w: &mut Writer, parts: &[&str]) -> String {
    w.node("Concat", parts, &[("axis", Set::Int(1))])
}

/// A U-Net whose channels fill no chunks, with a shortcut, and `end` after its last convolution.
pub fn unet(end: &str) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 20, 12]);
    let a = relu(&mut w, &x, 1, 10);
    let b = w.max_pool(&a);
    let b = relu(&mut w, &b, 10, 12);
    let c = w.max_pool(&b);
    let c = relu(&mut w, &c, 12, 20);
    let shortcut = w.conv(&c, 20, 20, 1);
    let c = w.conv(&c, 20, 20, 3);
    let c = w.node("Add", &[&c, &shortcut], &[]);
    let c = w.node("Relu", &[&c], &[]);
    let u = up(&mut w, &c, 20, 12);
    let x = join(&mut w, &[&b, &u]);
    let x = relu(&mut w, &x, 24, 12);
    let u = up(&mut w, &x, 12, 10);
    let x = join(&mut w, &[&u, &a]);
    let x = relu(&mut w, &x, 20, 16);
    let x = w.conv(&x, 16, 3, 1);
    let x = match end {
        "" => x,
        "Softmax" => w.node(end, &[&x], &[("axis", Set::Int(1))]),
        other => w.node(other, &[&x], &[]),
    };
    w.output(&x);
    w
}

/// Joins within joins, as U-Net++ has them: a part that two want, one that stands twice, a picture that is joined, an output
/// that is read on, and one of 3 × 3.
fn nested() -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 6, 8, 12]);
    let a = relu(&mut w, &x, 6, 8);
    let b = relu(&mut w, &a, 8, 12);
    let ab = join(&mut w, &[&a, &b]);
    let c = relu(&mut w, &ab, 20, 8);
    let all = join(&mut w, &[&ab, &c, &a, &c, &x]);
    let d = relu(&mut w, &all, 50, 9);
    let pooled = w.max_pool(&all);
    let e = w.conv(&pooled, 50, 5, 3);
    let f = w.conv(&d, 9, 2, 1);
    [&d, &e, &f].iter().for_each(|out| w.output(out));
    w
}

/// A residual encoder of three planes with steps of two, and a decoder that resizes, as segmentation_models_pytorch has them.
fn residual() -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 3, 24, 16]);
    let (weight, bias) = (w.weights(&[12, 3, 7, 7], 147), w.weights(&[12], 8));
    let settings = [("pads", Set::Ints(&[3, 3, 3, 3])), ("strides", Set::Ints(&[2, 2]))];
    let x = w.node("Conv", &[&x, &weight, &bias], &settings);
    let skip = w.node("Relu", &[&x], &[]);
    let settings =
        [("kernel_shape", Set::Ints(&[3, 3])), ("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let x = w.node("MaxPool", &[&skip], &settings);
    let y = relu(&mut w, &x, 12, 12);
    let y = w.conv(&y, 12, 12, 3);
    let y = w.node("Add", &[&y, &x], &[]);
    let y = w.node("Relu", &[&y], &[]);
    let y = larger(&mut w, &y, "nearest");
    let y = join(&mut w, &[&y, &skip]);
    let y = relu(&mut w, &y, 24, 9);
    let y = larger(&mut w, &y, "linear");
    let y = w.conv(&y, 9, 1, 3);
    w.output(&y);
    w
}

/// Layers with many channels and few pixels, whose sums are split, with a shortcut and joined; what they work in lies beside
/// tensors that are still needed.
pub fn deep() -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 6, 10]);
    let a = relu(&mut w, &x, 1, 70);
    let b = w.max_pool(&a);
    let b = relu(&mut w, &b, 70, 264);
    let c = w.conv(&b, 264, 70, 3);
    let d = w.conv(&b, 264, 70, 1);
    let c = w.node("Add", &[&c, &d], &[]);
    let c = w.node("Relu", &[&c], &[]);
    let joined = join(&mut w, &[&b, &c, &d]);
    let u = up(&mut w, &joined, 404, 65);
    let x = join(&mut w, &[&u, &a]);
    let x = relu(&mut w, &x, 135, 9);
    let x = w.conv(&x, 9, 2, 1);
    w.output(&x);
    w
}

/// A U-Net with what others have: gates of one channel, weights of channels, means, norms before layers, functions that are
/// no bounds, and a word of the whole picture.
fn gated() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 1, 12, 20]);
    let x = w.conv(&x, 1, 12, 3);
    let x = w.node("Sigmoid", &[&x], &[]);
    let skip = w.conv(&x, 12, 12, 3);
    let skip = w.node("LeakyRelu", &[&skip], &[("alpha", Set::Float(0.1))]);
    let down = w.max_pool(&skip);
    // A norm and its function before the layer, a plain shortcut around it.
    let y = w.batch_norm(&down, 12);
    let y = w.node("Relu", &[&y], &[]);
    let y = w.conv(&y, 12, 12, 3);
    let y = w.node("Tanh", &[&y], &[]);
    let down = w.node("Add", &[&y, &down], &[]);
    // Squeeze and excite.
    let mean = w.node("GlobalAveragePool", &[&down], &[]);
    let few = w.conv(&mean, 12, 3, 1);
    let few = w.node("Relu", &[&few], &[]);
    let scale = w.conv(&few, 3, 12, 1);
    let scale = w.node("HardSigmoid", &[&scale], &[]);
    let down = w.node("Mul", &[&down, &scale], &[]);
    // An attention gate on the skip.
    let u = up(&mut w, &down, 12, 12);
    let (a, b) = (w.conv(&u, 12, 6, 1), w.conv(&skip, 12, 6, 1));
    let gate = w.node("Add", &[&a, &b], &[]);
    let gate = w.node("Relu", &[&gate], &[]);
    let gate = w.conv(&gate, 6, 1, 1);
    let gate = w.node("Sigmoid", &[&gate], &[]);
    let skip = w.node("Mul", &[&gate, &skip], &[]);
    let x = join(&mut w, &[&skip, &u]);
    let x = w.conv(&x, 24, 9, 3);
    let sigmoid = w.node("Sigmoid", &[&x], &[]);
    let x = w.node("Mul", &[&x, &sigmoid], &[]);
    let x = w.conv(&x, 9, 2, 1);
    // Whether there is anything at all.
    let most = w.node("GlobalMaxPool", &[&down], &[]);
    let most = w.node("Flatten", &[&most], &[]);
    let (weight, bias) = (w.weights(&[2, 12], 12), w.weights(&[2], 8));
    let presence = w.node("Gemm", &[&most, &weight, &bias], &[("transB", Set::Int(1))]);
    [&x, &presence].iter().for_each(|out| w.output(out));
    w
}

/// Separable convolutions: of joined parts that fill no chunks, with steps, holes, an even window, and functions.
fn separable() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 3, 16, 20]);
    let (a, b) = (relu(&mut w, &x, 3, 9), w.conv(&x, 3, 4, 3));
    let mut x = join(&mut w, &[&a, &b]);
    for (kernel, pads, stride, dilation, function) in [
        (3, 1, 1, 1, "Relu"),
        (3, 1, 1, 1, "Mish"),
        (5, 2, 2, 1, "HardSwish"),
        (3, 2, 1, 2, "Sigmoid"),
        (2, 0, 1, 1, ""),
    ] {
        let (weight, bias) = (w.weights(&[13, 1, kernel, kernel], kernel * kernel), w.weights(&[13], 8));
        let settings = [
            ("group", Set::Int(13)),
            ("pads", Set::Ints(&[pads; 4])),
            ("strides", Set::Ints(&[stride; 2])),
            ("dilations", Set::Ints(&[dilation; 2])),
        ];
        let depthwise = w.node("Conv", &[&x, &weight, &bias], &settings);
        x = if function.is_empty() { depthwise } else { w.node(function, &[&depthwise], &[]) };
        if kernel == 5 {
            x = w.conv(&x, 13, 13, 1);
        }
    }
    let x = w.conv(&x, 13, 2, 1);
    w.output(&x);
    w
}

/// Layers of single pixels from the input straight to an output, and one that is read on.
fn straight() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 2, 5, 9]);
    let a = w.conv(&x, 2, 3, 1);
    let b = w.conv(&x, 2, 1, 1);
    let b = w.node("Sigmoid", &[&b], &[]);
    let c = relu(&mut w, &x, 2, 8);
    let d = w.conv(&c, 8, 2, 1);
    let e = w.conv(&d, 2, 2, 3);
    [&a, &b, &d, &e].iter().for_each(|out| w.output(out));
    w
}

/// The model of the program: from beside this test where it travels alone, else from the repository.
pub fn shipped() -> Network {
    let own = std::env::current_exe().expect("a path").with_file_name("models");
    let folder = if own.exists() { own } else { concat!(env!("CARGO_MANIFEST_DIR"), "/models").into() };
    Network::open(&folder.join("nerve-vessel.onnx")).expect("a sound model")
}

/// Runs networks on a machine and compares every output with the CPU's.
pub fn check_networks(machine: &mut dyn Machine) {
    for (name, writer) in [
        ("unet", unet("")),
        ("unet with sigmoid", unet("Sigmoid")),
        ("unet with softmax", unet("Softmax")),
        ("nested", nested()),
        ("residual", residual()),
        ("gated", gated()),
        ("separable", separable()),
        ("straight", straight()),
        ("normed", normed()),
        ("pooled", pooled()),
        ("deep", deep()),
        ("moved", moved()),
        ("attentive", attentive()),
        ("irregular", irregular()),
    ] {
        let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
        check_network(machine, name, &network, 0.005);
    }
}

/// Runs a network of one input on a machine and compares every output with the CPU's, to a part of its largest number.
pub fn check_network(machine: &mut dyn Machine, name: &str, network: &Network, part: f32) {
    let engine = Engine::new(Builder::default().build(network).expect("supported")).expect("it runs");
    let mut context = engine.context();
    let TensorInfo { name: input, shape, .. } = engine.inputs()[0].clone();
    let image = Random(81).floats(shape.iter().product());
    context.bind(&input, &shape, &image).expect("its own shape");
    context.enqueue().expect("the CPU never refuses");

    let plan = Builder::default().build_for_gpu(network).expect("supported");
    let bytes: Vec<u8> = image.iter().flat_map(|x| x.to_le_bytes()).collect();
    for program in [Program::apart(&plan), Program::new(&plan)].map(|p| p.unwrap_or_else(|e| panic!("{name}: {e}"))) {
        machine.clear();
        machine.load(&program.recording());
        // Twice, since a run must leave what the next one needs.
        for _ in 0..2 {
            machine.write(program.inputs[0].1, &bytes);
            machine.run(&program.launches).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        for (info, region) in &program.outputs {
            let found = machine.download(*region);
            let found: Vec<f32> = found.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            // A largest difference would pass over what is not a number.
            assert!(found.iter().all(|x| x.is_finite()), "{name} {}: not a number", info.name);
            let expected = context.output(&info.name).expect("its own output");
            let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= part * largest, "{name} {}: {worst} of {largest}", info.name);
        }
    }
}

/// A tensor for each that lives at the same time: less memory than one for each.
#[test]
fn tensors_share_memory_and_constants_do_not() {
    let network = Network::from_onnx(&unet("").bytes()).expect("sound");
    let plan = Builder::default().build_for_gpu(&network).expect("supported");
    let [apart, shared] = [Program::apart(&plan), Program::new(&plan)].map(|p| p.expect("it has kernels"));
    let end = |program: &Program| program.tensors.iter().map(|r| r.offset + r.bytes).max().unwrap_or(0);
    assert!(end(&shared) < end(&apart), "{} of {}", end(&shared), end(&apart));
    for program in [&apart, &shared] {
        for (i, (region, bytes)) in program.constants.iter().enumerate() {
            assert_eq!(region.bytes, bytes.len() as u64);
            let others = program.constants[..i].iter().map(|(other, _)| other).chain(&program.tensors);
            for other in others {
                let apart = region.offset + region.bytes <= other.offset || other.offset + other.bytes <= region.offset;
                assert!(apart, "{region:?} and {other:?}");
            }
            assert!(region.offset + region.bytes <= program.room);
        }
    }
    // The convolution of a picture does not pool, the next does.
    let pooling: Vec<&str> = shared.launches.iter().map(|l| l.kernel()).filter(|k| k.contains("pool")).collect();
    assert_eq!(pooling, ["max_pool", "conv_128x32_pool"], "parts are written where they belong");
}

#[test]
fn layers_of_few_pixels_split_their_sums_in_memory_that_is_watched() {
    let network = Network::from_onnx(&deep().bytes()).expect("sound");
    let plan = Builder::default().build_for_gpu(&network).expect("supported");
    let program = Program::apart(&plan).expect("it has kernels");
    let sums: Vec<&Arg> = program.launches.iter().filter(|l| l.kernel() == "conv_sum").map(|l| &l.args()[0]).collect();
    assert_eq!(sums.len(), 3);
    for (i, sums_of) in sums.iter().enumerate() {
        assert!(program.tensors.iter().any(|&region| **sums_of == Arg::Region(region)), "{sums_of:?}");
        assert!(!sums[..i].contains(sums_of), "each has its own");
    }
}

#[test]
fn the_model_of_the_program_has_all_kernels() {
    let network = shipped();
    let plan = Builder::default().build_for_gpu(&network).expect("supported");
    let program = Program::new(&plan).expect("it has kernels");
    // One for each of the 57 convolutions, 10 up-convolutions and 10 poolings of its two networks, fewer where a
    // convolution pools, another where a sum is split; the picture in the layout of the shortcut that reads it, and of
    // what is present two means, their divisions and layouts, and the sum of both. Nothing to convert between.
    let kernels: Vec<&str> = program.launches.iter().map(|l| l.kernel()).collect();
    let split = kernels.iter().filter(|&&kernel| kernel == "conv_sum").count();
    let pooled = kernels.iter().filter(|kernel| kernel.ends_with("_pool") && kernel.starts_with("conv_")).count();
    assert_eq!(kernels.len() - split + pooled, 57 + 10 + 10 + 8, "{kernels:?}");
    assert!(pooled >= 6, "{kernels:?}");
    assert!(split > 0, "{kernels:?}");
    assert!(program.room < 16 << 20, "{} bytes", program.room);
}

/// As halves they would be rounded from 2048 on.
#[test]
fn numbers_of_places_are_no_halves() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 3, 60, 80]);
    let flat = w.ints(&[1, 3, 4800]);
    let x = w.node("Reshape", &[&x, &flat], &[]);
    let x = w.node("ArgMax", &[&x], &[("axis", Set::Int(2)), ("keepdims", Set::Int(0))]);
    let x = w.node("Cast", &[&x], &[("to", Set::Int(1))]);
    let more = w.floats(&[], vec![1.0]);
    let x = w.node("Add", &[&x, &more], &[]);
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("sound");
    let program = Program::new(&Builder::default().build_for_gpu(&network).expect("supported")).expect("kernels");
    let kernels: Vec<&str> = program.launches.iter().map(|l| l.kernel()).collect();
    assert_eq!(kernels, ["strided", "arg_extreme", "strided", "combine"]);
}

#[test]
fn sides_that_no_kernel_counts_are_named_with_what_helps() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 1, 40_000]);
    let x = relu(&mut w, &x, 1, 2);
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("sound");
    let said = Builder::default().build_for_gpu(&network).expect_err("too wide").to_string();
    assert!(said.contains("side of more than 32768") && said.contains("--device cpu"), "{said}");
    assert!(Builder::default().build(&network).is_ok(), "the CPU takes it");
}
