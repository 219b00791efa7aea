//! CUDA kernels that take values one by one, or all pixels of a channel together, against their CPU twins.

use half::f16;
use sonoplex::backend::cpu::activation::Activation;
use sonoplex::backend::cpu::elementwise::Arithmetic;
use sonoplex::backend::cpu::max_pool::{PoolShape, average_pool, average_pool_padded};
use sonoplex::backend::cpu::normalize::Normalize;
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::backend::cuda::conv::Halves;
use sonoplex::backend::cuda::elementwise::{self, Operand};
use sonoplex::backend::cuda::normalize::Groups;
use sonoplex::backend::cuda::{max_pool, reduce};

use super::kernels_cuda::Machine;
use super::naive::Random;

/// Every function that kernels compute of halves.
pub const WITH_HALVES: [Activation; 11] = [
    Activation::None,
    Activation::Relu,
    Activation::Clip(-0.5, 6.0),
    Activation::Sigmoid,
    Activation::LeakyRelu(0.2),
    Activation::HardSigmoid { alpha: 0.3, beta: 0.6 },
    Activation::HardSwish,
    Activation::Silu,
    Activation::Tanh,
    Activation::Elu(1.3),
    Activation::Gelu,
];

/// Every function that kernels compute, with scale and shift before it, and sums, differences and products of whole, single
/// and broadcast operands, within the rounding to halves.
pub fn check_elementwise(machine: &mut dyn Machine) {
    let mut random = Random(64);
    let (pixels, channels) = (37usize, 24usize);
    let halves =
        |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect() };
    let rounded = |x: f32| f16::from_f32(x).to_f32();
    let read =
        |bytes: Vec<u8>| -> Vec<f32> { bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect() };
    // What is near 1 is subtracted from 1 and then multiplied.
    let near = |found: f32, expected: f32, x: f32| {
        let both_not = found.is_nan() && expected.is_nan();
        both_not
            || found == rounded(expected)
            || (found - expected).abs() <= expected.abs() * 1e-3 + x.abs() * 1e-7 + 1e-6
    };
    let hard = [0.0, -0.0, 6e4, -6e4, 1e-4, -1e-4, f32::INFINITY, f32::NAN];
    for function in WITH_HALVES {
        let mut input: Vec<f32> = random.floats(pixels * channels).iter().map(|x| rounded(x * 8.0)).collect();
        input[..hard.len()].copy_from_slice(&hard);
        let numbers = random.floats(2 * channels);
        for with_numbers in [false, true] {
            machine.clear();
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let (region, table) = (machine.upload(&halves(&input)), machine.upload(&bytes));
            let src = Halves::slice(region, pixels, channels, 0, channels);
            let table = with_numbers.then_some(table);
            let launch = elementwise::affine([pixels, channels], src, table, src, function).expect("it has a kernel");
            machine.run(&[launch]).unwrap_or_else(|e| panic!("{function:?}: {e}"));
            for (i, found) in read(machine.download(region)).into_iter().enumerate() {
                let (x, c) = (rounded(input[i]), i % channels);
                let x = if with_numbers { x * numbers[c] + numbers[channels + c] } else { x };
                if function == Activation::Gelu && x.is_infinite() {
                    // Nothing times all there is: the one says so, the other does not.
                    continue;
                }
                let expected = function.of(x);
                assert!(near(found, expected, x), "{function:?}, numbers {with_numbers}, {x}: {found} {expected}");
            }
        }
    }
    for (op, of) in [
        (Arithmetic::Add, (|a, b| a + b) as fn(f32, f32) -> f32),
        (Arithmetic::Sub, |a, b| a - b),
        (Arithmetic::Mul, |a, b| a * b),
    ] {
        // Whole, one pixel, one channel of eight places, one number.
        for (own, single) in [(pixels, false), (1, false), (pixels, true), (1, true)] {
            let places = if single { 8 } else { channels };
            let (a, b) = (random.floats(pixels * channels), random.floats(own * places));
            for swapped in [false, true] {
                machine.clear();
                let (a_at, b_at) = (machine.upload(&halves(&a)), machine.upload(&halves(&b)));
                let dst = machine.allocate(2 * (pixels * channels) as u64);
                let whole = |region| Halves::slice(region, pixels, channels, 0, channels);
                let mut operands = [
                    Operand { halves: whole(a_at), pixels, single: false },
                    Operand { halves: Halves::slice(b_at, own, places, 0, places), pixels: own, single },
                ];
                if swapped {
                    operands.swap(0, 1);
                }
                let sizes = [pixels, channels];
                let launch = elementwise::binary(op, sizes, operands, whole(dst), Activation::Relu).expect("a kernel");
                machine.run(&[launch]).unwrap_or_else(|e| panic!("{op:?}: {e}"));
                for (i, found) in read(machine.download(dst)).into_iter().enumerate() {
                    let (pixel, c) = (i / channels, i % channels);
                    let other = (if own == 1 { 0 } else { pixel }) * places + if single { 0 } else { c };
                    let (x, y) = (rounded(a[i]), rounded(b[other]));
                    let expected = if swapped { of(y, x) } else { of(x, y) }.max(0.0);
                    assert!(near(found, expected, 0.0), "{op:?} {own} {single} {swapped}: {found} {expected}");
                }
            }
        }
    }
}

