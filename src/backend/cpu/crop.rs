//! The part of a frame that is looked at, as grey levels.

use crate::frame::PixelFormat;
use crate::geometry::{Rect, Size};

/// Cuts `rect` out of a frame; colour becomes luma ([`Frame::write_gray`](crate::frame::Frame::write_gray)), and what
/// is not `inside` becomes black.
///
/// # Shapes
/// `pixels` as many bytes as [`PixelFormat::bytes`] says; `inside` and `out` height × width of `rect`,
/// `inside` 255 where there is picture and 0 elsewhere, or empty where all of it is.
///
/// # Panics
/// When a slice has another length, or the frame does not hold the rectangle.
pub fn crop(pixels: &[u8], (size, format): (Size, PixelFormat), rect: Rect, inside: &[u8], out: &mut [u8]) {
    assert_eq!(pixels.len(), format.bytes(size), "pixels of a {size} frame");
    assert!(rect.fits(size), "{rect:?} lies in a {size} frame");
    assert_eq!(out.len(), rect.size().area(), "pixels of the crop");
    assert!(inside.is_empty() || inside.len() == out.len(), "as many pixels inside as in the crop");
    for (y, row) in out.chunks_exact_mut(rect.width.max(1) as usize).enumerate() {
        format.write_gray(size, pixels, (rect.x as usize, rect.y as usize + y), row);
    }
    out.iter_mut().zip(inside).for_each(|(out, inside)| *out &= inside);
}
