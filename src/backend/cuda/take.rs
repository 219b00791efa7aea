//! Launches `kernels/take.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::{floats, words};
use crate::backend::cpu::take::Take;

/// What the kernel looks up: the slice for each of the output.
pub fn tables(take: &Take) -> Vec<u8> {
    words(take.indices.iter().map(|index| index.map_or(u32::MAX, |i| i as u32)))
}

/// Takes slices.
///
/// # Shapes
/// `src` and `dst` the floats of the input and the output; `lookup` what [`tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or a slice does not exist.
pub fn launch(take: &Take, src: Region, lookup: Region, dst: Region) -> Launch {
    take.check().unwrap_or_else(|e| panic!("{e}"));
    let (taken, count) = (take.indices.len(), take.out_len());
    let mut args = vec![floats(src, take.in_len()), floats(dst, count), floats(lookup, taken)];
    args.extend([take.axis, taken, take.inner].map(|n| Arg::U32(n as u32)));
    args.extend([Arg::F32(take.level), Arg::U32(count as u32)]);
    Launch::line("take", count as u32, args)
}