/// Means and largest values of channels, of one pixel, of some and of more than a block has threads.
pub fn check_reductions(machine: &mut dyn Machine) {
    let mut random = Random(65);
    let channels = 16;
    for pixels in [1, 5, 256, 777] {
        let values = random.floats(pixels * channels).iter().map(|&x| f16::from_f32(3.0 * x)).collect::<Vec<_>>();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        for largest in [false, true] {
            machine.clear();
            let (region, to) = (machine.upload(&bytes), machine.allocate(2 * channels as u64));
            let src = Halves::slice(region, pixels, channels, 0, channels);
            let dst = Halves::slice(to, 1, channels, 0, channels);
            machine.run(&[reduce::pixels([pixels, channels], src, dst, largest)]).unwrap_or_else(|e| panic!("{e}"));
            let found = machine.download(to);
            for (c, found) in found.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).enumerate() {
                let own = values.iter().skip(c).step_by(channels).map(|x| x.to_f32());
                let expected = match largest {
                    true => own.fold(f32::NEG_INFINITY, f32::max),
                    false => own.map(f64::from).sum::<f64>() as f32 / pixels as f32,
                };
                let apart = (found - expected).abs();
                assert!(apart <= 1e-3 * expected.abs() + 1e-4, "{pixels} pixels, channel {c}: {found} {expected}");
            }
        }
    }
}

