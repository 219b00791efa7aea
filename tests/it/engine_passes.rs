//! Each pass before and after: what it does to the steps, and that the outputs stay.

use std::collections::BTreeMap;

use sonoplex::engine::passes::{PASSES, Pass};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, Plan};

use crate::engine_exports::exports;
use crate::engine_networks::{Up, residual, unet, wide};
use crate::naive::farthest;
use crate::onnx_writer::{Set, Writer};

pub fn build(writer: &Writer, passes: &[Pass]) -> Plan {
    let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
    // The naive tactic on all sides: a pass must not hide behind another order of sums.
    let plan = Builder::default().build_with(&network, passes).unwrap_or_else(|e| panic!("{e}"));
    let naive: BTreeMap<String, String> = plan.tactics().into_keys().map(|name| (name, "naive".to_owned())).collect();
    let config = BuilderConfig { tactics: Some(naive), ..Default::default() };
    Builder::new(config).build_with(&network, passes).unwrap_or_else(|e| panic!("{e}"))
}

pub fn run(plan: Plan) -> Vec<f32> {
    let engine = Engine::new(plan).expect("naive runs everywhere");
    let mut context = engine.context();
    let input = &engine.inputs()[0];
    let data = Writer::new(13).randoms(input.shape.iter().product());
    context.bind(&input.name, &input.shape, &data).expect("its own shape");
    context.enqueue().expect("the CPU never refuses");
    context.output(&engine.outputs()[0].name).expect("named by the engine").to_vec()
}

pub fn count(plan: &Plan, op: &str) -> usize {
    plan.table().iter().filter(|row| row.op.split(' ').any(|word| word == op)).count()
}

/// The steps that `op` is in, before and after `pass` (with those before it), and the largest change of the output.
pub fn before_and_after(writer: &Writer, pass: &str, op: &str) -> (usize, usize, f32) {
    let at = PASSES.iter().position(|(name, _)| *name == pass).expect("it is one of them");
    let (before, after) = (build(writer, &PASSES[..at]), build(writer, &PASSES[..=at]));
    let counts = (count(&before, op), count(&after, op));
    let worst = farthest(&run(after), &run(before));
    (counts.0, counts.1, worst)
}

