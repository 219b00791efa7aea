//! One tile: its pixels' pointers, its sums and where they are stored.

use super::{Finish, Phase, Taps};
use crate::backend::cpu::dot::{Dot, Factor, Products};
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Layout, Reader};
use crate::backend::cpu::window::start;

/// How the pixels of a phase are cut into tiles.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// Rows that are cut one by one, or 1 where all pixels are cut as one row.
    rows: usize,
    /// Pixels of such a row, and its tiles.
    pixels: usize,
    across: usize,
}

impl Tiles {
    /// Row by row where that leaves tiles nearly full, since a tile of one row needs fewer checks.
    pub fn of([rows, columns]: [usize; 2], most: usize) -> Self {
        let across = columns.div_ceil(most).max(1);
        if 10 * columns >= 9 * across * most {
            return Self { rows, pixels: columns, across };
        }
        Self { rows: 1, pixels: rows * columns, across: (rows * columns).div_ceil(most) }
    }

    pub fn count(self) -> usize {
        self.rows * self.across
    }

    /// The first pixel of a tile and how many it has.
    fn tile(self, i: usize) -> (usize, usize) {
        let (row, at) = (i / self.across, i % self.across);
        let first = start(self.pixels, self.across, at);
        (row * self.pixels + first, start(self.pixels, self.across, at + 1) - first)
    }
}

/// The values of a picture from `first` on as factors.
pub(super) struct Convert<'a> {
    pub from: Reader<'a>,
    pub first: usize,
    pub to: &'a mut [f32],
}

impl Products for Convert<'_> {
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        let (to, per_word) = (self.to.as_mut_ptr().cast::<u32>(), D::FACTOR.per_word());
        for at in (0..self.to.len() * per_word).step_by(D::Lanes::COUNT) {
            // SAFETY: the caller's promise; pictures in blocks are whole vectors.
            unsafe { D::store(self.from.load(self.first + at), to.add(at / per_word)) };
        }
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
}

impl Products for Task<'_> {
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        let (part, parts) = self.range;
        let own = |phase: &Phase| {
            let tiles = Tiles::of(phase.size, self.taps.most);
            (tiles, start(tiles.count(), parts, part)..start(tiles.count(), parts, part + 1))
        };
        let most = self.taps.phases.iter().map(|phase| own(phase).1.len()).max().unwrap_or(0);
        for panel in self.panels.clone() {
            // Phases of one place write neighbouring pixels, which are best written together.
            for i in 0..most {
                for phase in &self.taps.phases {
                    let (tiles, range) = own(phase);
                    if i < range.len() {
                        let (first, count) = tiles.tile(range.start + i);
                        // SAFETY: the caller's promise.
                        unsafe { self.sized::<D>(phase, panel, first, count) };
                    }
                }
            }
        }
    }
}

