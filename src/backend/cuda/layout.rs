//! Launches `kernels/layout.cu`.

use super::conv::Halves;
use super::launch::{Arg, Launch, Region};

/// Brings planes of floats to channels-last halves of `width` channels, zeros beyond those that there are.
///
/// # Shapes
/// `src` channels × pixels floats; `dst` so many pixels.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or `width` is no multiple of eight.
pub fn to_last([channels, pixels]: [usize; 2], src: Region, dst: Halves, width: usize) -> Launch {
    assert!(channels <= width, "{channels} channels in {width}");
    let [to, pitch] = dst.chunks(pixels, width, "the output");
    let number = |n: usize| Arg::U32(n as u32);
    let args = [floats(src, channels * pixels), number(channels), number(pixels), to, pitch, number(width)];
    Launch::line("to_last", (pixels * width / 8) as u32, args)
}

/// Brings channels-last halves to planes of floats.
///
/// # Shapes
/// `src` so many pixels; `dst` channels × pixels floats.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn to_planes([channels, pixels]: [usize; 2], src: Halves, dst: Region) -> Launch {
    assert!(src.region.offset.is_multiple_of(2), "{src:?} lies at multiples of two bytes");
    let [from, pitch] = src.args(pixels, channels, "the input");
    let args = [from, pitch, Arg::U32(pixels as u32), floats(dst, channels * pixels)];
    Launch::line("to_planes", pixels as u32, args).down(channels as u32)
}

/// So many floats.
pub(super) fn floats(region: Region, count: usize) -> Arg {
    assert!(region.offset.is_multiple_of(4), "{region:?} lies at multiples of four bytes");
    Arg::Region(region.of(4 * count as u64, "the planes"))
}
