//! Convolutions of codes on tensor cores, against those of the CPU.

use half::f16;
use sonoplex::backend::cpu::conv_transpose::{ConvTranspose, ConvTransposeShape};
use sonoplex::backend::cpu::layout::{Grid, Layout, pack, unpack};
use sonoplex::backend::cpu::max_pool::PoolShape;
use sonoplex::backend::cpu::{Activation, Conv, ConvShape, Isa, Pool};
use sonoplex::backend::cuda::conv::Halves;
use sonoplex::backend::cuda::conv::int8::{Codes, ConvInt8, Kept};
use sonoplex::backend::cuda::{layout, max_pool};

use super::kernels_cuda::Machine;
use super::kernels_cuda_conv::{doubling, shape};
use super::naive::Random;

/// What stands in channels that are not part of a slice.
const BESIDE: u8 = 0xee;

/// What is convolved: codes of planes, weights and bias, and what is added.
struct Given {
    /// Where `up` is, of the transposed convolution: one tap, weights in × out × 2 × 2.
    shape: ConvShape,
    up: bool,
    grid: Grid,
    codes: Vec<u8>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    added: Option<Added>,
    activation: Activation,
    /// The same in numbers.
    bounds: [f32; 2],
}

/// Planes that are added.
enum Added {
    Codes(Grid, Vec<u8>),
    Halves(Vec<f16>),
}

impl Given {
    fn transposed(&self) -> ConvTransposeShape {
        doubling(self.shape.in_channels, self.shape.out_channels, self.shape.in_size)
    }

    fn out_pixels(&self) -> usize {
        let [h, w] = if self.up { self.transposed().out_size() } else { self.shape.out_size() };
        h * w
    }
}

/// Planes as channels last, `pitch` values of so many bytes a pixel, of which `first..` are these.
fn last<const N: usize>(planes: &[[u8; N]], channels: usize, pitch: usize, first: usize) -> Vec<u8> {
    let pixels = planes.len() / channels;
    let mut values = vec![[BESIDE; N]; pixels * pitch];
    planes.iter().enumerate().for_each(|(i, &value)| values[i % pixels * pitch + first + i / pixels] = value);
    values.into_flattened()
}

fn single(codes: &[u8]) -> Vec<[u8; 1]> {
    codes.iter().map(|&code| [code]).collect()
}

/// The CPU's result as planes of numbers.
fn expected(given: &Given, made: Option<Grid>) -> Vec<f32> {
    let (s, pool) = (&given.shape, Pool::new(1));
    let (in_pixels, out_pixels) = (s.in_size[0] * s.in_size[1], given.out_pixels());
    let layouts = [Layout::BlockedU8(given.grid), made.map_or(Layout::Blocked, Layout::BlockedU8)];
    let blocks = |layout: Layout, numbers: &[f32], channels: usize, pixels: usize| {
        let mut blocks = vec![0.0; layout.len(channels, pixels)];
        pack(&pool, layout, channels, pixels, numbers, &mut blocks);
        blocks
    };
    let of_codes = |grid: Grid, codes: &[u8]| codes.iter().map(|&code| grid.value(code)).collect::<Vec<f32>>();
    let input = blocks(layouts[0], &of_codes(given.grid, &given.codes), s.in_channels, in_pixels);
    let mut output = vec![0.0; layouts[1].len(s.out_channels, out_pixels)];
    let int8 = |tactics: Vec<String>| tactics.into_iter().find(|t| t.starts_with("taps_int8")).expect("bytes");
    if given.up {
        let shape = given.transposed();
        let tactic = int8(ConvTranspose::tactics_between(&shape, layouts, Isa::detect()));
        let conv = ConvTranspose::between(shape, layouts, &tactic, &given.weights, &given.bias).expect("sound");
        let mut scratch = vec![0.0; conv.scratch_len()];
        conv.run(&pool, &input, given.activation, &mut output, &mut scratch);
    } else {
        let tactic = int8(Conv::tactics_between(s, layouts, Isa::detect()));
        let mut conv = Conv::between(s.clone(), layouts, &tactic, &given.weights, &given.bias).expect("sound");
        let (layout, numbers) = match &given.added {
            Some(Added::Codes(grid, codes)) => (Layout::BlockedU8(*grid), of_codes(*grid, codes)),
            Some(Added::Halves(halves)) => (Layout::Blocked, halves.iter().map(|half| half.to_f32()).collect()),
            None => (Layout::Blocked, Vec::new()),
        };
        let residual = given.added.as_ref().map(|_| blocks(layout, &numbers, s.out_channels, out_pixels));
        if residual.is_some() {
            conv = conv.adding(layout);
        }
        let mut scratch = vec![0.0; conv.scratch_len(1)];
        conv.run(&pool, &input, residual.as_deref(), given.activation, &mut output, &mut scratch);
    }
    let mut planes = vec![0.0; s.out_channels * out_pixels];
    unpack(&pool, layouts[1], s.out_channels, out_pixels, &output, &mut planes);
    planes
}

