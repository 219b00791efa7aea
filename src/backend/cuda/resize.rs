//! Launches `kernels/resize.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::resize::{Axis, Resampler};
use crate::geometry::{Rect, Size};

/// What the kernel looks up: pixels and weights of both axes, factor and addend of each channel.
pub fn tables(resampler: &Resampler, scale: &[[f32; 2]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for axis in resampler.axes() {
        bytes.extend(axis.first.iter().flat_map(|&first| (first as u32).to_le_bytes()));
        bytes.extend(axis.weights.iter().flat_map(|weight| weight.to_le_bytes()));
    }
    bytes.extend(scale.iter().flatten().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// Resizes a picture of bytes to where it lies in the input of a network, and normalises it: factor · level + addend, addend
/// around the picture.
///
/// # Shapes
/// `src` rows of the picture, one after the other; `tables` what [`tables`] made of the same; `out` channels × height ×
/// width floats of `size`, which has pixels.
///
/// # Panics
/// When a region has another length or does not lie as floats must, or `placed` has another size than what is made.
pub fn launch(
    resampler: &Resampler,
    channels: usize,
    (size, placed): (Size, Rect),
    src: Region,
    lookup: Region,
    out: Region,
) -> Launch {
    let (from, to) = (resampler.from(), resampler.to());
    assert!(placed.fits(size) && placed.size() == to && from.area() > 0 && to.area() > 0, "{placed:?} of {size}");
    assert!(lookup.offset.is_multiple_of(4) && out.offset.is_multiple_of(4), "floats lie at multiples of four bytes");
    let mut at = 0;
    let mut part = |numbers: usize| {
        let region = lookup.part(at, 4 * numbers as u64);
        at += 4 * numbers as u64;
        Arg::Region(region)
    };
    let mut args = vec![Arg::Region(src.of(from.area() as u64, "the picture")), Arg::U32(from.width)];
    for Axis { taps, first, weights } in resampler.axes() {
        args.extend([part(first.len()), part(weights.len()), Arg::U32(*taps as u32)]);
    }
    args.extend([part(2 * channels), Arg::U32(channels as u32)]);
    lookup.of(at, "the tables");
    args.push(Arg::Region(out.of(4 * (channels * size.area()) as u64, "the tensor")));
    let numbers = [size.width, size.height, placed.x, placed.y, placed.width, placed.height];
    args.extend(numbers.map(Arg::U32));
    Launch::pixels("resize_u8", size, 1, args)
}
