//! Sums of products in registers, for every precision of the factors.
//!
//! Factors are kept in words of 32 bits: one float, a pair of bf16, or four bytes. A step multiplies one word, repeated
//! in all lanes, with a vector of words and adds what comes out to a vector of sums. So a loop over words serves every
//! precision.

use std::marker::PhantomData;

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::WIDE;
use super::lanes::{self, Lanes, Vectorised, Work};

#[cfg(not(target_arch = "x86_64"))]
mod array;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use array as bytes;
#[cfg(target_arch = "x86_64")]
mod bytes;
#[cfg(target_arch = "aarch64")]
#[path = "dot/neon.rs"]
mod bytes;

/// How many bits the factors of a product have. Sums are floats, of bytes whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// 32 bits: the floats as they are.
    F32,
    /// bfloat16: the upper half of a float, rounded to even.
    Bf16,
    /// Bytes: the repeated word has four codes from 0 to 255, the others four weights from -127 to 127.
    Int8,
}

impl Factor {
    /// Factors in a word.
    pub const fn per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }
}

/// One step of a sum of products.
pub(crate) trait Dot: Copy {
    /// A register of sums.
    type Lanes: Lanes;
    /// Factors in a word.
    const FACTOR: Factor;
    /// As [`Lanes::alone`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn alone(work: impl Work) {
        // SAFETY: the caller's promise.
        unsafe { Self::Lanes::alone(work) }
    }
    /// A vector of words from `from`, which need not be aligned.
    ///
    /// # Safety
    /// They are readable, and the processor has the instructions of this type; so for all methods.
    unsafe fn load(from: *const u32) -> Self;
    /// The word at `from` in all lanes.
    ///
    /// # Safety
    /// It is readable.
    unsafe fn repeat(from: *const u32) -> Self;
    /// sum + self · weights, lane by lane.
    ///
    /// # Safety
    /// As for `load`.
    unsafe fn add_to(self, weights: Self, sum: Self::Lanes) -> Self::Lanes;
    /// Sums as floats. Before, a register of zeros is a register of sums that are zero, whatever they are.
    ///
    /// # Safety
    /// As for `load`.
    #[inline(always)]
    unsafe fn total(sums: Self::Lanes) -> Self::Lanes {
        sums
    }
    /// Stores floats as factors, one after the other, whatever the size of a word.
    ///
    /// # Safety
    /// `to` has room for as many factors as there are lanes.
    unsafe fn store(values: Self::Lanes, to: *mut u32);
}

/// Floats as they are.
#[derive(Clone, Copy)]
pub(crate) struct F32<L>(L);

impl<L: Lanes> Dot for F32<L> {
    type Lanes = L;
    const FACTOR: Factor = Factor::F32;

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: the trait's promises; so below.
        Self(unsafe { L::load(from.cast()) })
    }

    #[inline(always)]
    unsafe fn repeat(from: *const u32) -> Self {
        // SAFETY: as above.
        Self(unsafe { L::splat(*from.cast()) })
    }

    #[inline(always)]
    unsafe fn add_to(self, weights: Self, sum: L) -> L {
        // SAFETY: as above.
        unsafe { self.0.multiply_add(weights.0, sum) }
    }

    #[inline(always)]
    unsafe fn store(values: L, to: *mut u32) {
        // SAFETY: as above.
        unsafe { values.store(to.cast()) }
    }
}

/// Work that is written once for every precision and every width of vectors.
pub(crate) trait Products {
    /// Does it; to be marked `#[inline(always)]`, with all that it calls.
    ///
    /// # Safety
    /// The processor has the instructions of `D`.
    unsafe fn run<D: Dot>(self);
}

/// Work with factors of one kind.
struct With<W, D>(W, PhantomData<D>);

impl<W: Products, D: Dot> Work for With<W, D> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise.
        unsafe { self.0.run::<D>() }
    }
}

/// # Safety
/// The processor has the instructions of `D`.
unsafe fn run_with<D: Dot>(work: impl Products) {
    // SAFETY: the caller's promise.
    unsafe { D::alone(With::<_, D>(work, PhantomData)) }
}

struct Floats<W>(W);

impl<W: Products> Vectorised for Floats<W> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.0.run::<F32<L>>() }
    }
}

/// Does `work` with the instructions of `isa`.
///
/// # Panics
/// When this processor has not got them, or they have no such factors.
pub(crate) fn run(isa: Isa, factor: Factor, work: impl Products) {
    match factor {
        Factor::F32 => lanes::run(isa, Floats(work)),
        #[cfg(target_arch = "x86_64")]
        Factor::Bf16 if WIDE && isa == Isa::Avx512 && Isa::has_bf16() => {
            // SAFETY: checked above.
            unsafe { run_with::<x86::Bf16>(work) }
        }
        Factor::Int8 => bytes::run(isa, work),
        Factor::Bf16 => unreachable!("only offered where the processor has the instructions"),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::lanes::{Avx512, alone};
    use super::{Dot, Factor};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Pairs of bf16 in a ZMM register; needs AVX512-BF16.
    #[derive(Clone, Copy)]
    pub(super) struct Bf16(__m512i);

    impl Dot for Bf16 {
        type Lanes = Avx512;
        const FACTOR: Factor = Factor::Bf16;
        alone!("avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma");

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: the trait's promises; so below.
            Self(unsafe { _mm512_loadu_si512(from.cast()) })
        }

        #[inline(always)]
        unsafe fn repeat(from: *const u32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_set1_epi32(*from as i32) })
        }

        #[inline(always)]
        unsafe fn add_to(self, weights: Self, sum: Avx512) -> Avx512 {
            // SAFETY: as above; both types are 64 bytes of any value.
            unsafe {
                let (a, b): (__m512bh, __m512bh) =
                    (transmute::<__m512i, __m512bh>(self.0), transmute::<__m512i, __m512bh>(weights.0));
                Avx512(_mm512_dpbf16_ps(sum.0, a, b))
            }
        }

        #[inline(always)]
        unsafe fn store(values: Avx512, to: *mut u32) {
            // SAFETY: as above; both types are 32 bytes of any value.
            unsafe {
                let halves = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values.0));
                _mm256_storeu_si256(to.cast(), halves);
            }
        }
    }
}