/// Runs a convolution from and to slices of joined tensors: the bytes of its output, `width` of them for each value.
fn found(machine: &mut dyn Machine, given: &Given, made: Option<Grid>, width: usize, tactic: Option<&str>) -> Vec<u8> {
    let s = &given.shape;
    let (in_pixels, out_pixels) = (s.in_size[0] * s.in_size[1], given.out_pixels());
    let (ins, outs) = (s.in_channels, s.out_channels);
    machine.clear();
    let mut conv = match given.up {
        true => ConvInt8::transposed(&given.transposed(), given.grid, made),
        false => ConvInt8::convolution(s, given.grid, made),
    }
    .expect("one that the kernel computes");
    if let Some(tactic) = tactic {
        conv = conv.by(tactic).expect("its own tactic");
    }
    let src = machine.upload(&last(&single(&given.codes), ins, ins + 32, 16));
    // Where eight channels are read at once, and where they are not.
    let (rest_pitch, rest_first) = if width == 2 { (outs.next_multiple_of(8) + 8, 8) } else { (outs + 2, 1) };
    let rest = match &given.added {
        None => None,
        Some(Added::Codes(grid, codes)) => {
            conv = conv.adding(*grid);
            let region = machine.upload(&last(&single(codes), outs, rest_pitch, rest_first));
            Some(Kept::Codes(Codes::slice(region, out_pixels, rest_pitch, rest_first, outs)))
        }
        Some(Added::Halves(halves)) => {
            let halves: Vec<[u8; 2]> = halves.iter().map(|half| half.to_le_bytes()).collect();
            let region = machine.upload(&last(&halves, outs, rest_pitch, rest_first));
            Some(Kept::Halves(Halves::slice(region, out_pixels, rest_pitch, rest_first, outs)))
        }
    };
    let constants = machine.upload(&conv.pack(&given.weights, &given.bias, rest.is_some()));
    let pitch = outs + 5;
    let dst = machine.upload(&vec![BESIDE; width * out_pixels * pitch]);
    let to = match width {
        1 => Kept::Codes(Codes::slice(dst, out_pixels, pitch, 3, outs)),
        _ => Kept::Halves(Halves::slice(dst, out_pixels, pitch, 3, outs)),
    };
    let scratch = machine.allocate(conv.scratch_bytes());
    let src = Codes::slice(src, in_pixels, ins + 32, 16, ins);
    let launches = conv.launches(src, constants, rest, to, given.bounds, scratch);
    assert_eq!(launches.len(), if scratch.bytes > 0 { 2 } else { 1 }, "{s:?}");
    machine.run(&launches).unwrap_or_else(|e| panic!("{s:?}: {e}"));
    let after = machine.download(dst);
    // The channels beside the slice are as they were.
    for (i, byte) in after.iter().enumerate() {
        let channel = i / width % pitch;
        assert!((3..3 + outs).contains(&channel) || *byte == BESIDE, "{s:?}: writes beside, at {i}");
    }
    let at = |i: usize| (i % out_pixels * pitch + 3 + i / out_pixels) * width;
    (0..outs * out_pixels).flat_map(|i| after[at(i)..at(i) + width].to_vec()).collect()
}

