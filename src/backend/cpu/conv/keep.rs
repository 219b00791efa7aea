//! Ways from a sum to what is kept of it, each without a question in the loop.

use super::Finish;
use crate::backend::cpu::dot::{Dot, Factor};
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Cell, Code, Grid, Half};

/// What keeps vectors of an output: residual, activation, rounding.
pub(in crate::backend::cpu) trait Keep: Copy {
    /// Factor and summand that make what [`Keep::keep`] takes of sums, from those that make values.
    ///
    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn affine<L: Lanes>(&self, scale: L, bias: L) -> (L, L) {
        (scale, bias)
    }

    /// Keeps the vector from value `at` of the output on.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, the output and the residual have that many values, and nobody else
    /// uses those of the output.
    unsafe fn keep<D: Dot>(&self, at: usize, value: D::Lanes);

    /// Keeps those of four pixels side by side.
    ///
    /// # Safety
    /// As for `keep`, of each.
    #[inline(always)]
    unsafe fn keep_four<D: Dot>(&self, at: usize, values: [D::Lanes; 4]) {
        for (i, value) in values.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { self.keep::<D>(at + i * BLOCK, value) };
        }
    }
}

/// The shortest way for an output.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) enum Way<'a> {
    Codes(Codes),
    CodesWithCodes(CodesWithCodes<'a>),
    Floats(Within<f32>),
    Halves(Within<Half>),
    Any(Finish<'a>),
}

/// Numbers between bounds.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Within<C> {
    pub to: *mut C,
    pub low: f32,
    pub high: f32,
}

impl<C: Cell> Keep for Within<C> {
    #[inline(always)]
    unsafe fn keep<D: Dot>(&self, at: usize, value: D::Lanes) {
        // SAFETY: the caller's promise.
        unsafe {
            let value = value.clip(D::Lanes::splat(self.low), D::Lanes::splat(self.high));
            match D::FACTOR {
                // One instruction, where there is one.
                Factor::Bf16 if size_of::<C>() == size_of::<Half>() => D::store(value, self.to.add(at).cast()),
                _ => C::store(value, self.to.add(at)),
            }
        }
    }
}

/// Codes, which sums are brought to in one multiplication.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Codes {
    to: *mut Code,
    grid: Grid,
    /// Bounds as codes.
    low: f32,
    high: f32,
}

impl Codes {
    #[inline(always)]
    pub fn new(to: *mut Code, grid: Grid, low: f32, high: f32) -> Self {
        let code = |x: f32| (x * grid.steps() + f32::from(grid.zero)).clamp(0.0, 255.0);
        Self { to, grid, low: code(low), high: code(high) }
    }
}

impl Keep for Codes {
    #[inline(always)]
    unsafe fn affine<L: Lanes>(&self, scale: L, bias: L) -> (L, L) {
        // SAFETY: the caller's promise.
        unsafe {
            let steps = L::splat(self.grid.steps());
            let none = L::splat(0.0);
            (scale.multiply_add(steps, none), bias.multiply_add(steps, L::splat(f32::from(self.grid.zero))))
        }
    }

    #[inline(always)]
    unsafe fn keep<D: Dot>(&self, at: usize, value: D::Lanes) {
        // SAFETY: the caller's promise.
        unsafe {
            let code = value.clip(D::Lanes::splat(self.low), D::Lanes::splat(self.high));
            code.store_codes(self.to.add(at).cast());
        }
    }

    #[inline(always)]
    unsafe fn keep_four<D: Dot>(&self, at: usize, values: [D::Lanes; 4]) {
        // SAFETY: the caller's promise.
        unsafe { D::Lanes::store_four_codes(values, self.low, self.high, self.to.add(at).cast()) };
    }
}

/// Codes to which other codes are added.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct CodesWithCodes<'a> {
    codes: Codes,
    added: &'a [Code],
    /// Steps of the output's grid in one of what is added, and its zero.
    ratio: f32,
    zero: f32,
}

impl<'a> CodesWithCodes<'a> {
    #[inline(always)]
    pub fn new(codes: Codes, added: &'a [Code], grid: Grid) -> Self {
        Self { codes, added, ratio: grid.scale * codes.grid.steps(), zero: f32::from(grid.zero) }
    }
}

impl Keep for CodesWithCodes<'_> {
    #[inline(always)]
    unsafe fn affine<L: Lanes>(&self, scale: L, bias: L) -> (L, L) {
        // SAFETY: the caller's promise; so below.
        unsafe {
            let (scale, bias) = self.codes.affine(scale, bias);
            (scale, L::splat(-self.zero).multiply_add(L::splat(self.ratio), bias))
        }
    }

    #[inline(always)]
    unsafe fn keep<D: Dot>(&self, at: usize, value: D::Lanes) {
        // SAFETY: as above.
        unsafe {
            let added = Code::load::<D::Lanes>(self.added.as_ptr().add(at));
            self.codes.keep::<D>(at, added.multiply_add(D::Lanes::splat(self.ratio), value));
        }
    }

    #[inline(always)]
    unsafe fn keep_four<D: Dot>(&self, at: usize, mut values: [D::Lanes; 4]) {
        // SAFETY: as above.
        unsafe {
            for (i, value) in values.iter_mut().enumerate() {
                let added = Code::load::<D::Lanes>(self.added.as_ptr().add(at + i * BLOCK));
                *value = added.multiply_add(D::Lanes::splat(self.ratio), *value);
            }
            self.codes.keep_four::<D>(at, values);
        }
    }
}
