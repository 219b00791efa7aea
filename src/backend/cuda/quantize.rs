//! Launches `kernels/quantize.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::quantize::Quantize;

/// To whole numbers.
///
/// # Shapes
/// `src` and `dst` `count` floats; `numbers` a scale for each channel, then a zero point for each.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn quantize(sizes: &Quantize, count: usize, src: Region, numbers: Region, dst: Region) -> Launch {
    let bounds = [Arg::F32(sizes.low), Arg::F32(sizes.high)];
    launch("quantize", sizes, (count, &bounds), src, numbers, dst)
}

/// From whole numbers.
///
/// # Shapes
/// As of [`quantize`].
///
/// # Panics
/// As [`quantize`].
pub fn dequantize(sizes: &Quantize, count: usize, src: Region, numbers: Region, dst: Region) -> Launch {
    launch("dequantize", sizes, (count, &[]), src, numbers, dst)
}

fn launch(
    kernel: &'static str,
    sizes: &Quantize,
    (count, bounds): (usize, &[Arg]),
    src: Region,
    numbers: Region,
    dst: Region,
) -> Launch {
    let mut args = vec![floats(src, count), floats(dst, count), floats(numbers, 2 * sizes.channels)];
    args.extend([sizes.channels, sizes.inner].map(|n| Arg::U32(n as u32)));
    args.extend(bounds);
    args.push(Arg::U32(count as u32));
    Launch::line(kernel, count as u32, args)
}
