//! The picture brought to the size at which it is shown.

use super::canvas::{Canvas, rgb};
use crate::frame::Frame;
use crate::geometry::{Rect, Size};

/// Bits after the point of a weight.
const BITS: u32 = 14;

/// For every output pixel the first input pixel and the weights from there on.
#[derive(Default)]
struct Axis {
    taps: usize,
    first: Vec<u32>,
    weights: Vec<i32>,
}

impl Axis {
    /// A triangle as wide as one pixel of the coarser of both grids, half-pixel centres: bilinear when it grows, averaged
    /// when it shrinks.
    fn prepare(&mut self, from: usize, to: usize) {
        let ratio = from as f64 / to as f64;
        let reach = ratio.max(1.0);
        self.taps = ((reach * 2.0).ceil() as usize).min(from);
        self.first.clear();
        self.weights.clear();
        self.weights.resize(to * self.taps, 0);
        for (o, weights) in self.weights.chunks_exact_mut(self.taps).enumerate() {
            let centre = (o as f64 + 0.5) * ratio - 0.5;
            let first = ((centre - reach).floor() + 1.0).max(0.0) as usize;
            let first = first.min(from - self.taps);
            let at = |i: usize| (1.0 - ((first + i) as f64 - centre).abs() / reach).max(0.0);
            let sum: f64 = (0..self.taps).map(at).sum();
            // At the border the centre may lie outside of the picture: all weight is on the nearest pixel.
            let mut rest = 1 << BITS;
            let mut heaviest = 0;
            for i in 0..self.taps {
                weights[i] = if sum > 0.0 { (at(i) / sum * f64::from(1 << BITS)).round() as i32 } else { 0 };
                rest -= weights[i];
                if weights[i] > weights[heaviest] {
                    heaviest = i;
                }
            }
            weights[heaviest] += rest;
            self.first.push(first as u32);
        }
    }
}

/// Resamples frames of one size to one size; tables are made anew when either changes.
///
/// # References
/// The separable triangle filter of Pillow's `Image.resize(…, BILINEAR)`.
#[derive(Default)]
pub struct Scaler {
    sizes: Option<(Size, Size)>,
    across: Axis,
    down: Axis,
    rows: Vec<u8>,
    sums: Vec<i32>,
    plain: Vec<u8>,
}

impl Scaler {
    /// Draws `frame` into `area` of `canvas`.
    ///
    /// # Panics
    /// When `area` does not lie inside the canvas or the frame has no pixel.
    pub fn draw(&mut self, frame: &Frame, canvas: &mut Canvas, area: Rect) {
        assert!(area.fits(canvas.size) && frame.size.area() > 0, "a {} frame in {area} of {}", frame.size, canvas.size);
        let (w, h) = (frame.size.width as usize, frame.size.height as usize);
        let (ow, oh) = (area.width as usize, area.height as usize);
        if self.sizes != Some((frame.size, area.size())) {
            self.across.prepare(w, ow);
            self.down.prepare(h, oh);
            self.sizes = Some((frame.size, area.size()));
        }
        let (pixels, channels) = frame.plain(&mut self.plain);
        self.rows.resize(h * ow * channels, 0);
        for (row, out) in pixels.chunks_exact(w * channels).zip(self.rows.chunks_exact_mut(ow * channels)) {
            match channels {
                1 => across::<1>(&self.across, row, out),
                _ => across::<3>(&self.across, row, out),
            }
        }
        let n = ow * channels;
        self.sums.resize(n, 0);
        for y in 0..oh {
            self.sums.fill(1 << (BITS - 1));
            let weights = &self.down.weights[y * self.down.taps..][..self.down.taps];
            for (row, &weight) in self.rows[self.down.first[y] as usize * n..].chunks_exact(n).zip(weights) {
                if weight != 0 {
                    for (s, &v) in self.sums.iter_mut().zip(row) {
                        *s += weight * i32::from(v);
                    }
                }
            }
            let start = (area.y as usize + y) * canvas.size.width as usize + area.x as usize;
            let out = &mut canvas.pixels[start..start + ow];
            let level = |s: i32| (s >> BITS) as u8;
            if channels == 1 {
                for (o, &s) in out.iter_mut().zip(&self.sums) {
                    *o = u32::from(level(s)) * 0x0001_0101;
                }
            } else {
                for (o, s) in out.iter_mut().zip(self.sums.chunks_exact(3)) {
                    *o = rgb(level(s[0]), level(s[1]), level(s[2]));
                }
            }
        }
    }
}

fn across<const C: usize>(axis: &Axis, row: &[u8], out: &mut [u8]) {
    let weights = axis.weights.chunks_exact(axis.taps);
    for ((o, &first), weights) in out.chunks_exact_mut(C).zip(&axis.first).zip(weights) {
        let mut sums = [1i32 << (BITS - 1); C];
        for (p, &weight) in row[first as usize * C..].chunks_exact(C).zip(weights) {
            for (s, &v) in sums.iter_mut().zip(p) {
                *s += weight * i32::from(v);
            }
        }
        for (o, s) in o.iter_mut().zip(sums) {
            *o = (s >> BITS) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    fn scaled(from: Size, format: PixelFormat, pixels: Vec<u8>, to: Size) -> Canvas {
        let mut canvas = Canvas::new(to, 0);
        Scaler::default().draw(&Frame::new(0, from, format, pixels), &mut canvas, to.full());
        canvas
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let pixels: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let size = Size::new(7, 5);
        assert_eq!(scaled(size, PixelFormat::Rgb8, pixels.clone(), size).to_rgb(), pixels);
    }

    #[test]
    fn growing_is_bilinear_with_half_pixel_centres_and_shrinking_averages() {
        let c = scaled(Size::new(2, 1), PixelFormat::Gray8, vec![0, 200], Size::new(4, 1));
        assert_eq!(c.pixels.iter().map(|p| p & 255).collect::<Vec<_>>(), [0, 50, 150, 200]);
        let c = scaled(Size::new(100, 100), PixelFormat::Gray8, [0, 255].repeat(5000), Size::new(10, 10));
        assert!(c.pixels.iter().all(|p| (120..=135).contains(&(p & 255))), "{:?}", c.pixels);
        scaled(Size::new(1, 1), PixelFormat::Gray8, vec![9], Size::new(5, 3));
        scaled(Size::new(5, 3), PixelFormat::Gray8, vec![9; 15], Size::new(1, 1));
    }
}
