//! What follows a convolution in the same step: every tactic pools what its own output holds, and its softmax is that of
//! the same output.

use sonoplex::backend::cpu::layout::{Grid, Layout, pack, unpack};
use sonoplex::backend::cpu::softmax::softmax;
use sonoplex::backend::cpu::{Activation, Conv, ConvShape, Isa, Pool, PoolShape};

use super::naive::{Random, pools, window};

const BYTES: Layout = Layout::BlockedU8(Grid { scale: 0.125, zero: 120 });

/// What is convolved, and what is pooled of it.
struct Case {
    conv: ConvShape,
    pool: PoolShape,
    input: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new(conv: ConvShape, pool: PoolShape, random: &mut Random) -> Self {
        let (input, weights) = (random.floats(conv.in_len()), random.floats(conv.weights_len()));
        Self { input, weights, bias: random.floats(conv.out_channels), conv, pool }
    }

    /// Both outputs as planes.
    fn run(&self, pool: &Pool, conv: &Conv, layouts: [Layout; 2], activation: Activation) -> [Vec<f32>; 2] {
        let [ins, outs] = [self.conv.in_size, self.conv.out_size()].map(|[h, w]| h * w);
        let windows = self.pool.out_size().iter().product();
        let mut input = vec![f32::NAN; layouts[0].len(self.conv.in_channels, ins)];
        match layouts[0] {
            Layout::Planar => input.copy_from_slice(&self.input),
            _ => pack(pool, layouts[0], self.conv.in_channels, ins, &self.input, &mut input),
        }
        let mut both = [outs, windows].map(|size| vec![f32::NAN; layouts[1].len(self.conv.out_channels, size)]);
        let mut scratch = vec![f32::NAN; conv.scratch_len(pool.threads())];
        // Twice, since what is counted in the scratch memory has to begin anew.
        for _ in 0..2 {
            let [first, second] = &mut both;
            conv.run_pooled(pool, &input, None, activation, [first, second], &mut scratch);
        }
        let planes = |kept: &[f32], size: usize| {
            let mut planes = vec![f32::NAN; self.conv.out_channels * size];
            unpack(pool, layouts[1], self.conv.out_channels, size, kept, &mut planes);
            planes
        };
        [planes(&both[0], outs), planes(&both[1], windows)]
    }

    /// Every tactic between every pair of layouts, on any number of threads; how many there were.
    fn check(&self, pools: &[Pool]) -> usize {
        use Layout::{Blocked, BlockedBf16, Planar};
        let mut tactics = 0;
        let pairs =
            [[Planar, Blocked], [Blocked, Blocked], [BlockedBf16, BlockedBf16], [BYTES, BYTES], [Planar, BYTES]];
        for layouts in pairs {
            for tactic in Conv::tactics_between(&self.conv, layouts, Isa::detect()) {
                let conv = Conv::between(self.conv.clone(), layouts, &tactic, &self.weights, &self.bias).unwrap();
                let conv = conv.pooling(self.pool.clone()).unwrap();
                tactics += 1;
                for activation in [Activation::Relu, Activation::None, Activation::Sigmoid] {
                    for pool in pools {
                        let what = format!("{tactic} {layouts:?} {activation:?} {} threads {:?}", pool.threads(), self);
                        let [first, second] = self.run(pool, &conv, layouts, activation);
                        let [h, w] = self.pool.out_size();
                        for (i, found) in second.into_iter().enumerate() {
                            let seen = window(&self.pool, &first, i / (h * w), i / w % h, i % w);
                            let expected = seen.into_iter().fold(f32::NEG_INFINITY, f32::max);
                            assert_eq!(found, expected, "value {i}: {what}");
                        }
                    }
                }
            }
        }
        tactics
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} then {:?}", self.conv, self.pool)
    }
}

fn pooling(conv: &ConvShape, kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4], ceil_mode: bool) -> PoolShape {
    let (channels, in_size) = (conv.out_channels, conv.out_size());
    PoolShape { channels, in_size, kernel, stride, pads, dilation: [1, 1], ceil_mode }
}

