//! Convolution straight from padded planes: some output channels times some vectors along a row stay in registers
//! while all taps of all input channels are added to them.
//!
//! 1. Every input plane is copied into scratch memory with its padding, and with its columns sorted by `x mod stride`,
//!    so that a tap of neighbouring outputs is one contiguous load for any stride and dilation.
//! 2. A *block* is 8, 4, 2 or 1 output channels, a *strip* one vector of outputs in a row. A tile of one block and
//!    three strips needs 24 sums, 3 inputs and 1 weight: 28 of the 32 registers of AVX-512. AVX2 has 16 registers, so
//!    its tiles are 4 channels times two strips: 8 + 2 + 1 (with three the compiler spills).
//! 3. Tasks are blocks × ranges of strips. A value is summed by one task, channel by channel, tap by tap.
//!
//! # References
//! Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures", SC 2018.

use super::{ConvShape, Run};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::isa::Isa;
#[cfg(target_arch = "x86_64")]
use crate::backend::cpu::isa::WIDE;
#[cfg(target_arch = "aarch64")]
use crate::backend::cpu::lanes::Neon;
#[cfg(target_arch = "x86_64")]
use crate::backend::cpu::lanes::{Avx2, Avx512};
use crate::backend::cpu::lanes::{Lanes, Portable};
use crate::backend::cpu::pool::SharedMut;

/// Strips of the widest tile.
const STRIPS: usize = 3;
/// Input bytes that the strips of one task should touch: half of a usual second-level cache.
const TASK_BYTES: usize = 512 << 10;
/// Tasks that a layer is cut into at least, where it is large enough, so that threads end together.
const TASKS: usize = 32;

/// Some output channels of one group.
#[derive(Clone, Debug)]
struct Block {
    channel: usize,
    width: usize,
    /// Where its weights begin: in/groups × taps × width.
    weights: usize,
}

/// Packed weights and all offsets.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    isa: Isa,
    shape: ConvShape,
    weights: Vec<f32>,
    bias: Vec<f32>,
    blocks: Vec<Block>,
    /// Offset of every tap from the first, in floats.
    taps: Vec<usize>,
    /// Height and width of the output.
    out: [usize; 2],
    /// Strips in a row of the output.
    across: usize,
    lanes: usize,
    /// Floats of one column class of a padded row, of a padded row, of a padded plane.
    class: usize,
    pitch: usize,
    plane: usize,
    /// The input can be read as it is: one tap, no padding, whole strips.
    in_place: bool,
    /// Strips of one task.
    span: usize,
    /// Neighbouring tasks share weights rather than input.
    weights_first: bool,
}

impl Direct {
    pub fn new(shape: &ConvShape, isa: Isa, oihw: &[f32], bias: Vec<f32>) -> Self {
        let mut shape = shape.clone();
        if shape.kernel == [1, 1] && shape.stride == [1, 1] && shape.pads == [0; 4] {
            // Pixels do not see each other, so that rows have no meaning.
            shape.in_size = [1, shape.in_size[0] * shape.in_size[1]];
        }
        let s = &shape;
        let out = s.out_size();
        let [kh, kw] = s.kernel;
        let (lanes, widest) = match isa {
            Isa::Portable => (Portable::COUNT, 4),
            Isa::Neon => (4, 8),
            Isa::Avx2 => (8, 4),
            Isa::Avx512 => (16, 8),
        };
        let across = out[1].div_ceil(lanes);
        let class = across * lanes + (kw - 1) * s.dilation[1] / s.stride[1];
        let pitch = class * s.stride[1];
        let rows = (out[0] - 1) * s.stride[0] + (kh - 1) * s.dilation[0] + 1;
        let in_place = s.kernel == [1, 1] && s.stride == [1, 1] && s.pads == [0; 4] && out[1].is_multiple_of(lanes);
        let mut taps = Vec::with_capacity(kh * kw);
        for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
            let x = j * s.dilation[1];
            taps.push(i * s.dilation[0] * pitch + x % s.stride[1] * class + x / s.stride[1]);
        }

        let (ins, outs) = (s.in_channels / s.groups, s.out_channels / s.groups);
        let per_channel = ins * kh * kw;
        let (mut blocks, mut weights) = (Vec::new(), Vec::with_capacity(oihw.len()));
        for group in 0..s.groups {
            let mut done = 0;
            while done < outs {
                let mut width = widest;
                while width > outs - done {
                    width /= 2;
                }
                let channel = group * outs + done;
                blocks.push(Block { channel, width, weights: weights.len() });
                for k in 0..per_channel {
                    weights.extend((channel..channel + width).map(|o| oihw[o * per_channel + k]));
                }
                done += width;
            }
        }

