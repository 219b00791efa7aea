//! Reading and writing pictures in vectors of floats, whatever they are kept as.

use super::{Code, Grid, Half, Layout, codes, halves};
use crate::backend::cpu::dot::{Dot, Factor};
use crate::backend::cpu::lanes::Lanes;

/// How values are kept.
#[derive(Clone, Copy)]
enum Kept {
    Float,
    Half,
    Byte(Grid),
}

impl Kept {
    fn of(layout: Layout) -> Self {
        match layout {
            Layout::Planar | Layout::Blocked => Self::Float,
            Layout::BlockedBf16 => Self::Half,
            Layout::BlockedU8(grid) => Self::Byte(grid),
        }
    }
}

/// The values of a picture as they are kept.
pub(in crate::backend::cpu) enum Cells<'a> {
    Floats(&'a [f32]),
    Halves(&'a [Half]),
    Codes(&'a [Code], Grid),
}

/// Where the values of a picture go, as they are kept.
pub(in crate::backend::cpu) enum CellsMut {
    Floats(*mut f32),
    Halves(*mut Half),
    Codes(*mut Code, Grid),
}

/// A picture whose values are read in vectors, whatever its layout.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Reader<'a> {
    values: &'a [f32],
    kept: Kept,
}

impl<'a> Reader<'a> {
    pub fn new(values: &'a [f32], layout: Layout) -> Self {
        Self { values, kept: Kept::of(layout) }
    }

    /// Its memory.
    pub fn values(self) -> &'a [f32] {
        self.values
    }

    /// Its values as they are kept, for loops that shall not ask for each.
    pub fn cells(self) -> Cells<'a> {
        match self.kept {
            Kept::Float => Cells::Floats(self.values),
            Kept::Half => Cells::Halves(halves(self.values)),
            Kept::Byte(grid) => Cells::Codes(codes(self.values), grid),
        }
    }

    /// One value of a planar picture.
    pub fn planar(self, at: usize) -> f32 {
        self.values[at]
    }

    /// The values from value `at` on.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and the picture has that many values.
    #[inline(always)]
    pub unsafe fn load<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            match self.kept {
                Kept::Float => L::load(self.values.as_ptr().add(at)),
                Kept::Half => L::load_half(self.values.as_ptr().cast::<u16>().add(at)),
                Kept::Byte(grid) => {
                    let code = L::load_bytes(self.values.as_ptr().cast::<u8>().add(at));
                    // First the difference, so that the zero point is exactly zero.
                    code.sub(L::splat(f32::from(grid.zero))).multiply_add(L::splat(grid.scale), L::splat(0.0))
                }
            }
        }
    }
}

/// A picture whose values are written in vectors, whatever its layout.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Writer {
    start: *mut f32,
    kept: Kept,
}

// SAFETY: it writes through unsafe methods alone, whose caller promises that nobody else uses the values.
unsafe impl Sync for Writer {}

impl Writer {
    pub fn new(start: *mut f32, layout: Layout) -> Self {
        Self { start, kept: Kept::of(layout) }
    }

    /// Where its memory begins.
    pub fn start(self) -> *const f32 {
        self.start
    }

    /// Its memory as what is kept there.
    #[inline(always)]
    pub fn cells(self) -> CellsMut {
        match self.kept {
            Kept::Float => CellsMut::Floats(self.start),
            Kept::Half => CellsMut::Halves(self.start.cast()),
            Kept::Byte(grid) => CellsMut::Codes(self.start.cast(), grid),
        }
    }

    /// Writes one value of a planar picture.
    ///
    /// # Safety
    /// The picture has such a value, and nobody else uses it.
    #[inline(always)]
    pub unsafe fn store_planar(self, at: usize, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { *self.start.add(at) = value };
    }

    /// Writes the values from value `at` on.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, the picture has that many values, and nobody else uses them.
    #[inline(always)]
    pub unsafe fn store<D: Dot>(self, at: usize, values: D::Lanes) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.kept {
                // One instruction, where there is one.
                Kept::Half if D::FACTOR == Factor::Bf16 => D::store(values, self.start.cast::<u16>().add(at).cast()),
                Kept::Half => values.store_half(self.start.cast::<u16>().add(at)),
                Kept::Float => values.store(self.start.add(at)),
                Kept::Byte(grid) => {
                    let (steps, zero) = (D::Lanes::splat(grid.steps()), D::Lanes::splat(f32::from(grid.zero)));
                    values.multiply_add(steps, zero).store_bytes(self.start.cast::<u8>().add(at));
                }
            }
        }
    }
}
