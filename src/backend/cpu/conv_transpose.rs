//! Transposed convolution of one picture: every input value paints the kernel, scaled, into the output.
//!
//! out[o, y·s + i·d − p, x·s + j·d − p] += w[c, o, i, j] · in[c, y, x], then act(out + bias + residual)

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::conv::{Conv, ConvShape, check};
use super::error::KernelError;
use super::isa::Isa;
use super::pool::{Pool, SharedMut};
use super::window::extent;

/// Sizes of a transposed convolution of one picture.
///
/// # References
/// ONNX `ConvTranspose`, opset 11.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvTransposeShape {
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
    /// Distance of painted kernels, down and across.
    pub stride: [usize; 2],
    /// Pixels cut off: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance between taps, down and across.
    pub dilation: [usize; 2],
    /// Rows and columns added at the bottom and on the right.
    pub output_padding: [usize; 2],
}

impl ConvTransposeShape {
    /// Height and width of the output; zero where all is cut off.
    pub fn out_size(&self) -> [usize; 2] {
        [0, 1].map(|i| {
            let painted = self.stride[i].saturating_mul(self.in_size[i].saturating_sub(1));
            painted
                .saturating_add(extent(self.kernel[i], self.dilation[i]))
                .saturating_add(self.output_padding[i])
                .saturating_sub(self.pads[i])
                .saturating_sub(self.pads[i + 2])
        })
    }

    /// Floating-point operations, two for a multiplication with its addition; cut-off pixels count too.
    pub fn flops(&self) -> u64 {
        let per_value = self.out_channels / self.groups.max(1) * self.kernel[0] * self.kernel[1];
        2 * per_value as u64 * self.in_len() as u64
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

    /// Values of the weights, in × out/groups × height × width.
    pub fn weights_len(&self) -> usize {
        self.in_channels * (self.out_channels / self.groups.max(1)) * self.kernel[0] * self.kernel[1]
    }

    /// Whether the sizes make a transposed convolution.
    ///
    /// # Errors
    /// When a size is zero, the groups do not divide the channels, all of the output is cut off, or it is larger than
    /// memory can hold.
    pub fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.in_size, self.kernel, self.stride, self.dilation];
        check("conv_transpose", self.groups, self.in_channels, self.out_channels, &sizes)?;
        let [h, w] = self.out_size();
        if h == 0 || w == 0 {
            let found = format!("{self:?}");
            return Err(KernelError::shape("conv_transpose", "pads that leave an output", found));
        }
        let holds = |sizes: [usize; 4]| {
            let product = sizes.iter().try_fold(1usize, |n, &m| n.checked_mul(m));
            product.is_some_and(|n| n < isize::MAX as usize / 64)
        };
        if !holds([self.out_channels, h, w, self.kernel[0].saturating_mul(self.kernel[1])])
            || !holds([self.in_channels, self.in_size[0], self.in_size[1], 1])
            || !holds([self.in_channels, self.out_channels, self.kernel[0], self.kernel[1]])
        {
            return Err(KernelError::shape("conv_transpose", "tensors that fit into memory", format!("{self:?}")));
        }
        Ok(())
    }

    /// Whether painted kernels lie side by side, so that every output value has one tap.
    fn is_tiling(&self) -> bool {
        self.kernel == self.stride && self.pads == [0; 4] && self.dilation == [1, 1] && self.output_padding == [0, 0]
    }
}

/// A transposed convolution with its weights, laid out for one tactic.
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    shape: ConvTransposeShape,
    tactic: Tactic,
}

#[derive(Clone, Debug)]
enum Tactic {
    /// Loop by loop, the specification.
    Naive { weights: Vec<f32>, bias: Vec<f32> },
    /// A 1×1 convolution whose output channels are the taps, scattered to where they belong.
    Scatter(Box<Conv>),
}

/// Every tactic for kernels that lie side by side, and that of the convolution which does its sums.
const SCATTER: [(&str, &str); 3] =
    [("scatter_avx512", "direct_avx512"), ("scatter_avx2", "direct_avx2"), ("scatter", "direct")];

