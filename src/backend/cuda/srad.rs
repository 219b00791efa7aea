//! Launches `kernels/srad.cu`.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::srad::Srad;
use crate::geometry::Size;

/// Bytes of memory that diffusion works in: two planes of floats.
pub(super) fn scratch_bytes(size: Size) -> u64 {
    8 * size.area() as u64
}

/// The diffusion of a picture; regions as [`super::despeckle::launches`] has checked them.
pub(super) fn launches(filter: Srad, size: Size, src: Region, dst: Region, scratch: Region) -> Vec<Launch> {
    let (range, step) = (filter.range(), filter.held_step());
    let pixels = size.area() as u32;
    let linear = |kernel, from, to| {
        Launch::line(kernel, pixels, [Arg::Region(from), Arg::Region(to), Arg::U32(pixels), Arg::F32(range)])
    };
    let plane = 4 * size.area() as u64;
    let [mut current, mut next] = [scratch.part(0, plane), scratch.part(plane, plane)];
    let mut launches = vec![linear("srad_amplitude", src, current)];
    for iteration in 0..filter.held_iterations() {
        let settings = [Arg::F32(step), Arg::F32(filter.q2(iteration))];
        launches.push(Launch::filter("srad_step", (size, 1), [current, next], settings));
        std::mem::swap(&mut current, &mut next);
    }
    launches.push(linear("srad_grey", current, dst));
    launches
}