        let strips = out[0] * across;
        let strip_bytes = 4 * ins * lanes * s.stride[0].min(kh) * s.stride[1].min(kw);
        let span = (TASK_BYTES / strip_bytes).min(strips.div_ceil(TASKS.div_ceil(blocks.len())));
        let weights_first = weights.len() > s.in_len();
        let span = span.next_multiple_of(STRIPS);
        Self {
            isa,
            weights,
            bias,
            blocks,
            taps,
            out,
            across,
            lanes,
            class,
            pitch,
            plane: rows * pitch,
            in_place,
            span,
            weights_first,
            shape,
        }
    }

    pub fn scratch_len(&self) -> usize {
        if self.in_place { 0 } else { self.shape.in_channels * self.plane }
    }

    pub fn run(&self, run: Run) {
        let bounds = run.bounds();
        let Run { pool, input, residual, activation, output, scratch } = run;
        let planes = if self.in_place {
            input
        } else {
            let [h, w] = self.shape.in_size;
            let padded = SharedMut::new(&mut scratch[..self.scratch_len()]);
            pool.run(self.shape.in_channels, &|c| {
                // SAFETY: one plane a task.
                let plane = unsafe { padded.slice(c * self.plane, self.plane) };
                self.pad(&input[c * h * w..][..h * w], plane);
            });
            &scratch[..self.scratch_len()]
        };
        let strips = self.out[0] * self.across;
        let spans = strips.div_ceil(self.span);
        let output = SharedMut::new(output);
        pool.run(self.blocks.len() * spans, &|i| {
            let (block, span) = match self.weights_first {
                true => (i / spans, i % spans),
                false => (i % self.blocks.len(), i / self.blocks.len()),
            };
            let first = span * self.span;
            let task = Task {
                direct: self,
                block: &self.blocks[block],
                planes,
                residual: residual.map(|r| r.values()),
                bounds,
                output: output.as_mut_ptr(),
            };
            task.run(first..(first + self.span).min(strips));
            if activation.bounds().is_none() {
                self.activate(activation, &self.blocks[block], first..(first + self.span).min(strips), &output);
            }
        });
    }

    /// Applies what cannot be done in registers to what a task has just written.
    fn activate(
        &self,
        activation: Activation,
        block: &Block,
        strips: std::ops::Range<usize>,
        output: &SharedMut<'_, f32>,
    ) {
        // Strips are consecutive, so that they are one run of every plane.
        let offset = |strip: usize| strip / self.across * self.out[1] + strip % self.across * self.lanes;
        let (from, to) = (offset(strips.start), offset(strips.end));
        for channel in block.channel..block.channel + block.width {
            // SAFETY: the run of strips of these channels belongs to this task.
            activation.apply(unsafe { output.slice(channel * self.out[0] * self.out[1] + from, to - from) });
        }
    }

    /// Copies one plane with zeros around it, its columns sorted by `x mod stride`.
    fn pad(&self, from: &[f32], to: &mut [f32]) {
        let s = &self.shape;
        let ([h, w], [top, left, ..], step) = (s.in_size, s.pads, s.stride[1]);
        for (y, row) in to.chunks_exact_mut(self.pitch).enumerate() {
            let Some(v) = y.checked_sub(top).filter(|&v| v < h) else {
                row.fill(0.0);
                continue;
            };
            let from = &from[v * w..][..w];
            for (class, row) in row.chunks_exact_mut(self.class).enumerate() {
                // Columns of this class: class + i · step - left must lie in the row.
                let first = left.saturating_sub(class).div_ceil(step).min(row.len());
                let end = (w + left).saturating_sub(class).div_ceil(step).clamp(first, row.len());
                row[..first].fill(0.0);
                row[end..].fill(0.0);
                if first == end {
                    continue;
                }
                let start = class + first * step - left;
                match step {
                    1 => row[first..end].copy_from_slice(&from[start..start + end - first]),
                    _ => row[first..end].iter_mut().zip(from[start..].iter().step_by(step)).for_each(|(o, &i)| *o = i),
                }
            }
        }
    }
}

