//! How the planes of a picture lie in memory.

use serde::{Deserialize, Serialize};

use super::dot::{Dot, Factor};
use super::lanes::{Lanes, from_bf16, to_bf16};
use super::pool::{Pool, SharedMut};

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
}

impl Layout {
    /// Channels that stand side by side.
    pub const fn depth(self) -> usize {
        match self {
            Self::Planar => 1,
            Self::Blocked | Self::BlockedBf16 => BLOCK,
        }
    }

    /// Whether channels stand side by side.
    pub const fn is_blocked(self) -> bool {
        !matches!(self, Self::Planar)
    }

    /// Floats of memory that `channels` planes of `pixels` take.
    pub const fn len(self, channels: usize, pixels: usize) -> usize {
        let values = channels.next_multiple_of(self.depth()) * pixels;
        match self {
            Self::BlockedBf16 => values / 2,
            _ => values,
        }
    }
}

/// A picture whose values are read in vectors, whatever its layout.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    values: &'a [f32],
    half: bool,
}

impl<'a> Reader<'a> {
    pub fn new(values: &'a [f32], layout: Layout) -> Self {
        Self { values, half: layout == Layout::BlockedBf16 }
    }

    /// One value of a planar picture.
    pub fn planar(self, at: usize) -> f32 {
        self.values[at]
    }

    /// The values from value `at` on.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and the picture has that many values.
    #[inline(always)]
    pub unsafe fn load<L: Lanes>(self, at: usize) -> L {
        debug_assert!(at + L::COUNT <= self.values.len() << usize::from(self.half));
        // SAFETY: the caller's promise.
        unsafe {
            match self.half {
                true => L::load_half(self.values.as_ptr().cast::<u16>().add(at)),
                false => L::load(self.values.as_ptr().add(at)),
            }
        }
    }
}

/// A picture whose values are written in vectors, whatever its layout.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    start: *mut f32,
    half: bool,
}

impl Writer {
    pub fn new(start: *mut f32, layout: Layout) -> Self {
        Self { start, half: layout == Layout::BlockedBf16 }
    }

    /// Writes the values from value `at` on.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, the picture has that many values, and nobody else uses them.
    #[inline(always)]
    pub unsafe fn store<D: Dot>(self, at: usize, values: D::Lanes) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.half {
                // One instruction, where there is one.
                true if D::FACTOR == Factor::Bf16 => D::store(values, self.start.cast::<u16>().add(at).cast()),
                true => values.store_half(self.start.cast::<u16>().add(at)),
                false => values.store(self.start.add(at)),
            }
        }
    }
}

/// A value as it is kept.
pub(super) trait Cell: Copy + Send + Sync {
    /// Its number.
    fn get(self) -> f32;
    /// The cell that keeps a number.
    fn of(value: f32) -> Self;
    /// The numbers of the cells from `from` on.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and as many cells are readable as it has lanes.
    unsafe fn load<L: Lanes>(from: *const Self) -> L;
    /// Keeps numbers in the cells from `to` on.
    ///
    /// # Safety
    /// As for `load`, to be written.
    unsafe fn store<L: Lanes>(values: L, to: *mut Self);
}

impl Cell for f32 {
    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { values.store(to) }
    }
}

/// A bfloat16.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Half(u16);

impl Cell for Half {
    #[inline(always)]
    fn get(self) -> f32 {
        from_bf16(self.0)
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        Self(to_bf16(value))
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_half(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { values.store_half(to.cast()) }
    }
}

/// Memory of floats as the halves that it keeps.
pub(super) fn halves(values: &[f32]) -> &[Half] {
    // SAFETY: a float is two halves, whose alignment is smaller and which may have any bits.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), 2 * values.len()) }
}

/// As [`halves`], to be written.
pub(super) fn halves_mut(values: &mut [f32]) -> &mut [Half] {
    // SAFETY: as there, and borrowed alone; a float may have any bits too.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), 2 * values.len()) }
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
        Layout::Blocked => pack_cells(pool, channels, pixels, planes, blocks),
        Layout::BlockedBf16 => pack_cells(pool, channels, pixels, planes, halves_mut(blocks)),
    }
}

fn pack_cells<C: Cell>(pool: &Pool, channels: usize, pixels: usize, planes: &[f32], blocks: &mut [C]) {
    let blocks = SharedMut::new(blocks);
    each(pool, channels, pixels, &|block, from, count| {
        let own = BLOCK.min(channels - block * BLOCK);
        // SAFETY: one range of pixels of a block a task.
        let to = unsafe { blocks.slice((block * pixels + from) * BLOCK, count * BLOCK) };
        for (p, to) in to.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                *to = C::of(if c < own { planes[(block * BLOCK + c) * pixels + from + p] } else { 0.0 });
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
        Layout::Blocked => unpack_cells(pool, channels, pixels, blocks, planes),
        Layout::BlockedBf16 => unpack_cells(pool, channels, pixels, halves(blocks), planes),
    }
}

fn unpack_cells<C: Cell>(pool: &Pool, channels: usize, pixels: usize, blocks: &[C], planes: &mut [f32]) {
    let planes = SharedMut::new(planes);
    each(pool, channels, pixels, &|block, from, count| {
        let blocks = &blocks[(block * pixels + from) * BLOCK..][..count * BLOCK];
        for c in 0..BLOCK.min(channels - block * BLOCK) {
            // SAFETY: one range of pixels of a plane a task.
            let to = unsafe { planes.slice((block * BLOCK + c) * pixels + from, count) };
            to.iter_mut().zip(blocks.as_chunks::<BLOCK>().0).for_each(|(to, from)| *to = from[c].get());
        }
    });
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
