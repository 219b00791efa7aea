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
    /// Nepers from black to white; held to what single precision can raise to the second power.
    pub(in crate::backend) fn range(&self) -> f32 {
        (self.dynamic_range.clamp(1.0, 120.0) / 20.0) * std::f32::consts::LN_10
    }

    /// The length of a step that is taken.
    pub(in crate::backend) fn held_step(&self) -> f32 {
        self.step.clamp(0.0, 1.0)
    }

    /// The number of steps that are taken.
    pub(in crate::backend) fn held_iterations(&self) -> u32 {
        self.iterations.min(MAX_ITERATIONS)
    }

    /// q₀² of an iteration.
    pub(in crate::backend) fn q2(&self, iteration: u32) -> f32 {
        // Below this the picture is even to the last grey level, and q₀⁴ would vanish.
        let q0 = (self.speckle.abs() * (-(iteration as f32) * self.held_step() / 6.0).exp()).max(1e-3);
        q0 * q0
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
        assert_eq!(dst.len(), w * h, "pixels of a {size} picture");
        if w * h == 0 {
            return;
        }
        if self.iterations == 0 {
            dst.copy_from_slice(src);
            return;
        }
        let (range, step) = (self.range(), self.held_step());
        let amplitude: [f32; 256] = std::array::from_fn(|g| ((g as f32 / 255.0 - 1.0) * range).exp());
        let [current, next, flow] = scratch.planes(w * h);
        current.iter_mut().zip(src).for_each(|(a, &g)| *a = amplitude[g as usize]);
        let (mut current, mut next) = (current, next);
        for iteration in 0..self.held_iterations() {
            let q2 = self.q2(iteration);
            each_row(pool, w, flow, &|y, row| {
                let around = three(current, w, h, y);
                each_pixel(row, around, around, |a, near, _| coefficient(a, near, q2));
            });
            let (from, flow) = (&*current, &*flow);
            each_row(pool, w, next, &|y, row| {
                each_pixel(row, three(from, w, h, y), three(flow, w, h, y), |a, [up, left, right, down], c| {
                    let ahead = c.down * (down - a) + c.right * (right - a);
                    a + 0.25 * step * (ahead + c.own * ((up - a) + (left - a)))
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
///
/// Both fractions are multiplied through, so that one division is left: with D = (A + ¼ Σd)² and
/// n = ½ Σd² − ¹⁄₁₆ (Σd)², which is never negative, q² = n / D and c = q₀² (1 + q₀²) D / (n + q₀⁴ D).
#[inline(always)]
fn coefficient(a: f32, neighbours: [f32; 4], q2: f32) -> f32 {
    let d = neighbours.map(|n| n - a);
    let (squares, sum) = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + d[3] * d[3], d[0] + d[1] + d[2] + d[3]);
    let numerator = 0.5 * squares - sum * sum * (1.0 / 16.0);
    let denominator = (a + 0.25 * sum) * (a + 0.25 * sum);
    let c = q2 * (1.0 + q2) * denominator / (numerator + q2 * q2 * denominator);
    if c < 1.0 { c } else { 1.0 }
}

/// The coefficients of flow that an update needs.
struct Flow {
    own: f32,
    right: f32,
    down: f32,
}

/// The rows above, at and below `y`; beyond the border the nearest.
fn three(plane: &[f32], w: usize, h: usize, y: usize) -> [&[f32]; 3] {
    [y.saturating_sub(1), y, (y + 1).min(h - 1)].map(|y| &plane[y * w..][..w])
}

/// Fills a row with `value(pixel, [up, left, right, down], flow)`; beyond the border the nearest.
#[inline(always)]
fn each_pixel(
    row: &mut [f32],
    [up, here, down]: [&[f32]; 3],
    [_, own, below]: [&[f32]; 3],
    value: impl Fn(f32, [f32; 4], Flow) -> f32,
) {
    let last = row.len() - 1;
    for x in [0, last] {
        let (left, right) = (x.saturating_sub(1), (x + 1).min(last));
        let flow = Flow { own: own[x], right: own[right], down: below[x] };
        row[x] = value(here[x], [up[x], here[left], here[right], down[x]], flow);
    }
    // Slices of one length, so that the loop becomes vector instructions without a look at the border.
    let inner = last.saturating_sub(1);
    if inner == 0 {
        return;
    }
    let (row, up, down) = (&mut row[1..][..inner], &up[1..][..inner], &down[1..][..inner]);
    let (left, here, right) = (&here[..inner], &here[1..][..inner], &here[2..][..inner]);
    let (own, beside, below) = (&own[1..][..inner], &own[2..][..inner], &below[1..][..inner]);
    for x in 0..inner {
        let flow = Flow { own: own[x], right: beside[x], down: below[x] };
        row[x] = value(here[x], [up[x], left[x], right[x], down[x]], flow);
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
