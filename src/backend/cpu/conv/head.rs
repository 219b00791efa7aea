//! Convolution from blocks to a few planes, such as the logits at the end of a network: vectors run over the input
//! channels, and the lanes of a sum are added up at the end.

use super::{ConvShape, Run};
use crate::backend::cpu::activation::clip;
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{self, Lanes, Vectorised};
use crate::backend::cpu::layout::{BLOCK, Cell, Cells, Grid, Layout, Reader};
use crate::backend::cpu::pool::SharedMut;
use crate::backend::cpu::softmax;
use crate::backend::cpu::unroll::{opaque, unrolled};
use crate::backend::cpu::window::{extent, inside};

/// More output channels than this are better computed in blocks.
const MOST: usize = 8;
/// Pixels that are summed side by side, so that sums do not wait for each other and their lanes are added up together.
const PIXELS: usize = 16;

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

    /// Rows of all planes, and with `softmax` theirs over the planes.
    pub fn run(&self, run: Run, softmax: bool) {
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
            if softmax {
                let (outs, pixels, first) = (self.shape.out_channels, rows * columns, row * columns);
                // SAFETY: the same row of all planes.
                unsafe { softmax::columns(output.as_mut_ptr(), outs, pixels, first..first + columns) };
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
        let (s, columns) = (&self.head.shape, self.output.len());
        // Outputs all of whose taps lie inside the row.
        let reach = extent(s.kernel[1], s.dilation[1]) - 1;
        let first = inside(0, s.pads[1], s.stride[1], s.in_size[1], columns).start;
        let end = inside(reach, s.pads[1], s.stride[1], s.in_size[1], columns).end;
        let mut x = 0;
        while x < columns {
            let mut totals = [0.0; PIXELS];
            // SAFETY: the caller's promise, and as asked for.
            let done = unsafe {
                if s.stride[1] == 1 && first <= x && x + PIXELS <= end {
                    self.run_of::<L, C>(cells, grid, x, &mut totals);
                    PIXELS
                } else {
                    totals[0] = self.pixel::<L, C>(cells, grid, x);
                    1
                }
            };
            for (p, total) in totals[..done].iter().enumerate() {
                let value = total * grid.scale + self.head.bias[self.o];
                let value = value + self.residual.map_or(0.0, |r| r[x + p]);
                self.output[x + p] = clip(value, self.bounds.0, self.bounds.1);
            }
            x += done;
        }
    }

    /// The rows of the input that taps read, each with the number of its taps.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let s = &self.head.shape;
        let row = move |i: usize| (i, (self.row * s.stride[0] + i * s.dilation[0]).wrapping_sub(s.pads[0]));
        (0..s.kernel[0]).map(row).filter(|&(_, y)| y < s.in_size[0])
    }

    /// Weights of the sixteen channels of a block at a tap.
    #[inline(always)]
    fn weights(&self, block: usize, i: usize, j: usize) -> &[f32] {
        let s = &self.head.shape;
        let blocks = s.in_channels.div_ceil(BLOCK);
        &self.head.weights[(((self.o * blocks + block) * s.kernel[0] + i) * s.kernel[1] + j) * BLOCK..][..BLOCK]
    }

    /// Sums of the pixels from column `x` on.
    ///
    /// # Safety
    /// The processor has the instructions of `L`; outputs are one pixel apart, and their taps lie inside the row.
    #[inline(always)]
    unsafe fn run_of<L: Lanes, C: Cell>(&self, cells: &[C], grid: Grid, x: usize, totals: &mut [f32; PIXELS]) {
        let (s, [h, w]) = (&self.head.shape, self.head.shape.in_size);
        // SAFETY: the caller's promise; so below.
        unsafe {
            let zero = L::splat(f32::from(grid.zero));
            let mut sums = [L::splat(0.0); PIXELS];
            for (i, y) in self.rows() {
                for j in 0..s.kernel[1] {
                    for block in 0..s.in_channels.div_ceil(BLOCK) {
                        let at = ((block * h + y) * w + x + j * s.dilation[1] - s.pads[1]) * BLOCK;
                        let weights = self.weights(block, i, j);
                        for lane in (0..BLOCK).step_by(L::COUNT) {
                            let from = opaque(cells[at..at + PIXELS * BLOCK].as_ptr().add(lane));
                            let weight = L::load(weights.as_ptr().add(lane));
                            unrolled!(p in PIXELS {
                                sums[p] = centred::<L, C>(from.add(p * BLOCK), zero).multiply_add(weight, sums[p]);
                            });
                        }
                    }
                }
            }
            L::totals(sums, totals);
        }
    }

    /// Sum of the pixel at column `x`, of the taps that lie inside.
    ///
    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn pixel<L: Lanes, C: Cell>(&self, cells: &[C], grid: Grid, x: usize) -> f32 {
        let (s, [h, w]) = (&self.head.shape, self.head.shape.in_size);
        // SAFETY: the caller's promise; so below.
        unsafe {
            let zero = L::splat(f32::from(grid.zero));
            let mut sum = L::splat(0.0);
            for (i, y) in self.rows() {
                for j in 0..s.kernel[1] {
                    let column = (x * s.stride[1] + j * s.dilation[1]).wrapping_sub(s.pads[1]);
                    if column >= w {
                        continue;
                    }
                    for block in 0..s.in_channels.div_ceil(BLOCK) {
                        let pixel = &cells[((block * h + y) * w + column) * BLOCK..][..BLOCK];
                        let weights = self.weights(block, i, j);
                        for lane in (0..BLOCK).step_by(L::COUNT) {
                            let weight = L::load(weights.as_ptr().add(lane));
                            sum = centred::<L, C>(pixel.as_ptr().add(lane), zero).multiply_add(weight, sum);
                        }
                    }
                }
            }
            sum.total()
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
