//! Convolutions that pool on their way: what they write, and the largest of each of its squares, to the bit.

use half::f16;
use sonoplex::backend::cpu::layout::Grid;
use sonoplex::backend::cpu::{ConvShape, PoolShape};
use sonoplex::backend::cuda::conv::int8::{Codes, ConvInt8, Kept};
use sonoplex::backend::cuda::conv::{Conv, Halves};
use sonoplex::backend::cuda::launch::{Launch, Region};

use super::kernels_cuda::Machine;
use super::kernels_cuda_conv::shape;
use super::naive::Random;

/// Values beside a slice, on either side.
const BESIDE: [usize; 2] = [3, 2];

/// Outputs for one pixel and for many, that fill tiles and that do not, of both tiles.
fn shapes() -> [ConvShape; 5] {
    [
        shape(16, 1, [2, 2], 1, 1, 1, 0),
        shape(32, 32, [12, 10], 3, 1, 1, 1),
        shape(16, 70, [6, 22], 3, 1, 2, 2),
        shape(48, 33, [15, 19], 3, 2, 1, 1),
        shape(64, 64, [8, 16], 3, 1, 1, 1),
    ]
}

fn squares(shape: &ConvShape) -> PoolShape {
    let two = [2, 2];
    PoolShape {
        channels: shape.out_channels,
        in_size: shape.out_size(),
        kernel: two,
        stride: two,
        pads: [0; 4],
        dilation: [1, 1],
        ceil_mode: false,
    }
}

/// Tensors of `outs` channels, each value of `N` bytes, amid others.
fn slices<const N: usize>(machine: &mut dyn Machine, outs: usize, pixels: usize) -> (Region, Kept) {
    let pitch = BESIDE[0] + outs + BESIDE[1];
    let region = machine.upload(&vec![0xee; N * pixels * pitch]);
    let kept = match N {
        1 => Kept::Codes(Codes::slice(region, pixels, pitch, BESIDE[0], outs)),
        _ => Kept::Halves(Halves::slice(region, pixels, pitch, BESIDE[0], outs)),
    };
    (region, kept)
}

/// Runs it plainly and pooling; the output is the same, and the pooled is the largest of each square of it.
fn compare<const N: usize>(
    machine: &mut dyn Machine,
    s: &ConvShape,
    launches: impl Fn(&mut dyn Machine, Kept, Option<Kept>) -> Vec<Launch>,
    larger: impl Fn([u8; N], [u8; N]) -> bool,
    least: [u8; N],
) {
    let [height, width] = s.out_size();
    let outs = s.out_channels;
    let mut written = Vec::new();
    for pools in [false, true] {
        machine.clear();
        let (dst, to) = slices::<N>(machine, outs, height * width);
        let (pooled, pooled_to) = slices::<N>(machine, outs, height * width / 4);
        let launches = launches(machine, to, pools.then_some(pooled_to));
        assert_eq!((launches.len(), launches[0].kernel().ends_with("_pool")), (1, pools), "{s:?}");
        machine.run(&launches).unwrap_or_else(|e| panic!("{s:?}: {e}"));
        written.push([dst, pooled].map(|region| machine.download(region)));
    }
    assert!(written[0][0] == written[1][0], "{s:?}: another output");
    let pitch = outs + BESIDE[0] + BESIDE[1];
    let value = |bytes: &[u8], pixel: usize, channel: usize| -> [u8; N] {
        bytes[N * (pixel * pitch + channel)..][..N].try_into().expect("a value")
    };
    let [output, pooled] = &written[1];
    for (pixel, channel) in (0..height * width / 4).flat_map(|pixel| (0..pitch).map(move |channel| (pixel, channel))) {
        let (y, x) = (pixel / (width / 2) * 2, pixel % (width / 2) * 2);
        let square =
            [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)].map(|(y, x)| value(output, y * width + x, channel));
        let largest = square.into_iter().fold(least, |most, own| if larger(own, most) { own } else { most });
        let is_own = (BESIDE[0]..BESIDE[0] + outs).contains(&channel);
        let expected = if is_own { largest } else { [0xee; N] };
        assert_eq!(value(pooled, pixel, channel), expected, "{s:?}: channel {channel} of {y}, {x}");
    }
}

fn is_larger(a: [u8; 2], b: [u8; 2]) -> bool {
    f16::from_le_bytes(a) > f16::from_le_bytes(b)
}

