//! Tiles times output channels, summed over the input channels: a product of matrices whose sums stay in registers.

use std::marker::PhantomData;

use crate::backend::cpu::dot::Dot;
use crate::backend::cpu::lanes::{Lanes, Work};
use crate::backend::cpu::layout::BLOCK;
use crate::backend::cpu::unroll::unrolled;

/// `count` tiles × `vectors` vectors of sums.
///
/// # Shapes
/// `v` blocks × `group` × 16 channels, in words; `weights` words of channels × vectors; `m` `group` × vectors.
///
/// # Safety
/// The processor has the instructions of `D`; the slices are that long, and `count` is at most `group`.
#[inline(always)]
pub(super) unsafe fn product<D: Dot>(
    vectors: usize,
    group: usize,
    count: usize,
    v: &[f32],
    weights: &[f32],
    m: &mut [f32],
) {
    macro_rules! sizes {
        ($vectors:literal: $($n:literal)*) => {
            match count {
                $($n => D::alone(Tile::<D, $n, $vectors> { group, v, weights, m, dot: PhantomData }),)*
                _ => unreachable!("a group has at most so many tiles"),
            }
        };
    }
    // SAFETY: the caller's promise.
    unsafe {
        // Narrower registers are always two to a panel.
        match vectors {
            1 if D::Lanes::COUNT == BLOCK => {
                sizes!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
            }
            _ if D::Lanes::REGISTERS == 16 => sizes!(2: 1 2 3 4 5 6),
            _ => sizes!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }
}

/// `T` tiles × `V` vectors of sums.
struct Tile<'a, D, const T: usize, const V: usize> {
    group: usize,
    v: &'a [f32],
    weights: &'a [f32],
    m: &'a mut [f32],
    dot: PhantomData<D>,
}

impl<D: Dot, const T: usize, const V: usize> Work for Tile<'_, D, T, V> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise.
        unsafe { tile::<D, T, V>(self.group, self.v, self.weights, self.m) }
    }
}

/// # Safety
/// As for `product`.
#[inline(always)]
unsafe fn tile<D: Dot, const T: usize, const V: usize>(group: usize, v: &[f32], weights: &[f32], m: &mut [f32]) {
    let (lanes, pixel) = (D::Lanes::COUNT, BLOCK / D::FACTOR.per_word());
    let blocks = weights.len() / (V * lanes * pixel);
    debug_assert!(v.len() >= blocks * group * pixel && m.len() >= T * V * lanes);
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[D::Lanes::splat(0.0); V]; T];
        let (mut v, mut weights) = (v.as_ptr().cast::<u32>(), weights.as_ptr().cast::<u32>());
        for _ in 0..blocks {
            for c in 0..pixel {
                let mut row = [D::load(weights); V];
                for (i, row) in row.iter_mut().enumerate() {
                    *row = D::load(weights.add(i * lanes));
                }
                for (t, sums) in sums.iter_mut().enumerate() {
                    let value = D::repeat(v.add(t * pixel + c));
                    for (sum, row) in sums.iter_mut().zip(row) {
                        *sum = value.add_to(row, *sum);
                    }
                }
                weights = weights.add(V * lanes);
            }
            v = v.add(group * pixel);
        }
        let m = m.as_mut_ptr();
        unrolled!(t in T {
            for (i, sum) in sums[t].iter().enumerate() {
                sum.store(m.add((t * V + i) * lanes));
            }
        });
    }
}
