//! Convolution from blocks to a few planes, such as the logits at the end of a network: vectors run over the input
//! channels, and the lanes of a sum are added up at the end.

use super::{ConvShape, Run};
use crate::backend::cpu::activation::clip;
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{self, Lanes, Vectorised};
use crate::backend::cpu::layout::{BLOCK, Cell, Cells, Grid, Layout, Reader};
use crate::backend::cpu::pool::SharedMut;
use crate::backend::cpu::window::inside;

/// More output channels than this are better computed in blocks.
const MOST: usize = 8;
/// Pixels that are summed side by side, so that sums do not wait for each other.
const PIXELS: usize = 8;

/// Packed weights and sizes.
#[derive(Clone, Debug)]
pub(super) struct Head {
    isa: Isa,
    /// Of the input.
    layout: Layout,
    shape: ConvShape,
    /// Output × block × tap × 16.
    weights: Aligned,
    bias: Vec<f32>,
}

impl Head {
    /// Whether the shape can be computed so.
    pub fn fits(shape: &ConvShape) -> bool {
        shape.groups == 1 && shape.out_channels <= MOST
    }

    pub fn new(shape: &ConvShape, isa: Isa, input: Layout, oihw: &[f32], bias: &[f32]) -> Self {
        let (ins, taps) = (shape.in_channels, shape.kernel[0] * shape.kernel[1]);
        let blocks = ins.div_ceil(BLOCK);
        let mut weights = Aligned::zeros(shape.out_channels * blocks * taps * BLOCK);
        for (i, &weight) in oihw.iter().enumerate() {
            let (o, c, tap) = (i / taps / ins, i / taps % ins, i % taps);
            weights[((o * blocks + c / BLOCK) * taps + tap) * BLOCK + c % BLOCK] = weight;
        }
        Self { isa, layout: input, shape: shape.clone(), weights, bias: bias.to_vec() }
    }

    pub fn run(&self, run: Run) {
        let bounds = run.bounds();
        let Run { pool, input, residual, output, .. } = run;
        let [rows, columns] = self.shape.out_size();
        let output = SharedMut::new(output);
        pool.run(rows, &|row| {
            for o in 0..self.shape.out_channels {
                let from = (o * rows + row) * columns;
                // SAFETY: one row of all planes a task.
                let output = unsafe { output.slice(from, columns) };
                let residual = residual.map(|r| &r.values()[from..from + columns]);
                let input = Reader::new(input, self.layout);
                lanes::run(self.isa, Row { head: self, o, row, input, residual, bounds, output });
            }
        });
    }
}

/// One row of one output.
struct Row<'a> {
    head: &'a Head,
    o: usize,
    row: usize,
    input: Reader<'a>,
    residual: Option<&'a [f32]>,
    bounds: (f32, f32),
    output: &'a mut [f32],
}

impl Vectorised for Row<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.input.cells() {
                Cells::Floats(cells) => self.sums::<L, _>(cells, Grid::WHOLE),
                Cells::Halves(cells) => self.sums::<L, _>(cells, Grid::WHOLE),
                Cells::Codes(cells, grid) => self.sums::<L, _>(cells, grid),
            }
        }
    }
}

impl Row<'_> {
    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn sums<L: Lanes, C: Cell>(self, cells: &[C], grid: Grid) {
        let (s, [h, w]) = (&self.head.shape, self.head.shape.in_size);
        let [kh, kw] = s.kernel;
        let blocks = s.in_channels.div_ceil(BLOCK);
        let weights = &self.head.weights[self.o * blocks * kh * kw * BLOCK..][..blocks * kh * kw * BLOCK];
        let columns = self.output.len();
        for x in (0..columns).step_by(PIXELS) {
            let count = PIXELS.min(columns - x);
            // SAFETY: the caller's promise; every offset below is checked against the planes and the packed weights.
            unsafe {
                let zero = L::splat(f32::from(grid.zero));
                let mut sums = [L::splat(0.0); PIXELS];
                for i in 0..kh {
                    let y = (self.row * s.stride[0] + i * s.dilation[0]).wrapping_sub(s.pads[0]);
                    if y >= h {
                        continue;
                    }
                    for j in 0..kw {
                        // Outputs of the row whose tap lies inside, of them those of this run.
                        let taken = inside(j * s.dilation[1], s.pads[1], s.stride[1], w, columns);
                        let taken = taken.start.clamp(x, x + count) - x..taken.end.clamp(x, x + count) - x;
                        if taken.is_empty() {
                            continue;
                        }
                        let first = (x + taken.start) * s.stride[1] + j * s.dilation[1] - s.pads[1];
                        let step = s.stride[1] * BLOCK;
                        for block in 0..blocks {
                            let from = cells.as_ptr().add(((block * h + y) * w + first) * BLOCK);
                            let weights = weights.as_ptr().add(((block * kh + i) * kw + j) * BLOCK);
                            for lane in (0..BLOCK).step_by(L::COUNT) {
                                let weight = L::load(weights.add(lane));
                                let from = from.add(lane);
                                if taken.len() == PIXELS {
                                    for (p, sum) in sums.iter_mut().enumerate() {
                                        *sum = centred::<L, C>(from.add(p * step), zero).multiply_add(weight, *sum);
                                    }
                                    continue;
                                }
                                for (p, sum) in sums[taken.clone()].iter_mut().enumerate() {
                                    *sum = centred::<L, C>(from.add(p * step), zero).multiply_add(weight, *sum);
                                }
                            }
                        }
                    }
                }
                for (p, sum) in sums.iter().enumerate().take(count) {
                    let value = sum.total() * grid.scale + self.head.bias[self.o];
                    let value = value + self.residual.map_or(0.0, |r| r[x + p]);
                    self.output[x + p] = clip(value, self.bounds.0, self.bounds.1);
                }
            }
        }
    }
}

/// Values of a pixel, as steps of their grid from zero where they lie on one.
///
/// # Safety
/// The processor has the instructions of `L`, and the cells are readable.
#[inline(always)]
unsafe fn centred<L: Lanes, C: Cell>(from: *const C, zero: L) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let value = C::load::<L>(from);
        if C::ON_GRID { value.sub(zero) } else { value }
    }
}
