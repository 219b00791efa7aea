//! Values as they are kept: floats, halves, codes.

use crate::backend::cpu::lanes::{Lanes, code_of, from_bf16, to_bf16};

/// A value as it is kept.
pub(in crate::backend::cpu) trait Cell: Copy + Send + Sync {
    /// Whether its number stands for another one, on a grid.
    const ON_GRID: bool = false;
    /// What nothing is smaller than.
    const LOWEST: Self;
    /// The larger one; the first where the other is not a number.
    fn larger(self, other: Self) -> Self;
    /// Its number.
    fn get(self) -> f32;
    /// The cell that keeps a number.
    fn of(value: f32) -> Self;
    /// The numbers of the cells from `from` on.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and as many cells are readable as it has lanes.
    unsafe fn load<L: Lanes>(from: *const Self) -> L;
    /// Keeps numbers in the cells from `to` on.
    ///
    /// # Safety
    /// As for `load`, to be written.
    unsafe fn store<L: Lanes>(values: L, to: *mut Self);
}

impl Cell for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { values.store(to) }
    }
}

/// A bfloat16.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::backend::cpu) struct Half(u16);

impl Cell for Half {
    // Minus infinity.
    const LOWEST: Self = Self(0xff80);

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other.get() > self.get() { other } else { self }
    }

    #[inline(always)]
    fn get(self) -> f32 {
        from_bf16(self.0)
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        Self(to_bf16(value))
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_half(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { values.store_half(to.cast()) }
    }
}

/// Memory of floats as the halves that it keeps.
pub(in crate::backend::cpu) fn halves(values: &[f32]) -> &[Half] {
    // SAFETY: a float is two halves, whose alignment is smaller and which may have any bits.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), 2 * values.len()) }
}

/// As [`halves`], to be written.
pub(in crate::backend::cpu) fn halves_mut(values: &mut [f32]) -> &mut [Half] {
    // SAFETY: as there, and borrowed alone; a float may have any bits too.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), 2 * values.len()) }
}

/// A byte that stands for a number of a [`Grid`](super::Grid), taken as the whole number that it is: what picks values or
/// takes means of them needs no more, since the grid is the same before and after.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::backend::cpu) struct Code(pub u8);

impl Cell for Code {
    const ON_GRID: bool = true;
    const LOWEST: Self = Self(0);

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from(self.0)
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        Self(code_of(value))
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_bytes(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { values.store_bytes(to.cast()) }
    }
}

/// Memory of floats as the codes that it keeps.
pub(in crate::backend::cpu) fn codes(values: &[f32]) -> &[Code] {
    // SAFETY: a float is four bytes, whose alignment is smaller and which may have any bits.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), 4 * values.len()) }
}

/// As [`codes`], to be written.
pub(in crate::backend::cpu) fn codes_mut(values: &mut [f32]) -> &mut [Code] {
    // SAFETY: as there, and borrowed alone; a float may have any bits too.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), 4 * values.len()) }
}
