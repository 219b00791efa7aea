//! Each pass for what exporters write apart, before and after.

use sonoplex::engine::passes::{PASSES, Pass};

use crate::engine_exports::exports;
use crate::engine_passes::{before_and_after, build, count, run};
use crate::naive::farthest;
use crate::onnx_writer::{Set, Writer};

fn export(name: &str, images: usize) -> Writer {
    exports(images).into_iter().find(|(n, ..)| *n == name).expect("it is one of them").2
}

/// The words of all steps after all passes.
fn words(writer: &Writer) -> Vec<String> {
    build(writer, PASSES).table().into_iter().map(|row| row.op).collect()
}

#[test]
fn written_out_activations_become_one_step() {
    for (op, before) in [("sigmoid", 3), ("hardsigmoid", 1), ("erf", 1), ("softplus", 1), ("prelu", 1), ("clip", 2)] {
        let after = match op {
            "sigmoid" => 2,
            "clip" => 1,
            _ => 0,
        };
        let (b, a, worst) = before_and_after(&export("gates", 2), "name_activation", op);
        assert_eq!((b, a), (before, after), "{op}");
        assert!(worst < 1e-5, "{op}: {worst}");
    }
    let words = words(&export("gates", 1));
    for expected in
        ["conv 3x3 + silu", "conv 3x3 + hardswish", "conv 1x1 + mish", "conv 1x1 + hardswish", "conv 3x3 + gelu"]
    {
        assert!(words.iter().any(|w| w.starts_with(expected)), "{expected} in {words:?}");
    }
}

#[test]
fn transpositions_of_a_channels_last_network_vanish() {
    for images in [1, 3] {
        let net = export("channels_last", images);
        let (before, after, worst) = before_and_after(&net, "merge_moves", "transpose");
        println!("{before} transpositions before, {after} after");
        assert_eq!(worst, 0.0);
        // Sinking makes two of one where an operator has two inputs; then they meet and cancel.
        let (.., worst) = before_and_after(&net, "sink_transpose", "transpose");
        assert_eq!(worst, 0.0);
        let unsunk: Vec<Pass> = PASSES.iter().filter(|(name, _)| *name != "sink_transpose").copied().collect();
        let met = |passes: &[Pass]| count(&build(&net, passes), "transpose");
        assert!(met(PASSES) < met(&unsunk), "{} {}", met(PASSES), met(&unsunk));
        let words = words(&net);
        let left = |what: &str| words.iter().filter(|w| w.starts_with(what)).count();
        // One at each end, where the pictures themselves are channels-last.
        assert_eq!((left("transpose") + left("strided"), left("resize")), (2, 1), "{words:?}");
    }
}

#[test]
fn normalisations_become_one_step_with_their_scale_and_activation() {
    let net = export("normalized", 2);
    let (before, after, worst) = before_and_after(&net, "merge_norm", "normalize");
    assert_eq!((before, after), (3, 4));
    assert!(worst < 1e-4, "{worst}");
    let words = words(&net);
    for expected in ["normalize + leakyrelu", "normalize + relu", "affine + relu", "matmul + bias + tanh"] {
        assert!(words.iter().any(|w| w == expected), "{expected} in {words:?}");
    }
    assert!(words.iter().all(|w| w != "mul" && w != "reduce_mean" && w != "sub"), "{words:?}");
}

#[test]
fn a_bias_goes_into_the_product_of_matrices() {
    let (before, after, worst) = before_and_after(&export("normalized", 1), "fuse_bias", "bias");
    assert_eq!((before, after), (0, 1));
    assert!(worst < 1e-6, "{worst}");
}

