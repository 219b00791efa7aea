//! One tile: its pixels' pointers, its sums and where they are stored.

use std::hint::select_unpredictable;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::line::Line;
use super::put::{AnyWay, ToPlanes};
use super::{Beside, Finish, Phase, Taps, Way};
use crate::backend::cpu::dot::{Dot, Factor, Products};
use crate::backend::cpu::lanes::{Lanes, Work};
use crate::backend::cpu::layout::{BLOCK, Layout};
use crate::backend::cpu::unroll::opaque;
use crate::backend::cpu::window::start;

/// Pixels of the widest line.
pub(super) const WIDEST: usize = 128;

/// Words whose products are written one after the other, without a loop.
const UNROLLED: usize = 4;

/// The words of a line that does not lie as the products need it.
#[repr(align(64))]
struct Patch([MaybeUninit<u32>; WIDEST * BLOCK]);

/// How the rows of a phase are cut into tiles.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    rows: usize,
    columns: usize,
    /// Tiles of a row.
    across: usize,
}

impl Tiles {
    pub fn of([rows, columns]: [usize; 2], most: usize) -> Self {
        Self { rows, columns, across: columns.div_ceil(most).max(1) }
    }

    pub fn count(self) -> usize {
        self.rows * self.across
    }

    /// The first pixel of a tile, counted along the rows; that after the last of the tile before.
    fn pixel(self, i: usize) -> usize {
        i / self.across * self.columns + start(self.columns, self.across, i % self.across)
    }

    /// Row and first column of a tile, and how many pixels it has.
    fn tile(self, i: usize) -> ([usize; 2], usize) {
        let (row, at) = (i / self.across, i % self.across);
        let first = start(self.columns, self.across, at);
        ([row, first], start(self.columns, self.across, at + 1) - first)
    }
}

/// Some tiles of some panels.
pub(super) struct Task<'a> {
    pub taps: &'a Taps,
    /// A part of the tiles, and how many parts there are.
    pub range: (usize, usize),
    pub panels: std::ops::Range<usize>,
    pub input: &'a [f32],
    pub finish: Finish<'a>,
    pub beside: Option<&'a Beside<'a>>,
}

impl Products for Task<'_> {
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        let (part, parts) = self.range;
        let own = |phase: &Phase| {
            let tiles = Tiles::of(phase.size, self.taps.most);
            (tiles, start(tiles.count(), parts, part)..start(tiles.count(), parts, part + 1))
        };
        let way = self.finish.way();
        let most = self.taps.phases.iter().map(|phase| own(phase).1.len()).max().unwrap_or(0);
        for panel in self.panels.clone() {
            // Phases of one place write neighbouring pixels, which are best written together.
            for i in 0..most {
                for phase in &self.taps.phases {
                    let (tiles, range) = own(phase);
                    if i < range.len() {
                        let (at, count) = tiles.tile(range.start + i);
                        // SAFETY: the caller's promise.
                        unsafe { self.sized::<D>(phase, panel, at, count, &way) };
                    }
                }
            }
            if let Some(beside) = self.beside {
                let ((tiles, range), width) = (own(&self.taps.phases[0]), self.taps.panel);
                // SAFETY: a convolution has one phase; tiles follow each other along the rows.
                unsafe { beside.stored([panel * width, width], tiles.pixel(range.start)..tiles.pixel(range.end)) };
            }
        }
    }
}

/// Adds one word of every pixel, `apart` words from each other, times a row of weights.
///
/// # Safety
/// The processor has the instructions of `D`; the words and the weights are readable.
#[inline(always)]
unsafe fn step<D: Dot, const T: usize, const V: usize>(
    sums: &mut [[D::Lanes; V]; T],
    apart: usize,
    from: *const u32,
    weights: *const u32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut row = [D::load(weights); V];
        for (i, row) in row.iter_mut().enumerate() {
            *row = D::load(weights.add(i * D::Lanes::COUNT));
        }
        for (t, sums) in sums.iter_mut().enumerate() {
            let value = D::repeat(from.add(t * apart));
            for (sum, row) in sums.iter_mut().zip(row) {
                *sum = value.add_to(row, *sum);
            }
        }
    }
}

