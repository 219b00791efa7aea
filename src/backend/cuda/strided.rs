//! Launches `kernels/strided.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::{floats, words};
use crate::backend::cpu::strided::Strided;

/// Numbers that are moved, and where to.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where each comes from.
    from: Strided,
    /// Distance of neighbours along each axis in the output, and where the first one goes.
    steps: Vec<isize>,
    first: usize,
}

impl Moved {
    /// Side by side, in their order.
    pub fn whole(from: &Strided) -> Self {
        let from = from.merged();
        let steps = Strided::whole(&from.shape).strides;
        Self { from, steps, first: 0 }
    }

    /// To places at the distances of `to`, which has the same shape.
    ///
    /// # Panics
    /// When it has another, or goes backwards.
    pub fn to(from: &Strided, to: &Strided) -> Self {
        assert!(from.shape == to.shape && to.strides.iter().all(|&s| s >= 0), "{to:?} for {from:?}");
        Self { from: from.clone(), steps: to.strides.clone(), first: to.offset }
    }

    /// What the kernel looks up.
    pub fn tables(&self) -> Vec<u8> {
        let axes = self.from.shape.iter().zip(self.from.strides.iter().zip(&self.steps));
        // Distances that are less than nothing wrap around.
        words(axes.flat_map(|(&n, (&from, &to))| [n as u32, from as u32, to as u32]))
    }

    /// Moves the numbers.
    ///
    /// # Shapes
    /// `src` and `dst` so many floats; `lookup` what [`Moved::tables`] made.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must, or a place is outside.
    pub fn launch(&self, [src_len, dst_len]: [usize; 2], src: Region, lookup: Region, dst: Region) -> Launch {
        self.from.check(src_len).unwrap_or_else(|e| panic!("{e}"));
        let reach = self.from.shape.iter().zip(&self.steps).map(|(&n, &step)| (n - 1) * step as usize);
        assert!(self.first + reach.sum::<usize>() < dst_len, "{self:?} in {dst_len} floats");
        let (rank, count) = (self.from.shape.len(), self.from.out_len());
        let mut args = vec![floats(src, src_len), floats(dst, dst_len), floats(lookup, 3 * rank)];
        args.extend([rank, self.from.offset, self.first, count].map(|n| Arg::U32(n as u32)));
        Launch::line("strided", count as u32, args)
    }
}