impl Task<'_> {
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn sized<D: Dot>(&self, phase: &Phase, panel: usize, first: usize, count: usize) {
        macro_rules! sizes {
            ($vectors:literal: $($n:literal)*) => {
                match count {
                    $($n => self.tile::<D, $n, $vectors>(phase, panel, first),)*
                    _ => unreachable!("a tile has at most so many pixels"),
                }
            };
        }
        // SAFETY: the caller's promise.
        unsafe {
            match self.taps.panel / D::Lanes::COUNT {
                1 => sizes!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28),
                _ if D::Lanes::COUNT < BLOCK => sizes!(2: 1 2 3 4 5 6),
                _ => sizes!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            }
        }
    }

    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn tile<D: Dot, const T: usize, const V: usize>(&self, phase: &Phase, panel: usize, first: usize) {
        let taps = self.taps;
        let [h, w] = taps.in_size;
        // Words of a pixel of a block, and of a panel for all taps.
        let (depth, per_word) = (taps.layouts[0].depth(), D::FACTOR.per_word());
        let pixel = depth.div_ceil(per_word);
        // Row and column that a tap at 0, 0 reads, the element there, and the element that is written.
        let mut corner = [[0isize; 2]; T];
        let mut from = [0isize; T];
        let mut to = [0usize; T];
        let (mut y, mut x) = (first / phase.size[1], first % phase.size[1]);
        for t in 0..T {
            corner[t] = [(y * taps.stride[0]) as isize, (x * taps.stride[1]) as isize];
            from[t] = (corner[t][0] * w as isize + corner[t][1]) * pixel as isize;
            to[t] = ((y * taps.out_stride[0] + phase.origin[0]) * taps.out_size[1]
                + x * taps.out_stride[1]
                + phase.origin[1])
                * taps.layouts[1].depth();
            x += 1;
            if x == phase.size[1] {
                (y, x) = (y + 1, 0);
            }
        }
        let inside = |t: usize, tap: [isize; 2]| {
            let (y, x) = (corner[t][0] + tap[0], corner[t][1] + tap[1]);
            y >= 0 && x >= 0 && y < h as isize && x < w as isize
        };
        let clear =
            phase.taps.iter().all(|&tap| inside(0, tap) && inside(T - 1, tap)) && corner[0][0] == corner[T - 1][0];
        // SAFETY: a pointer is to a pixel inside, or to as many zeros as a block has channels; weights are packed for
        // as many channels as are read; what is written lies inside the output.
        unsafe {
            let panels = taps.bias.len() / taps.panel;
            let mut weights = phase.weights.as_ptr().cast::<u32>().add(phase.weights.len() / panels * panel);
            let input = self.input.as_ptr().cast::<u32>();
            let mut start = [D::Lanes::splat(0.0); V];
            if let Factor::Int8 = D::FACTOR {
                for (i, start) in start.iter_mut().enumerate() {
                    *start = D::Lanes::load(phase.starts.as_ptr().add(panel * taps.panel + i * D::Lanes::COUNT));
                }
            }
            let mut sums = [start; T];
            for block in (0..taps.ins).step_by(depth) {
                let words = depth.min(taps.ins - block).div_ceil(per_word);
                let plane = input.add(block / depth * pixel * h * w);
                for &tap in &phase.taps {
                    let shift = (tap[0] * w as isize + tap[1]) * pixel as isize;
                    if clear && depth == 1 {
                        // A pointer for each pixel would cost more than its one product.
                        let from = plane.offset(from[0] + shift);
                        let mut row = [D::load(weights); V];
                        for (i, row) in row.iter_mut().enumerate() {
                            *row = D::load(weights.add(i * D::Lanes::COUNT));
                        }
                        for (t, sums) in sums.iter_mut().enumerate() {
                            let value = D::repeat(from.add(t * taps.stride[1]));
                            for (sum, row) in sums.iter_mut().zip(row) {
                                *sum = value.add_to(row, *sum);
                            }
                        }
                        weights = weights.add(V * D::Lanes::COUNT);
                        continue;
                    }
                    let mut at = [taps.border.as_ptr(); T];
                    if clear {
                        for t in 0..T {
                            at[t] = plane.offset(from[t] + shift);
                        }
                    } else {
                        for t in 0..T {
                            if inside(t, tap) {
                                at[t] = plane.offset(from[t] + shift);
                            }
                        }
                    }
                    for c in 0..words {
                        let mut row = [D::load(weights); V];
                        for (i, row) in row.iter_mut().enumerate() {
                            *row = D::load(weights.add(i * D::Lanes::COUNT));
                        }
                        for (at, sums) in at.iter().zip(&mut sums) {
                            let value = D::repeat(at.add(c));
                            for (sum, row) in sums.iter_mut().zip(row) {
                                *sum = value.add_to(row, *sum);
                            }
                        }
                        weights = weights.add(V * D::Lanes::COUNT);
                    }
                }
            }
            let sums = std::hint::black_box(sums);
            if taps.layouts[1] == Layout::Planar {
                return self.store_planar::<D, T, V>(panel, &to, &sums);
            }
            let area = taps.out_size[0] * taps.out_size[1];
            for i in 0..V {
                let channel = panel * taps.panel + i * D::Lanes::COUNT;
                let plane = channel / BLOCK * area * BLOCK + channel % BLOCK;
                let (scale, bias) = self.affine::<D>(channel);
                for (sums, to) in sums.iter().zip(to) {
                    let value = match D::FACTOR {
                        Factor::Int8 => D::total(sums[i]).multiply_add(scale, bias),
                        _ => sums[i].add(bias),
                    };
                    self.finish.store::<D>(plane + to, value);
                }
            }
        }
    }

    /// What the sums of a vector of channels are multiplied by where they are whole numbers, and what is added.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, and the panels have these channels.
    #[inline(always)]
    unsafe fn affine<D: Dot>(&self, channel: usize) -> (D::Lanes, D::Lanes) {
        // SAFETY: the caller's promise; scale and bias have a number for every channel of a panel.
        unsafe {
            let scale = match D::FACTOR {
                Factor::Int8 => D::Lanes::load(self.taps.scale.as_ptr().add(channel)),
                _ => D::Lanes::splat(1.0),
            };
            (scale, D::Lanes::load(self.taps.bias.as_ptr().add(channel)))
        }
    }

    /// Writes the sums of a tile to planes, value by value: for the few channels of a head.
    ///
    /// # Safety
    /// As for `tile`.
    #[inline(always)]
    unsafe fn store_planar<D: Dot, const T: usize, const V: usize>(
        &self,
        panel: usize,
        to: &[usize; T],
        sums: &[[D::Lanes; V]; T],
    ) {
        let (taps, area) = (self.taps, self.taps.out_size[0] * self.taps.out_size[1]);
        let first = panel * taps.panel;
        let mut values = [0.0f32; 2 * BLOCK];
        for t in 0..T {
            for (i, sum) in sums[t].iter().enumerate() {
                // SAFETY: a panel is at most two blocks wide.
                unsafe {
                    let (scale, bias) = self.affine::<D>(first + i * D::Lanes::COUNT);
                    let value = match D::FACTOR {
                        Factor::Int8 => D::total(*sum).multiply_add(scale, bias),
                        _ => sum.add(bias),
                    };
                    value.store(values.as_mut_ptr().add(i * D::Lanes::COUNT));
                }
            }
            for o in first..(first + taps.panel).min(taps.outs) {
                // SAFETY: the value of this pixel of this plane, which belongs to this task.
                unsafe { self.finish.store_planar(o * area + to[t], values[o - first]) };
            }
        }
    }
}
