//! A register of any other processor, as the compiler makes it of an array.

use super::{Lanes, alone};
use crate::backend::cpu::activation::clip;

/// Four floats in an array, which is one register of every baseline processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Lanes for Portable {
    const COUNT: usize = 4;
    alone!();
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an unaligned read.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise; an unaligned write.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
        // Not `mul_add`: without the instruction it is a call of a slow function.
        let mut sum = sum;
        for i in 0..4 {
            sum.0[i] += self.0[i] * x.0[i];
        }
        sum
    }
    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + x.0[i]))
    }
    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - x.0[i]))
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> Self {
        Self(std::array::from_fn(|i| clip(self.0[i], low.0[i], high.0[i])))
    }
}
