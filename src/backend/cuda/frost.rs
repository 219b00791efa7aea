//! Launches `kernels/frost.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::backend::cpu::frost::Frost;
use crate::geometry::Size;

/// Frost's filter of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Frost, size: Size, src: Region, dst: Region) -> Launch {
    let (radius, damping) = (filter.radius.min(MAX_RADIUS), filter.damping.max(0.0));
    Launch::filter("frost", (size, 1), [src, dst], [Arg::U32(radius), Arg::F32(damping)])
}
