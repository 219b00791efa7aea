//! Launches `kernels/crop.cu`.

use super::launch::{Arg, Launch, Region};
use crate::frame::PixelFormat;
use crate::geometry::{Rect, Size};

/// Cuts `rect` out of a frame, the same as [`crop`](crate::backend::cpu::crop::crop); `inside` is 255 everywhere where all
/// of it is picture.
///
/// # Shapes
/// `src` the frame's bytes; `inside` and `dst` height × width of `rect`, which has pixels.
///
/// # Panics
/// When a region has another length, or the frame does not hold the rectangle.
pub fn launch((size, format): (Size, PixelFormat), rect: Rect, src: Region, inside: Region, dst: Region) -> Launch {
    assert!(rect.fits(size) && rect.size().area() > 0, "{rect:?} lies in a {size} frame");
    let (bytes, area) = (format.bytes() as u64, rect.size().area() as u64);
    let src = src.of(size.area() as u64 * bytes, "the frame");
    let first = (u64::from(rect.y) * u64::from(size.width) + u64::from(rect.x)) * bytes;
    let read = (u64::from(rect.height - 1) * u64::from(size.width) + u64::from(rect.width)) * bytes;
    let args = [
        Arg::Region(src.part(first, read)),
        Arg::Region(inside.of(area, "what is inside")),
        Arg::Region(dst.of(area, "the crop")),
        Arg::U32(size.width),
        Arg::U32(rect.width),
        Arg::U32(rect.height),
    ];
    let kernel = match format {
        PixelFormat::Gray8 => "crop_gray8",
        PixelFormat::Rgb8 => "crop_rgb8",
    };
    Launch::pixels(kernel, rect.size(), 1, args)
}
