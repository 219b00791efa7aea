//! Convolution: every tactic against the one-screen reference, and what it must refuse.

use sonoplex::backend::cpu::layout::{Grid, Layout, pack, unpack};
use sonoplex::backend::cpu::{Activation, Conv, ConvShape, Isa, KernelError, Pool};

use super::naive::{Random, assert_close, conv, pools};

fn square(ins: usize, outs: usize, size: usize, kernel: usize, stride: usize, pad: usize) -> ConvShape {
    ConvShape {
        in_channels: ins,
        out_channels: outs,
        groups: 1,
        in_size: [size; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [pad; 4],
        dilation: [1; 2],
    }
}

/// The result of one tactic; the scratch memory starts as not a number, so that reading it unwritten shows.
fn run(pool: &Pool, conv: &Conv, input: &[f32], residual: Option<&[f32]>, act: Activation) -> Vec<f32> {
    between(pool, conv, [Layout::Planar; 2], input, residual, act)
}

/// The same from planes to planes where the convolution itself works on other layouts.
fn between(
    pool: &Pool,
    conv: &Conv,
    layouts: [Layout; 2],
    input: &[f32],
    residual: Option<&[f32]>,
    act: Activation,
) -> Vec<f32> {
    let shape = conv.shape();
    let [ins, outs] = [shape.in_size, shape.out_size()].map(|[h, w]| h * w);
    let blocks = |layout: Layout, channels: usize, pixels: usize, planes: &[f32]| {
        let mut blocks = vec![f32::NAN; layout.len(channels, pixels)];
        match layout {
            Layout::Planar => blocks = planes.to_vec(),
            _ => pack(pool, layout, channels, pixels, planes, &mut blocks),
        }
        blocks
    };
    let input = blocks(layouts[0], shape.in_channels, ins, input);
    let residual = residual.map(|r| blocks(layouts[1], shape.out_channels, outs, r));
    let mut output = vec![f32::NAN; layouts[1].len(shape.out_channels, outs)];
    let mut scratch = vec![f32::NAN; conv.scratch_len(pool.threads())];
    conv.run(pool, &input, residual.as_deref(), act, &mut output, &mut scratch);
    if layouts[1] == Layout::Planar {
        return output;
    }
    let kept = output.iter().all(|v| v.is_finite()) || layouts[1] != Layout::Blocked;
    assert!(kept, "channels that are not there are finite");
    let mut planes = vec![f32::NAN; shape.out_len()];
    unpack(pool, layouts[1], shape.out_channels, outs, &output, &mut planes);
    planes
}

/// Root of the mean square of the difference, as a share of that of the expected values (at least 0.1).
fn deviation(found: &[f32], expected: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let error = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    (error / square(&mut expected.iter().map(|&e| f64::from(e).abs().max(0.1)))).sqrt()
}

/// Every tactic on one shape: equal to the reference, and equal to the last bit on any number of threads.
fn check(shape: &ConvShape, random: &mut Random, pools: &[Pool]) {
    let (input, weights) = (random.floats(shape.in_len()), random.floats(shape.weights_len()));
    let bias = random.floats(shape.out_channels);
    let residual = random.floats(shape.out_len());
    let activations = [
        Activation::None,
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Clip(-0.5, 0.5),
        Activation::HardSwish,
    ];
    let act = activations[random.in_range(0..=5)];
    let with_residual = random.in_range(0..=1) == 1;
    let mut expected = conv(shape, &input, &weights, &bias);
    if with_residual {
        expected.iter_mut().zip(&residual).for_each(|(e, r)| *e += r);
    }
    act.apply(&mut expected);
    let residual = with_residual.then_some(&residual[..]);
    use Layout::{Blocked, BlockedBf16, BlockedU8, Planar};
    let bf16 = [[Planar, BlockedBf16], [BlockedBf16, BlockedBf16], [BlockedBf16, Planar]];
    let floats = [[Planar, Planar], [Planar, Blocked], [Blocked, Blocked], [Blocked, Planar]];
    let ends = |values: &[f32]| values.iter().fold((0f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
    let own = |values: &[f32]| BlockedU8(Grid::between(ends(values).0, ends(values).1));
    // What is added has to lie on the grid of the output.
    let made = own(&expected.iter().chain(residual.unwrap_or(&[])).copied().collect::<Vec<_>>());
    let bytes =
        [[Planar, made], [own(&input), made], [own(&input), Planar], [own(&input), Blocked], [BlockedBf16, made]];
    for layouts in floats.into_iter().chain(bf16).chain(bytes) {
        for tactic in Conv::tactics_between(shape, layouts, Isa::detect()) {
            let conv = Conv::between(shape.clone(), layouts, &tactic, &weights, &bias).unwrap();
            let first = between(&pools[0], &conv, layouts, &input, residual, act);
            let what = format!("{tactic} {layouts:?} {act:?} {shape:?}");
            let coarse = layouts.iter().any(|l| matches!(l, BlockedU8(_)));
            match tactic.contains("_bf16") || coarse || layouts.contains(&BlockedBf16) {
                false => assert_close(&first, &expected, 2e-4, &what),
                true => {
                    let most = match tactic.as_str() {
                        name if name.starts_with("winograd4_bf16") => 0.15,
                        _ if coarse => 0.04,
                        _ => 0.02,
                    };
                    let found = deviation(&first, &expected);
                    assert!(found < most, "{found} {what}");
                }
            }
            for pool in &pools[1..] {
                let again = between(pool, &conv, layouts, &input, residual, act);
                assert_eq!(again, first, "{tactic} on {} threads", pool.threads());
            }
        }
    }
}

#[test]
fn every_tactic_agrees_with_the_reference_on_random_shapes() {
    let (mut random, pools) = (Random(1), pools());
    for _ in 0..120 {
        let shape = random.conv();
        check(&shape, &mut random, &pools);
    }
}

#[test]
fn every_tactic_agrees_with_the_reference_on_the_shapes_of_networks() {
    let (mut random, pools) = (Random(2), pools());
    for shape in [
        square(1, 8, 1, 1, 1, 0),
        square(3, 9, 1, 3, 1, 1),
        square(3, 16, 33, 7, 2, 3),
        square(16, 16, 48, 3, 1, 1),
        square(20, 35, 17, 3, 2, 1),
        square(12, 24, 16, 1, 1, 0),
        square(12, 24, 15, 1, 1, 0),
        square(12, 1, 31, 1, 1, 0),
        square(8, 8, 30, 1, 2, 0),
        ConvShape { groups: 16, ..square(16, 16, 21, 3, 1, 1) },
        ConvShape { dilation: [4, 4], pads: [4; 4], ..square(4, 4, 12, 3, 1, 0) },
        // Enough channels and tiles for Winograd's filtering: whole tiles, cut tiles, fewer than a tile.
        square(32, 64, 24, 3, 1, 1),
        square(17, 33, 31, 3, 1, 1),
        square(48, 16, 10, 3, 1, 0),
        square(16, 48, 2, 3, 1, 1),
        ConvShape { pads: [2, 0, 1, 3], ..square(16, 32, 13, 3, 1, 0) },
        ConvShape { groups: 33, ..square(33, 33, 21, 5, 2, 2) },
        // A stride beyond the kernel, and one beyond the picture.
        square(3, 4, 20, 2, 5, 0),
        square(3, 4, 3, 3, 9, 2),
    ] {
        check(&shape, &mut random, &pools);
    }
}

#[test]
fn factors_that_bf16_holds_lose_nothing() {
    // Whole numbers up to 8, and weights that stay whole under the transform of the filter.
    let mut random = Random(5);
    for shape in [square(20, 40, 19, 3, 1, 1), square(17, 33, 16, 3, 1, 0)] {
        let whole = |random: &mut Random, count: usize, step: f32| -> Vec<f32> {
            random.floats(count).iter().map(|v| (v * 7.0).round() * step).collect()
        };
        let (input, weights) = (whole(&mut random, shape.in_len(), 1.0), whole(&mut random, shape.weights_len(), 4.0));
        let expected = conv(&shape, &input, &weights, &vec![0.0; shape.out_channels]);
        let layouts = [Layout::Blocked; 2];
        for tactic in Conv::tactics_between(&shape, layouts, Isa::detect()) {
            if tactic.starts_with("taps_bf16") || tactic.starts_with("winograd2_bf16") {
                let conv = Conv::between(shape.clone(), layouts, &tactic, &weights, &[]).unwrap();
                let found = between(&Pool::new(2), &conv, layouts, &input, None, Activation::None);
                assert_eq!(found, expected, "{tactic}");
            }
        }
    }
}

#[test]
fn bytes_are_multiplied_exactly_by_every_set_of_instructions() {
    // Codes of a grid, and weights that are whole multiples of their step, the largest 127 of them.
    let (mut random, grid) = (Random(6), Grid { scale: 0.5, zero: 100 });
    let mut shapes = vec![square(20, 40, 19, 3, 1, 1), square(64, 16, 16, 3, 2, 1), square(33, 5, 9, 1, 1, 0)];
    shapes.extend((0..20).map(|_| ConvShape { groups: 1, ..random.conv() }));
    for shape in shapes {
        let codes = random.bytes(shape.in_len());
        let input: Vec<f32> = codes.iter().map(|&code| grid.value(code)).collect();
        let mut weights: Vec<f32> =
            random.floats(shape.weights_len()).iter().map(|w| (w * 127.0).round() / 8.0).collect();
        let per_output = weights.len() / shape.out_channels;
        weights.chunks_mut(per_output).for_each(|own| own[0] = 127.0 / 8.0);
        let bias = random.floats(shape.out_channels);
        let expected = conv(&shape, &input, &weights, &bias);
        let layouts = [Layout::BlockedU8(grid), Layout::Planar];
        let mut seen = 0;
        for tactic in Conv::tactics_between(&shape, layouts, Isa::detect()) {
            if tactic.starts_with("taps_int8") {
                let conv = Conv::between(shape.clone(), layouts, &tactic, &weights, &bias).unwrap();
                let found = between(&Pool::new(2), &conv, layouts, &input, None, Activation::None);
                assert_close(&found, &expected, 1e-5, &format!("{tactic} {shape:?}"));
                seen += 1;
            }
        }
        assert!(seen >= if Isa::detect() == Isa::Portable { 1 } else { 2 }, "{seen}");
    }
}

#[test]
fn a_convolution_without_bias_adds_nothing() {
    let shape = square(2, 3, 5, 3, 1, 1);
    let mut random = Random(3);
    let (input, weights) = (random.floats(shape.in_len()), random.floats(shape.weights_len()));
    let pool = Pool::new(1);
    for tactic in Conv::tactics(&shape, Isa::detect()) {
        let none = Conv::new(shape.clone(), &tactic, &weights, &[]).unwrap();
        let zero = Conv::new(shape.clone(), &tactic, &weights, &[0.0; 3]).unwrap();
        let results = [&none, &zero].map(|c| run(&pool, c, &input, None, Activation::None));
        assert_eq!(results[0], results[1], "{tactic}");
    }
}

#[test]
fn what_is_not_a_number_stays_so_through_the_activation() {
    let shape = square(1, 1, 1, 1, 1, 0);
    for tactic in Conv::tactics(&shape, Isa::detect()) {
        let conv = Conv::new(shape.clone(), &tactic, &[1.0], &[]).unwrap();
        let out = run(&Pool::new(1), &conv, &[f32::NAN], None, Activation::Relu);
        assert!(out[0].is_nan(), "{tactic} hides a bad input");
    }
}

#[test]
fn impossible_convolutions_are_refused_in_words() {
    let good = square(4, 4, 8, 3, 1, 1);
    let refuse = |shape: ConvShape| Conv::new(shape, "naive", &[0.0; 144], &[]).unwrap_err().to_string();
    for (shape, said) in [
        (ConvShape { groups: 0, ..good.clone() }, "sizes of at least 1"),
        (ConvShape { groups: 3, ..good.clone() }, "channels that the groups divide"),
        (ConvShape { stride: [0, 1], ..good.clone() }, "sizes of at least 1"),
        (ConvShape { in_size: [1, 1], pads: [0; 4], ..good.clone() }, "a kernel that fits"),
        (ConvShape { in_size: [usize::MAX, 8], ..good.clone() }, "fit into memory"),
        (ConvShape { pads: [usize::MAX; 4], ..good.clone() }, "fit into memory"),
        (ConvShape { dilation: [usize::MAX; 2], ..good.clone() }, "a kernel that fits"),
        (ConvShape { out_channels: 8, ..good.clone() }, "expected 288 weights, found 144"),
    ] {
        let message = refuse(shape);
        assert!(message.contains(said), "{message}");
    }
    let bias = Conv::new(good.clone(), "naive", &[0.0; 144], &[0.0; 3]).unwrap_err().to_string();
    assert!(bias.contains("expected 4 biases or none, found 3"), "{bias}");
    let tactic = Conv::new(good.clone(), "guess", &[0.0; 144], &[]).unwrap_err();
    assert!(matches!(&tactic, KernelError::Tactic { found, .. } if found == "guess"), "{tactic}");
    assert_eq!(Conv::tactics(&good, Isa::Portable), ["direct", "naive"]);
    let blocked = Conv::tactics_between(&good, [Layout::Blocked; 2], Isa::Portable);
    assert_eq!(blocked, ["taps", "winograd2", "winograd4", "direct", "naive"]);
    let planes = Conv::new(good.clone(), "winograd4", &[0.0; 144], &[]).unwrap_err().to_string();
    assert!(planes.contains(&format!("it has `direct{}`", Isa::detect().suffix())), "{planes}");
}

#[test]
fn operations_are_counted_two_for_each_multiplication() {
    let shape = ConvShape { groups: 2, ..square(4, 6, 8, 3, 2, 1) };
    assert_eq!(shape.out_size(), [4, 4]);
    assert_eq!(shape.flops(), 2 * 6 * 16 * 2 * 9);
}
