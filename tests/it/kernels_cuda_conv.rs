//! Convolutions on tensor cores, against the naive ones on the same halves.

use half::f16;
use sonoplex::backend::cpu::{ConvShape, ConvTransposeShape, PoolShape};
use sonoplex::backend::cuda::conv::first::ConvFirst;
use sonoplex::backend::cuda::conv::int8::Kept;
use sonoplex::backend::cuda::conv::{Conv, Halves, head};
use sonoplex::backend::cuda::max_pool;

use super::kernels_cuda::Machine;
use super::naive::{self, Random};

/// Numbers between -1 and 1, times `scale`, that a half holds exactly.
fn halves(random: &mut Random, count: usize, scale: f32) -> Vec<f32> {
    random.floats(count).into_iter().map(|x| f16::from_f32(x * scale).to_f32()).collect()
}

/// Planes as channels last, `pitch` halves a pixel, of which `first..` are these; the others are not numbers.
fn last(planes: &[f32], channels: usize, pitch: usize, first: usize) -> Vec<u8> {
    let pixels = planes.len() / channels;
    let mut halves = vec![f16::NAN; pixels * pitch];
    for (i, &value) in planes.iter().enumerate() {
        halves[i % pixels * pitch + first + i / pixels] = f16::from_f32(value);
    }
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

fn planes(bytes: &[u8], channels: usize, pitch: usize, first: usize) -> Vec<f32> {
    let halves: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect();
    let pixels = halves.len() / pitch;
    (0..channels * pixels).map(|i| halves[i % pixels * pitch + first + i / pixels]).collect()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Runs a convolution from and to slices of joined tensors, in so many layers of blocks, and compares; returns what it has
/// written.
fn compare(
    machine: &mut dyn Machine,
    (conv, layers): (&Conv, u32),
    (ins, outs): (usize, usize),
    (input, weights, bias): (&[f32], &[f32], &[f32]),
    (expected, residual, bounds): (Vec<f32>, Option<&[f32]>, [f32; 2]),
    what: &str,
) -> Vec<u8> {
    let (in_pixels, out_pixels) = (input.len() / ins, expected.len() / outs);
    machine.clear();
    let (in_pitch, out_pitch) = (ins + 16, outs + 5);
    let src = machine.upload(&last(input, ins, in_pitch, 8));
    let (packed, added) = (machine.upload(&conv.pack(weights)), machine.upload(&floats(bias)));
    // Where eight channels are read at once, and where they are not.
    let (rest_pitch, rest_first) = if outs.is_multiple_of(8) { (outs + 8, 8) } else { (outs + 3, 1) };
    let rest = residual.map(|r| machine.upload(&last(r, outs, rest_pitch, rest_first)));
    let before = last(&vec![7.0; expected.len()], outs, out_pitch, 3);
    let dst = machine.upload(&before);
    let scratch = machine.allocate(conv.scratch_bytes());
    let launches = conv.launches(
        Halves::slice(src, in_pixels, in_pitch, 8, ins),
        (packed, added),
        rest.map(|region| Halves::slice(region, out_pixels, rest_pitch, rest_first, outs)),
        Halves::slice(dst, out_pixels, out_pitch, 3, outs),
        bounds,
        scratch,
    );
    assert_eq!(launches[0].grid()[2], layers, "{what}: layers of blocks");
    machine.run(&launches).unwrap_or_else(|e| panic!("{what}: {e}"));
    let after = machine.download(dst);
    let found = planes(&after, outs, out_pitch, 3);
    for (i, (&found, &sum)) in found.iter().zip(&expected).enumerate() {
        let expected = (sum + residual.map_or(0.0, |r| r[i])).clamp(bounds[0], bounds[1]);
        // Half of the last place of a half, and what floats lose in the sum.
        let allowed = expected.abs() / 2048.0 + 1e-4;
        assert!((found - expected).abs() <= allowed, "{what}: value {i} is {found}, expected {expected}");
    }
    // The channels beside the slice are as they were.
    for first in [0, 3 + outs] {
        let channels = if first == 0 { 3 } else { 2 };
        assert!(planes(&after, channels, out_pitch, first).iter().all(|x| x.is_nan()), "{what}: writes beside");
    }
    after
}

/// A convolution that is the same down and across.
pub fn shape(
    ins: usize,
    outs: usize,
    in_size: [usize; 2],
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
) -> ConvShape {
    ConvShape {
        in_channels: ins,
        out_channels: outs,
        groups: 1,
        in_size,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [pad; 4],
        dilation: [dilation; 2],
    }
}

/// A transposed convolution whose output has twice as many rows and columns, of taps that do not overlap.
pub fn doubling(in_channels: usize, out_channels: usize, in_size: [usize; 2]) -> ConvTransposeShape {
    let two = [2, 2];
    let (pads, dilation, output_padding) = ([0; 4], [1, 1], [0; 2]);
    let (kernel, stride) = (two, two);
    ConvTransposeShape { in_channels, out_channels, groups: 1, in_size, kernel, stride, pads, dilation, output_padding }
}

/// Sizes that fill tiles and that do not; every way to fuse; sums in one part and in several, as long as each other and not.
/// Returns what was written: the same bits on every run.
pub fn check_convs(machine: &mut dyn Machine) -> Vec<Vec<u8>> {
    let mut random = Random(71);
    let shapes = [
        (shape(8, 1, [1, 1], 1, 1, 1, 0), 1),
        (shape(8, 3, [5, 7], 3, 1, 1, 1), 1),
        (shape(32, 32, [12, 11], 3, 1, 1, 1), 1),
        (shape(40, 33, [9, 9], 3, 2, 1, 1), 1),
        (shape(64, 64, [8, 8], 1, 1, 1, 0), 1),
        (shape(16, 70, [6, 23], 3, 1, 2, 2), 1),
        // 25 steps.
        (shape(24, 65, [7, 7], 5, 2, 1, 3), 2),
        // 27, of pixels for two tiles.
        (shape(72, 40, [11, 9], 3, 1, 2, 2), 2),
        // 63, in the tile of few channels.
        (shape(200, 5, [3, 4], 3, 1, 1, 1), 5),
        (shape(776, 96, [5, 5], 1, 2, 1, 0), 2),
        // Other windows down than across.
        (ConvShape { kernel: [1, 3], pads: [0, 1, 0, 1], ..shape(16, 12, [5, 6], 3, 1, 1, 1) }, 1),
        (ConvShape { kernel: [3, 1], pads: [1, 0, 3, 0], ..shape(40, 24, [9, 8], 3, 2, 2, 0) }, 1),
    ];
    let mut written = Vec::new();
    for (i, (s, parts)) in shapes.iter().enumerate() {
        let conv = Conv::convolution(s).expect("one that the kernel computes");
        let pixels = s.in_size[0] * s.in_size[1];
        let scale = 1.0 / ((s.in_channels * s.kernel[0] * s.kernel[1]) as f32).sqrt();
        let input = halves(&mut random, s.in_channels * pixels, 1.0);
        let weights = halves(&mut random, s.out_channels * s.in_channels * s.kernel[0] * s.kernel[1], scale);
        let bias = random.floats(s.out_channels);
        let expected = naive::conv(s, &input, &weights, &bias);
        let rest = halves(&mut random, expected.len(), 1.0);
        let residual = (i % 2 == 0 || i == 5).then_some(&rest[..]);
        let bounds = [[f32::NEG_INFINITY, f32::INFINITY], [0.0, f32::INFINITY], [0.0, 0.5]][i % 3];
        let numbers = (&input[..], &weights[..], &bias[..]);
        let of = (s.in_channels, s.out_channels);
        let wanted = (expected, residual, bounds);
        written.push(compare(machine, (&conv, *parts), of, numbers, wanted.clone(), &format!("{s:?}")));
        // Some of them by all their tactics.
        for tactic in conv.tactics().iter().filter(|_| i == 7 || i == 8) {
            let own = conv.clone().by(tactic).expect("its own tactic");
            let parts = tactic.split_once('/').map_or(1, |(_, parts)| parts.parse().expect("a number"));
            compare(machine, (&own, parts), of, numbers, wanted.clone(), &format!("{s:?} by {tactic}"));
        }
    }
    let apart = [(8, 4, [3, 5], 1), (64, 32, [6, 6], 1), (32, 70, [1, 9], 1), (792, 35, [3, 2], 2)];
    let apart = apart.map(|(ins, outs, in_size, parts)| (doubling(ins, outs, in_size), parts));
    let overlapping = [
        (8, 9, [4, 3], [3, 3], [1; 4], [1, 1], 1),
        (24, 33, [5, 2], [4, 4], [1; 4], [0, 0], 1),
        (16, 5, [2, 7], [2, 3], [0, 0, 0, 1], [0, 0], 1),
        (8, 8, [3, 4], [1, 6], [0, 2, 0, 2], [1, 0], 1),
        (200, 12, [3, 3], [3, 3], [1; 4], [1, 1], 2),
    ]
    .map(|(ins, outs, in_size, kernel, pads, output_padding, parts)| {
        (ConvTransposeShape { kernel, pads, output_padding, ..doubling(ins, outs, in_size) }, parts)
    });
    for (s, parts) in apart.into_iter().chain(overlapping) {
        let (ins, outs, in_size) = (s.in_channels, s.out_channels, s.in_size);
        let conv = Conv::transposed(&s).expect("one that the kernel computes");
        let input = halves(&mut random, ins * in_size[0] * in_size[1], 1.0);
        let weights = halves(&mut random, ins * outs * s.kernel[0] * s.kernel[1], 0.2);
        let bias = random.floats(outs);
        let expected = naive::conv_transpose(&s, &input, &weights, &bias);
        let numbers = (&input[..], &weights[..], &bias[..]);
        let wanted = (expected, None, [-0.5, 3.0]);
        written.push(compare(machine, (&conv, 4 * parts), (ins, outs), numbers, wanted, &format!("{s:?}")));
    }
    written
}

/// The ends of a network: from planes, to planes, and pooling between.
pub fn check_ends(machine: &mut dyn Machine) {
    let mut random = Random(72);
    for (ins, outs, in_size, kernel, stride) in
        [(1, 32, [13, 35], 3, 1), (3, 9, [6, 5], 7, 2), (1, 1, [1, 1], 1, 1), (4, 17, [9, 40], 3, 2)]
    {
        let s = shape(ins, outs, in_size, kernel, stride, 1, kernel / 2);
        let conv = ConvFirst::new(&s).expect("one that the kernel computes");
        let input = random.floats(ins * in_size[0] * in_size[1]);
        let (weights, bias) = (random.floats(outs * ins * kernel * kernel), random.floats(outs));
        let expected: Vec<f32> = naive::conv(&s, &input, &weights, &bias).iter().map(|x| x.clamp(-0.25, 2.0)).collect();
        machine.clear();
        let [src, packed, added] =
            [floats(&input), conv.pack(&weights), floats(&bias)].map(|bytes| machine.upload(&bytes));
        let (pixels, pitch) = (expected.len() / outs, outs + 3);
        let dst = machine.allocate(2 * (pixels * pitch) as u64);
        let to = Halves::slice(dst, pixels, pitch, 2, outs);
        let launch = conv.launch(src, [packed, added], to, [-0.25, 2.0]);
        machine.run(&[launch]).unwrap_or_else(|e| panic!("{s:?}: {e}"));
        let found = planes(&machine.download(dst), outs, pitch, 2);
        naive::assert_close(&found, &expected, 1e-3, &format!("{s:?}"));
    }
    for (pixels, ins, outs) in [(1, 8, 1), (300, 16, 3), (77, 64, 2)] {
        let input = halves(&mut random, pixels * ins, 1.0);
        let (weights, bias) = (random.floats(outs * ins), random.floats(outs));
        machine.clear();
        let src = machine.upload(&last(&input, ins, ins + 24, 16));
        let [packed, added] = [&weights, &bias].map(|numbers| machine.upload(&floats(numbers)));
        let dst = machine.allocate(4 * (outs * pixels) as u64);
        let from = Halves::slice(src, pixels, ins + 24, 16, ins);
        let launch = head::launch(pixels, [ins, outs], from, [packed, added], dst);
        machine.run(&[launch]).unwrap_or_else(|e| panic!("head of {ins} to {outs}: {e}"));
        let found: Vec<f32> = machine.download(dst).as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let expected: Vec<f32> = (0..outs * pixels)
            .map(|i| {
                let (o, pixel) = (i / pixels, i % pixels);
                let product = |c: usize| f64::from(input[c * pixels + pixel]) * f64::from(weights[o * ins + c]);
                ((0..ins).map(product).sum::<f64>() + f64::from(bias[o])) as f32
            })
            .collect();
        naive::assert_close(&found, &expected, 1e-5, &format!("head of {ins} to {outs}"));
    }
    for (channels, in_size, kernel, stride, pad) in [(8, [2, 2], 2, 2, 0), (24, [9, 7], 3, 2, 1), (64, [5, 8], 3, 1, 1)]
    {
        let s = PoolShape {
            channels,
            in_size,
            kernel: [kernel; 2],
            stride: [stride; 2],
            pads: [pad; 4],
            dilation: [1, 1],
            ceil_mode: false,
        };
        let [height, width] = s.out_size();
        let (in_pixels, out_pixels) = (in_size[0] * in_size[1], height * width);
        let input = halves(&mut random, channels * in_pixels, 50.0);
        machine.clear();
        let src = machine.upload(&last(&input, channels, channels + 8, 8));
        let dst = machine.allocate(2 * (out_pixels * (channels + 16)) as u64);
        let from = Halves::slice(src, in_pixels, channels + 8, 8, channels);
        let to = Halves::slice(dst, out_pixels, channels + 16, 8, channels);
        let launch = max_pool::launch(&s, Kept::Halves(from), Kept::Halves(to)).expect("one that the kernel computes");
        machine.run(&[launch]).unwrap_or_else(|e| panic!("{s:?}: {e}"));
        let found = planes(&machine.download(dst), channels, channels + 16, 8);
        let expected: Vec<f32> = (0..channels * out_pixels)
            .map(|i| {
                let (c, y, x) = (i / out_pixels, i % out_pixels / width, i % width);
                naive::window(&s, &input, c, y, x).into_iter().fold(f32::NEG_INFINITY, f32::max)
            })
            .collect();
        assert_eq!(found, expected, "{s:?}");
    }
}

/// Many blocks stay as they are; few become many, but no part has less than twelve steps.
#[test]
fn few_blocks_become_many_by_splitting_their_sums() {
    for (ins, outs, side, kernel, parts) in [
        (512, 512, 16, 3, 8),
        (1024, 512, 16, 3, 8),
        (256, 256, 32, 3, 4),
        (64, 64, 256, 3, 1),
        (64, 64, 16, 3, 1),
        (128, 64, 16, 3, 3),
        (4096, 64, 1, 1, 10),
        (1024, 16, 96, 1, 2),
        (16384, 32, 8, 3, 264),
    ] {
        let s = shape(ins, outs, [side; 2], kernel, 1, 1, kernel / 2);
        let conv = Conv::convolution(&s).expect("one that the kernel computes");
        let columns = outs.next_multiple_of(if outs <= 32 { 32 } else { 64 });
        let bytes = if parts > 1 { 4 * parts * side * side * columns } else { 0 };
        assert_eq!(conv.scratch_bytes(), bytes as u64, "{s:?}");
    }
}

#[test]
fn a_convolution_is_divided_in_several_ways_of_which_the_guess_is_the_first() {
    let conv = Conv::convolution(&shape(200, 5, [3, 4], 3, 1, 1, 1)).expect("one that the kernel computes");
    let tactics = conv.tactics();
    assert_eq!(tactics[0], "128x32/5");
    for tactic in ["64x64", "64x64/2", "64x64/8", "128x32", "128x32/4"] {
        assert!(tactics.iter().any(|own| own == tactic), "{tactic} of {tactics:?}");
    }
    let mut apart = tactics.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), tactics.len(), "{tactics:?}");
    for other in ["", "64x64/1", "64x64/3", "32x32", "64x64/63"] {
        assert!(conv.clone().by(other).is_none(), "{other}");
    }
    // Where there are blocks enough a sum is not split.
    let wide = Conv::convolution(&shape(64, 64, [256, 256], 3, 1, 1, 1)).expect("one that the kernel computes");
    assert_eq!(wide.tactics(), ["64x64", "128x32"]);
}

