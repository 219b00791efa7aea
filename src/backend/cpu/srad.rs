//! Diffusion that stops at edges, with an edge detector made for speckle.

use super::despeckle::{Scratch, rows};
use super::pool::{Pool, SharedMut};
use crate::geometry::Size;

/// Speckle reducing anisotropic diffusion; across the border nothing flows.
///
/// Grey levels are first brought back to amplitudes, A = 10^((g/255 − 1) · dynamic range / 20), for the method assumes
/// multiplicative noise; afterwards they are log-compressed again. Each iteration, with the differences d to the four
/// neighbours:
///
/// q² = (½ Σd²/A² − ¹⁄₁₆ (Σd/A)²) / (1 + ¼ Σd/A)²,  c = 1 / (1 + (q² − q₀²) / (q₀² (1 + q₀²))),
/// A += step/4 · div(c ∇A),  q₀ = speckle · exp(−iteration · step / 6)
///
/// where div takes c of the lower and of the right neighbour for the flow from there, and its own for the other two.
///
/// # References
/// Yu, Acton, "Speckle reducing anisotropic diffusion", IEEE TIP 11(11), 2002: c equation 33, q equation 35, q₀ equation
/// 37, and the discretisation by Jacobi's method given there. c is held to at most 1, as in Rodinia's `srad`, which keeps every step ≤ 1
/// stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Srad {
    /// Steps in time; 0 copies.
    pub iterations: u32,
    /// Length of a step, 0 to 1.
    pub step: f32,
    /// Coefficient of variation of speckle at the start, q₀(0); 0.52 for fully developed amplitude speckle.
    pub speckle: f32,
    /// Decibels from black to white.
    pub dynamic_range: f32,
}

/// A larger number of steps is taken as this.
const MAX_ITERATIONS: u32 = 1000;

impl Default for Srad {
    fn default() -> Self {
        Self { iterations: 10, step: 0.5, speckle: 0.52, dynamic_range: 60.0 }
    }
}

impl Srad {
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
        assert_eq!(dst.len(), w * h, "pixels of a {size} picture");
        if w * h == 0 {
            return;
        }
        if self.iterations == 0 {
            dst.copy_from_slice(src);
            return;
        }
        // Nepers from black to white; held to what single precision can raise to the second power.
        let range = (self.dynamic_range.clamp(1.0, 120.0) / 20.0) * std::f32::consts::LN_10;
        let step = self.step.clamp(0.0, 1.0);
        let amplitude: [f32; 256] = std::array::from_fn(|g| ((g as f32 / 255.0 - 1.0) * range).exp());
        let [current, next, flow] = scratch.planes(w * h);
        current.iter_mut().zip(src).for_each(|(a, &g)| *a = amplitude[g as usize]);
        let (mut current, mut next) = (current, next);
        for iteration in 0..self.iterations.min(MAX_ITERATIONS) {
            // Below this the picture is even to the last grey level, and q₀⁴ would vanish.
            let q0 = (self.speckle.abs() * (-(iteration as f32) * step / 6.0).exp()).max(1e-3);
            each_row(pool, w, flow, &|y, row| {
                let [up, here, down] = three(current, w, h, y);
                around(w, |left, x, right| {
                    row[x] = coefficient(here[x], [up[x], down[x], here[left], here[right]], q0 * q0);
                });
            });
            let (from, flow) = (&*current, &*flow);
            each_row(pool, w, next, &|y, row| {
                let [up, here, down] = three(from, w, h, y);
                let [_, own, below] = three(flow, w, h, y);
                around(w, |left, x, right| {
                    let divergence = below[x] * (down[x] - here[x])
                        + own[x] * (up[x] - here[x])
                        + own[right] * (here[right] - here[x])
                        + own[x] * (here[left] - here[x]);
                    row[x] = here[x] + 0.25 * step * divergence;
                });
            });
            std::mem::swap(&mut current, &mut next);
        }
        let result = &*current;
        rows(pool, size, src, dst, &|y, dst| {
            for (out, &a) in dst.iter_mut().zip(&result[y * w..]) {
                // The cast holds the value to 0..=255.
                *out = (255.0 * (a.max(f32::MIN_POSITIVE).ln() / range + 1.0)).round() as u8;
            }
        });
    }
}

/// Equations 33 and 35 at one pixel with its four neighbours.
fn coefficient(a: f32, neighbours: [f32; 4], q0_squared: f32) -> f32 {
    let d = neighbours.map(|n| (n - a) / a);
    let gradient = d.iter().map(|d| d * d).sum::<f32>();
    let laplacian = d.iter().sum::<f32>();
    let below = 1.0 + 0.25 * laplacian;
    let q = (0.5 * gradient - laplacian * laplacian / 16.0) / (below * below);
    let c = 1.0 / (1.0 + (q - q0_squared) / (q0_squared * (1.0 + q0_squared)));
    // Below q₀ the denominator may pass through zero: that is an even region, where all flows.
    if q <= q0_squared { 1.0 } else { c.clamp(0.0, 1.0) }
}

/// The rows above, at and below `y`; beyond the border the nearest.
fn three(plane: &[f32], w: usize, h: usize, y: usize) -> [&[f32]; 3] {
    [y.saturating_sub(1), y, (y + 1).min(h - 1)].map(|y| &plane[y * w..][..w])
}

/// Calls `pixel(left, x, right)` along a row; beyond the border the nearest.
fn around(w: usize, mut pixel: impl FnMut(usize, usize, usize)) {
    pixel(0, 0, 1.min(w - 1));
    for x in 1..w.saturating_sub(1) {
        pixel(x - 1, x, x + 1);
    }
    if w > 1 {
        pixel(w - 2, w - 1, w - 1);
    }
}

/// Calls `row(y, row)` for every row of a plane.
fn each_row(pool: &Pool, w: usize, plane: &mut [f32], row: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let rows = plane.len() / w;
    let plane = SharedMut::new(plane);
    pool.run(rows, &|y| {
        // SAFETY: one row a task.
        row(y, unsafe { plane.slice(y * w, w) });
    });
}
