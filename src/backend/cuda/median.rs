//! Launches `kernels/median.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::backend::cpu::median::Median;
use crate::geometry::Size;

/// The median of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Median, size: Size, src: Region, dst: Region) -> Launch {
    let radius = filter.radius.min(MAX_RADIUS);
    Launch::filter("median", (size, 1), [src, dst], [Arg::U32(radius)])
}
