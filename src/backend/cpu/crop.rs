//! The part of a frame that is looked at, as grey levels.

use crate::frame::{PixelFormat, luma};
use crate::geometry::{Rect, Size};

/// Cuts `rect` out of a frame; colour becomes luma ([`luma`]), and what is not `inside` becomes black.
///
/// # Shapes
/// `pixels` height × width of the frame, as many bytes each as its format says; `inside` and `out` height × width of `rect`,
/// `inside` 255 where there is picture and 0 elsewhere, or empty where all of it is.
///
/// # Panics
/// When a slice has another length, or the frame does not hold the rectangle.
pub fn crop(pixels: &[u8], (size, format): (Size, PixelFormat), rect: Rect, inside: &[u8], out: &mut [u8]) {
    assert_eq!(pixels.len(), size.area() * format.bytes(), "pixels of a {size} frame");
    assert!(rect.fits(size), "{rect:?} lies in a {size} frame");
    assert_eq!(out.len(), rect.size().area(), "pixels of the crop");
    assert!(inside.is_empty() || inside.len() == out.len(), "as many pixels inside as in the crop");
    let bytes = format.bytes();
    let width = rect.width as usize;
    if out.is_empty() {
        return;
    }
    let rows = pixels.chunks_exact(size.width as usize * bytes).skip(rect.y as usize);
    for (out, row) in out.chunks_exact_mut(width).zip(rows) {
        let row = &row[rect.x as usize * bytes..][..width * bytes];
        match format {
            PixelFormat::Gray8 => out.copy_from_slice(row),
            PixelFormat::Rgb8 => {
                out.iter_mut().zip(row.as_chunks().0).for_each(|(out, &[r, g, b])| *out = luma(r, g, b));
            }
        }
    }
    out.iter_mut().zip(inside).for_each(|(out, inside)| *out &= inside);
}
