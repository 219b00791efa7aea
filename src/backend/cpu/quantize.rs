//! Between numbers and the whole numbers that stand for them, here kept as floats.

use serde::{Deserialize, Serialize};

use super::parts::rows;
use super::pool::Pool;

/// Along which axis scale and zero point change, and how far the whole numbers go.
///
/// # References
/// ONNX `QuantizeLinear` and `DequantizeLinear`, opset 19.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantize {
    /// Scales and zero points; 1 where one pair holds for all.
    pub channels: usize,
    /// Values in a row that share one pair.
    pub inner: usize,
    /// The smallest whole number.
    pub low: f32,
    /// The largest whole number.
    pub high: f32,
}

impl Quantize {
    /// round(x / scale) + zero, held between the smallest and the largest whole number; halves go to the even one.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn quantize(&self, pool: &Pool, scale: &[f32], zero: &[f32], input: &[f32], output: &mut [f32]) {
        self.run(pool, input, output, |x, c| ((x / scale[c]).round_ties_even() + zero[c]).clamp(self.low, self.high));
    }

    /// (x − zero) · scale.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn dequantize(&self, pool: &Pool, scale: &[f32], zero: &[f32], input: &[f32], output: &mut [f32]) {
        self.run(pool, input, output, |x, c| (x - zero[c]) * scale[c]);
    }

    fn run(&self, pool: &Pool, input: &[f32], output: &mut [f32], of: impl Fn(f32, usize) -> f32 + Sync) {
        assert_eq!(input.len(), output.len(), "values of the output");
        // Where one scale holds for all, any row will do.
        let length = if self.channels == 1 { output.len().min(1 << 12) } else { self.inner };
        let length = if output.len().is_multiple_of(length.max(1)) { length } else { self.inner };
        rows(pool, output, length, &|row, out| {
            let (c, from) = (row % self.channels, row * length);
            out.iter_mut().zip(&input[from..]).for_each(|(out, &x)| *out = of(x, c));
        });
    }
}
