//! Thin lines where the grey level changes most, as an aid to the eye.

use super::despeckle::{Scratch, grown, rows};
use super::pool::{Pool, SharedMut};
use crate::geometry::Size;

/// Canny's edge detector: 255 on an edge, 0 elsewhere.
///
/// Sobel gradients, maxima across the edge kept, then everything above `low` that hangs together with something above
/// `high`.
///
/// # Units
/// Both thresholds are lengths of the gradient (Sobel, not divided by 8): a step of one grey level has length 4.
///
/// # References
/// Canny, "A computational approach to edge detection", IEEE TPAMI 8(6), 1986. Equal to OpenCV's `Canny` with
/// `L2gradient`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canny {
    /// An edge goes on while the gradient is above this.
    pub low: f32,
    /// An edge begins above this.
    pub high: f32,
}

impl Default for Canny {
    /// Fits a picture that was despeckled first.
    fn default() -> Self {
        Self { low: 60.0, high: 150.0 }
    }
}

/// tan 22.5° with 15 bits after the point.
const TAN_22: i32 = 13573;
/// May become an edge.
const WEAK: u8 = 1;
/// Is an edge.
const EDGE: u8 = 255;

impl Canny {
    /// Finds the edges of one picture.
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
        let [dx, dy, magnitude] = scratch.gradients.each_mut().map(|plane| grown(plane, w * h));
        {
            let [dx, dy, magnitude] = [&mut *dx, &mut *dy, &mut *magnitude].map(SharedMut::new);
            pool.run(h, &|y| {
                // SAFETY: one row a task, of each plane.
                let [dx, dy, magnitude] = [&dx, &dy, &magnitude].map(|plane| unsafe { plane.slice(y * w, w) });
                let [a, b, c] = [y.saturating_sub(1), y, (y + 1).min(h - 1)].map(|y| &src[y * w..][..w]);
                for x in 0..w {
                    let (l, r) = (x.saturating_sub(1), (x + 1).min(w - 1));
                    let at = |row: &[u8], x: usize| i32::from(row[x]);
                    let column = |x: usize| at(a, x) + 2 * at(b, x) + at(c, x);
                    let row = |row: &[u8]| at(row, l) + 2 * at(row, x) + at(row, r);
                    (dx[x], dy[x]) = (column(r) - column(l), row(c) - row(a));
                    magnitude[x] = dx[x] * dx[x] + dy[x] * dy[x];
                }
            });
        }
        let (dx, dy, magnitude) = (&*dx, &*dy, &*magnitude);
        // Squared, as the magnitudes are; the cast holds nonsense to what an integer can be.
        let [low, high] = [self.low, self.high].map(|t| (t.max(0.0) * t.max(0.0)) as i32);
        // Outside the picture there is no gradient.
        let at = |y: usize, x: usize| if y < h && x < w { magnitude[y * w + x] } else { 0 };
        rows(pool, size, src, dst, &|y, dst| {
            for (x, out) in dst.iter_mut().enumerate() {
                let m = magnitude[y * w + x];
                *out = 0;
                if m <= low {
                    continue;
                }
                let (gx, gy) = (dx[y * w + x], dy[y * w + x]);
                let (flat, steep) = (gx.abs() * TAN_22, gy.abs() << 15);
                // Neighbours across the edge; a coordinate before the first wraps and is outside.
                let (up, left) = (y.wrapping_sub(1), x.wrapping_sub(1));
                let largest = if steep < flat {
                    m > at(y, left) && m >= at(y, x + 1)
                } else if steep > flat + (gx.abs() << 16) {
                    m > at(up, x) && m >= at(y + 1, x)
                } else if (gx ^ gy) < 0 {
                    m > at(up, x + 1) && m > at(y + 1, left)
                } else {
                    m > at(up, left) && m > at(y + 1, x + 1)
                };
                if largest {
                    *out = if m > high { EDGE } else { WEAK };
                }
            }
        });
        connect(w, h, dst, &mut scratch.stack);
    }
}

/// Makes every weak pixel an edge that touches one, and the others nothing.
fn connect(w: usize, h: usize, dst: &mut [u8], stack: &mut Vec<usize>) {
    stack.clear();
    // Every pixel enters once at most, so that the stack never grows afterwards.
    stack.reserve(w * h);
    stack.extend((0..dst.len()).filter(|&i| dst[i] == EDGE));
    while let Some(i) = stack.pop() {
        let (x, y) = (i % w, i / w);
        for v in y.saturating_sub(1)..=(y + 1).min(h - 1) {
            for u in x.saturating_sub(1)..=(x + 1).min(w - 1) {
                if dst[v * w + u] == WEAK {
                    dst[v * w + u] = EDGE;
                    stack.push(v * w + u);
                }
            }
        }
    }
    dst.iter_mut().filter(|p| **p == WEAK).for_each(|p| *p = 0);
}
