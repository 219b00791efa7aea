//! How the planes of a picture lie in memory.

use serde::{Deserialize, Serialize};

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
}

impl Layout {
    /// Channels that stand side by side.
    pub const fn depth(self) -> usize {
        match self {
            Self::Planar => 1,
            Self::Blocked => BLOCK,
        }
    }

    /// Values that are kept for `channels` planes of `pixels`.
    pub const fn len(self, channels: usize, pixels: usize) -> usize {
        channels.next_multiple_of(self.depth()) * pixels
    }
}

/// From planes to blocks; channels that are not there become zeros.
///
/// # Shapes
/// `planes` channels × pixels, `blocks` as [`Layout::len`] says.
///
/// # Panics
/// When a slice has another length.
pub fn pack(pool: &Pool, channels: usize, pixels: usize, planes: &[f32], blocks: &mut [f32]) {
    assert_eq!(planes.len(), channels * pixels, "values of the planes");
    assert_eq!(blocks.len(), Layout::Blocked.len(channels, pixels), "values of the blocks");
    let blocks = SharedMut::new(blocks);
    each(pool, channels, pixels, &|block, from, count| {
        let own = BLOCK.min(channels - block * BLOCK);
        // SAFETY: one range of pixels of a block a task.
        let to = unsafe { blocks.slice((block * pixels + from) * BLOCK, count * BLOCK) };
        for (p, to) in to.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                *to = if c < own { planes[(block * BLOCK + c) * pixels + from + p] } else { 0.0 };
            }
        }
    });
}

/// From blocks to planes.
///
/// # Shapes
/// `blocks` as [`Layout::len`] says, `planes` channels × pixels.
///
/// # Panics
/// When a slice has another length.
pub fn unpack(pool: &Pool, channels: usize, pixels: usize, blocks: &[f32], planes: &mut [f32]) {
    assert_eq!(planes.len(), channels * pixels, "values of the planes");
    assert_eq!(blocks.len(), Layout::Blocked.len(channels, pixels), "values of the blocks");
    let planes = SharedMut::new(planes);
    each(pool, channels, pixels, &|block, from, count| {
        let blocks = &blocks[(block * pixels + from) * BLOCK..][..count * BLOCK];
        for c in 0..BLOCK.min(channels - block * BLOCK) {
            // SAFETY: one range of pixels of a plane a task.
            let to = unsafe { planes.slice((block * BLOCK + c) * pixels + from, count) };
            to.iter_mut().zip(blocks.as_chunks::<BLOCK>().0).for_each(|(to, from)| *to = from[c]);
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