/// Halves and codes, by both tiles, with what is not a number among the halves.
pub fn check_pooling(machine: &mut dyn Machine) {
    let mut random = Random(75);
    let least = f16::NEG_INFINITY.to_le_bytes();
    for (s, tactic) in shapes().iter().flat_map(|s| ["64x64", "128x32"].map(|tactic| (s, tactic))) {
        let in_pixels = s.in_size[0] * s.in_size[1];
        let floats: Vec<f32> = random.floats(s.weights_len()).iter().map(|w| w / 8.0).collect();
        let bias = random.floats(s.out_channels);
        let mut input: Vec<f16> = random.floats(s.in_len()).iter().map(|&x| f16::from_f32(x)).collect();
        if in_pixels > 4 {
            input[in_pixels / 2 * s.in_channels] = f16::NAN;
        }
        // One of the tiles with something added.
        let (adds, out_pixels) = (tactic == "64x64", s.out_len() / s.out_channels);
        let rest: Vec<u8> = random.floats(s.out_len()).iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let conv = Conv::convolution(s).and_then(|conv| conv.by(tactic)).expect("one that the kernel computes");
        assert!(conv.pools(&squares(s)), "{s:?}");
        let fp16 = |machine: &mut dyn Machine, to: Kept, pooled: Option<Kept>| {
            let bytes: Vec<u8> = input.iter().flat_map(|x| x.to_le_bytes()).collect();
            let src = Halves::slice(machine.upload(&bytes), in_pixels, s.in_channels, 0, s.in_channels);
            let weights = machine.upload(&conv.pack(&floats));
            let added = machine.upload(&bias.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
            let rest = Halves::slice(machine.upload(&rest), out_pixels, s.out_channels, 0, s.out_channels);
            let (Kept::Halves(to), scratch) = (to, machine.allocate(0)) else { panic!("halves") };
            let conv = match pooled {
                Some(Kept::Halves(pooled)) => conv.clone().pooling(pooled),
                _ => conv.clone(),
            };
            conv.launches(src, (weights, added), adds.then_some(rest), to, [-0.5, 2.0], scratch)
        };
        compare(machine, s, fp16, is_larger, least);

        let (codes, grid) = (random.bytes(s.in_len()), Grid::between(-1.0, 1.0));
        for made in [Some(Grid::between(-0.5, 2.0)), None] {
            let conv = ConvInt8::convolution(s, grid, made)
                .and_then(|conv| conv.by(tactic))
                .expect("one that the kernel computes");
            // Codes to codes, halves to halves.
            let conv = if adds && made.is_some() { conv.adding(grid) } else { conv };
            assert!(conv.pools(&squares(s)), "{s:?}");
            let int8 = |machine: &mut dyn Machine, to: Kept, pooled: Option<Kept>| {
                let src = Codes::slice(machine.upload(&codes), in_pixels, s.in_channels, 0, s.in_channels);
                let constants = machine.upload(&conv.pack(&floats, &bias, adds));
                let outs = s.out_channels;
                let rest = adds.then(|| match made {
                    Some(_) => {
                        let codes = machine.upload(&rest[..out_pixels * outs]);
                        Kept::Codes(Codes::slice(codes, out_pixels, outs, 0, outs))
                    }
                    None => Kept::Halves(Halves::slice(machine.upload(&rest), out_pixels, outs, 0, outs)),
                });
                let scratch = machine.allocate(0);
                let conv = pooled.into_iter().fold(conv.clone(), ConvInt8::pooling);
                conv.launches(src, constants, rest, to, [-0.5, 2.0], scratch)
            };
            match made {
                Some(_) => compare(machine, s, int8, |[a]: [u8; 1], [b]| a > b, [0]),
                None => compare(machine, s, int8, is_larger, least),
            }
        }
    }
}

#[test]
fn only_squares_of_whole_sums_are_pooled_on_the_way() {
    let s = shape(64, 64, [8, 16], 3, 1, 1, 1);
    let [whole, split] = ["64x64", "64x64/2"]
        .map(|tactic| Conv::convolution(&s).and_then(|conv| conv.by(tactic)).expect("one that the kernel computes"));
    let pool = squares(&s);
    assert!(whole.pools(&pool) && !split.pools(&pool));
    for other in [
        PoolShape { kernel: [3, 3], pads: [1, 1, 1, 1], ..pool.clone() },
        PoolShape { stride: [1, 1], ..pool.clone() },
        PoolShape { pads: [0, 0, 1, 1], ..pool.clone() },
        PoolShape { in_size: [4, 4], ..pool.clone() },
    ] {
        assert!(!whole.pools(&other), "{other:?}");
    }
    let odd = shape(64, 64, [7, 16], 3, 1, 1, 1);
    assert!(!Conv::convolution(&odd).expect("one that the kernel computes").pools(&squares(&odd)));
}
