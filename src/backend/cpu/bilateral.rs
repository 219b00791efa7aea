//! An average in which near and similar pixels count most: smooths within an edge and not across it.

use super::despeckle::{MAX_RADIUS, Scratch, rows};
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

/// Pixels of the largest square around a disc.
const DISC: usize = (2 * MAX_RADIUS as usize + 1) * (2 * MAX_RADIUS as usize + 1);

/// Pixels of a row that are summed together: few enough for the first-level cache, many enough to hide latencies.
const CHUNK: usize = 64;

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
        // The disc as distances in columns and rows, with the weight of each.
        let mut disc = [(0isize, 0isize, 0f32); DISC];
        let mut count = 0;
        for (dy, dx) in (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dy, dx))) {
            let squared = dx * dx + dy * dy;
            if squared <= radius * radius {
                disc[count] = (dx, dy, gauss(squared as f32, self.space));
                count += 1;
            }
        }
        let disc = &disc[..count];
        rows(pool, size, src, dst, &|y, dst| {
            for (i, out) in dst.chunks_mut(CHUNK).enumerate() {
                let (x, n) = ((i * CHUNK) as isize, out.len());
                let middle = &src[y * w as usize + i * CHUNK..][..n];
                let (mut sums, mut weights, mut edge) = ([0f32; CHUNK], [0f32; CHUNK], [0u8; CHUNK]);
                for &(dx, dy, near) in disc {
                    let row = &src[((y as isize + dy).clamp(0, h - 1) * w) as usize..][..w as usize];
                    let pixels = if x + dx >= 0 && x + dx + n as isize <= w {
                        &row[(x + dx) as usize..][..n]
                    } else {
                        for (x, pixel) in (x + dx..).zip(&mut edge[..n]) {
                            *pixel = row[x.clamp(0, w - 1) as usize];
                        }
                        &edge[..n]
                    };
                    let totals = sums.iter_mut().zip(&mut weights);
                    for ((&pixel, &middle), (sum, weights)) in pixels.iter().zip(middle).zip(totals) {
                        let weight = near * similar[pixel.abs_diff(middle) as usize];
                        *sum += weight * f32::from(pixel);
                        *weights += weight;
                    }
                }
                for ((out, sum), weights) in out.iter_mut().zip(sums).zip(weights) {
                    // The middle pixel weighs 1, so that the sum of weights is never zero.
                    *out = (sum / weights).round() as u8;
                }
            }
        });
    }
}
