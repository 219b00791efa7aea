//! The median of a square window: takes single bright or dark pixels away and keeps edges.

use super::despeckle::Scratch;
use super::pool::Pool;
use crate::geometry::Size;

/// Median filter; outside the picture the nearest pixel counts.
///
/// # References
/// Huang, Yang, Tang, "A fast two-dimensional median filtering algorithm", IEEE TASSP 27(1), 1979. Equal to OpenCV's
/// `medianBlur`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Median {
    /// Pixels on each side of the middle one; 0 copies.
    pub radius: u32,
}

impl Median {
    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], _scratch: &mut Scratch) {
        super::despeckle::rows(pool, size, src, dst, &|y, dst| match self.radius {
            0 => dst.copy_from_slice(&src[y * dst.len()..][..dst.len()]),
            1 => nine(src, size, y, dst),
            radius => histogram(src, size, radius.min(super::despeckle::MAX_RADIUS) as isize, y, dst),
        });
    }
}

/// Pixels of a row that are sorted together.
const CHUNK: usize = 64;

/// The least of three.
#[inline(always)]
fn low(a: u8, b: u8, c: u8) -> u8 {
    a.min(b).min(c)
}

/// The greatest of three.
#[inline(always)]
fn high(a: u8, b: u8, c: u8) -> u8 {
    a.max(b).max(c)
}

/// The median of three.
#[inline(always)]
fn middle(a: u8, b: u8, c: u8) -> u8 {
    a.min(b).max(a.max(b).min(c))
}

/// One row with radius 1: columns of three are sorted, then the median of nine is the median of the largest of the
/// smallest, the middle one of the middle ones, and the smallest of the largest.
///
/// # References
/// Smith, "Implementing median filters in XC4000E FPGAs", Xcell 23, 1996.
fn nine(src: &[u8], size: Size, y: usize, dst: &mut [u8]) {
    let (w, h) = (size.width as usize, size.height as usize);
    let row = |y: usize| &src[y * w..][..w];
    let (a, b, c) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(h - 1)));
    // Away from the border without a look at it, so that this becomes vector instructions.
    for start in (0..w.saturating_sub(2)).step_by(CHUNK) {
        // Through a buffer of its own, which the compiler can prove not to overlap the rows.
        let (mut out, n) = ([0u8; CHUNK], CHUNK.min(w - 2 - start));
        let [[a0, a1, a2], [b0, b1, b2], [c0, c1, c2]] = [a, b, c].map(|row| [0, 1, 2].map(|x| &row[start + x..][..n]));
        for x in 0..n {
            out[x] = columns([a0[x], a1[x], a2[x]], [b0[x], b1[x], b2[x]], [c0[x], c1[x], c2[x]]);
        }
        dst[start + 1..][..n].copy_from_slice(&out[..n]);
    }
    for x in [0, w - 1] {
        let three = |row: &[u8]| [row[x.saturating_sub(1)], row[x], row[(x + 1).min(w - 1)]];
        dst[x] = columns(three(a), three(b), three(c));
    }
}

/// The median of three columns' nine values, given as three rows.
#[inline(always)]
fn columns(a: [u8; 3], b: [u8; 3], c: [u8; 3]) -> u8 {
    let (low0, low1, low2) = (low(a[0], b[0], c[0]), low(a[1], b[1], c[1]), low(a[2], b[2], c[2]));
    let (high0, high1, high2) = (high(a[0], b[0], c[0]), high(a[1], b[1], c[1]), high(a[2], b[2], c[2]));
    let middles = middle(middle(a[0], b[0], c[0]), middle(a[1], b[1], c[1]), middle(a[2], b[2], c[2]));
    middle(high(low0, low1, low2), middles, low(high0, high1, high2))
}

/// One row with any radius: a histogram that loses a column and gains one at every step.
fn histogram(src: &[u8], size: Size, radius: isize, y: usize, dst: &mut [u8]) {
    let (w, h) = (size.width as isize, size.height as isize);
    let mut counts = [0u32; 256];
    // Pixels below the current median, kept up to date so that the search moves a little at each step only.
    let (mut median, mut below) = (0usize, 0u32);
    let half = ((2 * radius + 1) * (2 * radius + 1) / 2) as u32;
    let column = |x: isize| {
        let x = x.clamp(0, w - 1);
        (y as isize - radius..=y as isize + radius).map(move |y| src[(y.clamp(0, h - 1) * w + x) as usize])
    };
    for x in -radius..=radius {
        column(x).for_each(|v| counts[v as usize] += 1);
    }
    for x in 0..w {
        if x > 0 {
            for v in column(x - radius - 1) {
                counts[v as usize] -= 1;
                below -= u32::from((v as usize) < median);
            }
            for v in column(x + radius) {
                counts[v as usize] += 1;
                below += u32::from((v as usize) < median);
            }
        }
        while below > half {
            median -= 1;
            below -= counts[median];
        }
        while below + counts[median] <= half {
            below += counts[median];
            median += 1;
        }
        dst[x as usize] = median as u8;
    }
}
