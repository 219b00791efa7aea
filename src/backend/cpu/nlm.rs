//! An average of pixels whose surroundings look alike, wherever they are nearby.

use super::despeckle::{Scratch, rows};
use super::pool::Pool;
use crate::geometry::Size;

/// Non-local means; outside the picture the nearest pixel counts.
///
/// out(p) = Σ g(q) · w(p, q) / Σ w(p, q) over a square search window, with w(p, q) = e^(−d² / strength²) and d² the mean
/// of the squared differences of two square patches around p and q.
///
/// # References
/// Buades, Coll, Morel, "A non-local algorithm for image denoising", CVPR 2005, with patches that weigh all their pixels
/// alike, as in their "Non-local means denoising", IPOL 1, 2011 (without its subtraction of 2σ², since speckle has no one
/// σ).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nlm {
    /// Pixels on each side of the middle one of a patch.
    pub patch: u32,
    /// Pixels on each side of the middle one of the search window; 0 copies.
    pub search: u32,
    /// Difference of patches, in grey levels, at which a weight is 1/e.
    pub strength: f32,
}

/// The largest patch and the largest search window.
pub const MAX_PATCH: u32 = 4;
/// See [`MAX_PATCH`].
pub const MAX_SEARCH: u32 = 15;

/// Pixels of a row that are computed together.
const CHUNK: usize = 256;
/// Their sums of columns.
const COLUMNS: usize = CHUNK + 2 * MAX_PATCH as usize;

impl Nlm {
    /// Exponent of 2 for each unit of a sum of squared differences of patches, which have at most [`MAX_PATCH`].
    pub(in crate::backend) fn fall(&self) -> f32 {
        // A strength of zero would divide by zero; with this one only equal patches count.
        let strength = if self.strength > 1e-3 { self.strength } else { 1e-3 };
        let side = 2 * self.patch.min(MAX_PATCH) + 1;
        -std::f32::consts::LOG2_E / ((side * side) as f32 * strength * strength)
    }

    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], scratch: &mut Scratch) {
        let (w, h) = (size.width as usize, size.height as usize);
        assert_eq!(src.len(), w * h, "pixels of a {size} picture");
        if w * h == 0 {
            return;
        }
        let (patch, search) = (self.patch.min(MAX_PATCH) as usize, self.search.min(MAX_SEARCH) as usize);
        let (side, fall) = (2 * patch + 1, self.fall());
        let border = patch + search;
        let pitch = w + 2 * border;
        let padded = scratch.bytes(pitch * (h + 2 * border));
        for (y, row) in padded.chunks_exact_mut(pitch).enumerate() {
            let from = &src[y.saturating_sub(border).min(h - 1) * w..][..w];
            row[..border].fill(from[0]);
            row[border..border + w].copy_from_slice(from);
            row[border + w..].fill(from[w - 1]);
        }
        let padded = &*padded;
        rows(pool, size, src, dst, &|y, dst| {
            for (i, out) in dst.chunks_mut(CHUNK).enumerate() {
                let n = out.len();
                let columns = n + 2 * patch;
                let own = i * CHUNK + search;
                let (mut sums, mut weights) = ([0f32; CHUNK], [0f32; CHUNK]);
                for (dy, dx) in (0..=2 * search).flat_map(|dy| (0..=2 * search).map(move |dx| (dy, dx))) {
                    // Squared differences of columns as high as a patch, then of whole patches.
                    let mut column = [0u32; COLUMNS];
                    for v in 0..side {
                        let here = &padded[(y + search + v) * pitch + own..][..columns];
                        let there = &padded[(y + dy + v) * pitch + i * CHUNK + dx..][..columns];
                        for ((sum, &a), &b) in column[..columns].iter_mut().zip(here).zip(there) {
                            let difference = u32::from(a.abs_diff(b));
                            *sum += difference * difference;
                        }
                    }
                    let mut squares = [0u32; CHUNK];
                    for u in 0..side {
                        squares[..n].iter_mut().zip(&column[u..]).for_each(|(sum, column)| *sum += column);
                    }
                    let pixels = &padded[(y + dy + patch) * pitch + i * CHUNK + dx + patch..][..n];
                    for x in 0..n {
                        let weight = exp2(squares[x] as f32 * fall);
                        sums[x] += weight * f32::from(pixels[x]);
                        weights[x] += weight;
                    }
                }
                for ((out, sum), weights) in out.iter_mut().zip(sums).zip(weights) {
                    // The pixel itself weighs 1, so that the sum of weights is never zero.
                    *out = (sum / weights).round() as u8;
                }
            }
        });
    }
}

/// 2^x for x ≤ 0, within 2·10⁻⁷ of it; 0 below 2⁻¹²⁶. Without a call, so that loops become vector instructions.
///
/// The fraction's power by Taylor's series of e^(f·ln 2) to the seventh degree, for −½ ≤ f ≤ ½.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    let x = if x > -127.0 { x } else { -127.0 };
    // Adding 1.5 · 2²³ rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let whole = (x + ROUND) - ROUND;
    let f = (x - whole) * std::f32::consts::LN_2;
    let series = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.iter().fold(0.0, |sum, term| sum * f + term);
    let scale = f32::from_bits(((whole as i32 + 127) << 23) as u32);
    power * scale
}
