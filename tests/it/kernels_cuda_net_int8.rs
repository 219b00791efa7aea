//! Whole networks of bytes as launches, against the CPU's engine on the same network and the same ranges.

use sonoplex::backend::cpu::layout::Layout;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{
    BuildError, Builder, BuilderConfig, Calibration, Calibrator, Engine, Network, Plan, Precision, Threshold,
};

use super::kernels_cuda::Machine;
use super::kernels_cuda_net::{deep, join, larger, relu, unet, up};
use super::kernels_cuda_net_more::{attentive, irregular, pooled};
use super::naive::Random;
use super::onnx_writer::{Set, Writer};

/// A U-Net of bytes with all that meets them: channels that fill no chunks of sixteen, shortcuts of codes and of halves, a part
/// that stands twice, a norm and a function that is none of bounds between layers, a larger picture, a mean, outputs that are
/// read on.
pub fn wide() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 2, 20, 12]);
    let a = relu(&mut w, &x, 2, 24);
    let b = w.max_pool(&a);
    let c = relu(&mut w, &b, 24, 40);
    // Of codes: a block reads it too.
    let d = w.conv(&c, 40, 40, 3);
    let d = w.node("Add", &[&d, &c], &[]);
    let d = w.node("Relu", &[&d], &[]);
    // Of halves: nobody else does.
    let around = w.conv(&d, 40, 24, 1);
    let e = w.conv(&d, 40, 24, 3);
    let e = w.node("Add", &[&e, &around], &[]);
    let e = w.node("Relu", &[&e], &[]);
    let f = w.batch_norm(&e, 24);
    let f = relu(&mut w, &f, 24, 20);
    let f = w.conv(&f, 20, 24, 3);
    let f = w.node("Tanh", &[&f], &[]);
    let f = relu(&mut w, &f, 24, 24);
    let mean = w.node("GlobalAveragePool", &[&f], &[]);
    let mean = w.node("Flatten", &[&mean], &[]);
    let (weight, bias) = (w.weights(&[2, 24], 24), w.weights(&[2], 8));
    let presence = w.node("Gemm", &[&mean, &weight, &bias], &[("transB", Set::Int(1))]);
    let f = w.max_pool(&f);
    let f = larger(&mut w, &f, "nearest");
    let g = join(&mut w, &[&f, &e, &f]);
    let g = relu(&mut w, &g, 72, 24);
    let g = up(&mut w, &g, 24, 24);
    let x = join(&mut w, &[&a, &g]);
    let x = relu(&mut w, &x, 48, 16);
    let y = w.conv(&x, 16, 18, 3);
    let z = relu(&mut w, &y, 18, 16);
    let z = w.conv(&z, 16, 2, 1);
    [&z, &y, &presence].iter().for_each(|out| w.output(out));
    w
}

/// Codes where they cannot stay: a sum with what lies in gaps until a function on floats has filled them, steps that differ
/// down and across, several pictures.
pub fn uneven() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 1, 16, 12]);
    let a = relu(&mut w, &x, 1, 16);
    let b = relu(&mut w, &a, 16, 24);
    let parts = [relu(&mut w, &a, 16, 12), relu(&mut w, &a, 16, 12)];
    let joined = join(&mut w, &[&parts[0], &parts[1]]);
    let added = w.node("Mish", &[&joined], &[]);
    let c = w.conv(&b, 24, 24, 3);
    let c = w.node("Add", &[&c, &added], &[]);
    let c = w.node("Relu", &[&c], &[]);
    let weight = w.weights(&[16, 24, 3, 3], 9 * 24);
    let d = w.node("Conv", &[&b, &weight], &[("strides", Set::Ints(&[1, 2])), ("pads", Set::Ints(&[1, 1, 1, 1]))]);
    let (windows, whole) = (w.ints(&[4, 24, 8, 6]), w.ints(&[1, 96, 4, 3]));
    let e = w.node("Reshape", &[&b, &windows], &[]);
    let e = relu(&mut w, &e, 24, 24);
    let e = w.max_pool(&e);
    let e = w.node("Reshape", &[&e, &whole], &[]);
    let e = w.conv(&e, 96, 16, 1);
    [&c, &d, &e].iter().for_each(|out| w.output(out));
    w
}

