//! How a convolution is divided among the blocks of a GPU.

use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::max_pool::PoolShape;

/// Blocks that a sum is split for: two for each of the 132 multiprocessors of the largest devices. A number, not asked of the
/// device, so that the guess has the same bits on all of them.
const BLOCKS: usize = 264;
/// Fewest steps of a part: with less, filling the stages, keeping the sums and starting the kernel that adds them takes about
/// as long as what is saved.
const FEWEST: usize = 12;
/// Fewest steps of a part that is worth timing.
const FEWEST_TIMED: usize = 4;
/// Most parts.
const MOST: usize = 32;

/// Pixels and channels of a block, and parts of the sum. It is a tactic by its name: `64x64`, or `64x64/4` where the sum is
/// split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    pixels: usize,
    pub channels: usize,
    pub parts: usize,
}

impl Division {
    /// Where few channels come out a block has more pixels instead.
    const NARROW: Self = Self { pixels: 128, channels: 32, parts: 1 };
    const WIDE: Self = Self { pixels: 64, channels: 64, parts: 1 };

    /// What is probably fastest for a sum of so many steps: as many parts as keep [`BLOCKS`] blocks at most, each with
    /// [`FEWEST`] steps at least. `phases` is as for [`Division::blocks`].
    pub fn guess(shape: &ConvShape, phases: usize, steps: usize) -> Self {
        let tile = if shape.out_channels <= Self::NARROW.channels { Self::NARROW } else { Self::WIDE };
        let blocks = tile.blocks(shape, phases).iter().product::<usize>().max(1);
        Self { parts: (BLOCKS / blocks).min(steps / FEWEST).max(1), ..tile }
    }

    /// All that are worth timing, the guess first.
    pub fn all(shape: &ConvShape, phases: usize, steps: usize) -> Vec<Self> {
        let guess = Self::guess(shape, phases, steps);
        let split = |tile: Self| {
            let blocks = tile.blocks(shape, phases).iter().product::<usize>().max(1);
            let most = (4 * BLOCKS / blocks).min(steps / FEWEST_TIMED).min(MOST);
            (0..=MOST.ilog2())
                .map(|i| 1 << i)
                .filter(move |&n| n == 1 || n <= most)
                .map(move |parts| Self { parts, ..tile })
        };
        let others = [Self::WIDE, Self::NARROW].into_iter().flat_map(split).filter(|other| *other != guess);
        std::iter::once(guess).chain(others).collect()
    }

    /// The one of this name among those that are worth timing.
    pub fn named(tactic: &str, shape: &ConvShape, phases: usize, steps: usize) -> Option<Self> {
        Self::all(shape, phases, steps).into_iter().find(|own| own.to_string() == tactic)
    }

    /// Whether a convolution that is divided so can pool its output on the way: a square of 2 × 2 lies in one warp,
    /// whose sums are whole.
    pub fn pools(self, shape: &ConvShape, pool: &PoolShape) -> bool {
        let squares = pool.kernel == [2, 2] && pool.stride == [2, 2] && pool.pads == [0; 4] && pool.dilation == [1, 1];
        let even = pool.in_size == shape.out_size() && pool.in_size.iter().all(|n| n.is_multiple_of(2));
        self.parts == 1 && squares && even
    }

    /// Blocks for pixels, for channels, and for `phases`: the pixels of a square where it is transposed, else 1.
    pub fn blocks(self, shape: &ConvShape, phases: usize) -> [usize; 3] {
        let [height, width] = shape.out_size();
        [(height * width).div_ceil(self.pixels), shape.out_channels.div_ceil(self.channels), phases]
    }

    /// The one of two kernels that has its blocks.
    pub fn kernel(self, [narrow, wide]: [&'static str; 2]) -> &'static str {
        if self.pixels == Self::NARROW.pixels { narrow } else { wide }
    }
}

impl std::fmt::Display for Division {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.pixels, self.channels)?;
        if self.parts > 1 { write!(f, "/{}", self.parts) } else { Ok(()) }
    }
}
