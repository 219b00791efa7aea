//! Launches `kernels/resize_axis.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::{floats, words};
use crate::backend::cpu::resize_axis::AxisTable;

/// What the kernel looks up: where the taps of each position begin, their places and weights, and the levels.
pub fn tables(table: &AxisTable) -> Vec<u8> {
    let mut starts = vec![0u32];
    starts.extend(table.taps().map(|(taps, _)| taps.len() as u32).scan(0, |end, n| {
        *end += n;
        Some(*end)
    }));
    let taps = || table.taps().flat_map(|(taps, _)| taps);
    let places = taps().map(|&(place, _)| place as u32);
    let numbers = taps().map(|&(_, weight)| weight).chain(table.taps().map(|(_, level)| level));
    words(starts.into_iter().chain(places).chain(numbers.map(f32::to_bits)))
}

/// Resizes one axis.
///
/// # Shapes
/// `src` and `dst` the floats of the input and the output; `lookup` what [`tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn launch(table: &AxisTable, src: Region, lookup: Region, dst: Region) -> Launch {
    let shape = table.shape();
    let taps: usize = table.taps().map(|(taps, _)| taps.len()).sum();
    let count = shape.outer * shape.out * shape.inner;
    let mut args = vec![floats(src, shape.outer * shape.size * shape.inner), floats(dst, count)];
    let mut at = 0;
    for n in [shape.out + 1, taps, taps, shape.out] {
        args.push(floats(lookup.part(at, 4 * n as u64), n));
        at += 4 * n as u64;
    }
    lookup.of(at, "the tables");
    args.extend([shape.size, shape.out, shape.inner, count].map(|n| Arg::U32(n as u32)));
    Launch::line("resize_axis", count as u32, args)
}