/// `T` pixels of a row times `V` vectors of channels.
struct Tile<'a, D, const T: usize, const V: usize> {
    task: &'a Task<'a>,
    phase: &'a Phase,
    panel: usize,
    /// Row and first column.
    at: [usize; 2],
    way: &'a Way<'a>,
    dot: PhantomData<D>,
}

impl<D: Dot, const T: usize, const V: usize> Work for Tile<'_, D, T, V> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise.
        unsafe { self.task.tile::<D, T, V>(self.phase, self.panel, self.at, self.way) }
    }
}

impl Task<'_> {
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn sized<D: Dot>(&self, phase: &Phase, panel: usize, at: [usize; 2], count: usize, way: &Way) {
        macro_rules! sizes {
            ($vectors:literal: $($n:literal)*) => {
                match count {
                    $($n => D::alone(Tile::<D, $n, $vectors> { task: self, phase, panel, at, way, dot: PhantomData }),)*
                    _ => unreachable!("a tile has at most so many pixels"),
                }
            };
        }
        // SAFETY: the caller's promise.
        unsafe {
            // Narrower registers are always two to a panel.
            match self.taps.panel / D::Lanes::COUNT {
                1 if D::Lanes::COUNT == BLOCK => {
                    sizes!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
                }
                _ if D::Lanes::REGISTERS == 16 => sizes!(2: 1 2 3 4 5 6),
                _ => sizes!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            }
        }
    }

    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn tile<D: Dot, const T: usize, const V: usize>(
        &self,
        phase: &Phase,
        panel: usize,
        at: [usize; 2],
        way: &Way,
    ) {
        let taps = self.taps;
        let [h, w] = taps.in_size;
        let (depth, per_word) = (taps.layouts[0].depth(), D::FACTOR.per_word());
        // Words of a pixel, a number that is known here; only floats are multiplied from planes.
        let room = BLOCK / per_word;
        let planar = matches!(D::FACTOR, Factor::F32) && depth == 1;
        let pixel = if planar { 1 } else { room };
        let mut patch = Patch([MaybeUninit::uninit(); WIDEST * BLOCK]);
        // SAFETY: a line has all the pixels that its taps read; weights are packed for as many channels as are read; what
        // is written lies inside the output.
        unsafe {
            let mut weights = phase.weights.as_ptr().cast::<u32>().add(phase.panel * panel);
            let mut start = [D::Lanes::splat(0.0); V];
            if let Factor::Int8 = D::FACTOR {
                for (i, start) in start.iter_mut().enumerate() {
                    *start = D::Lanes::load(phase.starts.as_ptr().add(panel * taps.panel + i * D::Lanes::COUNT));
                }
            }
            let mut sums = [start; T];
            for block in (0..taps.ins).step_by(depth) {
                let words = depth.min(taps.ins - block).div_ceil(per_word);
                let plane = self.input.as_ptr().cast::<u32>().add(block / depth * pixel * h * w);
                for line in &phase.lines {
                    let from = match planar {
                        true => self.line::<1>(T, plane, line, at, &mut patch),
                        false => match D::FACTOR {
                            Factor::F32 => self.line::<BLOCK>(T, plane, line, at, &mut patch),
                            Factor::Bf16 => self.line::<{ BLOCK / 2 }>(T, plane, line, at, &mut patch),
                            Factor::Int8 => self.line::<{ BLOCK / 4 }>(T, plane, line, at, &mut patch),
                        },
                    };
                    for &tap in &line.taps {
                        // The compiler shall not know more of it, or it keeps a pointer for each pixel, of which there
                        // are more than registers.
                        let mut from = opaque(from.add(tap * pixel));
                        if planar {
                            step::<D, T, V>(&mut sums, 1, from, weights);
                            weights = weights.add(V * D::Lanes::COUNT);
                            continue;
                        }
                        for _ in 0..words / UNROLLED {
                            for i in 0..UNROLLED {
                                step::<D, T, V>(&mut sums, room, from.add(i), weights.add(i * V * D::Lanes::COUNT));
                            }
                            (from, weights) = (from.add(UNROLLED), weights.add(UNROLLED * V * D::Lanes::COUNT));
                        }
                        for _ in 0..words % UNROLLED {
                            step::<D, T, V>(&mut sums, room, from, weights);
                            (from, weights) = (from.add(1), weights.add(V * D::Lanes::COUNT));
                        }
                    }
                }
            }
            let place = (at[0] * taps.out_stride[0] + phase.origin[0]) * taps.out_size[1]
                + at[1] * taps.out_stride[1]
                + phase.origin[1];
            if taps.layouts[1] == Layout::Planar {
                return D::alone(ToPlanes::<D, V> { task: self, panel, place, sums: &std::hint::black_box(sums) });
            }
            match (D::FACTOR, *way) {
                (_, Way::Codes(to)) => self.put::<D, _, T, V>(panel, place, sums, to),
                (Factor::Int8, Way::CodesWithCodes(to)) => self.put::<D, _, T, V>(panel, place, sums, to),
                (Factor::F32, Way::Floats(to)) => self.put::<D, _, T, V>(panel, place, sums, to),
                (Factor::Bf16, Way::Halves(to)) => self.put::<D, _, T, V>(panel, place, sums, to),
                // Rarer, and so long that it is a loop, which reads memory: through this barrier it reads a copy, and
                // the sums above stay in registers.
                _ => D::alone(AnyWay::<D, V> { task: self, panel, place, sums: &std::hint::black_box(sums) }),
            }
        }
    }

    /// The pixels of a line for a tile of `count`, each of `P` words: where they are if they lie inside, else with the
    /// border where the picture ends.
    ///
    /// # Safety
    /// `plane` is a block of the input.
    #[inline(always)]
    unsafe fn line<const P: usize>(
        &self,
        count: usize,
        plane: *const u32,
        line: &Line,
        at: [usize; 2],
        patch: &mut Patch,
    ) -> *const u32 {
        let ([h, w], row) = (self.taps.in_size, (at[0] * self.taps.stride[0]) as isize + line.row);
        // SAFETY: a copy has all rows and columns that taps read; without one they are looked at.
        unsafe {
            if self.taps.drawn.is_some() {
                return plane.add((row as usize * w + at[1]) * P);
            }
            if row < 0 || row >= h as isize {
                return self.taps.border.as_ptr().cast::<u32>();
            }
            let (row, first) = (plane.add(row as usize * w * P), at[1] as isize + line.column);
            match first >= 0 && first as usize + line.length(count) <= w {
                true => row.add(first as usize * P),
                false => self.bordered::<P>(row, first, line.length(count), patch),
            }
        }
    }

    /// Some pixels of a row from column `first` on, with the border.
    ///
    /// # Safety
    /// They are at most [`WIDEST`].
    #[inline(never)]
    unsafe fn bordered<const P: usize>(
        &self,
        row: *const u32,
        first: isize,
        length: usize,
        patch: &mut Patch,
    ) -> *const u32 {
        let (w, border) = (self.taps.in_size[1], self.taps.border.as_ptr().cast::<u32>());
        let to = patch.0.as_mut_ptr().cast::<u32>();
        for i in 0..length {
            let column = (first + i as isize) as usize;
            // Before the row the column has wrapped and is huge. Where rows end is no news for long.
            let from = select_unpredictable(column < w, row.wrapping_add(column.wrapping_mul(P)), border);
            // SAFETY: a pixel inside the row or of the border; the patch is wide enough.
            unsafe { std::ptr::copy_nonoverlapping(from, to.add(i * P), P) };
        }
        to
    }
}
