//! A few floats that are computed together: one interface over the vector registers of each [`Isa`](super::Isa).

use std::marker::PhantomData;

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::WIDE;

#[cfg(not(target_arch = "x86_64"))]
mod array;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Work for registers that it names itself.
pub(crate) trait Work {
    /// Does it; to be marked `#[inline(always)]`, with all that it calls.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn run(self);
}

/// The method `alone` of [`Lanes`] and of sums of products, for these instructions.
macro_rules! alone {
    ($($features:literal)?) => {
        #[inline(always)]
        unsafe fn alone(work: impl $crate::backend::cpu::lanes::Work) {
            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            unsafe fn alone(work: impl $crate::backend::cpu::lanes::Work) {
                // SAFETY: the caller's promise.
                unsafe { work.run() }
            }
            // SAFETY: the caller's promise.
            unsafe { alone(work) }
        }
    };
}
pub(super) use alone;

/// Some floats in one register.
///
/// The methods are plain wrappers that must be inlined into a function with the right `#[target_feature]`.
pub(crate) trait Lanes: Copy {
    /// Floats in it.
    const COUNT: usize;
    /// Such registers of the processor.
    const REGISTERS: usize = 16;
    /// Does `work` in a function of its own that is compiled for these registers. What has many sizes calls each so: one
    /// function with all of them takes a compiler minutes.
    ///
    /// # Safety
    /// The processor has the instructions of this type.
    unsafe fn alone(work: impl Work);
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
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }
    /// Writes all lanes.
    ///
    /// # Safety
    /// `COUNT` floats are writable.
    unsafe fn store(self, to: *mut f32);
    /// `COUNT` bf16 from `from`.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            (0..Self::COUNT).for_each(|i| lanes[i] = from_bf16(*from.add(i)));
            Self::load(lanes.as_ptr())
        }
    }
    /// Writes all lanes, each rounded to bf16.
    ///
    /// # Safety
    /// `COUNT` halves are writable.
    #[inline(always)]
    unsafe fn store_half(self, to: *mut u16) {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            self.store(lanes.as_mut_ptr());
            (0..Self::COUNT).for_each(|i| *to.add(i) = to_bf16(lanes[i]));
        }
    }
    /// `COUNT` bytes from `from`, as whole numbers.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            (0..Self::COUNT).for_each(|i| lanes[i] = f32::from(*from.add(i)));
            Self::load(lanes.as_ptr())
        }
    }
    /// Writes all lanes as bytes, as [`code_of`] does.
    ///
    /// # Safety
    /// `COUNT` bytes are writable.
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            self.store(lanes.as_mut_ptr());
            (0..Self::COUNT).for_each(|i| *to.add(i) = code_of(lanes[i]));
        }
    }
    /// As [`Lanes::store_bytes`], of numbers from 0 to 255.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { self.store_bytes(to) }
    }
    /// Writes four registers of codes between `low` and `high`, sixteen bytes apart.
    ///
    /// # Safety
    /// As for [`Lanes::store_bytes`], of each.
    #[inline(always)]
    unsafe fn store_four_codes(values: [Self; 4], low: f32, high: f32, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            for (i, value) in values.into_iter().enumerate() {
                value.clip(Self::splat(low), Self::splat(high)).store_codes(to.add(16 * i));
            }
        }
    }
    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count` floats are writable, and at most `COUNT`.
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise; no register has more lanes.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
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
    /// [`Lanes::total`] of sixteen registers.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn totals(values: [Self; 16], totals: &mut [f32; 16]) {
        for (value, total) in values.into_iter().zip(totals) {
            // SAFETY: the caller's promise.
            *total = unsafe { value.total() };
        }
    }
    /// Held between `low` and `high`; not a number stays so.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn clip(self, low: Self, high: Self) -> Self;
}

/// The nearest whole number from 0 to 255, ties to even; 0 for what is not a number.
#[inline(always)]
pub(crate) fn code_of(value: f32) -> u8 {
    value.round_ties_even() as u8
}

/// The nearest bfloat16, ties to even; not a number stays so.
#[inline(always)]
pub(crate) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if value.is_nan() { (bits >> 16 | 0x40) as u16 } else { rounded as u16 }
}

/// The float that a bfloat16 is.
#[inline(always)]
pub(crate) fn from_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Work that is written once for every width of vectors.
pub(crate) trait Vectorised {
    /// Does it; to be marked `#[inline(always)]`, with all that it calls.
    ///
    /// # Safety
    /// The processor has the instructions of `L`.
    unsafe fn run<L: Lanes>(self);
}

/// Work with registers of one width.
struct With<W, L>(W, PhantomData<L>);

impl<W: Vectorised, L: Lanes> Work for With<W, L> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise.
        unsafe { self.0.run::<L>() }
    }
}

/// # Safety
/// The processor has the instructions of `L`.
unsafe fn run_with<L: Lanes>(work: impl Vectorised) {
    // SAFETY: the caller's promise.
    unsafe { L::alone(With::<_, L>(work, PhantomData)) }
}

/// Does `work` with the instructions of `isa`.
///
/// # Panics
/// When this processor has not got them.
pub(crate) fn run(isa: Isa, work: impl Vectorised) {
    assert!(Isa::detect().includes(isa), "instructions that this processor has");
    // SAFETY: checked above; the portable registers need no instructions of their own.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if WIDE => run_with::<Avx512>(work),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if WIDE => run_with::<Avx2>(work),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => run_with::<Neon>(work),
            _ => run_with::<Portable>(work),
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Portable};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use array::Portable;

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
