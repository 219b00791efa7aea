//! Convolution and transposed convolution straight from blocks: some pixels times some vectors of output channels stay
//! in registers while all taps of all input channels are added to them.
//!
//! A *phase* is a set of taps and the grid of outputs that they make: a convolution has one, a transposed convolution
//! has one for every place of its stride. A tile is a few pixels of a row.
//!
//! # References
//! Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures", SC 2018.

use super::{Beside, ConvShape, Finish, Keep, Pooled, Run, Way};
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::dot::{self, Factor};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::to_bf16;
use crate::backend::cpu::layout::{BLOCK, Layout};
use crate::backend::cpu::window::extent;

mod input;
mod line;
mod put;
mod tile;

use input::Drawn;
use line::Line;
use tile::{Task, Tiles, WIDEST};

/// Tasks that a layer is cut into at least, where it is large enough.
const TASKS: usize = 32;
/// Input bytes that the tiles of one task should touch.
const TASK_BYTES: usize = 256 << 10;

/// Taps with their weights and the outputs that they make.
#[derive(Clone, Debug)]
struct Phase {
    lines: Vec<Line>,
    /// Words of factors: panel × channel block × tap × channel × panel width.
    weights: Aligned,
    /// Words of a panel.
    panel: usize,
    /// What the sums begin with, where they are whole numbers: one a channel.
    starts: Aligned,
    /// Rows and columns of outputs.
    size: [usize; 2],
    /// The first output.
    origin: [usize; 2],
}

/// Packed weights and sizes.
#[derive(Clone, Debug)]
pub(in crate::backend::cpu) struct Taps {
    isa: Isa,
    factor: Factor,
    layouts: [Layout; 2],
    ins: usize,
    outs: usize,
    /// Of the input as the products read it.
    in_size: [usize; 2],
    drawn: Option<Drawn>,
    out_size: [usize; 2],
    /// Steps of the input from an output to the next, and of the output.
    stride: [usize; 2],
    out_stride: [usize; 2],
    bias: Aligned,
    /// What a sum is multiplied by, where its factors are bytes: one number a channel.
    scale: Aligned,
    /// Words that taps outside of the picture read: zeros, as the input keeps them.
    border: Aligned,
    panel: usize,
    /// Most pixels of a tile.
    most: usize,
    phases: Vec<Phase>,
}

impl Taps {
    /// Whether whole numbers of 32 bits hold the sums of so many products of bytes.
    pub fn sums_fit(products: usize) -> bool {
        products <= i32::MAX as usize / (255 * 127)
    }

    /// A convolution of one group.
    pub fn convolution(
        shape: &ConvShape,
        isa: Isa,
        factor: Factor,
        layouts: [Layout; 2],
        oihw: &[f32],
        bias: &[f32],
    ) -> Self {
        let [kh, kw] = shape.kernel;
        let weight = |o: usize, c: usize, tap: usize| oihw[(o * shape.in_channels + c) * kh * kw + tap];
        let mut own = Self::empty(isa, factor, layouts, [shape.in_channels, shape.out_channels], bias);
        (own.in_size, own.out_size, own.stride) = (shape.in_size, shape.out_size(), shape.stride);
        if [shape.kernel, shape.stride] == [[1, 1]; 2] && shape.pads == [0; 4] {
            // Pixels do not see each other, so that rows have no meaning.
            own.in_size = [1, shape.in_size[0] * shape.in_size[1]];
            own.out_size = own.in_size;
        }
        let mut pads = shape.pads;
        if own.is_better_drawn(pads) {
            own.draw(std::mem::take(&mut pads), extent(kw, shape.dilation[1]));
        }
        let taps: Vec<(usize, [isize; 2])> = (0..kh * kw)
            .map(|i| {
                let at = [i / kw * shape.dilation[0], i % kw * shape.dilation[1]];
                (i, [0, 1].map(|a| at[a] as isize - pads[a] as isize))
            })
            .collect();
        own.scale(&|o| {
            (0..shape.in_channels * kh * kw)
                .map(|i| oihw[o * shape.in_channels * kh * kw + i].abs())
                .fold(0.0, f32::max)
        });
        own.phase(&taps, own.out_size, [0, 0], &weight);
        own
    }