/// What codes meet that does not know them: joined parts that lie apart, in a sum and as an output, a map of one channel, a
/// head of many classes, a shortcut of halves that fill fewer places, a layer whose every channel stands for itself.
fn odd() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 1, 16, 12]);
    let a = relu(&mut w, &x, 1, 24);
    let b = relu(&mut w, &a, 24, 24);
    let joined = join(&mut w, &[&a, &b]);
    let wide = relu(&mut w, &a, 24, 48);
    let sum = w.node("Add", &[&joined, &wide], &[]);
    let t = relu(&mut w, &sum, 48, 24);
    let around = w.conv(&t, 24, 24, 1);
    let u = w.conv(&t, 24, 24, 3);
    let u = w.node("Add", &[&u, &around], &[]);
    let u = w.node("Relu", &[&u], &[]);
    let gate = w.conv(&u, 24, 1, 1);
    let gate = w.node("Sigmoid", &[&gate], &[]);
    let gated = w.node("Mul", &[&u, &gate], &[]);
    let v = relu(&mut w, &gated, 24, 24);
    let (weight, bias) = (w.weights(&[24, 1, 3, 3], 9), w.weights(&[24], 8));
    let settings = [("group", Set::Int(24)), ("pads", Set::Ints(&[1; 4]))];
    let each = w.node("Conv", &[&v, &weight, &bias], &settings);
    let each = relu(&mut w, &each, 24, 24);
    let out = join(&mut w, &[&v, &each]);
    let last = relu(&mut w, &out, 48, 16);
    let classes = w.conv(&last, 16, 21, 1);
    [&classes, &out].iter().for_each(|out| w.output(out));
    w
}

/// What the tensors of a network hold on some pictures, and the first of these.
pub fn calibrated(network: &Network) -> (Calibration, Vec<f32>) {
    let engine = Engine::new(Builder::default().build(network).expect("supported")).expect("it runs");
    let (mut context, mut calibrator, mut random) = (engine.context(), Calibrator::default(), Random(83));
    let shape = engine.inputs()[0].shape.clone();
    let pictures: Vec<Vec<f32>> = (0..4).map(|_| random.floats(shape.iter().product())).collect();
    for picture in &pictures {
        context.bind("image", &shape, picture).expect("its own shape");
        calibrator.observe(&mut context).expect("a run");
    }
    (calibrator.calibration(Threshold::Max), pictures[0].clone())
}

fn builder(calibration: Option<Calibration>) -> Builder {
    Builder::new(BuilderConfig { precision: Precision::Int8, calibration, ..BuilderConfig::default() })
}

/// The outputs of a plan on the CPU.
fn run(plan: Plan, picture: &[f32]) -> Vec<(String, Vec<f32>)> {
    let engine = Engine::new(plan).expect("it runs");
    let mut context = engine.context();
    let shape = engine.inputs()[0].shape.clone();
    context.bind("image", &shape, picture).expect("its own shape");
    context.enqueue().expect("the CPU never refuses");
    let output = |name: &str| context.output(name).expect("its own output").to_vec();
    engine.outputs().iter().map(|info| (info.name.clone(), output(&info.name))).collect()
}

