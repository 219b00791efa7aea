//! Launches `kernels/frost.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::backend::cpu::frost::Frost;
use crate::geometry::Size;

/// Frost's filter of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Frost, size: Size, src: Region, dst: Region) -> Launch {
    let (radius, damping) = (filter.radius.min(MAX_RADIUS), filter.damping.max(0.0));
    let picture = [Arg::Region(src), Arg::Region(dst), Arg::U32(size.width), Arg::U32(size.height)];
    Launch::pixels("frost", size, 1, picture.into_iter().chain([Arg::U32(radius), Arg::F32(damping)]))
}
