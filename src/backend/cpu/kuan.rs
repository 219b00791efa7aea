//! The average that errs least, where the noise grows with the picture.

use super::despeckle::Scratch;
use super::lee::Statistics;
use super::pool::Pool;
use crate::geometry::Size;

/// Kuan filter for multiplicative noise; outside the picture the nearest pixel counts.
///
/// With the mean m and the variance v of a window, out = m + k · (g − m), where
/// k = max(0, (1 − m²·noise² / v) / (1 + noise²)): the linear estimate of least mean square error, without the
/// approximation of [`Lee`](super::lee::Lee).
///
/// # References
/// Kuan, Sawchuk, Strand, Chavel, "Adaptive noise smoothing filter for images with signal-dependent noise", IEEE TPAMI
/// 7(2), 1985, the multiplicative case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kuan {
    /// Pixels on each side of the middle one; 0 copies.
    pub radius: u32,
    /// Standard deviation of the noise divided by the mean, in an even region.
    pub noise: f32,
}

impl Kuan {
    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], scratch: &mut Scratch) {
        let noise = f64::from(self.noise.abs()).powi(2);
        Statistics { radius: self.radius }.run(pool, size, src, dst, scratch, &|pixel, mean, variance| {
            let under = ((variance - mean * mean * noise) / (1.0 + noise)).max(0.0);
            let gain = if variance > 0.0 { under / variance } else { 0.0 };
            mean + gain * (pixel - mean)
        });
    }
}
