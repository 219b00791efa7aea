//! Launches `kernels/softmax.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;

/// Softmax of the channels of each pixel, in place.
///
/// # Shapes
/// `values` channels × pixels floats.
///
/// # Panics
/// When the region has another length or does not lie as floats must.
pub fn launch([channels, pixels]: [usize; 2], values: Region) -> Launch {
    let args = [floats(values, channels * pixels), Arg::U32(channels as u32), Arg::U32(pixels as u32)];
    Launch::line("softmax", pixels as u32, args)
}
