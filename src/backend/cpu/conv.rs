//! Two-dimensional convolution of one picture, with bias, residual and activation in the same step.
//!
//! out[o, y, x] = act(bias[o] + Σ w[o, c, i, j] · in[c, y·s − p + i·d, x·s − p + j·d] + residual[o, y, x])

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::error::KernelError;
use super::isa::Isa;
use super::pool::Pool;
use super::window;

mod direct;
mod naive;

/// Sizes of a convolution of one picture.
///
/// # References
/// ONNX `Conv`, opset 11.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvShape {
    /// Planes of the input.
    pub in_channels: usize,
    /// Planes of the output.
    pub out_channels: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Height and width of the input.
    pub in_size: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Zeros around the input: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance between taps, down and across.
    pub dilation: [usize; 2],
}

impl ConvShape {
    /// Height and width of the output; zero where no window fits.
    pub fn out_size(&self) -> [usize; 2] {
        [0, 1].map(|i| {
            let (size, kernel, stride) = (self.in_size[i], self.kernel[i], self.stride[i]);
            window::count(size, kernel, stride, self.pads[i], self.pads[i + 2], self.dilation[i], false)
        })
    }

    /// Floating-point operations, two for a multiplication with its addition.
    pub fn flops(&self) -> u64 {
        let per_pixel = self.kernel[0] * self.kernel[1] * (self.in_channels / self.groups.max(1));
        2 * per_pixel as u64 * self.out_len() as u64
    }

    /// Values of the input.
    pub fn in_len(&self) -> usize {
        self.in_channels * self.in_size[0] * self.in_size[1]
    }

    /// Values of the output.
    pub fn out_len(&self) -> usize {
        let [h, w] = self.out_size();
        self.out_channels * h * w
    }

    /// Values of the weights, out × in/groups × height × width.
    pub fn weights_len(&self) -> usize {
        self.out_channels * (self.in_channels / self.groups.max(1)) * self.kernel[0] * self.kernel[1]
    }

    /// Whether the sizes make a convolution.
    ///
    /// # Errors
    /// When a size is zero, the groups do not divide the channels, the window does not fit, or a plane has more
    /// values than memory can hold.
    pub fn check(&self) -> Result<(), KernelError> {
        check(
            "conv",
            self.groups,
            self.in_channels,
            self.out_channels,
            &[self.in_size, self.kernel, self.stride, self.dilation],
        )?;
        let [h, w] = self.out_size();
        if h == 0 || w == 0 {
            return Err(KernelError::shape("conv", "a kernel that fits into the padded input", format!("{self:?}")));
        }
        let whole = |c: usize, [h, w]: [usize; 2]| {
            c.checked_mul(h).and_then(|n| n.checked_mul(w)).filter(|&n| n < isize::MAX as usize / 64)
        };
        let padded = [0, 1].map(|i| self.in_size[i].saturating_add(self.pads[i]).saturating_add(self.pads[i + 2]));
        let weights = (self.out_channels).checked_mul(self.in_channels).and_then(|n| whole(n, self.kernel));
        if whole(self.in_channels, padded).is_none() || whole(self.out_channels, [h, w]).is_none() || weights.is_none()
        {
            return Err(KernelError::shape("conv", "tensors that fit into memory", format!("{self:?}")));
        }
        Ok(())
    }
}

/// Checks what convolution and transposed convolution have in common.
pub(super) fn check(
    operation: &'static str,
    groups: usize,
    in_channels: usize,
    out_channels: usize,
    sizes: &[[usize; 2]],
) -> Result<(), KernelError> {
    if groups == 0 || in_channels == 0 || out_channels == 0 || sizes.iter().flatten().any(|&n| n == 0) {
        let found = format!("{groups} groups, {in_channels} to {out_channels} channels, sizes {sizes:?}");
        return Err(KernelError::shape(operation, "sizes of at least 1", found));
    }
    if !in_channels.is_multiple_of(groups) || !out_channels.is_multiple_of(groups) {
        let found = format!("{in_channels} to {out_channels} channels in {groups} groups");
        return Err(KernelError::shape(operation, "channels that the groups divide", found));
    }
    Ok(())
}

