//! Launches `kernels/crop.cu`.

use super::launch::{Arg, Launch, Region};
use crate::frame::{PixelFormat, Yuv};
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
    let area = rect.size().area() as u64;
    let src = src.of(format.bytes(size) as u64, "the frame");
    let regions =
        |src: Region| [src, inside.of(area, "what is inside"), dst.of(area, "the crop")].map(Arg::Region).into_iter();
    let (kernel, bytes) = match format {
        PixelFormat::Gray8 => ("crop_gray8", 1),
        PixelFormat::Gray16 => ("crop_gray16", 2),
        PixelFormat::Rgb8 => ("crop_rgb8", 3),
        PixelFormat::Yuv(yuv) => {
            let numbers = [rect.x, rect.y, rect.width, rect.height].into_iter().chain(numbers(yuv, size));
            return Launch::pixels("crop_yuv", rect.size(), 1, regions(src).chain(numbers.map(Arg::U32)));
        }
    };
    let first = (u64::from(rect.y) * u64::from(size.width) + u64::from(rect.x)) * bytes;
    let read = (u64::from(rect.height - 1) * u64::from(size.width) + u64::from(rect.width)) * bytes;
    let numbers = [size.width, rect.width, rect.height].map(Arg::U32);
    Launch::pixels(kernel, rect.size(), 1, regions(src.part(first, read)).chain(numbers))
}

/// Where the samples of a picture lie and what they count, as the kernel takes it.
fn numbers(yuv: Yuv, size: Size) -> [u32; 14] {
    let (at, factors) = (yuv.samples(size), yuv.factors());
    let places = [at.y.first, at.y.pitch, at.y.step, at.u.first, at.v.first, at.u.pitch, at.u.step, at.rows];
    let places = places.map(|n| u32::try_from(n).expect("a frame has less than 4 GiB"));
    let factors = [factors.black, factors.luma, factors.rv, factors.gu, factors.gv, factors.bu];
    let factors = factors.map(|factor| i32::from(factor).cast_unsigned());
    std::array::from_fn(|i| if i < places.len() { places[i] } else { factors[i - places.len()] })
}
