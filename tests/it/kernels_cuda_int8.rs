//! Convolutions of codes on tensor cores, against those of the CPU.

use half::f16;
use sonoplex::backend::cpu::layout::{Grid, Layout, pack, unpack};
use sonoplex::backend::cpu::{Activation, Conv, ConvShape, Isa, Pool};
use sonoplex::backend::cuda::conv::Halves;
use sonoplex::backend::cuda::conv::int8::{Codes, ConvInt8, Made};

use super::kernels_cuda::Machine;
use super::kernels_cuda_conv::shape;
use super::naive::Random;

/// What stands in channels that are not part of a slice.
const BESIDE: u8 = 0xee;

/// What is convolved: codes of planes, weights and bias, and codes that are added.
struct Given {
    shape: ConvShape,
    grid: Grid,
    codes: Vec<u8>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    added: Option<(Grid, Vec<u8>)>,
    activation: Activation,
    /// The same in numbers.
    bounds: [f32; 2],
}

/// Planes as channels last, `pitch` codes a pixel, of which `first..` are these.
fn last(planes: &[u8], channels: usize, pitch: usize, first: usize) -> Vec<u8> {
    let pixels = planes.len() / channels;
    let mut codes = vec![BESIDE; pixels * pitch];
    planes.iter().enumerate().for_each(|(i, &code)| codes[i % pixels * pitch + first + i / pixels] = code);
    codes
}

/// The CPU's result as planes of numbers.
fn expected(given: &Given, made: Option<Grid>) -> Vec<f32> {
    let (s, pool) = (&given.shape, Pool::new(1));
    let [in_pixels, out_pixels] = [s.in_size, s.out_size()].map(|[h, w]| h * w);
    let layouts = [Layout::BlockedU8(given.grid), made.map_or(Layout::Blocked, Layout::BlockedU8)];
    let tactics = Conv::tactics_between(s, layouts, Isa::detect());
    let tactic = tactics.iter().find(|tactic| tactic.starts_with("taps_int8")).expect("products of bytes");
    let mut conv = Conv::between(s.clone(), layouts, tactic, &given.weights, &given.bias).expect("sound");
    let blocks = |grid: Grid, codes: &[u8], channels: usize, pixels: usize| {
        let numbers: Vec<f32> = codes.iter().map(|&code| grid.value(code)).collect();
        let mut blocks = vec![0.0; Layout::BlockedU8(grid).len(channels, pixels)];
        pack(&pool, Layout::BlockedU8(grid), channels, pixels, &numbers, &mut blocks);
        blocks
    };
    let input = blocks(given.grid, &given.codes, s.in_channels, in_pixels);
    let residual = given.added.as_ref().map(|(grid, codes)| blocks(*grid, codes, s.out_channels, out_pixels));
    if let Some((grid, _)) = &given.added {
        conv = conv.adding(Layout::BlockedU8(*grid));
    }
    let mut output = vec![0.0; layouts[1].len(s.out_channels, out_pixels)];
    let mut scratch = vec![0.0; conv.scratch_len(1)];
    conv.run(&pool, &input, residual.as_deref(), given.activation, &mut output, &mut scratch);
    let mut planes = vec![0.0; s.out_channels * out_pixels];
    unpack(&pool, layouts[1], s.out_channels, out_pixels, &output, &mut planes);
    planes
}

/// Runs a convolution from and to slices of joined tensors: the bytes of its output, `width` of them for each value.
fn found(machine: &mut dyn Machine, given: &Given, made: Option<Grid>, width: usize) -> Vec<u8> {
    let s = &given.shape;
    let [in_pixels, out_pixels] = [s.in_size, s.out_size()].map(|[h, w]| h * w);
    let (ins, outs) = (s.in_channels, s.out_channels);
    machine.clear();
    let grids = (given.grid, made, given.added.as_ref().map(|(grid, _)| *grid));
    let conv = ConvInt8::new(s, grids.0, grids.1, grids.2).expect("one that the kernel computes");
    let src = machine.upload(&last(&given.codes, ins, ins + 32, 16));
    let constants = machine.upload(&conv.pack(&given.weights, &given.bias));
    let rest = given.added.as_ref().map(|(_, codes)| machine.upload(&last(codes, outs, outs + 2, 1)));
    let pitch = outs + 5;
    let dst = machine.upload(&vec![BESIDE; width * out_pixels * pitch]);
    let to = match width {
        1 => Made::Codes(Codes::slice(dst, out_pixels, pitch, 3, outs)),
        _ => Made::Halves(Halves::slice(dst, out_pixels, pitch, 3, outs)),
    };
    let launch = conv.launch(
        Codes::slice(src, in_pixels, ins + 32, 16, ins),
        constants,
        rest.map(|region| Codes::slice(region, out_pixels, outs + 2, 1, outs)),
        to,
        given.bounds,
    );
    machine.run(&[launch]).unwrap_or_else(|e| panic!("{s:?}: {e}"));
    let after = machine.download(dst);
    // The channels beside the slice are as they were.
    for (i, byte) in after.iter().enumerate() {
        let channel = i / width % pitch;
        assert!((3..3 + outs).contains(&channel) || *byte == BESIDE, "{s:?}: writes beside, at {i}");
    }
    let at = |i: usize| (i % out_pixels * pitch + 3 + i / out_pixels) * width;
    (0..outs * out_pixels).flat_map(|i| after[at(i)..at(i) + width].to_vec()).collect()
}