fn halves_of(numbers: &[f16]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Planes as channels last, each at its place of `width`; zeros where none is.
fn placed(planes: &[f16], places: &[usize], width: usize) -> Vec<f16> {
    let pixels = planes.len() / places.len();
    let mut last = vec![f16::ZERO; pixels * width];
    planes.iter().enumerate().for_each(|(i, &x)| last[i % pixels * width + places[i / pixels]] = x);
    last
}

fn planes_of(last: &[u8], places: &[usize], width: usize) -> Vec<f32> {
    let values: Vec<f32> = last.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect();
    places.iter().flat_map(|place| values.iter().skip(*place).step_by(width).copied()).collect()
}

/// Instances, groups and all channels, of one pixel and of so many that several blocks share them, far from zero and
/// all the same, in joined tensors with nothing between their parts.
pub fn check_normalizations(machine: &mut dyn Machine) {
    let mut random = Random(66);
    let side_by_side: Vec<usize> = (0..16).collect();
    let apart: Vec<usize> = (0..10).chain(16..22).collect();
    for (pixels, group, centered, places, width) in [
        (1, 16, true, &side_by_side, 16),
        (35, 1, true, &apart, 24),
        (35, 4, false, &side_by_side, 16),
        (777, 16, true, &apart, 24),
        (5003, 1, true, &side_by_side, 16),
        (2100, 8, true, &apart, 24),
    ] {
        let channels = places.len();
        let (length, groups) = (group * pixels, channels / group);
        let sizes = Normalize { groups, length, epsilon: 1e-5, centered, plane: pixels, channels };
        let values: Vec<f16> = (0..channels)
            .flat_map(|c| random.floats(pixels).into_iter().map(move |x| (c, x)).collect::<Vec<_>>())
            .enumerate()
            .map(|(i, (c, x))| match c {
                // Far from zero, always the same, and with a corner that is unlike all others.
                3 => 60.0 + x,
                5 => -7.25,
                7 if pixels > 5 && i % pixels == 0 => 400.0,
                _ => 3.0 * x - 0.5,
            })
            .map(f16::from_f32)
            .collect();
        let (scales, biases) = (random.floats(channels), random.floats(channels));
        let input: Vec<f32> = values.iter().map(|x| x.to_f32()).collect();
        let mut expected = vec![0.0; input.len()];
        sizes.run(&Pool::new(1), &scales, &biases, &input, &mut expected);
        let kernel = Groups::new(&sizes, [pixels, channels, width]).expect("whole channels");
        machine.clear();
        let given = machine.upload(&halves_of(&placed(&values, places, width)));
        let constants = machine.upload(&kernel.pack(places, &scales, &biases));
        let (to, scratch) = (machine.allocate(given.bytes), machine.allocate(kernel.scratch_bytes()));
        let [src, dst] = [given, to].map(|region| Halves::slice(region, pixels, width, 0, width));
        let launches = kernel.launches(src, constants, dst, scratch, Activation::Clip(-2.0, 2.0)).expect("a kernel");
        let several = launches[0].grid()[1] > 1;
        assert_eq!(several, pixels > 2048, "{sizes:?}: {:?}", launches[0].grid());
        machine.run(&launches).unwrap_or_else(|e| panic!("{sizes:?}: {e}"));
        let found = planes_of(&machine.download(to), places, width);
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let expected = expected.clamp(-2.0, 2.0);
            let allowed = expected.abs() / 1024.0 + 1e-3;
            assert!((found - expected).abs() <= allowed, "{sizes:?}, channel {}: {found} {expected}", i / pixels);
        }
    }
}

/// Windows in the picture and across its border, whose outside counts or does not, and a last one that does not fit.
pub fn check_averages(machine: &mut dyn Machine) {
    let mut random = Random(67);
    for (in_size, kernel, stride, pads, ceil_mode) in [
        ([6, 10], [2, 2], [2, 2], [0; 4], false),
        ([7, 9], [3, 3], [2, 2], [1, 1, 1, 1], true),
        ([5, 5], [3, 2], [1, 1], [1, 0, 2, 1], false),
        ([8, 8], [3, 3], [3, 3], [0, 1, 0, 1], true),
    ] {
        let shape = PoolShape { channels: 16, in_size, kernel, stride, pads, dilation: [1, 1], ceil_mode };
        let values: Vec<f16> = random.floats(shape.in_len()).into_iter().map(f16::from_f32).collect();
        let input: Vec<f32> = values.iter().map(|x| x.to_f32()).collect();
        let places: Vec<usize> = (0..16).collect();
        for padded in [false, true] {
            let mut expected = vec![0.0; shape.out_len()];
            let average = if padded { average_pool_padded } else { average_pool };
            average(&Pool::new(1), &shape, &input, &mut expected);
            machine.clear();
            let (given, to) = (
                machine.upload(&halves_of(&placed(&values, &places, 16))),
                machine.allocate(2 * shape.out_len() as u64),
            );
            let src = Halves::slice(given, in_size[0] * in_size[1], 16, 0, 16);
            let dst = Halves::slice(to, shape.out_len() / 16, 16, 0, 16);
            let launch = max_pool::average(&shape, padded, src, dst).expect("a kernel");
            machine.run(&[launch]).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            let found = planes_of(&machine.download(to), &places, 16);
            for (found, expected) in found.iter().zip(&expected) {
                let allowed = expected.abs() / 2048.0 + 1e-6;
                assert!((found - expected).abs() <= allowed, "{shape:?}, padded {padded}: {found} {expected}");
            }
        }
    }
}
