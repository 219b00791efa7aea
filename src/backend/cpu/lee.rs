//! An average where the picture is even, the picture itself where it is not.

use super::despeckle::{MAX_RADIUS, Scratch, rows};
use super::pool::{Pool, SharedMut};
use crate::geometry::Size;

/// Lee filter for multiplicative noise; outside the picture the nearest pixel counts.
///
/// With the mean m and the variance v of a window, out = m + k · (g − m), where k = s / (s + m²·noise²) and
/// s = max(0, (v − m²·noise²) / (1 + noise²)) is the variance of what lies under the noise.
///
/// # References
/// Lee, "Digital image enhancement and noise filtering by use of local statistics", IEEE TPAMI 2(2), 1980, the
/// multiplicative case, where noise times signal is linearised; [`Kuan`](super::kuan::Kuan) does without that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lee {
    /// Pixels on each side of the middle one; 0 copies.
    pub radius: u32,
    /// Standard deviation of the noise divided by the mean, in an even region.
    pub noise: f32,
}

/// Pixels of a row that are summed together.
const CHUNK: usize = 64;

impl Lee {
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
            let gain = if under > 0.0 { under / (under + mean * mean * noise) } else { 0.0 };
            mean + gain * (pixel - mean)
        });
    }
}

/// Filters that ask for the mean and the variance of a square window around each pixel.
pub(super) struct Statistics {
    /// Pixels on each side of the middle one.
    pub radius: u32,
}

impl Statistics {
    /// Sets every pixel to `value(pixel, mean, variance)`, rounded.
    pub fn run(
        &self,
        pool: &Pool,
        size: Size,
        src: &[u8],
        dst: &mut [u8],
        scratch: &mut Scratch,
        value: &(impl Fn(f64, f64, f64) -> f64 + Sync),
    ) {
        let (w, h) = (size.width as usize, size.height as usize);
        assert_eq!(src.len(), w * h, "pixels of a {size} picture");
        if w * h == 0 {
            return;
        }
        let radius = self.radius.min(MAX_RADIUS) as usize;
        let [sums, squares] = scratch.counts(w * h);
        {
            let (sums, squares) = (SharedMut::new(sums), SharedMut::new(squares));
            pool.run(h, &|y| {
                // SAFETY: one row a task, of each plane.
                let (sums, squares) = unsafe { (sums.slice(y * w, w), squares.slice(y * w, w)) };
                across(&src[y * w..][..w], radius, sums, squares);
            });
        }
        let (sums, squares) = (&*sums, &*squares);
        let area = ((2 * radius + 1) * (2 * radius + 1)) as f64;
        rows(pool, size, src, dst, &|y, dst| {
            for (i, out) in dst.chunks_mut(CHUNK).enumerate() {
                let (x, n) = (i * CHUNK, out.len());
                let (mut sum, mut square) = ([0u32; CHUNK], [0u32; CHUNK]);
                for v in (y..=y + 2 * radius).map(|v| v.saturating_sub(radius).min(h - 1)) {
                    sum.iter_mut().zip(&sums[v * w + x..][..n]).for_each(|(sum, s)| *sum += s);
                    square.iter_mut().zip(&squares[v * w + x..][..n]).for_each(|(sum, s)| *sum += s);
                }
                let pixels = &src[y * w + x..][..n];
                for (((out, &pixel), sum), square) in out.iter_mut().zip(pixels).zip(sum).zip(square) {
                    let mean = f64::from(sum) / area;
                    let variance = (f64::from(square) / area - mean * mean).max(0.0);
                    *out = value(f64::from(pixel), mean, variance).round() as u8;
                }
            }
        });
    }
}

/// Sums of the values and of their squares over 2·radius + 1 pixels of a row.
fn across(row: &[u8], radius: usize, sums: &mut [u32], squares: &mut [u32]) {
    let last = row.len() - 1;
    let value = |x: usize| u32::from(row[x.saturating_sub(radius).min(last)]);
    let (mut sum, mut square) = (0, 0);
    for x in 0..2 * radius {
        sum += value(x);
        square += value(x) * value(x);
    }
    // Position x of the window counts from its left end, `radius` pixels before the middle.
    for x in 0..row.len() {
        let (gained, lost) = (value(x + 2 * radius), value(x));
        sum += gained;
        square += gained * gained;
        (sums[x], squares[x]) = (sum, square);
        sum -= lost;
        square -= lost * lost;
    }
}