    /// A transposed convolution of one group.
    pub fn transposed(
        shape: &ConvTransposeShape,
        isa: Isa,
        factor: Factor,
        layouts: [Layout; 2],
        iohw: &[f32],
        bias: &[f32],
    ) -> Self {
        let [kh, kw] = shape.kernel;
        let outs = shape.out_channels;
        let weight = |o: usize, c: usize, tap: usize| iohw[(c * outs + o) * kh * kw + tap];
        let mut own = Self::empty(isa, factor, layouts, [shape.in_channels, outs], bias);
        (own.in_size, own.out_size, own.out_stride) = (shape.in_size, shape.out_size(), shape.stride);
        own.scale(&|o| {
            (0..shape.in_channels)
                .flat_map(|c| &iohw[(c * outs + o) * kh * kw..][..kh * kw])
                .fold(0.0, |m: f32, w| m.max(w.abs()))
        });
        for y in 0..shape.stride[0].min(own.out_size[0]) {
            for x in 0..shape.stride[1].min(own.out_size[1]) {
                // Output o gets input i by tap k where o + pad = i·stride + k·dilation.
                let mut taps = Vec::new();
                for k in 0..kh * kw {
                    let (at, tap) = ([y, x], [k / kw, k % kw]);
                    let distance =
                        [0, 1].map(|a| at[a] as isize + shape.pads[a] as isize - (tap[a] * shape.dilation[a]) as isize);
                    if [0, 1].iter().all(|&a| distance[a].rem_euclid(shape.stride[a] as isize) == 0) {
                        taps.push((k, [0, 1].map(|a| distance[a].div_euclid(shape.stride[a] as isize))));
                    }
                }
                taps.sort_by_key(|tap| tap.1);
                let size =
                    [(own.out_size[0] - y).div_ceil(shape.stride[0]), (own.out_size[1] - x).div_ceil(shape.stride[1])];
                own.phase(&taps, size, [y, x], &weight);
            }
        }
        own
    }

    fn empty(isa: Isa, factor: Factor, layouts: [Layout; 2], [ins, outs]: [usize; 2], bias: &[f32]) -> Self {
        let (panel, most) = super::tile(isa, outs);
        let mut border = Aligned::zeros(WIDEST * layouts[0].depth());
        if let (Factor::Int8, Layout::BlockedU8(grid)) = (factor, layouts[0]) {
            border.fill(f32::from_bits(u32::from_ne_bytes([grid.zero; 4])));
        }
        Self {
            isa,
            factor,
            layouts,
            ins,
            outs,
            in_size: [0; 2],
            drawn: None,
            out_size: [0; 2],
            stride: [1; 2],
            out_stride: [1; 2],
            bias: Aligned::padded(bias, BLOCK),
            scale: Aligned::default(),
            border,
            panel,
            most,
            phases: Vec::new(),
        }
    }

    /// Chooses for each output the number that its weights, of which `largest` is known, are multiples of.
    fn scale(&mut self, largest: &dyn Fn(usize) -> f32) {
        let (Factor::Int8, Layout::BlockedU8(grid)) = (self.factor, self.layouts[0]) else { return };
        let steps: Vec<f32> =
            (0..self.outs).map(|o| (largest(o) / 127.0).max(f32::MIN_POSITIVE) * grid.scale).collect();
        self.scale = Aligned::padded(&steps, BLOCK);
    }

