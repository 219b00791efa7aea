//! Launches `kernels/activation.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;

/// The logistic function of each of `count` floats, in place.
///
/// # Panics
/// When the region has another length or does not lie as floats must.
pub fn sigmoid(count: usize, values: Region) -> Launch {
    Launch::line("sigmoid", count as u32, [floats(values, count), Arg::U32(count as u32)])
}
