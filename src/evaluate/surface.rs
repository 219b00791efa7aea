//! How far the outlines of two masks lie apart.
//!
//! The surface of a region is its pixels that touch, by a side, a pixel that is not in it, or the border of the picture; the
//! distance of two pixels is that of their centres. MONAI counts so (`compute_hausdorff_distance` with `percentile=95`,
//! `compute_average_surface_distance` with `symmetric=True`), and SimpleITK's `LabelContour` on a picture with a rim of one
//! empty pixel.

use crate::mask::Mask;

/// Distances between two surfaces, in the unit of the step between pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances {
    /// The greater of the two 95th percentiles: from the mask to the truth, and from the truth to the mask.
    pub hd95: f64,
    /// Mean distance of all pixels of both surfaces to the other surface.
    pub mean: f64,
}

/// Measures surfaces; its buffers are kept from mask to mask.
#[derive(Default)]
pub struct Surfaces {
    edges: [Vec<[usize; 2]>; 2],
    /// Squared distance to the nearest pixel of a surface, in the part of the picture that holds both.
    squares: Vec<f64>,
    envelope: Envelope,
    apart: Vec<f64>,
}

/// Columns and rows of a picture: the first, and the one after the last.
type Part = [usize; 4];

impl Surfaces {
    /// Distances between class `class` of `mask` and class `other` of `truth`, whose pixels are `step` (across, down) from
    /// each other; nothing where one of the two has no pixel.
    ///
    /// # References
    /// 95 % of the Hausdorff distance: Huttenlocher, Klanderman & Rucklidge, "Comparing images using the Hausdorff distance",
    /// PAMI 15, 1993; the symmetric mean: Heimann et al., "Comparison and evaluation of methods for liver segmentation from
    /// CT datasets", IEEE TMI 28, 2009.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn between(
        &mut self,
        (mask, class): (&Mask, u8),
        (truth, other): (&Mask, u8),
        step: [f64; 2],
    ) -> Option<Distances> {
        assert_eq!(mask.size, truth.size, "masks to compare");
        let parts = [edges(mask, class, &mut self.edges[0])?, edges(truth, other, &mut self.edges[1])?];
        let part =
            [0, 1, 2, 3].map(|i| if i < 2 { parts[0][i].min(parts[1][i]) } else { parts[0][i].max(parts[1][i]) });
        let (mut hd95, mut sum, mut count) = (0.0f64, 0.0, 0);
        for (from, to) in [(0, 1), (1, 0)] {
            self.transform(to, part, step);
            let width = part[2] - part[0];
            let square = |&[x, y]: &[usize; 2]| self.squares[(y - part[1]) * width + x - part[0]];
            self.apart.clear();
            self.apart.extend(self.edges[from].iter().map(|p| square(p).sqrt()));
            sum += self.apart.iter().sum::<f64>();
            count += self.apart.len();
            hd95 = hd95.max(percentile(&mut self.apart, 0.95));
        }
        Some(Distances { hd95, mean: sum / count as f64 })
    }

    /// Fills `squares` with the squared distance of every pixel of `part` to the nearest of `edges[of]`.
    ///
    /// # References
    /// Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012: exact, one
    /// dimension after the other; down the columns, where all are 0 or far, two passes do.
    fn transform(&mut self, of: usize, [x0, y0, x1, y1]: Part, [across, down]: [f64; 2]) {
        let width = x1 - x0;
        self.squares.clear();
        self.squares.resize(width * (y1 - y0), f64::INFINITY);
        for [x, y] in &self.edges[of] {
            self.squares[(y - y0) * width + x - x0] = 0.0;
        }
        // Rows that an edge is away, first from above and then from below.
        for i in width..self.squares.len() {
            self.squares[i] = self.squares[i].min(self.squares[i - width] + 1.0);
        }
        for i in (0..self.squares.len() - width).rev() {
            self.squares[i] = self.squares[i].min(self.squares[i + width] + 1.0);
        }
        for row in self.squares.chunks_exact_mut(width) {
            row.iter_mut().for_each(|rows| *rows = (*rows * down).powi(2));
            self.envelope.lower(row, across);
        }
    }
}