/// Root of the mean square of the difference, as a share of that of the expected values.
pub fn deviation(found: &[f32], expected: &[f32]) -> f64 {
    let sum = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
    (sum(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / sum(&mut expected.iter().copied())).sqrt()
}

/// Runs networks of bytes on a machine: no output is much further from that of fp32 than the CPU's in bytes.
pub fn check_int8_networks(machine: &mut dyn Machine) {
    for (name, writer, least) in [
        ("wide", wide(), 12),
        ("odd", odd(), 8),
        ("unet", unet("Sigmoid"), 3),
        ("deep", deep(), 4),
        ("pooled", pooled(), 6),
        ("attentive", attentive(), 0),
        ("irregular", irregular(), 0),
        ("uneven", uneven(), 2),
    ] {
        let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
        let (calibration, picture) = calibrated(&network);
        let exact = run(Builder::default().build(&network).expect("supported"), &picture);
        let builder = builder(Some(calibration));
        let twin = run(builder.build(&network).expect("supported"), &picture);
        let plan = builder.build_for_gpu(&network).expect("supported");
        assert_eq!(plan.precision(), Precision::Int8);
        let bytes: Vec<u8> = picture.iter().flat_map(|x| x.to_le_bytes()).collect();
        for program in [Program::apart(&plan), Program::new(&plan)].map(|p| p.unwrap_or_else(|e| panic!("{e}"))) {
            let of_bytes = program.launches.iter().filter(|l| l.kernel().starts_with("conv_int8")).count();
            assert!(of_bytes >= least, "{name}: {of_bytes} convolutions of bytes");
            machine.clear();
            machine.load(&program.recording());
            // Twice, since a run must leave what the next one needs.
            for _ in 0..2 {
                machine.write(program.inputs[0].1, &bytes);
                machine.run(&program.launches).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
            for (((info, region), (_, exact)), (_, twin)) in program.outputs.iter().zip(&exact).zip(&twin) {
                let found = machine.download(*region);
                let found: Vec<f32> = found.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                let (own, other) = (deviation(&found, exact), deviation(twin, exact));
                assert!(own <= 1.3 * other + 1e-3, "{name} {}: {own}, the CPU's {other}", info.name);
            }
        }
    }
}

#[test]
fn what_meets_bytes_is_converted_once_and_what_passes_them_on_is_not() {
    let network = Network::from_onnx(&wide().bytes()).expect("sound");
    let (calibration, _) = calibrated(&network);
    let plan = builder(Some(calibration.clone())).build_for_gpu(&network).expect("supported");
    let program = Program::new(&plan).expect("it has kernels");
    let count = |kernel: &str| program.launches.iter().filter(|l| l.kernel() == kernel).count();
    // The halves of the first layer, the sum with halves, the norm, tanh and the larger picture; for the mean, the larger picture and
    // the output.
    assert_eq!((count("to_codes"), count("to_halves")), (5, 3), "{:?}", plan.table());
    let pooling: Vec<&str> = program.launches.iter().map(|l| l.kernel()).filter(|k| k.contains("pool")).collect();
    assert_eq!(pooling, ["max_pool_codes", "conv_int8_128x32_pool"]);
    // What is flattened, and the part that stands twice, the second time; what is joined else is written where it belongs.
    assert_eq!(count("copy_words"), 2);
    // All that is kept as bytes is less than the same in halves.
    let halves = Program::new(&Builder::default().build_for_gpu(&network).expect("supported")).expect("it has kernels");
    let bytes = |program: &Program| program.tensors.iter().map(|r| r.offset + r.bytes).max();
    assert!(bytes(&program) < bytes(&halves), "{:?} {:?}", bytes(&program), bytes(&halves));

    // A layer that is kept out reads and writes halves.
    let of_bytes = |program: &Program| {
        program.launches.iter().filter(|l| l.kernel().starts_with("conv_int8") && !l.kernel().ends_with("_sum")).count()
    };
    let mut steps = plan.steps().iter();
    let layer = steps.find(|s| plan.layouts(s)[0] != Layout::Planar && s.op.as_str() == "conv").expect("some");
    let layer = layer.name.clone();
    let kept = Calibration { kept: [layer].into(), ..calibration };
    let plan = builder(Some(kept)).build_for_gpu(&network).expect("supported");
    let kept_out = Program::new(&plan).expect("it has kernels");
    assert_eq!(of_bytes(&kept_out), of_bytes(&program) - 1);
}

/// As floats, by the way of which halves are moved, codes cannot be added.
#[test]
fn codes_with_gaps_that_are_added_side_by_side_are_refused() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 16, 12, 12]);
    let (a, b) = (relu(&mut w, &x, 16, 24), relu(&mut w, &x, 16, 24));
    let c = join(&mut w, &[&a, &b]);
    let d = w.conv(&c, 48, 48, 3);
    let d = w.node("Add", &[&d, &c], &[]);
    let d = relu(&mut w, &d, 48, 16);
    w.output(&d);
    let network = Network::from_onnx(&w.bytes()).expect("sound");
    let plan = builder(Some(calibrated(&network).0)).build_for_gpu(&network).expect("supported");
    let said = Program::new(&plan).expect_err("other places").to_string();
    assert!(said.contains("add") && said.contains("--device cpu"), "{said}");
    Program::new(&Builder::default().build_for_gpu(&network).expect("supported")).expect("halves have kernels");
}

#[test]
fn bytes_on_a_gpu_ask_for_ranges() {
    let network = Network::from_onnx(&wide().bytes()).expect("sound");
    let error = builder(None).build_for_gpu(&network).expect_err("no ranges");
    assert!(matches!(error, BuildError::Calibration { gpu: true }), "{error}");
    assert!(error.to_string().contains("--device cuda:0 --precision int8 --calibrate"), "{error}");
}
