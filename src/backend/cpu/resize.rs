//! Pictures brought to another size.
//!
//! Half-pixel centres: pixel x of the output lies at (x + ½) · from / to − ½ of the input.

use super::pool::{Pool, SharedMut};
use crate::geometry::Size;

/// Rows of one task.
const BAND: usize = 8;

/// How pixels between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Between the two nearest pixels on each axis, at any scale: OpenCV's `INTER_LINEAR` on floats, within 0.01 of 255.
    Bilinear,
    /// A triangle that widens with the reduction, so that no pixel is left out: Pillow's `BILINEAR` on floats, within
    /// 0.01 of 255. Where it enlarges it is `Bilinear`.
    Area,
    /// The nearest pixel.
    Nearest,
}

/// A resize of pictures of one size to another, with its tables.
#[derive(Clone, Debug)]
pub struct Resampler {
    from: Size,
    to: Size,
    down: Axis,
    across: Axis,
}

/// The pixels and weights of every position of one axis; each has `taps` of them, unused ones with weight 0.
#[derive(Clone, Debug)]
pub(in crate::backend) struct Axis {
    pub taps: usize,
    pub first: Vec<usize>,
    pub weights: Vec<f32>,
}

impl Axis {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let spans: Vec<(usize, Vec<f32>)> = (0..to).map(|i| span(from, to, filter, i)).collect();
        let taps = spans.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let (mut first, mut weights) = (Vec::with_capacity(to), vec![0.0; to * taps]);
        for ((start, span), weights) in spans.into_iter().zip(weights.chunks_exact_mut(taps.max(1))) {
            // Moved to the left where it would reach beyond the end.
            let moved = start.min(from - taps);
            weights[start - moved..][..span.len()].copy_from_slice(&span);
            first.push(moved);
        }
        Self { taps, first, weights }
    }
}

/// The first pixel and the weights of position `i`.
///
/// # References
/// Pillow, `src/libImaging/Resample.c`, `precompute_coeffs`, for the triangle.
fn span(from: usize, to: usize, filter: Filter, i: usize) -> (usize, Vec<f32>) {
    let scale = from as f64 / to as f64;
    let centre = (i as f64 + 0.5) * scale;
    match filter {
        Filter::Nearest => ((centre as usize).min(from - 1), vec![1.0]),
        Filter::Area if scale > 1.0 => {
            let start = (centre - scale + 0.5).max(0.0) as usize;
            let end = ((centre + scale + 0.5) as usize).min(from);
            let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - centre) / scale).abs()).max(0.0);
            let sum: f64 = (start..end).map(weight).sum();
            (start, (start..end).map(|x| (weight(x) / sum) as f32).collect())
        }
        Filter::Bilinear | Filter::Area => {
            let position = (centre - 0.5).clamp(0.0, (from - 1) as f64);
            let first = position as usize;
            let weight = (position - first as f64) as f32;
            if first + 1 < from { (first, vec![1.0 - weight, weight]) } else { (first, vec![1.0]) }
        }
    }
}

impl Resampler {
    /// Prepares the tables; where one of the sizes has no pixels the result is black.
    pub fn new(from: Size, to: Size, filter: Filter) -> Self {
        let [down, across] = [(from.height, to.height), (from.width, to.width)].map(|(from_pixels, to_pixels)| {
            let to_pixels = if from.area() == 0 { 0 } else { to_pixels as usize };
            Axis::new(from_pixels as usize, to_pixels, filter)
        });
        Self { from, to, down, across }
    }

    /// The size of what it takes.
    pub fn from(&self) -> Size {
        self.from
    }

    /// The size of what it makes.
    pub fn to(&self) -> Size {
        self.to
    }

    /// Its tables, down and across.
    pub(in crate::backend) fn axes(&self) -> [&Axis; 2] {
        [&self.down, &self.across]
    }

    /// Resizes grey bytes to floats of the same scale, 0 to 255.
    ///
    /// # Shapes
    /// `src` rows `stride` bytes apart, so that a part of a larger picture can be taken; `out` height × width.
    ///
    /// # Panics
    /// When the rows overlap or do not lie in `src`, or `out` has another length.
    pub fn resize_u8_to_f32(&self, pool: &Pool, src: &[u8], stride: usize, out: &mut [f32]) {
        self.run(pool, src, stride, out);
    }

    /// Resizes floats.
    ///
    /// # Shapes
    /// `src` and `out` height × width of their sizes.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn resize_f32(&self, pool: &Pool, src: &[f32], out: &mut [f32]) {
        assert_eq!(src.len(), self.from.area(), "pixels of a {} picture", self.from);
        self.run(pool, src, self.from.width as usize, out);
    }

    fn run<T: Copy + Into<f32> + Sync>(&self, pool: &Pool, src: &[T], stride: usize, out: &mut [f32]) {
        let (width, height) = (self.to.width as usize, self.to.height as usize);
        assert_eq!(out.len(), self.to.area(), "pixels of a {} picture", self.to);
        if self.from.area() == 0 || self.to.area() == 0 {
            out.fill(0.0);
            return;
        }
        let from_width = self.from.width as usize;
        assert!(stride >= from_width, "rows of a {} picture, {stride} pixels apart, do not overlap", self.from);
        let needed = (self.from.height as usize - 1).saturating_mul(stride).saturating_add(from_width);
        assert!(src.len() >= needed, "{needed} pixels of a {} picture", self.from);
        let out = SharedMut::new(out);
        pool.run(height.div_ceil(BAND), &|band| {
            for y in band * BAND..(band * BAND + BAND).min(height) {
                // SAFETY: a row belongs to one band.
                let out = unsafe { out.slice(y * width, width) };
                let rows = &src[self.down.first[y] * stride..];
                let weights = &self.down.weights[y * self.down.taps..][..self.down.taps];
                match (self.down.taps, self.across.taps) {
                    (2, 2) => self.bilinear(rows, &rows[stride..], weights, out),
                    _ => self.general(rows, stride, weights, out),
                }
            }
        });
    }

    /// One row of the output from two of the input.
    fn bilinear<T: Copy + Into<f32>>(&self, upper: &[T], lower: &[T], down: &[f32], out: &mut [f32]) {
        for ((out, &x), w) in out.iter_mut().zip(&self.across.first).zip(self.across.weights.chunks_exact(2)) {
            let (upper, lower) = (&upper[x..x + 2], &lower[x..x + 2]);
            let a = upper[0].into() * w[0] + upper[1].into() * w[1];
            let b = lower[0].into() * w[0] + lower[1].into() * w[1];
            *out = a * down[0] + b * down[1];
        }
    }

    /// One row of the output from as many rows as there are weights.
    fn general<T: Copy + Into<f32>>(&self, rows: &[T], stride: usize, down: &[f32], out: &mut [f32]) {
        let taps = self.across.taps;
        for ((out, &x), across) in out.iter_mut().zip(&self.across.first).zip(self.across.weights.chunks_exact(taps)) {
            let mut sum = 0.0;
            for (i, down) in down.iter().enumerate() {
                let pixels = &rows[i * stride + x..][..taps];
                sum += down * pixels.iter().zip(across).map(|(&p, w)| p.into() * w).sum::<f32>();
            }
            *out = sum;
        }
    }
}
