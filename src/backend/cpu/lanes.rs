//! A few floats that are computed together: one interface over the vector registers of each [`Isa`](super::Isa).

use super::isa::Isa;

/// Some floats in one register.
///
/// The methods are plain wrappers that must be inlined into a function with the right `#[target_feature]`.
pub(crate) trait Lanes: Copy {
    /// Floats in it.
    const COUNT: usize;
    /// All lanes `x`.
    ///
    /// # Safety
    /// The processor has the instructions of this type; so for all methods.
    unsafe fn splat(x: f32) -> Self;
    /// `COUNT` floats from `from`, which need not be aligned.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` floats from `from`; the other lanes are 0.
    ///
    /// # Safety
    /// `count` floats are readable, and at most `COUNT`.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;
    /// Writes all lanes.
    ///
    /// # Safety
    /// `COUNT` floats are writable.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count` floats are writable, and at most `COUNT`.
    unsafe fn store_part(self, to: *mut f32, count: usize);
    /// self · x + sum.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn multiply_add(self, x: Self, sum: Self) -> Self;
    /// self + x.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn add(self, x: Self) -> Self;
    /// self - x.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn sub(self, x: Self) -> Self;
    /// The sum of all lanes.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn total(self) -> f32 {
        let mut lanes = [0.0; 16];
        // SAFETY: no register has more lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        // Halves are added, as the wide registers do it.
        for half in [8, 4, 2, 1] {
            (0..half).for_each(|i| lanes[i] += lanes[i + half]);
        }
        lanes[0]
    }
    /// Held between `low` and `high`; not a number stays so.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn clip(self, low: Self, high: Self) -> Self;
}

/// Work that is written once for every width of vectors.
pub(crate) trait Vectorised {
    /// Does it; to be marked `#[inline(always)]`, with all that it calls.
    ///
    /// # Safety
    /// The processor has the instructions of `L`.
    unsafe fn run<L: Lanes>(self);
}

/// Does `work` with the instructions of `isa`.
///
/// # Panics
/// When this processor has not got them.
pub(crate) fn run(isa: Isa, work: impl Vectorised) {
    assert!(isa <= Isa::detect(), "instructions that this processor has");
    match isa {
        // SAFETY: checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(work) },
        // SAFETY: checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(work) },
        // SAFETY: needs no instructions of its own.
        _ => unsafe { work.run::<Portable>() },
    }
}

/// # Safety
/// The processor has AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512(work: impl Vectorised) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<Avx512>() }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(work: impl Vectorised) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Portable};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use array::Portable;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// Four floats in an XMM register, which every processor of this architecture has.
    #[derive(Clone, Copy)]
    pub(crate) struct Portable(__m128);

    impl Lanes for Portable {
        const COUNT: usize = 4;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            let mut lanes = [0.0; 4];
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe {
                std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
                Self::load(lanes.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe { _mm_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            let mut lanes = [0.0; 4];
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe {
                _mm_storeu_ps(lanes.as_mut_ptr(), self.0);
                std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
            }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm_add_ps(sum.0, _mm_mul_ps(self.0, x.0)) })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm_add_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm_sub_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn clip(self, low: Self, high: Self) -> Self {
            // SAFETY: the trait's promises, passed on. The second operand is returned when one is not a number.
            Self(unsafe { _mm_min_ps(high.0, _mm_max_ps(low.0, self.0)) })
        }
    }

    /// Eight floats in a YMM register; needs AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    /// All ones in the first `count` lanes.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[inline(always)]
    unsafe fn mask(count: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }

    impl Lanes for Avx2 {
        const COUNT: usize = 8;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            // SAFETY: the trait's promises; masked lanes are not touched.
            Self(unsafe { _mm256_maskload_ps(from, mask(count)) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            // SAFETY: the trait's promises; masked lanes are not touched.
            unsafe { _mm256_maskstore_ps(to, mask(count), self.0) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm256_fmadd_ps(self.0, x.0, sum.0) })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm256_add_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm256_sub_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn clip(self, low: Self, high: Self) -> Self {
            // SAFETY: the trait's promises, passed on. The second operand is returned when one is not a number.
            Self(unsafe { _mm256_min_ps(high.0, _mm256_max_ps(low.0, self.0)) })
        }
    }

    /// Sixteen floats in a ZMM register; needs AVX-512F.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(pub(crate) __m512);

    impl Lanes for Avx512 {
        const COUNT: usize = 16;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            // SAFETY: the trait's promises; masked lanes are not touched.
            Self(unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            // SAFETY: the trait's promises; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self.0) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm512_fmadd_ps(self.0, x.0, sum.0) })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm512_add_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, x: Self) -> Self {
            // SAFETY: the trait's promises, passed on by the caller.
            Self(unsafe { _mm512_sub_ps(self.0, x.0) })
        }
        #[inline(always)]
        unsafe fn total(self) -> f32 {
            // SAFETY: the trait's promises, passed on by the caller.
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
        #[inline(always)]
        unsafe fn clip(self, low: Self, high: Self) -> Self {
            // SAFETY: the trait's promises, passed on. The second operand is returned when one is not a number.
            Self(unsafe { _mm512_min_ps(high.0, _mm512_max_ps(low.0, self.0)) })
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod array {
    use super::Lanes;
    use crate::backend::cpu::activation::clip;

    /// Four floats in an array, which is one register of every baseline processor.
    #[derive(Clone, Copy)]
    pub(crate) struct Portable([f32; 4]);

    impl Lanes for Portable {
        const COUNT: usize = 4;
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
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            let mut lanes = [0.0; 4];
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
            Self(lanes)
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise; an unaligned write.
            unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count) };
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
}
