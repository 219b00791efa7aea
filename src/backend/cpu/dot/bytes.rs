//! Sums of products of bytes on x86-64: whole numbers, so that every set of instructions gives the same bits.
//!
//! Where there is VNNI one instruction adds four products to each sum. Else even and odd bytes are widened to 16 bits and
//! multiplied in pairs: `pmaddubsw`, which takes bytes as they are, saturates.

use std::arch::x86_64::*;

use super::{Dot, Factor, Products, run_with};
use crate::backend::cpu::isa::{Isa, WIDE};
use crate::backend::cpu::lanes::{Avx2, Avx512, Portable, alone};

/// Four bytes a lane in a ZMM register; needs AVX512-VNNI.
#[derive(Clone, Copy)]
struct Vnni(__m512i);

/// Four bytes a lane in a YMM register; needs AVX2.
#[derive(Clone, Copy)]
struct Wide(__m256i);

/// Four bytes a lane in an XMM register.
#[derive(Clone, Copy)]
struct Narrow(__m128i);

macro_rules! bytes {
    ($name:ident, $lanes:ident, $($features:literal)?, $load:ident, $repeat:ident, $convert:ident, $floats:ident, $ints:ident, $add:expr) => {
        impl Dot for $name {
            type Lanes = $lanes;
            const FACTOR: Factor = Factor::Int8;
            alone!($($features)?);

            #[inline(always)]
            unsafe fn load(from: *const u32) -> Self {
                // SAFETY: the trait's promises; so below.
                Self(unsafe { $load(from.cast()) })
            }

            #[inline(always)]
            unsafe fn repeat(from: *const u32) -> Self {
                // SAFETY: as above.
                Self(unsafe { $repeat(*from as i32) })
            }

            #[inline(always)]
            unsafe fn add_to(self, weights: Self, sum: $lanes) -> $lanes {
                // SAFETY: as above.
                unsafe { $lanes($floats($add($ints(sum.0), self.0, weights.0))) }
            }

            #[inline(always)]
            unsafe fn total(sums: $lanes) -> $lanes {
                // SAFETY: as above.
                unsafe { $lanes($convert($ints(sums.0))) }
            }

            #[inline(always)]
            unsafe fn store(values: $lanes, to: *mut u32) {
                // SAFETY: as above.
                unsafe { crate::backend::cpu::lanes::Lanes::store_bytes(values, to.cast()) }
            }
        }
    };
}

bytes!(
    Vnni,
    Avx512,
    "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma",
    _mm512_loadu_si512,
    _mm512_set1_epi32,
    _mm512_cvtepi32_ps,
    _mm512_castsi512_ps,
    _mm512_castps_si512,
    |sum, codes, weights| _mm512_dpbusd_epi32(sum, codes, weights)
);
bytes!(
    Wide,
    Avx2,
    "avx2,fma",
    _mm256_loadu_si256,
    _mm256_set1_epi32,
    _mm256_cvtepi32_ps,
    _mm256_castsi256_ps,
    _mm256_castps_si256,
    |sum, codes, weights| {
        let low = _mm256_set1_epi16(0xff);
        let even = _mm256_madd_epi16(_mm256_and_si256(codes, low), _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
        let odd = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), _mm256_srai_epi16(weights, 8));
        _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
    }
);
bytes!(
    Narrow,
    Portable,
    ,
    _mm_loadu_si128,
    _mm_set1_epi32,
    _mm_cvtepi32_ps,
    _mm_castsi128_ps,
    _mm_castps_si128,
    |sum, codes, weights| {
        let low = _mm_set1_epi16(0xff);
        let even = _mm_madd_epi16(_mm_and_si128(codes, low), _mm_srai_epi16(_mm_slli_epi16(weights, 8), 8));
        let odd = _mm_madd_epi16(_mm_srli_epi16(codes, 8), _mm_srai_epi16(weights, 8));
        _mm_add_epi32(sum, _mm_add_epi32(even, odd))
    }
);

/// Does `work` with the instructions of `isa`.
///
/// # Panics
/// When this processor has not got them.
pub(super) fn run(isa: Isa, work: impl Products) {
    assert!(
        Isa::detect().includes(isa) && (isa != Isa::Avx512 || Isa::has_vnni()),
        "instructions that this processor has"
    );
    // SAFETY: checked above; the narrow registers are those of every processor of this architecture.
    unsafe {
        match isa {
            Isa::Avx512 if WIDE => run_with::<Vnni>(work),
            Isa::Avx2 if WIDE => run_with::<Wide>(work),
            _ => run_with::<Narrow>(work),
        }
    }
}
