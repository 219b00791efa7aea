//! Launches `kernels/lee.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::backend::cpu::lee::Lee;
use crate::geometry::Size;

/// Lee's filter of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Lee, size: Size, src: Region, dst: Region) -> Launch {
    let (radius, noise2) = (filter.radius.min(MAX_RADIUS), filter.noise * filter.noise);
    Launch::filter("lee", (size, 1), [src, dst], [Arg::U32(radius), Arg::F32(noise2)])
}
