//! Launches `kernels/nlm.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::nlm::{MAX_PATCH, MAX_SEARCH, Nlm};
use crate::geometry::Size;

/// A kernel for each radius of a patch.
const KERNELS: [&str; MAX_PATCH as usize + 1] = ["nlm0", "nlm1", "nlm2", "nlm3", "nlm4"];

/// Pixels that a thread computes.
const ROWS: u32 = 4;

/// Non-local means of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Nlm, size: Size, src: Region, dst: Region) -> Launch {
    let (patch, search) = (filter.patch.min(MAX_PATCH), filter.search.min(MAX_SEARCH));
    let settings = [Arg::U32(search), Arg::F32(Nlm { patch, ..filter }.fall())];
    Launch::filter(KERNELS[patch as usize], (size, ROWS), [src, dst], settings)
}