#[test]
fn every_tactic_pools_what_it_stores() {
    let (mut random, pools) = (Random(31), pools());
    let square = |ins: usize, outs: usize, size: [usize; 2], kernel: usize, pad: usize| ConvShape {
        in_channels: ins,
        out_channels: outs,
        groups: 1,
        in_size: size,
        kernel: [kernel; 2],
        stride: [1; 2],
        pads: [pad; 4],
        dilation: [1; 2],
    };
    for conv in [
        square(16, 32, [24, 40], 3, 1),
        square(33, 17, [19, 23], 3, 1),
        square(3, 64, [31, 17], 5, 2),
        square(20, 16, [9, 14], 1, 0),
        ConvShape { groups: 33, ..square(33, 33, [21, 18], 3, 1) },
        ConvShape { stride: [2, 2], ..square(4, 48, [37, 50], 7, 3) },
    ] {
        for pool in [
            pooling(&conv, [2, 2], [2, 2], [0; 4], false),
            pooling(&conv, [3, 3], [2, 2], [1; 4], false),
            pooling(&conv, [3, 2], [1, 3], [2, 0, 0, 1], true),
            pooling(&conv, [2, 3], [3, 1], [0; 4], true),
        ] {
            let tactics = Case::new(conv.clone(), pool, &mut random).check(&pools);
            assert!(tactics >= 10, "{tactics} tactics of {conv:?}");
        }
    }
}

#[test]
fn softmax_in_the_same_step_is_that_of_the_output() {
    let (mut random, pools) = (Random(33), pools());
    for (outs, kernel, size) in [(2, 1, [33, 70]), (3, 3, [17, 129]), (1, 1, [5, 5]), (20, 1, [9, 7])] {
        let shape = ConvShape {
            in_channels: 24,
            out_channels: outs,
            groups: 1,
            in_size: size,
            kernel: [kernel; 2],
            stride: [1; 2],
            pads: [kernel / 2; 4],
            dilation: [1; 2],
        };
        let pixels = size[0] * size[1];
        let (input, weights) = (random.floats(24 * pixels), random.floats(shape.weights_len()));
        for from in [Layout::Planar, Layout::Blocked] {
            let layouts = [from, Layout::Planar];
            let mut kept = vec![f32::NAN; from.len(24, pixels)];
            match from {
                Layout::Planar => kept.copy_from_slice(&input),
                _ => pack(&pools[0], from, 24, pixels, &input, &mut kept),
            }
            for tactic in Conv::tactics_between(&shape, layouts, Isa::detect()) {
                let plain = Conv::between(shape.clone(), layouts, &tactic, &weights, &[]).unwrap();
                let then = plain.clone().softmax().unwrap();
                // The second is more than bounds, and applied to all values first.
                for (pool, activation) in
                    pools.iter().flat_map(|p| [(p, Activation::None), (p, Activation::LeakyRelu(0.5))])
                {
                    let run = |conv: &Conv| {
                        let mut out = vec![f32::NAN; outs * pixels];
                        let mut scratch = vec![f32::NAN; conv.scratch_len(pool.threads())];
                        conv.run(pool, &kept, None, activation, &mut out, &mut scratch);
                        out
                    };
                    let (mut expected, found) = (run(&plain), run(&then));
                    softmax(pool, &mut expected, [1, outs, pixels]);
                    assert_eq!(found, expected, "{tactic} {layouts:?} {activation:?}");
                    let sum: f32 = found.iter().step_by(pixels).sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
                }
            }
        }
        let blocks = Conv::between(shape.clone(), [Layout::Blocked; 2], "naive", &weights, &[]).unwrap();
        assert!(blocks.softmax().is_err(), "the channels of a pixel lie apart in blocks");
    }
}

#[test]
fn what_cannot_be_pooled_beside_it_is_refused() {
    let shape = ConvShape {
        in_channels: 16,
        out_channels: 16,
        groups: 1,
        in_size: [8, 8],
        kernel: [1, 1],
        stride: [1, 1],
        pads: [0; 4],
        dilation: [1, 1],
    };
    let conv = |layout| Conv::between(shape.clone(), [layout; 2], "naive", &[0.0; 256], &[]).unwrap();
    let good = pooling(&shape, [2, 2], [2, 2], [0; 4], false);
    assert!(conv(Layout::Blocked).pooling(good.clone()).is_ok());
    for (layout, pool) in [
        (Layout::Planar, good.clone()),
        (Layout::Blocked, PoolShape { channels: 15, ..good.clone() }),
        (Layout::Blocked, PoolShape { in_size: [8, 9], ..good.clone() }),
        (Layout::Blocked, PoolShape { dilation: [2, 1], ..good.clone() }),
        (Layout::Blocked, PoolShape { stride: [0, 1], ..good }),
    ] {
        assert!(conv(layout).pooling(pool.clone()).is_err(), "{layout:?} {pool:?}");
    }
}
