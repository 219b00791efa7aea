//! Launches `kernels/kuan.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::backend::cpu::kuan::Kuan;
use crate::geometry::Size;

/// Kuan's filter of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Kuan, size: Size, src: Region, dst: Region) -> Launch {
    let (radius, noise2) = (filter.radius.min(MAX_RADIUS), filter.noise * filter.noise);
    Launch::filter("kuan", (size, 1), [src, dst], [Arg::U32(radius), Arg::F32(noise2)])
}
