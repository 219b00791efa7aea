//! An average in which near and similar pixels count most: smooths within an edge and not across it.

use super::despeckle::{MAX_RADIUS, Scratch};
use super::pool::Pool;
use crate::geometry::Size;

/// Bilateral filter over a disc; outside the picture the nearest pixel counts.
///
/// out(p) = Σ g(q) · s(|p − q|) · r(|g(p) − g(q)|) / Σ s · r, with s(d) = exp(−d² / 2·space²) and
/// r(d) = exp(−d² / 2·range²).
///
/// # References
/// Tomasi, Manduchi, "Bilateral filtering for gray and color images", ICCV 1998, equations 5 and 6. Within one grey
/// level of OpenCV's `bilateralFilter` with replicated borders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bilateral {
    /// Radius of the disc in pixels; 0 copies.
    pub radius: u32,
    /// Standard deviation of grey levels.
    pub range: f32,
    /// Standard deviation of distances in pixels.
    pub space: f32,
}

impl Bilateral {
    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], _scratch: &mut Scratch) {
        let (w, h) = (size.width as isize, size.height as isize);
        let radius = self.radius.min(MAX_RADIUS) as isize;
        // A deviation of zero would divide by zero; this one leaves every pixel as it is.
        let gauss = |squared: f32, deviation: f32| (-0.5 * squared / deviation.max(1e-3).powi(2)).exp();
        let similar: [f32; 256] = std::array::from_fn(|d| gauss((d * d) as f32, self.range));
        let near: [f32; (MAX_RADIUS * MAX_RADIUS + 1) as usize] = std::array::from_fn(|d| gauss(d as f32, self.space));
        super::despeckle::rows(pool, size, src, dst, &|y, dst| {
            let row = |dy: isize| &src[((y as isize + dy).clamp(0, h - 1) * w) as usize..][..w as usize];
            for (x, out) in dst.iter_mut().enumerate() {
                let middle = src[y * w as usize + x];
                let (mut sum, mut weights) = (0.0, 0.0);
                for dy in -radius..=radius {
                    let row = row(dy);
                    for dx in -radius..=radius {
                        let squared = dx * dx + dy * dy;
                        if squared > radius * radius {
                            continue;
                        }
                        let pixel = row[(x as isize + dx).clamp(0, w - 1) as usize];
                        let weight = near[squared as usize] * similar[pixel.abs_diff(middle) as usize];
                        sum += weight * f32::from(pixel);
                        weights += weight;
                    }
                }
                // The middle pixel weighs 1, so that the sum of weights is never zero.
                *out = (sum / weights).round() as u8;
            }
        });
    }
}
