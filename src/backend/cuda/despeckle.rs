//! Launches the filter that was chosen.

use super::launch::{Launch, Region};
use super::{bilateral, frost, kuan, lee, median, nlm, srad};
use crate::backend::cpu::bilateral::Bilateral;
use crate::backend::cpu::despeckle::Despeckle;
use crate::backend::cpu::frost::Frost;
use crate::backend::cpu::kuan::Kuan;
use crate::backend::cpu::lee::Lee;
use crate::backend::cpu::median::Median;
use crate::backend::cpu::nlm::Nlm;
use crate::backend::cpu::srad::Srad;
use crate::geometry::Size;

/// Bytes of memory that a filter works in.
pub fn scratch_bytes(filter: &Despeckle, size: Size) -> u64 {
    match filter {
        Despeckle::Srad { .. } => srad::scratch_bytes(size),
        _ => 0,
    }
}

/// What filters one picture, the same as [`Despeckle::run`] within one grey level; nothing for `off`, where what comes next
/// reads `src` itself.
///
/// # Shapes
/// `src` and `dst` height × width bytes; `scratch` as [`scratch_bytes`] says.
///
/// # Panics
/// When a region has another length.
pub fn launches(filter: &Despeckle, size: Size, src: Region, dst: Region, scratch: Region) -> Vec<Launch> {
    let (area, room) = (size.area() as u64, scratch_bytes(filter, size));
    let (src, dst, scratch) =
        (src.of(area, "the picture"), dst.of(area, "the result"), scratch.of(room, "the scratch"));
    if area == 0 {
        return Vec::new();
    }
    match *filter {
        Despeckle::Off => Vec::new(),
        Despeckle::Median { radius } => vec![median::launch(Median { radius }, size, src, dst)],
        Despeckle::Bilateral { radius, range, space } => {
            vec![bilateral::launch(Bilateral { radius, range, space }, size, src, dst)]
        }
        Despeckle::Lee { radius, noise } => vec![lee::launch(Lee { radius, noise }, size, src, dst)],
        Despeckle::Kuan { radius, noise } => vec![kuan::launch(Kuan { radius, noise }, size, src, dst)],
        Despeckle::Frost { radius, damping } => vec![frost::launch(Frost { radius, damping }, size, src, dst)],
        Despeckle::Nlm { patch, search, strength } => {
            vec![nlm::launch(Nlm { patch, search, strength }, size, src, dst)]
        }
        Despeckle::Srad { iterations, step, speckle, dynamic_range } => {
            srad::launches(Srad { iterations, step, speckle, dynamic_range }, size, src, dst, scratch)
        }
    }
}
