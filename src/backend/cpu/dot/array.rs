//! Sums of products of bytes in plain loops.

use super::{Dot, Factor, Products, run_with};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{Lanes, Portable};

/// Four bytes a lane.
#[derive(Clone, Copy)]
struct Words([u32; Portable::COUNT]);

/// The bits of a register.
///
/// # Safety
/// None beyond the trait's.
#[inline(always)]
unsafe fn bits(lanes: Portable) -> [i32; Portable::COUNT] {
    let mut bits = [0; Portable::COUNT];
    // SAFETY: as many lanes as there is room for; a float is as large as a whole number.
    unsafe { lanes.store(bits.as_mut_ptr().cast()) };
    bits
}

impl Dot for Words {
    type Lanes = Portable;
    const FACTOR: Factor = Factor::Int8;

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: the trait's promises; so below.
        Self(unsafe { std::array::from_fn(|i| from.add(i).read_unaligned()) })
    }

    #[inline(always)]
    unsafe fn repeat(from: *const u32) -> Self {
        // SAFETY: as above.
        Self(unsafe { [*from; Portable::COUNT] })
    }

    #[inline(always)]
    unsafe fn add_to(self, weights: Self, sum: Portable) -> Portable {
        // SAFETY: as above.
        unsafe {
            let mut sums = bits(sum);
            for (sum, (codes, weights)) in sums.iter_mut().zip(self.0.into_iter().zip(weights.0)) {
                for (&code, &weight) in codes.to_le_bytes().iter().zip(&weights.to_le_bytes()) {
                    *sum += i32::from(code) * i32::from(weight as i8);
                }
            }
            Portable::load(sums.as_ptr().cast())
        }
    }

    #[inline(always)]
    unsafe fn total(sums: Portable) -> Portable {
        // SAFETY: as above.
        unsafe { Portable::load(bits(sums).map(|sum| sum as f32).as_ptr()) }
    }

    #[inline(always)]
    unsafe fn store(values: Portable, to: *mut u32) {
        // SAFETY: as above.
        unsafe { values.store_bytes(to.cast()) }
    }
}

/// Does `work` in plain loops.
///
/// # Panics
/// When asked for other instructions.
pub(super) fn run(isa: Isa, work: impl Products) {
    assert!(isa == Isa::Portable, "instructions that are there");
    // SAFETY: needs no instructions of its own.
    unsafe { run_with::<Words>(work) }
}
