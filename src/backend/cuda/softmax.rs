//! Launches `kernels/softmax.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use super::reduce::lanes;

/// Softmax along the middle axis, or its logarithm, in place.
///
/// # Shapes
/// `values` outer × axis × inner floats.
///
/// # Panics
/// When the region has another length or does not lie as floats must.
pub fn launch([outer, axis, inner]: [usize; 3], logarithm: bool, values: Region) -> Launch {
    let columns = outer * inner;
    // Threads of a warp read what lies side by side.
    let lanes = if inner == 1 { lanes(axis) } else { 1 };
    let mut args = vec![floats(values, columns * axis)];
    args.extend([axis, inner, columns, usize::from(logarithm), lanes].map(|n| Arg::U32(n as u32)));
    Launch::line("softmax", (columns * lanes) as u32, args)
}