/// Sizes that fill tiles and that do not, sums that are split, grids with a zero anywhere, codes or halves added and as the result; transposed too.
pub fn check_int8(machine: &mut dyn Machine) {
    let mut random = Random(73);
    let shapes = [
        (false, shape(16, 1, [1, 1], 1, 1, 1, 0)),
        (false, shape(16, 40, [5, 7], 3, 1, 1, 1)),
        (false, shape(64, 32, [12, 11], 3, 1, 1, 1)),
        (false, shape(80, 65, [9, 9], 3, 2, 1, 1)),
        (false, shape(32, 70, [6, 23], 3, 1, 2, 2)),
        (false, shape(144, 33, [7, 7], 5, 2, 1, 3)),
        (true, shape(16, 3, [1, 1], 1, 1, 1, 0)),
        (true, shape(80, 70, [5, 7], 1, 1, 1, 0)),
        // Deep ones of few pixels, whose sums are split.
        (false, shape(192, 70, [3, 5], 3, 1, 1, 1)),
        (true, shape(1552, 33, [2, 3], 1, 1, 1, 0)),
        (false, shape(400, 20, [4, 3], 3, 1, 1, 1)),
    ];
    let activations = [
        (Activation::None, [f32::NEG_INFINITY, f32::INFINITY]),
        (Activation::Relu, [0.0, f32::INFINITY]),
        (Activation::Clip(-0.5, 0.75), [-0.5, 0.75]),
    ];
    for (i, (up, s)) in shapes.into_iter().enumerate() {
        let phases = if up { 4 } else { 1 };
        let (in_len, out_len) = (s.in_len(), s.out_len() * phases);
        let grid = [Grid { scale: 1.0 / 64.0, zero: 0 }, Grid::between(-1.0, 3.0), Grid::between(-2.0, 0.0)][i % 3];
        let scale = 1.0 / ((s.in_channels * s.kernel[0] * s.kernel[1]) as f32).sqrt();
        let mut weights: Vec<f32> = random.floats(s.weights_len() * phases).iter().map(|w| w * scale).collect();
        if s.out_channels > 1 && !up {
            // An output without weights is its bias.
            weights[..s.in_channels * s.kernel[0] * s.kernel[1]].fill(0.0);
        }
        let added = match i % 4 {
            _ if up => None,
            1 => Some(Added::Codes(Grid::between(-1.5, 1.0), random.bytes(out_len))),
            // The last one's sum is split.
            2 | 3 if i == 10 || i % 4 == 3 => {
                Some(Added::Halves(random.floats(out_len).iter().map(|&x| f16::from_f32(x)).collect()))
            }
            _ => None,
        };
        let (codes, bias) = (random.bytes(in_len), random.floats(s.out_channels));
        let (activation, bounds) = activations[i % 3];
        let given = Given { shape: s, up, grid, codes, weights, bias, added, activation, bounds };
        let what = format!("{:?} {:?}, transposed {up}", given.shape, given.activation);

        let made = Grid::between(-1.0, 2.0);
        let wanted: Vec<u8> = expected(&given, Some(made)).iter().map(|&x| made.code(x)).collect();
        let codes = found(machine, &given, Some(made), 1, None);
        // One of them by all its tactics, to the same bits.
        if let Some(conv) = ConvInt8::convolution(&given.shape, given.grid, Some(made)).filter(|_| i == 8) {
            assert!(conv.tactics().len() > 5, "{:?}", conv.tactics());
            for tactic in conv.tactics() {
                assert!(found(machine, &given, Some(made), 1, Some(&tactic)) == codes, "{what} by {tactic}");
            }
        }
        let apart = codes.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        // Without instructions that multiply and add at once the CPU rounds once more; floats it adds otherwise.
        let halves = matches!(given.added, Some(Added::Halves(_)));
        assert!(apart <= Some(u8::from(halves || Isa::detect() == Isa::Portable)), "{what}: {apart:?} codes");
        assert!(wanted.iter().any(|code| *code != wanted[0]) || wanted.len() == 1, "{what}: the same everywhere");

        let wanted = expected(&given, None);
        let halves = found(machine, &given, None, 2, None);
        let halves = halves.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32());
        for (i, (found, expected)) in halves.zip(&wanted).enumerate() {
            // Half of the last place of a half, and where floats are rounded otherwise.
            let allowed = expected.abs() / 2048.0 + 1e-6;
            assert!((found - expected).abs() <= allowed, "{what}: value {i} is {found}, expected {expected}");
        }
    }
}

