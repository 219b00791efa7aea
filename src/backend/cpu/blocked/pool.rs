//! The largest or the mean of windows.

use super::{Pixel, get, pixels, put, rows};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{self, Lanes, Vectorised};
use crate::backend::cpu::layout::{BLOCK, Cell, Layout, codes, codes_mut, halves, halves_mut};
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::window::inside;

/// How many values the window of an output row and column has a mean of.
pub type Count<'a> = &'a (dyn Fn(usize, usize) -> f32 + Sync);

/// The largest value, or with `mean` the mean, of every window.
///
/// # Shapes
/// Input and output as [`Layout::len`] says.
pub fn pool(threads: &Pool, layout: Layout, shape: &PoolShape, mean: Option<Count>, input: &[f32], output: &mut [f32]) {
    match layout {
        Layout::BlockedBf16 => pool_cells(threads, shape, mean, halves(input), halves_mut(output)),
        Layout::BlockedU8(_) => pool_cells(threads, shape, mean, codes(input), codes_mut(output)),
        _ => pool_cells(threads, shape, mean, input, output),
    }
}

fn pool_cells<C: Cell>(threads: &Pool, shape: &PoolShape, mean: Option<Count>, input: &[C], output: &mut [C]) {
    let (isa, [h, w], [down, across]) = (Isa::detect(), shape.in_size, shape.out_size());
    rows(threads, output, across, &|first, out| {
        let plane = &pixels(input)[first / across / down * h * w..][..h * w];
        let row = first / across % down;
        match mean {
            Some(count) => lanes::run(isa, MeanRow { shape, count, plane, row, out }),
            None => lanes::run(isa, MaxRow { shape, from: plane, first: 0, row, out }),
        }
    });
}

/// The largest values of the windows of one `row` of one block, from rows of the input from row `first` on, which are all
/// that it sees.
pub fn max_row(
    isa: Isa,
    layout: Layout,
    shape: &PoolShape,
    (row, first): (usize, usize),
    from: &[f32],
    out: &mut [f32],
) {
    fn cells<C: Cell>(isa: Isa, shape: &PoolShape, (row, first): (usize, usize), from: &[C], out: &mut [C]) {
        lanes::run(isa, MaxRow { shape, from: pixels(from), first, row, out: out.as_chunks_mut::<BLOCK>().0 });
    }
    match layout {
        Layout::BlockedBf16 => cells(isa, shape, (row, first), halves(from), halves_mut(out)),
        Layout::BlockedU8(_) => cells(isa, shape, (row, first), codes(from), codes_mut(out)),
        _ => cells(isa, shape, (row, first), from, out),
    }
}

struct MaxRow<'a, C> {
    shape: &'a PoolShape,
    /// Rows of a block, from row `first` on.
    from: &'a [Pixel<C>],
    first: usize,
    row: usize,
    out: &'a mut [Pixel<C>],
}

impl<C: Cell> Vectorised for MaxRow<'_, C> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (shape, [h, w]) = (self.shape, self.shape.in_size);
        if [shape.kernel, shape.stride] == [[2, 2]; 2] && shape.pads == [0; 4] && 2 * self.row + 1 < h {
            return self.pairs();
        }
        self.out.fill([C::LOWEST; BLOCK]);
        for i in 0..shape.kernel[0] {
            let v = (self.row * shape.stride[0] + i * shape.dilation[0]).wrapping_sub(shape.pads[0]);
            if v >= h {
                continue;
            }
            for j in 0..shape.kernel[1] {
                let tap = j * shape.dilation[1];
                let range = inside(tap, shape.pads[1], shape.stride[1], w, self.out.len());
                if range.is_empty() {
                    continue;
                }
                let line = &self.from[(v - self.first) * w..][..w];
                let from = line[range.start * shape.stride[1] + tap - shape.pads[1]..].iter().step_by(shape.stride[1]);
                for (out, from) in self.out[range].iter_mut().zip(from) {
                    // Copies, which become vectors.
                    let (mut largest, from) = (*out, *from);
                    for c in 0..BLOCK {
                        largest[c] = largest[c].larger(from[c]);
                    }
                    *out = largest;
                }
            }
        }
    }
}

impl<C: Cell> MaxRow<'_, C> {
    /// The pooling of every U-Net: windows of two by two values, which are read once.
    #[inline(always)]
    fn pairs(self) {
        let w = self.shape.in_size[1];
        let (upper, lower) = self.from[(2 * self.row - self.first) * w..][..2 * w].split_at(w);
        for ((out, a), b) in self.out.iter_mut().zip(upper.chunks(2)).zip(lower.chunks(2)) {
            let mut largest = [C::LOWEST; BLOCK];
            for from in a.iter().chain(b) {
                (0..BLOCK).for_each(|c| largest[c] = largest[c].larger(from[c]));
            }
            *out = largest;
        }
    }
}

struct MeanRow<'a, C> {
    shape: &'a PoolShape,
    count: Count<'a>,
    plane: &'a [Pixel<C>],
    row: usize,
    out: &'a mut [Pixel<C>],
}

impl<C: Cell> Vectorised for MeanRow<'_, C> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (shape, [h, w]) = (self.shape, self.shape.in_size);
        for (x, out) in self.out.iter_mut().enumerate() {
            let mut sum = [0.0; BLOCK];
            for i in 0..shape.kernel[0] {
                let v = (self.row * shape.stride[0] + i * shape.dilation[0]).wrapping_sub(shape.pads[0]);
                for j in 0..shape.kernel[1] {
                    let u = (x * shape.stride[1] + j * shape.dilation[1]).wrapping_sub(shape.pads[1]);
                    if v >= h || u >= w {
                        continue;
                    }
                    // SAFETY: the caller's promise; so below.
                    let from = unsafe { get::<L, C>(&self.plane[v * w + u]) };
                    (0..BLOCK).for_each(|c| sum[c] += from[c]);
                }
            }
            let count = (self.count)(self.row, x);
            sum.iter_mut().for_each(|value| *value /= count);
            // SAFETY: as above.
            unsafe { put::<L, C>(&sum, out) };
        }
    }
}
