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

/// The median of three.
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
    let columns = |a: [u8; 3], b: [u8; 3], c: [u8; 3]| {
        let [l, m, r] = [0, 1, 2].map(|i| {
            let (low, high) = (a[i].min(b[i]), a[i].max(b[i]));
            (low.min(c[i]), low.max(high.min(c[i])), high.max(c[i]))
        });
        middle(l.0.max(m.0).max(r.0), middle(l.1, m.1, r.1), l.2.min(m.2).min(r.2))
    };
    // Away from the border without a look at it, so that this becomes vector instructions.
    for (i, out) in dst.iter_mut().skip(1).take(w.saturating_sub(2)).enumerate() {
        let three = |row: &[u8]| [row[i], row[i + 1], row[i + 2]];
        *out = columns(three(a), three(b), three(c));
    }
    for x in [0, w - 1] {
        let three = |row: &[u8]| [row[x.saturating_sub(1)], row[x], row[(x + 1).min(w - 1)]];
        dst[x] = columns(three(a), three(b), three(c));
    }
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