/// Halves as codes and back, and the largest codes of windows, in slices of joined tensors.
pub fn check_codes(machine: &mut dyn Machine) {
    let mut random = Random(74);
    for (grid, [height, width], channels) in
        [(Grid::between(-1.0, 3.0), [1, 1], 16), (Grid { scale: 1.0 / 64.0, zero: 0 }, [7, 9], 48)]
    {
        let pixels = height * width;
        machine.clear();
        let mut numbers: Vec<f16> = random.floats(pixels * channels).iter().map(|&x| f16::from_f32(4.0 * x)).collect();
        let hard = [f16::NAN, f16::INFINITY, f16::NEG_INFINITY, f16::ZERO, f16::MAX];
        numbers[..hard.len()].copy_from_slice(&hard);
        let bytes: Vec<u8> = numbers.iter().flat_map(|half| half.to_le_bytes()).collect();
        let halves = Halves::slice(machine.upload(&bytes), pixels, channels, 0, channels);
        let whole = machine.upload(&vec![BESIDE; pixels * (channels + 32)]);
        let codes = Codes::slice(whole, pixels, channels + 32, 16, channels);
        let back = machine.allocate(2 * (pixels * channels) as u64);
        let sizes = [channels, pixels];
        let launches = [
            layout::to_codes(sizes, halves, grid, codes),
            layout::to_halves(sizes, codes, grid, Halves::slice(back, pixels, channels, 0, channels)),
        ];
        machine.run(&launches).unwrap_or_else(|e| panic!("{grid:?}: {e}"));
        let (written, back) = (machine.download(whole), machine.download(back));
        let mut own = Vec::new();
        for (pixel, row) in written.chunks_exact(channels + 32).enumerate() {
            assert!(row[..16].iter().chain(&row[16 + channels..]).all(|byte| *byte == BESIDE), "writes beside");
            for (c, &code) in row[16..][..channels].iter().enumerate() {
                let at = pixel * channels + c;
                let wanted = grid.code(numbers[at].to_f32());
                // Halfway between two the one or the other.
                assert!(code.abs_diff(wanted) <= 1, "{:?} is {code}, expected {wanted}", numbers[at]);
                let near = (grid.value(code) - numbers[at].to_f32()).abs() <= 0.501 * grid.scale;
                assert!(near || code == 0 || code == 255, "{:?} is {code} of {grid:?}", numbers[at]);
                let half = f16::from_le_bytes([back[2 * at], back[2 * at + 1]]);
                assert_eq!(half, f16::from_f32(grid.value(code)), "{code}");
            }
            own.extend_from_slice(&row[16..][..channels]);
        }

        // Every window, of which some reach beyond the picture.
        let pool = PoolShape {
            channels,
            in_size: [height, width],
            kernel: [3, 2],
            stride: [2, 2],
            pads: [1, 1, 1, 0],
            dilation: [1, 1],
            ceil_mode: false,
        };
        let [out_height, out_width] = pool.out_size();
        let made = machine.allocate((out_height * out_width * channels) as u64);
        let to = Codes::slice(made, out_height * out_width, channels, 0, channels);
        let launch = max_pool::launch(&pool, Kept::Codes(codes), Kept::Codes(to)).expect("it has a kernel");
        machine.run(&[launch]).unwrap_or_else(|e| panic!("{grid:?}: {e}"));
        for (i, code) in machine.download(made).into_iter().enumerate() {
            let (pixel, c) = (i / channels, i % channels);
            let (top, left) = (2 * (pixel / out_width), 2 * (pixel % out_width));
            let rows = (top.max(1) - 1)..(top + 2).min(height);
            let seen = rows.flat_map(|y| ((left.max(1) - 1)..(left + 1).min(width)).map(move |x| y * width + x));
            assert_eq!(Some(code), seen.map(|at| own[at * channels + c]).max(), "pixel {pixel}, channel {c}");
        }
    }
}

#[test]
fn what_the_kernel_of_codes_does_not_compute_is_left_to_others() {
    let good = shape(32, 4, [8, 8], 3, 1, 1, 1);
    let of = |shape: &ConvShape, grid: Grid| ConvInt8::convolution(shape, grid, None);
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
