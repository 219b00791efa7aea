//! The registers of 64-bit ARM.

use super::{Lanes, alone};
use std::arch::aarch64::*;

/// Four floats in a register of NEON, of which there are 32.
#[derive(Clone, Copy)]
pub(crate) struct Neon(pub(crate) float32x4_t);

impl Lanes for Neon {
    const COUNT: usize = 4;
    const REGISTERS: usize = 32;
    alone!("neon");
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        Self(unsafe { vdupq_n_f32(x) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        Self(unsafe { vld1q_f32(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { Self(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from)))) }
    }
    #[inline(always)]
    unsafe fn store_half(self, to: *mut u16) {
        // SAFETY: the trait's promises, passed on by the caller. As `to_bf16` does it.
        unsafe {
            let bits = vreinterpretq_u32_f32(self.0);
            let upper = vshrq_n_u32::<16>(bits);
            let odd = vandq_u32(upper, vdupq_n_u32(1));
            let rounded = vshrq_n_u32::<16>(vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd));
            let quiet = vorrq_u32(upper, vdupq_n_u32(0x40));
            let is_number = vceqq_f32(self.0, self.0);
            vst1_u16(to, vmovn_u32(vbslq_u32(is_number, rounded, quiet)));
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe {
            let bytes = vreinterpret_u8_u32(vdup_n_u32(from.cast::<u32>().read_unaligned()));
            Self(vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes)))))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's promises, passed on by the caller. Every step saturates, and what is not a number becomes 0.
        unsafe {
            let words = vqmovn_u32(vcvtnq_u32_f32(self.0));
            let bytes = vqmovn_u16(vcombine_u16(words, words));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        Self(unsafe { vfmaq_f32(sum.0, self.0, x.0) })
    }
    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        Self(unsafe { vaddq_f32(self.0, x.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        Self(unsafe { vsubq_f32(self.0, x.0) })
    }
    #[inline(always)]
    unsafe fn total(self) -> f32 {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe {
            let pair = vadd_f32(vget_low_f32(self.0), vget_high_f32(self.0));
            vget_lane_f32::<0>(vpadd_f32(pair, pair))
        }
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> Self {
        // SAFETY: the trait's promises, passed on. Both return what is not a number.
        Self(unsafe { vminq_f32(high.0, vmaxq_f32(low.0, self.0)) })
    }
}