impl ConvTranspose {
    /// The tactics that can compute `shape` on `isa`, the one that is probably fastest first, `naive` last.
    pub fn tactics(shape: &ConvTransposeShape, isa: Isa) -> Vec<&'static str> {
        let mut tactics = Vec::new();
        if shape.is_tiling() {
            let inner = Conv::tactics(&taps(shape), isa);
            tactics.extend(SCATTER.iter().filter(|(_, conv)| inner.contains(conv)).map(|&(name, _)| name));
        }
        tactics.push("naive");
        tactics
    }

    /// Lays the weights out for a tactic.
    ///
    /// # Shapes
    /// `weights` in × out/groups × height × width; `bias` out, or empty for none.
    ///
    /// # Errors
    /// When the sizes contradict each other, the tactic is not one of the shape, or this processor cannot run it.
    pub fn new(shape: ConvTransposeShape, tactic: &str, weights: &[f32], bias: &[f32]) -> Result<Self, KernelError> {
        const OPERATION: &str = "conv_transpose";
        shape.check()?;
        if weights.len() != shape.weights_len() {
            let expected = format!("{} weights", shape.weights_len());
            return Err(KernelError::shape(OPERATION, expected, weights.len()));
        }
        if !bias.is_empty() && bias.len() != shape.out_channels {
            let expected = format!("{} biases or none", shape.out_channels);
            return Err(KernelError::shape(OPERATION, expected, bias.len()));
        }
        let bias = if bias.is_empty() { vec![0.0; shape.out_channels] } else { bias.to_vec() };
        let tactic = match SCATTER.iter().find(|(name, _)| *name == tactic) {
            Some((_, conv)) if shape.is_tiling() => {
                let (ins, outs) = (shape.in_channels / shape.groups, shape.out_channels / shape.groups);
                let area = shape.kernel[0] * shape.kernel[1];
                // From in × out × tap to (group, out, tap) × in.
                let packed: Vec<f32> = (0..shape.out_channels * area)
                    .flat_map(|to| (0..ins).map(move |c| (to / area, to % area, c)))
                    .map(|(o, tap, c)| weights[((o / outs * ins + c) * outs + o % outs) * area + tap])
                    .collect();
                let bias: Vec<f32> = bias.iter().flat_map(|&b| std::iter::repeat_n(b, area)).collect();
                Tactic::Scatter(Box::new(Conv::new(taps(&shape), conv, &packed, &bias)?))
            }
            None if tactic == "naive" => Tactic::Naive { weights: weights.to_vec(), bias },
            _ => {
                let known = Self::tactics(&shape, Isa::detect()).join("`, `");
                let known = format!("`{known}`");
                return Err(KernelError::Tactic { operation: OPERATION, found: tactic.to_owned(), known });
            }
        };
        Ok(Self { shape, tactic })
    }

    /// Its sizes.
    pub fn shape(&self) -> &ConvTransposeShape {
        &self.shape
    }

    /// The floats of scratch memory that [`ConvTranspose::run`] needs.
    pub fn scratch_len(&self) -> usize {
        match &self.tactic {
            Tactic::Naive { .. } => 0,
            Tactic::Scatter(conv) => conv.shape().out_len() + conv.scratch_len(),
        }
    }

    /// Computes one picture: output = act(transposed convolution + bias + residual).
    ///
    /// # Shapes
    /// `input` in × height × width; `residual` and `output` out × height × width of
    /// [`ConvTransposeShape::out_size`].
    ///
    /// # Panics
    /// When a slice has another length, or the scratch memory is shorter than [`ConvTranspose::scratch_len`].
    pub fn run(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let s = &self.shape;
        assert_eq!(input.len(), s.in_len(), "values of the input");
        assert_eq!(output.len(), s.out_len(), "values of the output");
        assert!(residual.is_none_or(|r| r.len() == output.len()), "values of the residual");
        assert!(scratch.len() >= self.scratch_len(), "floats of scratch memory");
        let [oh, ow] = s.out_size();
        match &self.tactic {
            Tactic::Naive { weights, bias } => {
                let output = SharedMut::new(output);
                pool.run(s.out_channels, &|o| {
                    // SAFETY: one plane a task.
                    let plane = unsafe { output.slice(o * oh * ow, oh * ow) };
                    for (at, out) in plane.iter_mut().enumerate() {
                        let sum = bias[o] + gather(s, weights, input, o, at / ow, at % ow);
                        *out = activation.of(sum + residual.map_or(0.0, |r| r[o * oh * ow + at]));
                    }
                });
            }
            Tactic::Scatter(conv) => {
                let (products, scratch) = scratch.split_at_mut(conv.shape().out_len());
                conv.run(pool, input, None, Activation::None, products, scratch);
                let (products, [kh, kw], [ih, iw]) = (&*products, s.kernel, s.in_size);
                let output = SharedMut::new(output);
                pool.run(s.out_channels * ih, &|task| {
                    let (o, y) = (task / ih, task % ih);
                    for i in 0..kh {
                        let from = (o * oh + y * kh + i) * ow;
                        // SAFETY: the rows that one input row paints belong to one task.
                        let row = unsafe { output.slice(from, ow) };
                        for j in 0..kw {
                            let product = &products[(((o * kh + i) * kw + j) * ih + y) * iw..][..iw];
                            row[j..].iter_mut().step_by(kw).zip(product).for_each(|(o, &p)| *o = p);
                        }
                        if let Some(residual) = residual {
                            row.iter_mut().zip(&residual[from..]).for_each(|(o, &r)| *o += r);
                        }
                        activation.apply(row);
                    }
                });
            }
        }
    }
}

/// The convolution whose output channels are the taps of all output channels.
fn taps(s: &ConvTransposeShape) -> ConvShape {
    ConvShape {
        in_channels: s.in_channels,
        out_channels: s.out_channels * s.kernel[0] * s.kernel[1],
        groups: s.groups,
        in_size: s.in_size,
        kernel: [1; 2],
        stride: [1; 2],
        pads: [0; 4],
        dilation: [1; 2],
    }
}

/// All taps that fall on one output value.
fn gather(s: &ConvTransposeShape, weights: &[f32], input: &[f32], o: usize, y: usize, x: usize) -> f32 {
    let ([ih, iw], [kh, kw]) = (s.in_size, s.kernel);
    let (ins, outs) = (s.in_channels / s.groups, s.out_channels / s.groups);
    // The input row or column whose tap `tap` falls on `at`, if there is one.
    let source = |at: usize, tap: usize, axis: usize| {
        let painted = (at + s.pads[axis]).checked_sub(tap * s.dilation[axis])?;
        let source = painted / s.stride[axis];
        (painted % s.stride[axis] == 0 && source < s.in_size[axis]).then_some(source)
    };
    let mut sum = 0.0;
    for i in 0..kh {
        let Some(v) = source(y, i, 0) else { continue };
        for j in 0..kw {
            let Some(u) = source(x, j, 1) else { continue };
            for c in o / outs * ins..(o / outs + 1) * ins {
                sum += weights[((c * outs + o % outs) * kh + i) * kw + j] * input[(c * ih + v) * iw + u];
            }
        }
    }
    sum
}
