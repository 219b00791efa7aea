//! The `Resize` of networks along one axis, with every setting that ONNX has.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::rows;
use super::pool::Pool;
use super::resize_tensor::{Coordinates, Rounding};

/// How values between positions are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisFilter {
    /// The value of one neighbour.
    Nearest(Rounding),
    /// Between neighbours, by their distance.
    Linear,
    /// Keys' cubic with this coefficient.
    Cubic(f32),
}

/// Sizes and rules along one axis.
///
/// # References
/// ONNX `Resize`, opset 19; Keys, "Cubic convolution interpolation for digital image processing", 1981.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeAxis {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// Length of the axis in the input.
    pub size: usize,
    /// Length of the axis in the output.
    pub out: usize,
    /// Product of the dimensions after it.
    pub inner: usize,
    /// Factor of the positions.
    pub scale: f32,
    /// How positions are mapped, where `crop` does not.
    pub coordinates: Coordinates,
    /// The part of the axis that is resized, 0 to 1, and the value beyond the input (`tf_crop_and_resize`).
    pub crop: Option<([f32; 2], f32)>,
    /// How values are made.
    pub filter: AxisFilter,
    /// Whether the filter grows with a reduction.
    pub antialias: bool,
    /// Whether positions outside have no weight; else the border counts for them.
    pub exclude_outside: bool,
}

/// What one output position takes: weights of input positions, or the value beyond.
#[derive(Clone, Debug)]
struct Taps {
    list: Vec<(usize, f32)>,
    level: f32,
}

/// A resize with its tables.
#[derive(Clone, Debug)]
pub struct AxisTable {
    shape: ResizeAxis,
    taps: Vec<Taps>,
}

impl ResizeAxis {
    /// Where output position `i` lies in the input; `None` beyond it.
    fn position(&self, i: usize) -> Option<f64> {
        let (x, size, out, scale) = (i as f64, self.size as f64, self.out as f64, f64::from(self.scale));
        if let Some(([start, end], _)) = self.crop {
            let (start, end) = (f64::from(start), f64::from(end));
            let at = if self.out == 1 {
                (start + end) / 2.0 * (size - 1.0)
            } else {
                start * (size - 1.0) + x * (end - start) * (size - 1.0) / (out - 1.0)
            };
            return (at >= 0.0 && at <= size - 1.0).then_some(at);
        }
        Some(match self.coordinates {
            Coordinates::PytorchHalfPixel if self.out == 1 => -0.5,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
            Coordinates::TfHalfPixel => (x + 0.5) / scale,
            Coordinates::HalfPixelSymmetric => size / 2.0 * (1.0 - out / (scale * size)) + (x + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if self.out == 1 => 0.0,
            Coordinates::AlignCorners => x * (size - 1.0) / (out - 1.0),
            Coordinates::Asymmetric => x / scale,
        })
    }

    /// The weight of an input position at `distance`, before they are made to sum to 1.
    fn weight(&self, distance: f64) -> f64 {
        let x = distance.abs();
        match self.filter {
            AxisFilter::Nearest(_) => 0.0,
            AxisFilter::Linear => (1.0 - x).max(0.0),
            AxisFilter::Cubic(a) => {
                let a = f64::from(a);
                if x <= 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
                } else {
                    0.0
                }
            }
        }
    }

    fn taps(&self, i: usize) -> Taps {
        let Some(at) = self.position(i) else {
            return Taps { list: Vec::new(), level: self.crop.map_or(0.0, |c| c.1) };
        };
        let last = self.size as i64 - 1;
        if let AxisFilter::Nearest(rounding) = self.filter {
            let nearest = rounding.of(at as f32) as i64;
            return Taps { list: vec![(nearest.clamp(0, last) as usize, 1.0)], level: 0.0 };
        }
        let squeeze = if self.antialias { f64::from(self.scale).min(1.0) } else { 1.0 };
        let reach = if matches!(self.filter, AxisFilter::Cubic(_)) { 2.0 } else { 1.0 } / squeeze;
        let (first, end) = ((at - reach).floor() as i64, (at + reach).ceil() as i64);
        let mut list: Vec<(usize, f64)> = Vec::new();
        for k in first..=end {
            let weight = self.weight((k as f64 - at) * squeeze);
            if weight == 0.0 || self.exclude_outside && !(0..=last).contains(&k) {
                continue;
            }
            let place = k.clamp(0, last) as usize;
            match list.last_mut() {
                Some((before, sum)) if *before == place => *sum += weight,
                _ => list.push((place, weight)),
            }
        }
        let sum: f64 = list.iter().map(|t| t.1).sum();
        Taps { list: list.into_iter().map(|(k, w)| (k, (w / sum) as f32)).collect(), level: 0.0 }
    }

    /// Whether the sizes make a resize.
    ///
    /// # Errors
    /// When a size is zero, or the scale is not a positive number.
    pub fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.outer, self.size, self.out, self.inner];
        // A filter that reaches further than this reads all of the input for every output.
        if sizes.contains(&0) || !(1e-6..=1e6).contains(&self.scale) {
            return Err(KernelError::shape(
                "resize_axis",
                "sizes of at least 1 and a positive scale",
                format!("{self:?}"),
            ));
        }
        Ok(())
    }
}

impl AxisTable {
    /// Prepares the tables.
    ///
    /// # Errors
    /// As [`ResizeAxis::check`].
    pub fn new(shape: ResizeAxis) -> Result<Self, KernelError> {
        shape.check()?;
        let taps = (0..shape.out).map(|i| shape.taps(i)).collect();
        Ok(Self { shape, taps })
    }

    /// What was prepared.
    pub fn shape(&self) -> &ResizeAxis {
        &self.shape
    }

    /// Of every output position: the input positions that it takes with their weights, and what is there without them.
    pub fn taps(&self) -> impl Iterator<Item = (&[(usize, f32)], f32)> {
        self.taps.iter().map(|taps| (taps.list.as_slice(), taps.level))
    }

    /// Fills the output.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32]) {
        let (size, out_size, inner) = (self.shape.size, self.shape.out, self.shape.inner);
        assert_eq!(input.len(), self.shape.outer * size * inner, "values of the input");
        assert_eq!(output.len(), self.shape.outer * out_size * inner, "values of the output");
        rows(pool, output, out_size * inner, &|outer, out| {
            let input = &input[outer * size * inner..][..size * inner];
            for (out, taps) in out.chunks_exact_mut(inner).zip(&self.taps) {
                out.fill(taps.level);
                for &(k, weight) in &taps.list {
                    out.iter_mut().zip(&input[k * inner..][..inner]).for_each(|(out, &x)| *out += weight * x);
                }
            }
        });
    }
}