    fn phase(
        &mut self,
        taps: &[(usize, [isize; 2])],
        size: [usize; 2],
        origin: [usize; 2],
        weight: &impl Fn(usize, usize, usize) -> f32,
    ) {
        let (ins, panel, depth, per_word) = (self.ins, self.panel, self.layouts[0].depth(), self.factor.per_word());
        let words = ins / depth * depth.div_ceil(per_word) + (ins % depth).div_ceil(per_word);
        let mut weights = Aligned::zeros(self.bias.len() * words * taps.len());
        let mut sums = vec![0i32; self.outs];
        // Of the weights of each output, which reach from -127 to 127.
        let steps: Vec<f32> = match self.layouts[0] {
            Layout::BlockedU8(grid) => self.scale.iter().map(|scale| scale / grid.scale).collect(),
            _ => Vec::new(),
        };
        let mut at = 0;
        for first in (0..self.bias.len()).step_by(panel) {
            for block in (0..ins).step_by(depth) {
                let channels = depth.min(ins - block);
                for &(tap, _) in taps {
                    for word in (0..channels).step_by(per_word) {
                        for o in first..(first + panel).min(self.outs) {
                            let own = (word..channels.min(word + per_word)).map(|c| weight(o, block + c, tap));
                            weights[at + o - first] = match self.factor {
                                Factor::Int8 => bytes_of(own, steps[o], &mut sums[o]),
                                _ => self.factor_word(own),
                            };
                        }
                        at += panel;
                    }
                }
            }
        }
        let mut starts = Aligned::default();
        if let (Factor::Int8, Layout::BlockedU8(grid)) = (self.factor, self.layouts[0]) {
            // Σ w·(code − zero) = Σ w·code − zero · Σ w, and taps outside read the code of zero.
            let start = |sum: i32| f32::from_bits((-i32::from(grid.zero) * sum) as u32);
            starts = Aligned::padded(&sums.into_iter().map(start).collect::<Vec<_>>(), BLOCK);
        }
        let positions: Vec<[isize; 2]> = taps.iter().map(|t| t.1).collect();
        let lines = match &self.drawn {
            None => Line::of(&positions, self.most),
            Some(drawn) => Line::of_drawn(&positions, self.stride[1], drawn),
        };
        let panel = weights.len() / self.bias.len() * panel;
        self.phases.push(Phase { lines, weights, panel, starts, size, origin });
    }

    /// Some weights as a word of floats or halves.
    fn factor_word(&self, weights: impl Iterator<Item = f32>) -> f32 {
        let word = weights.enumerate().fold(0, |word, (i, weight)| match self.factor {
            Factor::Bf16 => word | u32::from(to_bf16(weight)) << (16 * i),
            _ => weight.to_bits(),
        });
        f32::from_bits(word)
    }

    /// Input and output as the layouts say; only a convolution pools beside itself.
    pub fn run(&self, mut run: Run, pooled: Option<Pooled>) {
        let finish = run.finish(self.layouts[1]);
        // SAFETY: the tasks below alone keep outputs.
        let beside = pooled.map(|pooled| unsafe { Beside::new((self.isa, self.layouts[1]), pooled, &finish) });
        let Run { pool, input, scratch, .. } = run;
        let input = self.factors(pool, input, scratch);
        let panels = self.bias.len() / self.panel;
        let tiles = self.phases.iter().map(|p| Tiles::of(p.size, self.most).count()).max().unwrap_or(0);
        let tile_bytes = 4 * self.most * self.ins * self.stride[0] * self.stride[1] / self.factor.per_word();
        // Neighbouring tasks share weights where they are more than the input, else input.
        let weights_first = self.phases.iter().map(|p| p.weights.len()).sum::<usize>() > input.len();
        let ranges = match weights_first {
            true => TASKS.div_ceil(panels).min(tiles),
            false => (tiles * tile_bytes).div_ceil(TASK_BYTES).max(TASKS).min(tiles),
        };
        let (cuts, panels) = if weights_first { (panels, 1) } else { (1, panels) };
        pool.run(ranges * cuts, &|i| {
            let (range, cut) = (i % ranges, i / ranges);
            let (panels, beside) = (cut * panels..(cut + 1) * panels, beside.as_ref());
            let task = Task { taps: self, range: (range, ranges), panels, input, finish, beside };
            dot::run(self.isa, self.factor, task);
        });
    }
}

/// Some weights as a word of bytes, multiples of `step`, which are counted into `sum`.
fn bytes_of(weights: impl Iterator<Item = f32>, step: f32, sum: &mut i32) -> f32 {
    // Added and taken away again it leaves the nearest whole number, ties to even; the function that rounds is a call on
    // processors without SSE4.1, and millions of weights are rounded.
    const WHOLE: f32 = (3 << 22) as f32;
    let word = weights.enumerate().fold(0, |word, (i, weight)| {
        let code = ((weight / step).clamp(-127.0, 127.0) + WHOLE - WHOLE) as i8;
        *sum += i32::from(code);
        word | u32::from(code as u8) << (8 * i)
    });
    f32::from_bits(word)
}