/// A convolution with its weights, laid out for one tactic.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    tactic: Tactic,
}

#[derive(Clone, Debug)]
enum Tactic {
    Naive(naive::Naive),
    Direct(Box<direct::Direct>),
}

/// Every tactic, the instructions that it needs, and its name.
const TACTICS: [(Isa, &str); 4] =
    [(Isa::Avx512, "direct_avx512"), (Isa::Avx2, "direct_avx2"), (Isa::Portable, "direct"), (Isa::Portable, "naive")];

impl Conv {
    /// The tactics that can compute `shape` on `isa`, the one that is probably fastest first, `naive` last.
    pub fn tactics(_shape: &ConvShape, isa: Isa) -> Vec<&'static str> {
        TACTICS.iter().filter(|(needed, _)| *needed <= isa).map(|&(_, name)| name).collect()
    }

    /// Lays the weights out for a tactic.
    ///
    /// # Shapes
    /// `weights` out × in/groups × height × width; `bias` out, or empty for none.
    ///
    /// # Errors
    /// When the sizes contradict each other, the tactic is not known, or this processor cannot run it.
    pub fn new(shape: ConvShape, tactic: &str, weights: &[f32], bias: &[f32]) -> Result<Self, KernelError> {
        shape.check()?;
        if weights.len() != shape.weights_len() {
            let expected = format!("{} weights", shape.weights_len());
            return Err(KernelError::shape("conv", expected, weights.len()));
        }
        if !bias.is_empty() && bias.len() != shape.out_channels {
            let expected = format!("{} biases or none", shape.out_channels);
            return Err(KernelError::shape("conv", expected, bias.len()));
        }
        let bias = if bias.is_empty() { vec![0.0; shape.out_channels] } else { bias.to_vec() };
        let Some(&(needed, _)) = TACTICS.iter().find(|(_, name)| *name == tactic) else {
            let known = TACTICS.map(|(_, name)| format!("`{name}`")).join(", ");
            return Err(KernelError::Tactic { operation: "conv", found: tactic.to_owned(), known });
        };
        let found = Isa::detect();
        if needed > found {
            return Err(KernelError::Isa { operation: "conv", tactic: tactic.to_owned(), needed, found });
        }
        let tactic = match tactic {
            "naive" => Tactic::Naive(naive::Naive { weights: weights.to_vec(), bias }),
            _ => Tactic::Direct(Box::new(direct::Direct::new(&shape, needed, weights, bias))),
        };
        Ok(Self { shape, tactic })
    }

    /// Its sizes.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The floats of scratch memory that [`Conv::run`] needs.
    pub fn scratch_len(&self) -> usize {
        match &self.tactic {
            Tactic::Naive(_) => 0,
            Tactic::Direct(direct) => direct.scratch_len(),
        }
    }

    /// Convolves one picture: output = act(conv + bias + residual).
    ///
    /// # Shapes
    /// `input` in × height × width; `residual` and `output` out × height × width of [`ConvShape::out_size`].
    ///
    /// # Panics
    /// When a slice has another length, or the scratch memory is shorter than [`Conv::scratch_len`].
    pub fn run(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        assert_eq!(input.len(), self.shape.in_len(), "values of the input");
        assert_eq!(output.len(), self.shape.out_len(), "values of the output");
        assert!(residual.is_none_or(|r| r.len() == output.len()), "values of the residual");
        assert!(scratch.len() >= self.scratch_len(), "floats of scratch memory");
        match &self.tactic {
            Tactic::Naive(naive) => naive.run(&self.shape, pool, input, residual, activation, output),
            Tactic::Direct(direct) => direct.run(pool, input, residual, activation, output, scratch),
        }
    }
}
