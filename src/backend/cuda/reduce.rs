//! Launches `kernels/reduce.cu`.

use super::conv::Halves;
use super::launch::{Arg, Launch};

/// Threads of a block; as `kernels/reduce.cu` has it.
const THREADS: u32 = 256;

/// The mean of all pixels of each channel, or the largest.
///
/// # Shapes
/// `src` so many pixels; `dst` one.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn pixels([pixels, channels]: [usize; 2], src: Halves, dst: Halves, largest: bool) -> Launch {
    let [from, pitch] = src.chunks(pixels, channels, "the input");
    let [to, _] = dst.chunks(1, channels, "the output");
    let args = vec![from, Arg::U32(pixels as u32), pitch, to, Arg::U32(u32::from(largest))];
    Launch::tiles("reduce_pixels", [(channels / 8) as u32, 1, 1], THREADS, args)
}
