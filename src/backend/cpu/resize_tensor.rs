//! The `Resize` of networks, on planes of floats.

use serde::{Deserialize, Serialize};

use super::blocked::{self, Neighbours};
use super::error::KernelError;
use super::layout::Layout;
use super::pool::{Pool, SharedMut};

/// How a position in the output becomes one in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinates {
    /// (x + ½) / scale − ½.
    #[default]
    HalfPixel,
    /// As `HalfPixel`, but 0 where the output has one pixel.
    PytorchHalfPixel,
    /// x · (in − 1) / (out − 1).
    AlignCorners,
    /// x / scale.
    Asymmetric,
    /// As `HalfPixel`, but the middle of the input is the middle of the output.
    HalfPixelSymmetric,
    /// (x + ½) / scale, as tf2onnx writes the nearest neighbour of Keras.
    TfHalfPixel,
}

/// Which neighbour the nearest one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest, halves down.
    #[default]
    RoundPreferFloor,
    /// To the nearest, halves up.
    RoundPreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

impl Rounding {
    /// The whole number that a position becomes.
    pub(super) fn of(self, position: f32) -> f32 {
        match self {
            Self::RoundPreferFloor if position.fract() == 0.5 => position.floor(),
            Self::RoundPreferFloor | Self::RoundPreferCeil => (position + 0.5).floor(),
            Self::Floor => position.floor(),
            Self::Ceil => position.ceil(),
        }
    }
}

/// How values between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The value of one neighbour.
    Nearest(Rounding),
    /// Between two neighbours on each axis.
    Linear,
}

/// Sizes and rules of a resize.
///
/// # References
/// ONNX `Resize`, opset 19.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeShape {
    /// Planes.
    pub planes: usize,
    /// Height and width of the input.
    pub in_size: [usize; 2],
    /// Height and width of the output.
    pub out_size: [usize; 2],
    /// Scales down and across where the network gives them; else the ratio of the sizes.
    pub scales: Option<[f32; 2]>,
    /// How positions are mapped.
    pub coordinates: Coordinates,
    /// How values are made.
    pub interpolation: Interpolation,
}

/// A resize with its tables.
#[derive(Clone, Debug)]
pub struct ResizeTensor {
    shape: ResizeShape,
    /// Of every position down and across.
    neighbours: [Vec<Neighbours>; 2],
}

impl ResizeTensor {
    /// Prepares the tables.
    ///
    /// # Errors
    /// When a size is zero, or a scale is not a positive number.
    pub fn new(shape: ResizeShape) -> Result<Self, KernelError> {
        if shape.in_size.contains(&0) || shape.out_size.contains(&0) {
            return Err(KernelError::shape("resize", "sizes of at least 1", format!("{shape:?}")));
        }
        if shape.scales.is_some_and(|s| s.iter().any(|&s| !s.is_finite() || s <= 0.0)) {
            return Err(KernelError::shape("resize", "positive scales", format!("{shape:?}")));
        }
        let neighbours = [0, 1].map(|axis| (0..shape.out_size[axis]).map(|i| tap(&shape, axis, i)).collect());
        Ok(Self { shape, neighbours })
    }

    /// Its sizes and rules.
    pub fn shape(&self) -> &ResizeShape {
        &self.shape
    }

    /// What every position down and across is made of.
    pub fn neighbours(&self) -> [&[Neighbours]; 2] {
        [&self.neighbours[0], &self.neighbours[1]]
    }

    /// Resizes every plane.
    ///
    /// # Shapes
    /// `input` planes × height × width; `output` planes × height × width of the new size.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32]) {
        let (planes, [h, w], [oh, ow]) = (self.shape.planes, self.shape.in_size, self.shape.out_size);
        assert_eq!(input.len(), planes * h * w, "values of the input");
        assert_eq!(output.len(), planes * oh * ow, "values of the output");
        let (output, [down, across]) = (SharedMut::new(output), self.neighbours());
        pool.run(planes, &|p| {
            // SAFETY: one plane a task.
            let out = unsafe { output.slice(p * oh * ow, oh * ow) };
            let plane = &input[p * h * w..][..h * w];
            for (row, &(first, second, below)) in out.chunks_exact_mut(ow).zip(down) {
                let (upper, lower) = (&plane[first * w..][..w], &plane[second * w..][..w]);
                if self.shape.interpolation != Interpolation::Linear {
                    row.iter_mut().zip(across).for_each(|(out, &(left, ..))| *out = upper[left]);
                    continue;
                }
                for (out, &(left, right, beside)) in row.iter_mut().zip(across) {
                    let mix = |row: &[f32]| row[left] * (1.0 - beside) + row[right] * beside;
                    *out = mix(upper) * (1.0 - below) + mix(lower) * below;
                }
            }
        });
    }
}

impl ResizeTensor {
    /// As [`ResizeTensor::run`], on blocks of sixteen channels.
    pub fn run_blocked(&self, pool: &Pool, layout: Layout, input: &[f32], output: &mut [f32]) {
        let linear = self.shape.interpolation == Interpolation::Linear;
        blocked::resize(pool, layout, self.shape.in_size, self.neighbours(), linear, input, output);
    }
}

/// Where output position `i` of an axis reads from, in single precision as ONNX Runtime computes it.
fn tap(shape: &ResizeShape, axis: usize, i: usize) -> Neighbours {
    let (size, out) = (shape.in_size[axis] as f32, shape.out_size[axis] as f32);
    let (x, scale) = (i as f32, shape.scales.map_or(out / size, |s| s[axis]));
    let position = match shape.coordinates {
        Coordinates::PytorchHalfPixel if out <= 1.0 => 0.0,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
        Coordinates::AlignCorners if out <= 1.0 => 0.0,
        Coordinates::AlignCorners => x * (size - 1.0) / (out - 1.0),
        Coordinates::Asymmetric => x / scale,
        Coordinates::TfHalfPixel => (x + 0.5) / scale,
        Coordinates::HalfPixelSymmetric => size / 2.0 * (1.0 - out / (scale * size)) + (x + 0.5) / scale - 0.5,
    };
    let last = shape.in_size[axis] - 1;
    if let Interpolation::Nearest(rounding) = shape.interpolation {
        // A negative position becomes 0 in the cast.
        let first = (rounding.of(position) as usize).min(last);
        return (first, first, 0.0);
    }
    let position = position.clamp(0.0, last as f32);
    let first = (position as usize).min(last);
    (first, (first + 1).min(last), position - first as f32)
}
