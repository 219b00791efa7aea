//! Launches `kernels/conv.cu` for the last convolution of a network.

use super::Halves;
use crate::backend::cuda::launch::{Arg, Launch, Region};

/// Brings `ins` channels to `outs` planes of floats: a convolution of 1 × 1.
///
/// # Shapes
/// `src` so many pixels; `weights` outs × ins floats; `bias` outs; `dst` outs × pixels floats.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or `ins` is no multiple of eight.
pub fn launch(
    pixels: usize,
    [ins, outs]: [usize; 2],
    src: Halves,
    [weights, bias]: [Region; 2],
    dst: Region,
) -> Launch {
    let floats = [weights, bias, dst];
    assert!(floats.iter().all(|region| region.offset.is_multiple_of(4)), "{floats:?} lie at multiples of four bytes");
    let [from, pitch] = src.chunks(pixels, ins, "the input");
    let of = |region: Region, floats: usize, what| Arg::Region(region.of(4 * floats as u64, what));
    let args = [
        from,
        Arg::U32(pixels as u32),
        pitch,
        Arg::U32(ins as u32),
        of(weights, outs * ins, "the weights"),
        of(bias, outs, "the bias"),
        of(dst, outs * pixels, "the output"),
    ];
    Launch::line("conv_head", pixels as u32, args).down(outs as u32)
}
