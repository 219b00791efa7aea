//! Convolution of every channel with a filter of its own, on blocks: vectors run over channels.

use super::{ConvShape, Finish, Keep, Run};
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::dot::F32;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{self, Lanes, Vectorised};
use crate::backend::cpu::layout::{BLOCK, Layout, Reader};

/// Pixels that are summed side by side, so that sums do not wait for each other.
const PIXELS: usize = 4;

/// Packed weights and sizes.
#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    layouts: [Layout; 2],
    shape: ConvShape,
    /// Block × tap × 16.
    weights: Aligned,
    bias: Aligned,
}

impl Depthwise {
    /// Whether the shape can be computed so.
    pub fn fits(shape: &ConvShape) -> bool {
        shape.groups == shape.in_channels && shape.groups == shape.out_channels
    }

    pub fn new(shape: &ConvShape, isa: Isa, layouts: [Layout; 2], oihw: &[f32], bias: &[f32]) -> Self {
        let taps = shape.kernel[0] * shape.kernel[1];
        let bias = Aligned::padded(bias, BLOCK);
        let mut weights = Aligned::zeros(bias.len() * taps);
        for (i, &weight) in oihw.iter().enumerate() {
            let (channel, tap) = (i / taps, i % taps);
            weights[(channel / BLOCK * taps + tap) * BLOCK + channel % BLOCK] = weight;
        }
        Self { isa, layouts, shape: shape.clone(), weights, bias }
    }

    pub fn run(&self, mut run: Run) {
        let [rows, columns] = self.shape.out_size();
        let finish = run.finish(self.layouts[1]);
        let Run { pool, input, .. } = run;
        pool.run(self.bias.len() / BLOCK * rows, &|i| {
            let (block, row) = (i / rows, i % rows);
            let [h, w] = self.shape.in_size;
            lanes::run(
                self.isa,
                Row {
                    depthwise: self,
                    block,
                    row,
                    columns,
                    input: Reader::new(input, self.layouts[0]),
                    plane: block * h * w,
                    finish,
                    // One row of a block a task.
                    first: (block * rows + row) * columns,
                },
            );
        });
    }
}

/// One row of one block.
struct Row<'a> {
    depthwise: &'a Depthwise,
    block: usize,
    row: usize,
    columns: usize,
    input: Reader<'a>,
    /// First pixel of the block in the input, and of the row in the output.
    plane: usize,
    first: usize,
    finish: Finish<'a>,
}

impl Vectorised for Row<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let d = self.depthwise;
        let (s, [h, w]) = (&d.shape, d.shape.in_size);
        let [kh, kw] = s.kernel;
        let columns = self.columns;
        let weights = &d.weights[self.block * kh * kw * BLOCK..][..kh * kw * BLOCK];
        for x in (0..columns).step_by(PIXELS) {
            let count = PIXELS.min(columns - x);
            for lane in (0..BLOCK).step_by(L::COUNT) {
                // SAFETY: the caller's promise; every offset below is checked against the plane and the packed weights,
                // and the row is this task's own.
                unsafe {
                    let mut sums = [L::load(d.bias.as_ptr().add(self.block * BLOCK + lane)); PIXELS];
                    for i in 0..kh {
                        let y = (self.row * s.stride[0] + i * s.dilation[0]).wrapping_sub(s.pads[0]);
                        if y >= h {
                            continue;
                        }
                        for j in 0..kw {
                            let weight = L::load(weights.as_ptr().add((i * kw + j) * BLOCK + lane));
                            for (p, sum) in sums.iter_mut().enumerate().take(count) {
                                let at = ((x + p) * s.stride[1] + j * s.dilation[1]).wrapping_sub(s.pads[1]);
                                if at < w {
                                    let value: L = self.input.load((self.plane + y * w + at) * BLOCK + lane);
                                    *sum = value.multiply_add(weight, *sum);
                                }
                            }
                        }
                    }
                    for (p, sum) in sums.iter().enumerate().take(count) {
                        self.finish.keep::<F32<L>>((self.first + x + p) * BLOCK + lane, *sum);
                    }
                }
            }
        }
    }
}