#[test]
fn what_no_convolution_takes_keeps_its_activation() {
    for (pass, op) in [("affine", "affine"), ("open_binary", "binary")] {
        let (.., worst) = before_and_after(&export("normalized", 2), pass, op);
        assert!(worst < 1e-5, "{pass}: {worst}");
    }
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 2, 4, 4]);
    let a = w.max_pool(&x);
    let b = w.node("AveragePool", &[&x], &[("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))]);
    let y = w.node("Add", &[&a, &b], &[]);
    let y = w.node("Relu", &[&y], &[]);
    w.output(&y);
    assert!(words(&w).contains(&"add + relu".to_owned()), "{:?}", words(&w));
}

#[test]
fn the_mean_of_planes_keeps_the_layout_of_convolutions() {
    for (channels, images, means) in [(16, 1, 0), (20, 2, 0), (6, 2, 1)] {
        let mut w = Writer::new(13);
        let x = w.input("image", &[images, 2, 9, 7]);
        let x = w.conv(&x, 2, channels, 3);
        let m = w.node("GlobalAveragePool", &[&x], &[]);
        let m = w.conv(&m, channels, channels, 1);
        let m = w.node("Sigmoid", &[&m], &[]);
        let y = w.node("Mul", &[&x, &m], &[]);
        let flat = w.node("ReduceMean", &[&y], &[("axes", Set::Ints(&[2, 3])), ("keepdims", Set::Int(0))]);
        let weight = w.weights(&[channels, 3], channels);
        let class = w.node("MatMul", &[&flat, &weight], &[]);
        w.output(&class);
        let (before, after, worst) = before_and_after(&w, "pool_planes", "reduce_mean");
        assert_eq!((before, after), (2, 0));
        assert!(worst < 1e-5, "{worst}");
        let found = words(&w);
        assert_eq!(found.iter().filter(|w| *w == "reduce_mean").count(), 2 * means, "{found:?}");
        let plain = run(build(&w, &[]));
        let worst = farthest(&run(build(&w, PASSES)), &plain);
        assert!(worst < 1e-5, "{channels}: {worst}");
    }
}

#[test]
fn slices_of_one_image_are_read_where_they_lie() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 8, 6, 6]);
    let x = w.conv(&x, 8, 8, 3);
    let halves = w.ints(&[3, 5]);
    let a = w.node("Split", &[&x, &halves], &[("axis", Set::Int(1))]);
    w.graph().node.last_mut().expect("just added").output.push("other".to_owned());
    let a = w.conv(&a, 3, 5, 1);
    let y = w.node("Mul", &[&a, "other"], &[]);
    w.output(&y);
    assert_eq!(before_and_after(&w, "alias_slice", "strided"), (2, 0, 0.0));
    let (plain, fused) = (run(build(&w, &[])), run(build(&w, PASSES)));
    assert_eq!(plain, fused);
}

/// As windows that are shifted are numbered, by writing into a constant.
#[test]
fn what_is_written_into_and_read_out_of_constants_by_place_is_folded() {
    let mut w = Writer::new(18);
    let x = w.input("image", &[2, 3]);
    let (zeros, two, six) = (w.floats(&[2, 3], vec![0.0; 6]), w.floats(&[2], vec![5.0, 7.0]), w.ints(&[0, 2, -1, 1]));
    let pairs = w.ints(&[2, 2]);
    let places = w.node("Reshape", &[&six, &pairs], &[]);
    let written = w.node("ScatterND", &[&zeros, &places, &two], &[]);
    let row = w.bytes_of(&[1, 2], &[-3, 1]);
    let more = w.floats(&[1, 2], vec![1.0, 2.0]);
    let written = w.node("ScatterElements", &[&written, &row, &more], &[("axis", Set::Int(1))]);
    let turned = w.bytes_of(&[2, 3], &[1, 0, 0, 1, 1, 1]);
    let read = w.node("GatherElements", &[&written, &turned], &[("axis", Set::Int(0))]);
    let y = w.node("Add", &[&x, &read], &[]);
    w.output(&y);
    let plan = build(&w, PASSES);
    assert_eq!((count(&plan, "take"), count(&plan, "concat")), (0, 0));
    let expected = [0.0, 2.0, 5.0, 0.0, 7.0, 0.0].into_iter().zip(Writer::new(13).randoms(6)).map(|(a, b)| a + b);
    assert_eq!(run(plan), expected.collect::<Vec<f32>>());
}
