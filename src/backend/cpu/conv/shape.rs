//! The sizes of a convolution.

use serde::{Deserialize, Serialize};

use crate::backend::cpu::error::KernelError;
use crate::backend::cpu::window;

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
pub(in crate::backend::cpu) fn check(
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
