//! The input as the products read it: as factors, where it is kept as something else, and perhaps with its border.

use super::Taps;
use crate::backend::cpu::dot::{self, Dot, Factor, Products};
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{Layout, Reader};
use crate::backend::cpu::pool::{Pool, SharedMut};

/// Panels from which on a border is drawn around the input once, rather than around the lines of each tile.
const PANELS: usize = 4;

impl Taps {
    /// Whether a copy with a border pays: bytes are copied in a fraction of the time of their products.
    pub(super) fn draws_border(&self) -> bool {
        self.factor == Factor::Int8 && self.stride == [1, 1] && self.bias.len() >= PANELS * self.panel
    }

    /// Floats of scratch memory that a run needs.
    pub fn scratch_len(&self) -> usize {
        let kept_so = match self.factor {
            Factor::F32 => matches!(self.layouts[0], Layout::Planar | Layout::Blocked),
            Factor::Bf16 => self.layouts[0] == Layout::BlockedBf16,
            Factor::Int8 => true,
        };
        if kept_so && self.margin == [0; 4] {
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
        let ([top, left, bottom, right], [h, w]) = (taps.margin, taps.in_size);
        let kept = w - left - right;
        let pixel = depth / per_word;
        let reader = Reader::new(self.input, taps.layouts[0]);
        for (i, row) in self.to.chunks_exact_mut(w * pixel).enumerate() {
            let y = self.first + i;
            if y < top || y >= h - bottom {
                row.fill(taps.border[0]);
                continue;
            }
            let (before, rest) = row.split_at_mut(left * pixel);
            let (own, after) = rest.split_at_mut(kept * pixel);
            before.fill(taps.border[0]);
            after.fill(taps.border[0]);
            let from = (self.block * (h - top - bottom) + y - top) * kept * pixel;
            match D::FACTOR {
                // Bytes are kept as they are multiplied.
                Factor::Int8 => own.copy_from_slice(&self.input[from..from + kept * pixel]),
                _ => {
                    let (first, to) = (from * per_word, own.as_mut_ptr().cast::<u32>());
                    for at in (0..kept * depth).step_by(D::Lanes::COUNT) {
                        // SAFETY: the caller's promise; pictures in blocks are whole vectors.
                        unsafe { D::store(reader.load(first + at), to.add(at / per_word)) };
                    }
                }
            }
        }
    }
}
