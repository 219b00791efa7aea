//! Max-pooling beside a convolution: whoever stores the last output of the rows of a window takes their largest values,
//! while they are still in the cache.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Finish;
use crate::backend::cpu::blocked::max_row;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::layout::{BLOCK, Layout};
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::pool::SharedMut;

/// What is pooled, and where to.
pub(in crate::backend::cpu) struct Pooled<'a> {
    pub shape: &'a PoolShape,
    pub output: &'a mut [f32],
    /// As long as [`Pooled::scratch_len`] says.
    pub scratch: &'a mut [f32],
}

impl Pooled<'_> {
    /// Floats of scratch memory that a run needs.
    pub fn scratch_len(shape: &PoolShape) -> usize {
        shape.channels.div_ceil(BLOCK) * shape.out_size()[0]
    }
}

/// One run of a pooling whose input a convolution is just writing.
pub(super) struct Beside<'a> {
    isa: Isa,
    shape: &'a PoolShape,
    /// Of input and output.
    layout: Layout,
    from: *const f32,
    to: SharedMut<'a, f32>,
    /// Values of the rows of a window that are still to be stored: for each block, for each row of windows.
    missing: &'a [AtomicU32],
}

// SAFETY: what `from` points to is read only where all of it is written and nobody writes any more.
unsafe impl Sync for Beside<'_> {}

impl<'a> Beside<'a> {
    /// # Safety
    /// `finish` keeps the outputs of a convolution of this layout, and nothing else does.
    pub unsafe fn new((isa, layout): (Isa, Layout), pooled: Pooled<'a>, finish: &Finish) -> Self {
        let Pooled { shape, output, scratch } = pooled;
        let down = shape.out_size()[0];
        assert_eq!(scratch.len(), Pooled::scratch_len(shape), "floats of scratch memory");
        // SAFETY: an atomic number is as large as a float and as aligned; the memory is borrowed alone, and may have any
        // bits.
        let missing: &[AtomicU32] = unsafe { std::slice::from_raw_parts(scratch.as_mut_ptr().cast(), scratch.len()) };
        let own = Self { isa, shape, layout, from: finish.start(), to: SharedMut::new(output), missing };
        for (i, missing) in missing.iter().enumerate() {
            missing.store((own.rows(i % down).len() * shape.in_size[1] * BLOCK) as u32, Ordering::Relaxed);
        }
        own
    }

    /// The rows of the input that a row of windows sees.
    fn rows(&self, row: usize) -> Range<usize> {
        let first = row * self.shape.stride[0];
        let end = (first + self.shape.kernel[0]).saturating_sub(self.shape.pads[0]);
        first.saturating_sub(self.shape.pads[0])..end.min(self.shape.in_size[0])
    }

    /// The rows of windows that see a row of the input.
    fn windows(&self, row: usize) -> Range<usize> {
        let (kernel, stride) = (self.shape.kernel[0], self.shape.stride[0]);
        let last = row + self.shape.pads[0];
        (last + 1).saturating_sub(kernel).div_ceil(stride)..(last / stride + 1).min(self.shape.out_size()[0])
    }

    /// Says that `channels` channels from `first` on of these pixels are stored, counted along the rows.
    ///
    /// # Safety
    /// They are, by the caller, who has not said so before and does not write them again.
    pub unsafe fn stored(&self, [first, channels]: [usize; 2], pixels: Range<usize>) {
        if pixels.is_empty() {
            return;
        }
        let ([_, w], down) = (self.shape.in_size, self.shape.out_size()[0]);
        for row in pixels.start / w..pixels.end.div_ceil(w) {
            let count = ((row + 1) * w).min(pixels.end) - (row * w).max(pixels.start);
            let values = (count * channels.min(BLOCK)) as u32;
            for window in self.windows(row) {
                for block in first / BLOCK..(first + channels).div_ceil(BLOCK) {
                    // What others stored is seen by who comes last.
                    if self.missing[block * down + window].fetch_sub(values, Ordering::AcqRel) == values {
                        // SAFETY: the rows are whole, and one thread alone comes last.
                        unsafe { self.take(block, window) };
                    }
                }
            }
        }
    }

    /// Writes a row of the output.
    ///
    /// # Safety
    /// The rows of the input that it sees are stored for good; nobody else writes this row.
    unsafe fn take(&self, block: usize, row: usize) {
        let ([h, w], [down, across], rows) = (self.shape.in_size, self.shape.out_size(), self.rows(row));
        let pixel = self.layout.len(BLOCK, 1);
        // SAFETY: rows of a block of the input, and a row of the output, as the caller promises.
        unsafe {
            let from = self.from.add((block * h + rows.start) * w * pixel);
            let from = std::slice::from_raw_parts(from, rows.len() * w * pixel);
            let to = self.to.slice((block * down + row) * across * pixel, across * pixel);
            max_row(self.isa, self.layout, self.shape, (row, rows.start), from, to);
        }
    }
}
