//! An average whose reach follows the picture: wide where it is even, the pixel itself where it is not.

use super::despeckle::{MAX_RADIUS, Scratch, rows};
use super::pool::Pool;
use crate::geometry::Size;

/// Frost filter for multiplicative noise; outside the picture the nearest pixel counts.
///
/// out(p) = Σ g(q) · e^(−α·|p − q|) / Σ e^(−α·|p − q|) over a square window, with α = damping · v / m² of the window's
/// mean m and variance v.
///
/// # References
/// Frost, Stiles, Shanmugan, Holtzman, "A model for radar images and its application to adaptive digital filtering of
/// multiplicative noise", IEEE TPAMI 4(2), 1982, equation 18.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frost {
    /// Pixels on each side of the middle one; 0 copies.
    pub radius: u32,
    /// How fast weights fall with the distance; 0 is a plain average.
    pub damping: f32,
}

/// The largest square of a distance in a window.
const FARTHEST: usize = 2 * (MAX_RADIUS * MAX_RADIUS) as usize;

impl Frost {
    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], _scratch: &mut Scratch) {
        let (w, h) = (size.width as usize, size.height as usize);
        let radius = self.radius.min(MAX_RADIUS) as usize;
        let damping = if self.damping > 0.0 { self.damping } else { 0.0 };
        // Pixels at each distance, by its square; all of them weigh the same.
        let mut counts = [0u32; FARTHEST + 1];
        let squared = |i: usize| i.abs_diff(radius) * i.abs_diff(radius);
        for (i, j) in (0..=2 * radius).flat_map(|i| (0..=2 * radius).map(move |j| (i, j))) {
            counts[squared(i) + squared(j)] += 1;
        }
        let area = ((2 * radius + 1) * (2 * radius + 1)) as f32;
        rows(pool, size, src, dst, &|y, dst| {
            for (x, out) in dst.iter_mut().enumerate() {
                let mut sums = [0u32; FARTHEST + 1];
                let mut squares = 0u32;
                for i in 0..=2 * radius {
                    let row = &src[(y + i).saturating_sub(radius).min(h - 1) * w..][..w];
                    for j in 0..=2 * radius {
                        let pixel = u32::from(row[(x + j).saturating_sub(radius).min(w - 1)]);
                        sums[squared(i) + squared(j)] += pixel;
                        squares += pixel * pixel;
                    }
                }
                let total: u32 = sums[..=2 * radius * radius].iter().sum();
                let mean = total as f32 / area;
                // Whole numbers, so that an even window has no variance.
                let spread = u64::from(squares) * area as u64 - u64::from(total) * u64::from(total);
                let variance = spread as f32 / (area * area);
                let alpha = if total > 0 { (damping * variance / (mean * mean)).min(f32::MAX) } else { 0.0 };
                let (mut sum, mut weights) = (0.0f32, 0.0f32);
                for (squared, (&count, &pixels)) in counts.iter().zip(&sums).enumerate() {
                    if count > 0 {
                        let weight = if squared == 0 { 1.0 } else { (-alpha * (squared as f32).sqrt()).exp() };
                        sum += weight * pixels as f32;
                        weights += weight * count as f32;
                    }
                }
                *out = (sum / weights).round() as u8;
            }
        });
    }
}