/// The pixels of the surface of a class, and the part of the picture that holds them; nothing where there are none.
fn edges(mask: &Mask, class: u8, out: &mut Vec<[usize; 2]>) -> Option<Part> {
    let (width, height) = (mask.size.width as usize, mask.size.height as usize);
    let labels = &mask.labels;
    out.clear();
    let mut part = [usize::MAX, usize::MAX, 0, 0];
    for (y, row) in labels.chunks_exact(width.max(1)).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, l)| **l == class) {
            let i = y * width + x;
            let within = x > 0 && y > 0 && x + 1 < width && y + 1 < height;
            let inner = within && [i - 1, i + 1, i - width, i + width].iter().all(|&n| labels[n] == class);
            if !inner {
                out.push([x, y]);
                part = [part[0].min(x), part[1].min(y), part[2].max(x + 1), part[3].max(y + 1)];
            }
        }
    }
    (!out.is_empty()).then_some(part)
}

/// Parabolas that are lowest somewhere, from left to right.
#[derive(Default)]
struct Envelope {
    /// Where each has its vertex, and the value there.
    parabolas: Vec<[f64; 2]>,
    /// From where on each is the lowest.
    starts: Vec<f64>,
}

impl Envelope {
    /// Replaces every f(q) by the least of (step (x − q))² + f(q) at its place.
    fn lower(&mut self, row: &mut [f64], step: f64) {
        self.parabolas.clear();
        self.starts.clear();
        for (q, &f) in row.iter().enumerate().filter(|(_, f)| f.is_finite()) {
            let q = q as f64;
            let start = loop {
                let Some(&[v, g]) = self.parabolas.last() else { break f64::NEG_INFINITY };
                let meet = ((f - g) / (step * step) + q * q - v * v) / (2.0 * (q - v));
                if self.starts.last().is_some_and(|&s| meet > s) {
                    break meet;
                }
                self.parabolas.pop();
                self.starts.pop();
            };
            self.parabolas.push([q, f]);
            self.starts.push(start);
        }
        let mut k = 0;
        for (x, value) in row.iter_mut().enumerate() {
            let x = x as f64;
            while self.starts.get(k + 1).is_some_and(|&s| s <= x) {
                k += 1;
            }
            if let Some([q, f]) = self.parabolas.get(k) {
                *value = (step * (x - q)).powi(2) + f;
            }
        }
    }
}

/// The value below which the part `q` of them lies, between neighbours linearly; sorts `values`.
///
/// # References
/// Hyndman & Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996, definition 7, which is that
/// of NumPy and PyTorch.
///
/// # Panics
/// When there is no value.
pub fn percentile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = q * (values.len() - 1) as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    fn mask(rows: &[&str]) -> Mask {
        let labels = rows.iter().flat_map(|r| r.bytes().map(|b| u8::from(b == b'1'))).collect();
        Mask { size: Size::new(rows[0].len() as u32, rows.len() as u32), labels }
    }

    #[test]
    fn single_pixels_are_as_far_apart_as_their_centres() {
        let (a, b) = (mask(&["1...", "....", "...."]), mask(&["....", "....", "...1"]));
        let mut surfaces = Surfaces::default();
        let far = surfaces.between((&a, 1), (&b, 1), [1.0, 1.0]).unwrap();
        assert_eq!((far.hd95, far.mean), (13f64.sqrt(), 13f64.sqrt()));
        let far = surfaces.between((&a, 1), (&b, 1), [0.1, 0.3]).unwrap();
        assert!((far.hd95 - (0.09f64 + 0.36).sqrt()).abs() < 1e-12);
        assert_eq!(surfaces.between((&a, 1), (&a, 1), [1.0, 1.0]).unwrap(), Distances { hd95: 0.0, mean: 0.0 });
        assert_eq!(surfaces.between((&a, 1), (&b, 2), [1.0, 1.0]), None);
        assert_eq!(surfaces.between((&a, 2), (&b, 1), [1.0, 1.0]), None);
    }

    #[test]
    fn the_border_of_the_picture_is_a_surface_and_the_inside_is_not() {
        let mut out = Vec::new();
        let full = mask(&["111", "111", "111"]);
        assert_eq!(edges(&full, 1, &mut out), Some([0, 0, 3, 3]));
        assert_eq!(out.len(), 8);
        assert_eq!(edges(&full, 2, &mut out), None);
    }

    #[test]
    fn between_two_values_a_percentile_is_linear() {
        assert_eq!(percentile(&mut [3.0], 0.95), 3.0);
        assert!((percentile(&mut [2.0, 1.0, 4.0], 0.75) - 3.0).abs() < 1e-12);
    }
}
