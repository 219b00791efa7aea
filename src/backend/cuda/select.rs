//! Launches `kernels/select.cu`.

use super::elementwise::Repeated;
use super::launch::{Arg, Launch, Region};
use super::layout::floats;

/// The second where the first is not 0, else the third.
///
/// # Shapes
/// `tensors` the floats of the three that `repeated` has; `dst` those of the result; `lookup` what [`Repeated::tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn launch(repeated: &Repeated<3>, tensors: [Region; 3], lookup: Region, dst: Region) -> Launch {
    let mut args = repeated.args(tensors).to_vec();
    args.extend([floats(dst, repeated.out_len()), repeated.lookup(lookup)]);
    args.extend([repeated.rank(), repeated.out_len()].map(|n| Arg::U32(n as u32)));
    Launch::line("choose", repeated.out_len() as u32, args)
}
