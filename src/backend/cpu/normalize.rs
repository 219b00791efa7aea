//! Normalisation by the mean and variance of the values themselves: of an instance, a group or a layer.

use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::parts::rows;
use super::pool::Pool;
use super::reduce::sum;

/// (x − mean) / √(variance + ε) over runs of values that lie side by side.
///
/// # References
/// Ulyanov et al., "Instance normalization", 2016; Wu, He, "Group normalization", ECCV 2018; Ba et al., "Layer
/// normalization", 2016; Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Runs of values.
    pub groups: usize,
    /// Values of a run.
    pub length: usize,
    /// ε.
    pub epsilon: f32,
    /// Whether the mean is taken away; else the values are divided by their root mean square.
    pub centered: bool,
    /// Values that share one scale and bias.
    pub plane: usize,
    /// Scales and biases; planes take them in turn.
    pub channels: usize,
}

impl Normalize {
    /// Values of the tensor.
    pub fn len(&self) -> usize {
        self.groups.saturating_mul(self.length)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the sizes make a normalisation.
    ///
    /// # Errors
    /// When one is zero, or planes and runs do not fit into each other.
    pub fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.groups, self.length, self.plane, self.channels];
        let nested = || self.length.is_multiple_of(self.plane) || self.plane.is_multiple_of(self.length);
        if sizes.contains(&0) || !nested() || !self.len().is_multiple_of(self.plane.saturating_mul(self.channels)) {
            return Err(KernelError::shape("normalize", "runs of whole planes", format!("{self:?}")));
        }
        Ok(())
    }

    /// Fills the output; `scale` and `bias` have one number a channel.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, scale: &[f32], bias: &[f32], input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), self.len(), "values of the input");
        assert_eq!(output.len(), self.len(), "values of the output");
        assert!(scale.len() == self.channels && bias.len() == self.channels, "a scale and a bias a channel");
        rows(pool, output, self.length, &|group, out| {
            let from = group * self.length;
            let values = &input[from..from + self.length];
            let count = self.length as f64;
            let mean = if self.centered { (sum(values, |x| x) / count) as f32 } else { 0.0 };
            let variance = sum(values, |x| (x - mean) * (x - mean)) / count;
            let factor = (1.0 / (variance + f64::from(self.epsilon)).sqrt()) as f32;
            if self.plane == 1 {
                // A scale for every value, as after a layer normalisation.
                for (i, (out, &x)) in out.iter_mut().zip(values).enumerate() {
                    let c = (from + i) % self.channels;
                    *out = (x - mean) * factor * scale[c] + bias[c];
                }
                return;
            }
            let plane = self.plane.min(self.length);
            for (p, (out, values)) in out.chunks_exact_mut(plane).zip(values.chunks_exact(plane)).enumerate() {
                let c = (from + p * plane) / self.plane % self.channels;
                let (scale, bias) = (scale[c] * factor, bias[c]);
                out.iter_mut().zip(values).for_each(|(out, &x)| *out = (x - mean) * scale + bias);
            }
        });
    }
}
