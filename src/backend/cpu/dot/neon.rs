//! Sums of products of bytes on 64-bit ARM: whole numbers, so that every set of instructions gives the same bits.
//!
//! - With I8MM one instruction adds four products of a code and a weight to each sum.
//! - With DotProd alone both factors have a sign: the code is taken less 128, and 128 · the weights is added, which is one
//!   instruction for all pixels of a tile.
//! - With neither, products of 16 bits, of which the largest, 255 · 127, has room for no other, are added in pairs.
//!
//! The instructions are written out, since the compiler's own names for them are not stable yet.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Dot, Factor, Products, array, run_with};
use crate::backend::cpu::isa::{Arm, Isa};
use crate::backend::cpu::lanes::{Lanes, Neon};

/// Four bytes a lane, multiplied with the instructions of `A`.
#[derive(Clone, Copy)]
struct Bytes<A>(uint8x16_t, std::marker::PhantomData<A>);

/// How codes and weights are multiplied.
trait Multiply: Copy {
    /// sum + codes · weights.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn add_to(sum: int32x4_t, codes: uint8x16_t, weights: int8x16_t) -> int32x4_t;
}

/// Needs I8MM.
#[derive(Clone, Copy)]
struct Mixed;

/// Needs DotProd.
#[derive(Clone, Copy)]
struct Signed;

/// Needs NEON.
#[derive(Clone, Copy)]
struct Widened;

/// One instruction that adds four products of bytes to each sum.
macro_rules! dot {
    ($name:ident, $codes:ty, $extension:literal, $instruction:literal) => {
        /// sum + codes · weights.
        ///
        /// # Safety
        /// The processor has the instruction.
        #[inline(always)]
        unsafe fn $name(mut sum: int32x4_t, codes: $codes, weights: int8x16_t) -> int32x4_t {
            // SAFETY: it changes this register alone, on a processor that has it.
            unsafe {
                asm!(
                    concat!(".arch_extension ", $extension),
                    concat!($instruction, " {0:v}.4s, {1:v}.16b, {2:v}.16b"),
                    inout(vreg) sum, in(vreg) codes, in(vreg) weights,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            sum
        }
    };
}

dot!(mixed, uint8x16_t, "i8mm", "usdot");
dot!(signed, int8x16_t, "dotprod", "sdot");

impl Multiply for Mixed {
    #[inline(always)]
    unsafe fn add_to(sum: int32x4_t, codes: uint8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { mixed(sum, codes, weights) }
    }
}

impl Multiply for Signed {
    #[inline(always)]
    unsafe fn add_to(sum: int32x4_t, codes: uint8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise. A code with its highest bit turned is the code less 128.
        unsafe {
            let less = vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80)));
            let taken = signed(vdupq_n_s32(0), vdupq_n_s8(-128), weights);
            signed(vsubq_s32(sum, taken), less, weights)
        }
    }
}

impl Multiply for Widened {
    #[inline(always)]
    unsafe fn add_to(sum: int32x4_t, codes: uint8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe {
            let [c, d] = [vmovl_u8(vget_low_u8(codes)), vmovl_high_u8(codes)].map(|wide| vreinterpretq_s16_u16(wide));
            let [w, x] = [vmovl_s8(vget_low_s8(weights)), vmovl_high_s8(weights)];
            let pairs = [vpaddlq_s16(vmulq_s16(c, w)), vpaddlq_s16(vmulq_s16(d, x))];
            vaddq_s32(sum, vpaddq_s32(pairs[0], pairs[1]))
        }
    }
}

impl<A: Multiply> Dot for Bytes<A> {
    type Lanes = Neon;
    const FACTOR: Factor = Factor::Int8;

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: the trait's promises; so below.
        Self(unsafe { vld1q_u8(from.cast()) }, std::marker::PhantomData)
    }

    #[inline(always)]
    unsafe fn repeat(from: *const u32) -> Self {
        // SAFETY: as above.
        Self(unsafe { vreinterpretq_u8_u32(vdupq_n_u32(*from)) }, std::marker::PhantomData)
    }

    #[inline(always)]
    unsafe fn add_to(self, weights: Self, sum: Neon) -> Neon {
        // SAFETY: as above.
        unsafe {
            let sum = A::add_to(vreinterpretq_s32_f32(sum.0), self.0, vreinterpretq_s8_u8(weights.0));
            Neon(vreinterpretq_f32_s32(sum))
        }
    }

    #[inline(always)]
    unsafe fn total(sums: Neon) -> Neon {
        // SAFETY: as above.
        unsafe { Neon(vcvtq_f32_s32(vreinterpretq_s32_f32(sums.0))) }
    }

    #[inline(always)]
    unsafe fn store(values: Neon, to: *mut u32) {
        // SAFETY: as above.
        unsafe { values.store_bytes(to.cast()) }
    }
}

/// Does `work` with the instructions of `isa`, the best of them that this processor has.
///
/// # Panics
/// When this processor has not got them.
pub(super) fn run(isa: Isa, work: impl Products) {
    if isa == Isa::Portable {
        return array::run(isa, work);
    }
    assert!(Isa::detect().includes(isa), "instructions that this processor has");
    // SAFETY: checked above and here.
    unsafe {
        match Arm::detect() {
            Arm::I8mm => run_with::<Bytes<Mixed>>(work),
            Arm::DotProd => run_with::<Bytes<Signed>>(work),
            Arm::Baseline => run_with::<Bytes<Widened>>(work),
        }
    }
}
