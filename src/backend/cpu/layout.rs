//! How the planes of a picture lie in memory.

use serde::{Deserialize, Serialize};

use super::dot::F32;
use super::isa::Isa;
use super::lanes::{self, Lanes, Vectorised};
use super::pool::{Pool, SharedMut};

mod cell;
mod grid;
mod stream;

pub(super) use cell::{Cell, Code, Half, codes, codes_mut, halves, halves_mut};
pub use grid::Grid;
pub(super) use stream::{Cells, CellsMut, Reader, Writer};

/// Channels that stand side by side in a block.
pub const BLOCK: usize = 16;

/// An order of the values of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Plane by plane: `[channels][height][width]`.
    #[default]
    Planar,
    /// Blocks of sixteen channels, a pixel's sixteen values side by side: `[⌈channels/16⌉][height][width][16]`. Here
    /// vectors run over channels, so that a convolution needs neither shuffles nor borders. Channels that are not
    /// there are kept, and finite.
    Blocked,
    /// As `Blocked`, the values rounded to bfloat16: half of the memory, for plans whose factors are rounded so anyway.
    BlockedBf16,
    /// As `Blocked`, each value a byte on a grid: a quarter of the memory, for plans whose factors are bytes.
    BlockedU8(Grid),
}

impl Layout {
    /// Channels that stand side by side.
    pub const fn depth(self) -> usize {
        match self {
            Self::Planar => 1,
            _ => BLOCK,
        }
    }

    /// Whether channels stand side by side.
    pub const fn is_blocked(self) -> bool {
        !matches!(self, Self::Planar)
    }

    /// Values in the memory of a float.
    const fn per_word(self) -> usize {
        match self {
            Self::Planar | Self::Blocked => 1,
            Self::BlockedBf16 => 2,
            Self::BlockedU8(_) => 4,
        }
    }

    /// Floats of memory that `channels` planes of `pixels` take.
    pub const fn len(self, channels: usize, pixels: usize) -> usize {
        channels.next_multiple_of(self.depth()) * pixels / self.per_word()
    }
}

/// From planes to blocks; channels that are not there become zeros.
///
/// # Shapes
/// `planes` channels × pixels, `blocks` as [`Layout::len`] of `layout` says.
///
/// # Panics
/// When a slice has another length, or the layout has no blocks.
pub fn pack(pool: &Pool, layout: Layout, channels: usize, pixels: usize, planes: &[f32], blocks: &mut [f32]) {
    assert_eq!(planes.len(), channels * pixels, "values of the planes");
    assert_eq!(blocks.len(), layout.len(channels, pixels), "values of the blocks");
    match layout {
        Layout::Planar => panic!("a layout in blocks"),
        Layout::Blocked => pack_cells(pool, channels, pixels, planes, blocks, |x| x),
        Layout::BlockedBf16 => pack_cells(pool, channels, pixels, planes, halves_mut(blocks), Half::of),
        Layout::BlockedU8(grid) => {
            pack_cells(pool, channels, pixels, planes, codes_mut(blocks), |x| Code(grid.code(x)));
        }
    }
}

fn pack_cells<C: Cell>(
    pool: &Pool,
    channels: usize,
    pixels: usize,
    planes: &[f32],
    blocks: &mut [C],
    cell: impl Fn(f32) -> C + Sync,
) {
    let blocks = SharedMut::new(blocks);
    each(pool, channels, pixels, &|block, from, count| {
        let own = BLOCK.min(channels - block * BLOCK);
        // SAFETY: one range of pixels of a block a task.
        let to = unsafe { blocks.slice((block * pixels + from) * BLOCK, count * BLOCK) };
        for (p, to) in to.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                *to = cell(if c < own { planes[(block * BLOCK + c) * pixels + from + p] } else { 0.0 });
            }
        }
    });
}

/// From blocks to planes.
///
/// # Shapes
/// `blocks` as [`Layout::len`] of `layout` says, `planes` channels × pixels.
///
/// # Panics
/// When a slice has another length, or the layout has no blocks.
pub fn unpack(pool: &Pool, layout: Layout, channels: usize, pixels: usize, blocks: &[f32], planes: &mut [f32]) {
    assert_eq!(planes.len(), channels * pixels, "values of the planes");
    assert_eq!(blocks.len(), layout.len(channels, pixels), "values of the blocks");
    match layout {
        Layout::Planar => panic!("a layout in blocks"),
        Layout::Blocked => unpack_cells(pool, channels, pixels, blocks, planes, |x| x),
        Layout::BlockedBf16 => unpack_cells(pool, channels, pixels, halves(blocks), planes, Cell::get),
        Layout::BlockedU8(grid) => {
            unpack_cells(pool, channels, pixels, codes(blocks), planes, |code: Code| grid.value(code.0));
        }
    }
}

fn unpack_cells<C: Cell>(
    pool: &Pool,
    channels: usize,
    pixels: usize,
    blocks: &[C],
    planes: &mut [f32],
    value: impl Fn(C) -> f32 + Sync,
) {
    let planes = SharedMut::new(planes);
    each(pool, channels, pixels, &|block, from, count| {
        let blocks = &blocks[(block * pixels + from) * BLOCK..][..count * BLOCK];
        for c in 0..BLOCK.min(channels - block * BLOCK) {
            // SAFETY: one range of pixels of a plane a task.
            let to = unsafe { planes.slice((block * BLOCK + c) * pixels + from, count) };
            to.iter_mut().zip(blocks.as_chunks::<BLOCK>().0).for_each(|(to, from)| *to = value(from[c]));
        }
    });
}

/// From blocks to blocks that are kept as something else.
///
/// # Shapes
/// `from` and `to` as [`Layout::len`] of their `layouts` says.
///
/// # Panics
/// When one of the layouts has no blocks, or the slices hold different numbers of values.
pub fn recode(pool: &Pool, layouts: (Layout, Layout), from: &[f32], to: &mut [f32]) {
    /// Values of a task.
    const RUN: usize = 1 << 14;
    assert!(layouts.0.is_blocked() && layouts.1.is_blocked(), "layouts in blocks");
    let count = from.len() * layouts.0.per_word();
    assert_eq!(count, to.len() * layouts.1.per_word(), "values of the blocks");
    let (reader, writer) = (Reader::new(from, layouts.0), Writer::new(to.as_mut_ptr(), layouts.1));
    pool.run(count.div_ceil(RUN), &|i| {
        let run = Recode { reader, writer, values: i * RUN..count.min((i + 1) * RUN) };
        lanes::run(Isa::detect(), run);
    });
}

/// Some values of [`recode`], which no other task writes.
struct Recode<'a> {
    reader: Reader<'a>,
    writer: Writer,
    values: std::ops::Range<usize>,
}

impl Vectorised for Recode<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in self.values.step_by(L::COUNT) {
            // SAFETY: the caller's promise; blocks are whole vectors, and both have that many values.
            unsafe { self.writer.store::<F32<L>>(at, self.reader.load::<L>(at)) };
        }
    }
}

/// Calls `task(block, first pixel, pixels)` for ranges that stay in the first-level cache.
fn each(pool: &Pool, channels: usize, pixels: usize, task: &(dyn Fn(usize, usize, usize) + Sync)) {
    const RANGE: usize = 256;
    let ranges = pixels.div_ceil(RANGE);
    pool.run(channels.div_ceil(BLOCK) * ranges, &|i| {
        let from = i % ranges * RANGE;
        task(i / ranges, from, RANGE.min(pixels - from));
    });
}
