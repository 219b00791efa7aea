//! The matrices of Winograd's minimal filtering for three taps and 2 or 4 outputs.
//!
//! # References
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sections 4.1 to 4.3.

use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::dot::{Dot, Factor};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::{self, Lanes, Vectorised, to_bf16};
use crate::backend::cpu::layout::{BLOCK, Cell, Grid};
use crate::backend::cpu::unroll::opaque;

/// Output channels that are transformed side by side.
const ROW: usize = 16;

/// The transformed weights as words of factors: panel × position × channel × panel width.
pub(super) fn pack(isa: Isa, factor: Factor, m: usize, [ins, outs]: [usize; 2], panel: usize, oihw: &[f32]) -> Aligned {
    let (positions, padded) = ((m + 2).pow(2), ins.next_multiple_of(BLOCK));
    let per_word = factor.per_word();
    let mut words = Aligned::zeros(positions * padded / per_word * outs.next_multiple_of(BLOCK));
    let mut all = [[0.0; ROW]; 36];
    for first in (0..outs).step_by(ROW) {
        for c in 0..ins {
            let mut taps = [[0.0; ROW]; 9];
            for o in first..(first + ROW).min(outs) {
                let own = &oihw[(o * ins + c) * 9..][..9];
                taps.iter_mut().zip(own).for_each(|(taps, &tap)| taps[o - first] = tap);
            }
            lanes::run(isa, Filter { m, taps: &taps, all: &mut all });
            for (position, row) in all.iter().enumerate().take(positions) {
                for from in (0..ROW).step_by(panel.min(ROW)) {
                    let o = first + from;
                    let place = ((o / panel * positions + position) * padded / per_word + c / per_word) * panel;
                    let row = &row[from..from + panel.min(ROW)];
                    let own = &mut words[place + o % panel..][..row.len()];
                    match factor {
                        Factor::F32 => own.copy_from_slice(row),
                        Factor::Int8 => unreachable!("transformed factors need more than eight bits"),
                        Factor::Bf16 => {
                            for (word, &value) in own.iter_mut().zip(row) {
                                let half = u32::from(to_bf16(value)) << (16 * (c % 2));
                                *word = f32::from_bits(word.to_bits() | half);
                            }
                        }
                    }
                }
            }
        }
    }
    words
}

/// `G g Gᵀ` of sixteen filters.
struct Filter<'a> {
    m: usize,
    taps: &'a [[f32; ROW]; 9],
    all: &'a mut [[f32; ROW]; 36],
}

impl Vectorised for Filter<'_> {
    #[allow(clippy::needless_range_loop)] // matrices are read by row and column
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let a = self.m + 2;
        let g = filter_matrix(self.m);
        let mut rows = [[[0.0f32; ROW]; 3]; 6];
        // No closures: one that the compiler leaves as a call has none of the instructions of `L`.
        for y in 0..a {
            for x in 0..3 {
                let [first, second, third] = [&self.taps[x], &self.taps[3 + x], &self.taps[6 + x]];
                for i in 0..ROW {
                    rows[y][x][i] = g[y][0] * first[i] + g[y][1] * second[i] + g[y][2] * third[i];
                }
            }
        }
        for y in 0..a {
            let [first, second, third] = &rows[y];
            for x in 0..a {
                for i in 0..ROW {
                    self.all[y * a + x][i] = g[x][0] * first[i] + g[x][1] * second[i] + g[x][2] * third[i];
                }
            }
        }
    }
}

/// One side of `G`, which takes three taps to m + 2.
fn filter_matrix(m: usize) -> &'static [[f32; 3]] {
    const F2: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    const S: f32 = 1.0 / 6.0;
    const E: f32 = 1.0 / 24.0;
    const F4: [[f32; 3]; 6] =
        [[0.25, 0.0, 0.0], [-S, -S, -S], [-S, S, -S], [E, 2.0 * E, 4.0 * E], [E, -2.0 * E, 4.0 * E], [0.0, 0.0, 1.0]];
    if m == 2 { &F2 } else { &F4 }
}

/// `Bᵀ d B` of one tile, whose pixels lie `pitch` cells below each other; a position goes `step` words after the last.
///
/// # Safety
/// The processor has the instructions of `D`; A × A pixels are readable, and as many positions writable.
#[allow(clippy::needless_range_loop)] // matrices are read by row and column
#[inline(always)]
pub(super) unsafe fn transform_tile<D: Dot, C: Cell, const A: usize>(
    from: *const C,
    pitch: usize,
    grid: Grid,
    to: *mut u32,
    step: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let none = D::Lanes::splat(0.0);
        let (zero, scale) = (D::Lanes::splat(f32::from(grid.zero)), D::Lanes::splat(grid.scale));
        let mut d = [[none; A]; A];
        for (i, row) in d.iter_mut().enumerate() {
            let from = opaque(from.add(i * pitch));
            for (j, value) in row.iter_mut().enumerate() {
                *value = C::load(from.add(j * BLOCK));
                if C::ON_GRID {
                    // First the difference, so that the zero point is exactly zero.
                    *value = value.sub(zero).multiply_add(scale, none);
                }
            }
            *row = input_transform::<D::Lanes, A>(*row);
        }
        for j in 0..A {
            let mut column = [none; A];
            for i in 0..A {
                column[i] = d[i][j];
            }
            let to = opaque(to.add(j * step)).cast_mut();
            for (i, value) in input_transform::<D::Lanes, A>(column).into_iter().enumerate() {
                D::store(value, to.add(i * A * step));
            }
        }
    }
}

/// `Bᵀ d` of one column.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn input_transform<L: Lanes, const A: usize>(d: [L; A]) -> [L; A] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut r = [d[0]; A];
        if A == 4 {
            r[0] = d[0].sub(d[2]);
            r[1] = d[1].add(d[2]);
            r[2] = d[2].sub(d[1]);
            r[3] = d[1].sub(d[3]);
        } else {
            let (four, two, five) = (L::splat(-4.0), L::splat(2.0), L::splat(-5.0));
            let a = d[2].multiply_add(four, d[4]);
            let b = d[1].multiply_add(four, d[3]);
            let c = d[4].sub(d[2]);
            let e = d[3].sub(d[1]);
            r[0] = d[0].multiply_add(L::splat(4.0), d[2].multiply_add(five, d[4]));
            r[1] = a.add(b);
            r[2] = a.sub(b);
            r[3] = e.multiply_add(two, c);
            r[4] = e.multiply_add(L::splat(-2.0), c);
            r[5] = d[1].multiply_add(L::splat(4.0), d[3].multiply_add(five, d[5]));
        }
        r
    }
}

/// `Aᵀ m` of one column.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn output_transform<L: Lanes, const A: usize, const M: usize>(m: [L; A]) -> [L; M] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut r = [m[0]; M];
        let p = m[1].add(m[2]);
        let q = m[1].sub(m[2]);
        if A == 4 {
            r[0] = m[0].add(p);
            r[1] = q.sub(m[3]);
        } else {
            let s = m[3].add(m[4]);
            let d = m[3].sub(m[4]);
            r[0] = m[0].add(p.add(s));
            r[1] = d.multiply_add(L::splat(2.0), q);
            r[2] = s.multiply_add(L::splat(4.0), p);
            r[3] = d.multiply_add(L::splat(8.0), q.add(m[5]));
        }
        r
    }
}