#[test]
fn what_the_kernel_does_not_compute_is_left_to_others() {
    let good = shape(16, 4, [8, 8], 3, 1, 1, 1);
    assert!(Conv::convolution(&good).is_some());
    for other in [
        ConvShape { groups: 2, ..good.clone() },
        ConvShape { in_channels: 3, ..good.clone() },
        ConvShape { stride: [1, 2], ..good.clone() },
        ConvShape { dilation: [2, 1], ..good.clone() },
        ConvShape { in_size: [1, 1], pads: [0; 4], ..good.clone() },
    ] {
        assert!(Conv::convolution(&other).is_none(), "{other:?}");
    }
    let good = doubling(16, 4, [8, 8]);
    assert!(Conv::transposed(&good).is_some());
    for other in [
        ConvTransposeShape { groups: 2, ..good.clone() },
        ConvTransposeShape { stride: [1, 1], ..good.clone() },
        ConvTransposeShape { pads: [1; 4], ..good.clone() },
        // Its taps fall on those of the next.
        ConvTransposeShape { dilation: [2, 2], ..good.clone() },
        ConvTransposeShape { output_padding: [1, 1], ..good.clone() },
        // Of twice the size, but of rows that nothing paints.
        ConvTransposeShape { kernel: [1, 1], pads: [3000, 3000, 0, 0], output_padding: [3001, 3001], ..good },
    ] {
        assert!(Conv::transposed(&other).is_none(), "{other:?}");
    }
}
