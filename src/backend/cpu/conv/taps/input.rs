//! The input as the products read it: as factors, where it is kept as something else, and perhaps with its border.

use super::Taps;
use crate::backend::cpu::dot::{self, Dot, Factor, Products};
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Layout, Reader};
use crate::backend::cpu::pool::{Pool, SharedMut};
use crate::backend::cpu::window::inside;

/// Panels from which on a border is drawn around the input once, rather than around the lines of each tile.
const PANELS: usize = 4;

/// A copy of the input with its border, whose rows are sorted by the remainder of their columns by the stride.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// Rows and columns of the border: top, left, bottom, right.
    margin: [usize; 4],
    /// Of the input without it.
    kept: [usize; 2],
    /// Pixels of a row with the same remainder.
    pub class: usize,
}

impl Taps {
    /// Whether a copy pays: bytes are copied in a fraction of the time of their products, and where outputs are further
    /// apart than one pixel every tile of every panel would sort its pixels.
    pub(super) fn is_better_drawn(&self, pads: [usize; 4]) -> bool {
        let apart = self.stride[1] > 1;
        apart || self.factor == Factor::Int8 && self.bias.len() >= PANELS * self.panel && pads != [0; 4]
    }

    /// Has the input copied with this border, for taps that reach over `reach` columns.
    pub(super) fn draw(&mut self, margin: [usize; 4], reach: usize) {
        let ([h, w], across) = (self.in_size, self.stride[1]);
        let [top, left, bottom, right] = margin;
        let (classes, class) = (across.min(reach), (left + w + right).div_ceil(across));
        self.drawn = Some(Drawn { margin, kept: self.in_size, class });
        self.in_size = [top + h + bottom, classes * class];
    }

    /// Whether the input is kept as the products read it.
    fn keeps_factors(&self) -> bool {
        match self.factor {
            Factor::F32 => matches!(self.layouts[0], Layout::Planar | Layout::Blocked),
            Factor::Bf16 => self.layouts[0] == Layout::BlockedBf16,
            Factor::Int8 => true,
        }
    }

    /// Floats of scratch memory that a run needs.
    pub fn scratch_len(&self) -> usize {
        if self.keeps_factors() && self.drawn.is_none() {
            return 0;
        }
        let values = self.ins.next_multiple_of(self.layouts[0].depth()) * self.in_size[0] * self.in_size[1];
        values / self.factor.per_word()
    }

    /// The input as words of factors.
    pub(super) fn factors<'a>(&self, pool: &Pool, input: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        /// Values of a task.
        const RUN: usize = 1 << 14;
        let words = self.scratch_len();
        if words == 0 {
            return input;
        }
        let (depth, per_word, [h, w]) = (self.layouts[0].depth(), self.factor.per_word(), self.in_size);
        let rows = (RUN / (w * depth)).clamp(1, h);
        let parts = h.div_ceil(rows);
        let to = SharedMut::new(scratch);
        pool.run(self.ins.div_ceil(depth) * parts, &|i| {
            let (block, first) = (i / parts, i % parts * rows);
            let rows = rows.min(h - first);
            // SAFETY: rows of different tasks do not overlap.
            let to = unsafe { to.slice((block * h + first) * w * depth / per_word, rows * w * depth / per_word) };
            dot::run(self.isa, self.factor, Rows { taps: self, input, block, first, to });
        });
        scratch
    }
}

/// Some rows of a block.
struct Rows<'a> {
    taps: &'a Taps,
    input: &'a [f32],
    block: usize,
    first: usize,
    to: &'a mut [f32],
}

impl Products for Rows<'_> {
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        let taps = self.taps;
        let (depth, per_word) = (taps.layouts[0].depth(), D::FACTOR.per_word());
        let row = taps.in_size[1] * (depth / per_word).max(1);
        let reader = Reader::new(self.input, taps.layouts[0]);
        for (i, to) in self.to.chunks_exact_mut(row).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                match depth {
                    1 => Row { taps, reader, pixel: 1, to }.draw::<D>(self.block, self.first + i),
                    // A number that is known here.
                    _ => Row { taps, reader, pixel: BLOCK / per_word, to }.draw::<D>(self.block, self.first + i),
                }
            }
        }
    }
}

/// One row of a block.
struct Row<'a> {
    taps: &'a Taps,
    reader: Reader<'a>,
    /// Words of a pixel.
    pixel: usize,
    to: &'a mut [f32],
}

impl Row<'_> {
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn draw<D: Dot>(self, block: usize, y: usize) {
        let Self { taps, reader, pixel, to } = self;
        let whole = Drawn { margin: [0; 4], kept: taps.in_size, class: taps.in_size[1] };
        let drawn = taps.drawn.as_ref().unwrap_or(&whole);
        let ([h, w], [top, left, ..], border) = (drawn.kept, drawn.margin, taps.border[0]);
        if y < top || y >= top + h {
            return to.fill(border);
        }
        let row = (block * h + y - top) * w;
        let across = taps.stride[1].max(1);
        for (class, to) in to.chunks_exact_mut(drawn.class * pixel).enumerate() {
            let inside = inside(class, left, across, w, drawn.class);
            to[..inside.start * pixel].fill(border);
            to[inside.end * pixel..].fill(border);
            let first = row + inside.start * across + class - left;
            let to = &mut to[inside.start * pixel..inside.end * pixel];
            if !taps.keeps_factors() {
                for (i, to) in to.chunks_exact_mut(pixel).enumerate() {
                    let (from, to) = ((first + i * across) * BLOCK, to.as_mut_ptr().cast::<u32>());
                    for lane in (0..BLOCK).step_by(D::Lanes::COUNT) {
                        // SAFETY: the caller's promise; a pixel of a block is whole vectors.
                        unsafe { D::store(reader.load(from + lane), to.add(lane / D::FACTOR.per_word())) };
                    }
                }
            } else if across == 1 {
                to.copy_from_slice(&reader.values()[first * pixel..][..to.len()]);
            } else {
                for (i, to) in to.chunks_exact_mut(pixel).enumerate() {
                    to.copy_from_slice(&reader.values()[(first + i * across) * pixel..][..pixel]);
                }
            }
        }
    }
}