/// Sizes that fill tiles and that do not, grids with a zero anywhere, codes or halves as the result.
pub fn check_int8(machine: &mut dyn Machine) {
    let mut random = Random(73);
    let shapes = [
        shape(16, 1, [1, 1], 1, 1, 1, 0),
        shape(16, 40, [5, 7], 3, 1, 1, 1),
        shape(64, 32, [12, 11], 3, 1, 1, 1),
        shape(80, 65, [9, 9], 3, 2, 1, 1),
        shape(32, 70, [6, 23], 3, 1, 2, 2),
        shape(144, 33, [7, 7], 5, 2, 1, 3),
    ];
    let activations = [
        (Activation::None, [f32::NEG_INFINITY, f32::INFINITY]),
        (Activation::Relu, [0.0, f32::INFINITY]),
        (Activation::Clip(-0.5, 0.75), [-0.5, 0.75]),
    ];
    for (i, s) in shapes.into_iter().enumerate() {
        let [in_len, out_len] = [s.in_len(), s.out_len()];
        let grid = [Grid { scale: 1.0 / 64.0, zero: 0 }, Grid::between(-1.0, 3.0), Grid::between(-2.0, 0.0)][i % 3];
        let scale = 1.0 / ((s.in_channels * s.kernel[0] * s.kernel[1]) as f32).sqrt();
        let mut weights: Vec<f32> = random.floats(s.weights_len()).iter().map(|w| w * scale).collect();
        if s.out_channels > 1 {
            // An output without weights is its bias.
            weights[..s.in_channels * s.kernel[0] * s.kernel[1]].fill(0.0);
        }
        let added = (i % 2 == 1).then(|| (Grid::between(-1.5, 1.0), random.bytes(out_len)));
        let (codes, bias) = (random.bytes(in_len), random.floats(s.out_channels));
        let (activation, bounds) = activations[i % 3];
        let given = Given { shape: s, grid, codes, weights, bias, added, activation, bounds };
        let what = format!("{:?} {:?}", given.shape, given.activation);

        let made = Grid::between(-1.0, 2.0);
        let wanted: Vec<u8> = expected(&given, Some(made)).iter().map(|&x| made.code(x)).collect();
        let codes = found(machine, &given, Some(made), 1);
        let apart = codes.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        // Without instructions that multiply and add at once the CPU rounds once more.
        assert!(apart <= Some(u8::from(Isa::detect() == Isa::Portable)), "{what}: {apart:?} codes");
        assert!(wanted.iter().any(|code| *code != wanted[0]) || wanted.len() == 1, "{what}: the same everywhere");

        let wanted = expected(&given, None);
        let halves = found(machine, &given, None, 2);
        let halves = halves.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32());
        for (i, (found, expected)) in halves.zip(&wanted).enumerate() {
            // Half of the last place of a half, and where floats are rounded otherwise.
            let allowed = expected.abs() / 2048.0 + 1e-6;
            assert!((found - expected).abs() <= allowed, "{what}: value {i} is {found}, expected {expected}");
        }
    }
}

#[test]
fn what_the_kernel_of_codes_does_not_compute_is_left_to_others() {
    let good = shape(32, 4, [8, 8], 3, 1, 1, 1);
    let of = |shape: &ConvShape, grid: Grid| ConvInt8::new(shape, grid, None, None);
    assert!(of(&good, Grid::WHOLE).is_some());
    for other in [
        ConvShape { groups: 2, ..good.clone() },
        ConvShape { in_channels: 24, ..good.clone() },
        ConvShape { stride: [1, 2], ..good.clone() },
        ConvShape { dilation: [2, 1], ..good.clone() },
        ConvShape { in_size: [1, 1], pads: [0; 4], ..good.clone() },
        // A sum of whole numbers could be too large.
        ConvShape { in_channels: 7376, ..good.clone() },
    ] {
        assert!(of(&other, Grid::WHOLE).is_none(), "{other:?}");
    }
    assert!(of(&good, Grid { scale: 0.0, zero: 0 }).is_none());
}