/// One block and what its tiles read and write.
struct Task<'a> {
    direct: &'a Direct,
    block: &'a Block,
    planes: &'a [f32],
    residual: Option<&'a [f32]>,
    bounds: (f32, f32),
    output: *mut f32,
}

impl Task<'_> {
    fn run(&self, strips: std::ops::Range<usize>) {
        match self.direct.isa {
            // SAFETY: `Conv::new` refuses a tactic that this processor cannot run; the slices were measured by `run`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if WIDE => unsafe { self.avx512(strips) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if WIDE => unsafe { self.avx2(strips) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => unsafe { self.neon(strips) },
            // SAFETY: needs no instructions of its own; the slices were measured by `run`.
            _ => unsafe { self.tiles::<Portable, 2>(strips) },
        }
    }

    /// # Safety
    /// The processor has AVX-512F.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512(&self, strips: std::ops::Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<Avx512, STRIPS>(strips) }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, strips: std::ops::Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<Avx2, 2>(strips) }
    }

    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon")]
    unsafe fn neon(&self, strips: std::ops::Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<Neon, STRIPS>(strips) }
    }

    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const V: usize>(&self, strips: std::ops::Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.block.width {
                8 => self.block::<L, 8, V>(strips),
                4 => self.block::<L, 4, V>(strips),
                2 => self.block::<L, 2, V>(strips),
                _ => self.block::<L, 1, V>(strips),
            }
        }
    }

    /// # Safety
    /// The processor has the instructions of `L`, and the block is `B` channels wide.
    #[inline(always)]
    unsafe fn block<L: Lanes, const B: usize, const V: usize>(&self, strips: std::ops::Range<usize>) {
        let mut strip = strips.start;
        // SAFETY: the caller's promise.
        unsafe {
            while strip + V <= strips.end {
                self.tile::<L, B, V>(strip);
                strip += V;
            }
            while strip < strips.end {
                self.tile::<L, B, 1>(strip);
                strip += 1;
            }
        }
    }

    /// Computes `B` channels of `V` strips.
    ///
    /// # Safety
    /// As for `block`; the strips lie inside the output.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const B: usize, const V: usize>(&self, strip: usize) {
        let d = self.direct;
        let (oh, ow) = (d.out[0], d.out[1]);
        let at: [(usize, usize); V] =
            std::array::from_fn(|v| ((strip + v) / d.across, (strip + v) % d.across * L::COUNT));
        let ins = d.shape.in_channels / d.shape.groups;
        let group = self.block.channel / (d.shape.out_channels / d.shape.groups);
        let plane = if d.in_place { ow } else { d.plane };
        // SAFETY: a padded plane has a whole strip for every tap of every strip; the packed weights of a block are
        // ins × taps × B; stores and residual loads are cut at the end of the row. The pointers stay inside.
        unsafe {
            let starts: [*const f32; V] = std::array::from_fn(|v| {
                let (y, x) = at[v];
                self.planes.as_ptr().add(group * ins * plane + y * d.shape.stride[0] * d.pitch + x)
            });
            let mut weights = d.weights.as_ptr().add(self.block.weights);
            let mut sums: [[L; V]; B] =
                std::array::from_fn(|b| [L::splat(*d.bias.get_unchecked(self.block.channel + b)); V]);
            for c in 0..ins {
                for &tap in &d.taps {
                    let mut inputs = [L::splat(0.0); V];
                    for v in 0..V {
                        inputs[v] = L::load(starts[v].add(c * plane + tap));
                    }
                    for (b, sums) in sums.iter_mut().enumerate() {
                        let weight = L::splat(*weights.add(b));
                        for v in 0..V {
                            sums[v] = weight.multiply_add(inputs[v], sums[v]);
                        }
                    }
                    weights = weights.add(B);
                }
            }
            let (low, high) = (L::splat(self.bounds.0), L::splat(self.bounds.1));
            // The loop below is too long to be unrolled, so that it reads memory; through this barrier it reads a copy,
            // and the sums above stay in registers (twice as fast).
            let sums = std::hint::black_box(sums);
            for (b, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let (y, x) = at[v];
                    let (offset, count) = ((self.block.channel + b) * oh * ow + y * ow + x, L::COUNT.min(ow - x));
                    let sum = match self.residual {
                        Some(residual) => sum.add(L::load_part(residual.as_ptr().add(offset), count)),
                        None => sum,
                    };
                    sum.clip(low, high).store_part(self.output.add(offset), count);
                }
            }
        }
    }
}
