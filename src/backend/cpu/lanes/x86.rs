//! The registers of x86-64.

use super::{Lanes, alone};
use std::arch::x86_64::*;

/// Four floats in an XMM register, which every processor of this architecture has.
#[derive(Clone, Copy)]
pub(crate) struct Portable(pub(crate) __m128);

impl Lanes for Portable {
    const COUNT: usize = 4;
    alone!();
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
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { _mm_storeu_ps(to, self.0) }
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
pub(crate) struct Avx2(pub(crate) __m256);

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
    alone!("avx2,fma");
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
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { Self(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())))) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's promises, passed on by the caller. The second operand is returned when one is not a number.
        unsafe {
            let held = _mm256_min_ps(_mm256_max_ps(self.0, _mm256_setzero_ps()), _mm256_set1_ps(255.0));
            let whole = _mm256_cvtps_epi32(held);
            let words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
        }
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

/// Sixteen floats in a ZMM register; needs AVX-512F, BW and VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(pub(crate) __m512);

impl Lanes for Avx512 {
    const COUNT: usize = 16;
    const REGISTERS: usize = 32;
    alone!("avx512f,avx512bw,avx512vl,avx2,fma");
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
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)))
        }
    }
    #[inline(always)]
    unsafe fn store_half(self, to: *mut u16) {
        // SAFETY: the trait's promises, passed on by the caller. As `to_bf16` does it.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let upper = _mm512_srli_epi32(bits, 16);
            let odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
            let nan = _mm512_cmp_ps_mask(self.0, self.0, _CMP_UNORD_Q);
            let quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
            let halves = _mm512_mask_mov_epi32(_mm512_srli_epi32(rounded, 16), nan, quiet);
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(halves));
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { Self(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())))) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's promises, passed on by the caller. The second operand is returned when one is not a number.
        unsafe {
            let held = _mm512_min_ps(_mm512_max_ps(self.0, _mm512_setzero_ps()), _mm512_set1_ps(255.0));
            Self(held).store_codes(to);
        }
    }
    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(self.0))) }
    }
    #[inline(always)]
    unsafe fn store_four_codes([a, b, c, d]: [Self; 4], low: f32, high: f32, to: *mut u8) {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe {
            // From above they are held as floats, of which very large ones are no whole numbers; what is no number stays so
            // and becomes 0.
            let high = _mm512_set1_ps(high);
            let [a, b, c, d] = [
                _mm512_cvtps_epi32(_mm512_min_ps(high, a.0)),
                _mm512_cvtps_epi32(_mm512_min_ps(high, b.0)),
                _mm512_cvtps_epi32(_mm512_min_ps(high, c.0)),
                _mm512_cvtps_epi32(_mm512_min_ps(high, d.0)),
            ];
            // Packed by quarters of a register: four of each, then four of each of the next quarter.
            let codes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let low = _mm512_set1_epi8(super::code_of(low) as i8);
            let codes = _mm512_max_epu8(_mm512_permutexvar_epi32(order, codes), low);
            _mm512_storeu_si512(to.cast(), codes);
        }
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
    unsafe fn totals(values: [Self; 16], totals: &mut [f32; 16]) {
        // SAFETY: the trait's promises, passed on by the caller.
        unsafe {
            // The halves of two registers are added at once, then the quarters of four, and so on, as in `total`.
            // Register 4·k + j is quarter k of `fours[j]`, and so ends in lane 4·k + j.
            let mut fours = [_mm512_setzero_ps(); 4];
            for (j, four) in fours.iter_mut().enumerate() {
                let [a, b, c, d] = [values[j].0, values[4 + j].0, values[8 + j].0, values[12 + j].0];
                let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
                *four = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
            }
            let mut twos = [_mm512_setzero_ps(); 2];
            for (i, two) in twos.iter_mut().enumerate() {
                let (u, v) = (_mm512_castps_pd(fours[2 * i]), _mm512_castps_pd(fours[2 * i + 1]));
                let (low, high) = (_mm512_unpacklo_pd(u, v), _mm512_unpackhi_pd(u, v));
                *two = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
            }
            let [p, q] = twos;
            let all = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(p, q), _mm512_shuffle_ps::<0xdd>(p, q));
            _mm512_storeu_ps(totals.as_mut_ptr(), all);
        }
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> Self {
        // SAFETY: the trait's promises, passed on. The second operand is returned when one is not a number.
        Self(unsafe { _mm512_min_ps(high.0, _mm512_max_ps(low.0, self.0)) })
    }
}