#[test]
fn batch_norm_goes_into_the_weights() {
    let (before, after, worst) =
        before_and_after(&unet([1, 1, 16, 16], Up::Transpose, true, false, ""), "fold_batch_norm", "batch_norm");
    assert_eq!((before, after), (7, 0));
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn borders_go_into_the_convolutions() {
    let (before, after, worst) =
        before_and_after(&unet([2, 1, 16, 16], Up::Resize, false, true, ""), "fold_pad", "pad");
    assert_eq!((before, after, worst), (5, 0, 0.0));
}

#[test]
fn a_shortcut_goes_into_the_convolution() {
    let (before, after, worst) = before_and_after(&residual(2), "fuse_residual", "conv");
    assert_eq!(before, after);
    assert!(worst < 1e-6, "{worst}");
    let plan = build(&residual(2), PASSES);
    assert!(plan.table().iter().any(|row| row.op == "conv 3x3 + add + relu"), "{:?}", plan.table());
    assert!(plan.table().iter().all(|row| row.op != "add"));
}

#[test]
fn activations_go_into_the_convolutions() {
    let (before, after, worst) =
        before_and_after(&unet([1, 1, 16, 16], Up::Transpose, false, false, "Sigmoid"), "fuse_activation", "relu");
    assert_eq!((before, after, worst), (5, 5, 0.0));
    let plan = build(&unet([1, 1, 16, 16], Up::Transpose, true, false, "Sigmoid"), PASSES);
    let ops: Vec<String> = plan.table().into_iter().map(|row| row.op).collect();
    assert_eq!(ops.last().map(String::as_str), Some("conv 1x1 + sigmoid"), "{ops:?}");
    assert!(ops.iter().all(|op| op.starts_with("conv") || op == "max_pool"), "{ops:?}");
}

#[test]
fn concatenations_disappear_at_any_batch_size() {
    for images in [1, 3] {
        let net = unet([images, 2, 16, 12], Up::Transpose, true, false, "Softmax");
        assert_eq!(before_and_after(&net, "remove_concat", "concat"), (2, 0, 0.0));
        assert_eq!(before_and_after(&net, "remove_concat", "copy"), (0, 0, 0.0));
    }
    // A part that stands twice, and one that lies in another buffer already, are copied to their places.
    let (before, after, worst) = before_and_after(&residual(1), "remove_concat", "concat");
    assert_eq!((before, after, worst), (2, 0, 0.0));
}

#[test]
fn convolutions_of_enough_channels_speak_in_blocks() {
    for net in [unet([2, 1, 20, 16], Up::Transpose, true, false, "Softmax"), wide(1), wide(3)] {
        let at = PASSES.iter().position(|(name, _)| *name == "block_channels").expect("it is one of them");
        let (before, after) = (build(&net, &PASSES[..at]), build(&net, &PASSES[..=at]));
        let worst = farthest(&run(after), &run(before));
        assert!(worst < 1e-5, "{worst}");
    }
    // Converted are what leaves, the division (three), and the join of parts that are not whole blocks (three).
    let plan = Builder::default().build(&Network::from_onnx(&wide(1).bytes()).expect("sound")).expect("supported");
    let ops: Vec<String> = plan.table().into_iter().map(|row| row.op).collect();
    assert_eq!(ops.iter().filter(|op| *op == "copy").count(), 7, "{ops:?}");
}

#[test]
fn poolings_go_beside_the_convolutions() {
    for images in [1, 3] {
        let mut w = Writer::new(13);
        let x = w.input("image", &[images, 1, 21, 18]);
        let skip = w.conv(&x, 1, 24, 3);
        let skip = w.node("Relu", &[&skip], &[]);
        let half: [(&str, Set); 2] = [("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))];
        let deep = w.node("MaxPool", &[&skip], &half);
        let deep = w.conv(&deep, 24, 32, 3);
        // More than bounds, so that it follows the convolution.
        let deep = w.node("Tanh", &[&deep], &[]);
        let deep = w.node("MaxPool", &[&deep], &half);
        let joined = [w.node("GlobalAveragePool", &[&skip], &[]), w.node("GlobalAveragePool", &[&deep], &[])];
        let joined = w.node("Concat", &[&joined[0], &joined[1]], &[("axis", Set::Int(1))]);
        w.output(&joined);
        let at = PASSES.iter().position(|(name, _)| *name == "fuse_max_pool").expect("it is one of them");
        let rows = |plan: &Plan| {
            let ops: Vec<String> = plan.table().into_iter().map(|row| row.op).collect();
            let count = |op: &str| ops.iter().filter(|found| *found == op).count();
            [count("max_pool"), count("conv 3x3 + relu + max_pool")]
        };
        let (before, after) = (build(&w, &PASSES[..at]), build(&w, &PASSES[..=at]));
        assert_eq!((rows(&before), rows(&after)), ([2, 0], [1, 1]), "{:?}", after.table());
        assert_eq!(run(before), run(after));
    }
}

#[test]
fn constants_of_channels_go_into_the_convolution_before_them() {
    for images in [1, 3] {
        let mut w = Writer::new(13);
        let x = w.input("image", &[images, 3, 10, 12]);
        let number = |w: &mut Writer, x: f32| w.floats(&[], vec![x]);
        let (mean, deviation) =
            (w.floats(&[1, 3, 1, 1], vec![0.4, 0.5, 0.6]), w.floats(&[3, 1, 1], vec![0.2, 0.3, 0.25]));
        // Two of them are one, where there is no convolution.
        let x = w.node("Sub", &[&x, &mean], &[]);
        let x = w.node("Div", &[&x, &deviation], &[]);
        let x = w.conv(&x, 3, 8, 3);
        let (gain, zero, one) = (w.weights(&[8, 1, 1], 2), number(&mut w, 0.0), number(&mut w, 1.0));
        let x = w.node("Mul", &[&gain, &x], &[]);
        let x = w.node("Add", &[&zero, &x], &[]);
        let gate = w.node("Sigmoid", &[&x], &[]);
        let gate = w.node("Sub", &[&one, &gate], &[]);
        // Columns, and a quotient of a constant, are something else.
        let (columns, half) = (w.weights(&[12], 2), number(&mut w, 0.5));
        let x = w.node("Mul", &[&x, &columns], &[]);
        let x = w.node("Mul", &[&x, &gate], &[]);
        let near_one = w.node("Sigmoid", &[&gate], &[]);
        let away = w.node("Div", &[&half, &near_one], &[]);
        let x = w.node("Sub", &[&x, &away], &[]);
        // What comes out as it went in is still an output of its own.
        let same = w.node("Mul", &[&x, &one], &[]);
        [&x, &same].iter().for_each(|out| w.output(out));
        let at = PASSES.iter().position(|(name, _)| *name == "fold_batch_norm").expect("it is one of them");
        let rows = |plan: &Plan| {
            let ops: Vec<String> = plan.table().into_iter().map(|row| row.op).collect();
            ["sub", "mul", "div", "add", "batch_norm"].map(|op| ops.iter().filter(|found| *found == op).count())
        };
        let (before, after) = (build(&w, &PASSES[..at - 1]), build(&w, &PASSES[..=at]));
        assert_eq!((rows(&before), rows(&after)), ([3, 4, 2, 1, 0], [1, 2, 1, 0, 3]), "{:?}", after.table());
        let worst = farthest(&run(after), &run(before));
        assert!(worst < 1e-5, "{worst}");
    }
}

#[test]
fn softmax_goes_into_the_last_convolution() {
    for images in [1, 3] {
        let net = unet([images, 2, 16, 12], Up::Transpose, true, false, "Softmax");
        let at = PASSES.iter().position(|(name, _)| *name == "fuse_softmax").expect("it is one of them");
        let (before, after) = (build(&net, &PASSES[..at]), build(&net, &PASSES[..=at]));
        let last = |plan: &Plan| plan.table().pop().expect("steps").op;
        assert_eq!((last(&before), last(&after)), ("softmax".to_owned(), "conv 1x1 + softmax".to_owned()));
        assert_eq!(run(before), run(after));
    }
}

#[test]
fn reshapes_cost_nothing() {
    let (before, after, worst) = before_and_after(&residual(1), "alias_reshape", "copy");
    assert!(after < before, "{before} to {after}");
    assert_eq!(worst, 0.0);
}

#[test]
fn what_nobody_reads_is_not_computed() {
    let mut net = unet([1, 1, 16, 16], Up::Linear, false, false, "");
    net.node("Sigmoid", &["t0"], &[]);
    assert_eq!(before_and_after(&net, "drop_unused", "sigmoid"), (1, 0, 0.0));
}

#[test]
fn all_passes_together_leave_the_outputs_and_take_fewer_steps() {
    let unets = [Up::Transpose, Up::Resize, Up::Upsample, Up::Linear]
        .map(|up| (format!("{up:?}"), unet([2, 1, 20, 16], up, true, up == Up::Resize, "Softmax")));
    let others = [1, 2].map(|images| (format!("residual {images}"), residual(images)));
    let exported = [1, 2].map(|n| exports(n).into_iter().map(move |(name, _, net)| (format!("{name} {n}"), net)));
    for (name, net) in unets.into_iter().chain(others).chain(exported.into_iter().flatten()) {
        let (plain, fused) = (build(&net, &[]), build(&net, PASSES));
        assert!(fused.steps().len() < plain.steps().len(), "{name}");
        let worst = farthest(&run(fused), &run(plain));
        assert!(worst < 2e-5, "{name}: {worst}");
    }
}
