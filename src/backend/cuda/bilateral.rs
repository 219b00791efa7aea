//! Launches `kernels/bilateral.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::bilateral::Bilateral;
use crate::backend::cpu::despeckle::MAX_RADIUS;
use crate::geometry::Size;

/// The bilateral filter of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launch(filter: Bilateral, size: Size, src: Region, dst: Region) -> Launch {
    let radius = filter.radius.min(MAX_RADIUS);
    // As on the CPU, a deviation of zero is one that leaves every pixel as it is.
    let factor = |deviation: f32| Arg::F32(-0.5 / deviation.max(1e-3).powi(2));
    let settings = [Arg::U32(radius), factor(filter.space), factor(filter.range)];
    Launch::filter("bilateral", (size, 1), [src, dst], settings)
}
