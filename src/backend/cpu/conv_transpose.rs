//! Transposed convolution of one picture: every input value paints the kernel, scaled, into the output.
//!
//! `out[o, y·s + i·d − p, x·s + j·d − p] += w[c, o, i, j] · in[c, y, x]`, then `act(out + bias)`

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::conv::taps::Taps;
use super::conv::{Run, check, checked};
use super::dot::Factor;
use super::error::KernelError;
use super::isa::{self, Isa};
use super::layout::{Layout, pack, unpack};
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
}

/// A transposed convolution with its weights, laid out for one tactic.
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    shape: ConvTransposeShape,
    layouts: [Layout; 2],
    tactic: Tactic,
}

#[derive(Clone, Debug)]
enum Tactic {
    /// Loop by loop, the specification.
    Naive { weights: Vec<f32>, bias: Vec<f32> },
    /// A convolution for every place of the stride, written where it belongs.
    Taps(Box<Taps>),
}

/// The ways to compute the shape, the best guess first.
fn ways(shape: &ConvTransposeShape, layouts: [Layout; 2]) -> &'static [&'static str] {
    match (shape.groups, layouts[0]) {
        (1, Layout::BlockedU8(_)) if Taps::sums_fit(shape.in_channels * shape.kernel[0] * shape.kernel[1]) => {
            &["taps_int8", "taps_bf16", "taps"]
        }
        (1, layout) if layout.is_blocked() => &["taps_bf16", "taps"],
        (1, _) => &["taps"],
        _ => &[],
    }
}

impl ConvTranspose {
    /// The tactics that can compute `shape` on `isa`, the one that is probably fastest first, `naive` last.
    pub fn tactics(shape: &ConvTransposeShape, isa: Isa) -> Vec<String> {
        Self::tactics_between(shape, [Layout::Planar; 2], isa)
    }

    /// As [`ConvTranspose::tactics`], for an input and an output of these layouts.
    pub fn tactics_between(shape: &ConvTransposeShape, layouts: [Layout; 2], isa: Isa) -> Vec<String> {
        isa::tactics(ways(shape, layouts), isa)
    }

    /// Lays the weights out for a tactic, from and to planes.
    ///
    /// # Shapes
    /// `weights` in × out/groups × height × width; `bias` out, or empty for none.
    ///
    /// # Errors
    /// When the sizes contradict each other, the tactic is not one of the shape, or this processor cannot run it.
    pub fn new(shape: ConvTransposeShape, tactic: &str, weights: &[f32], bias: &[f32]) -> Result<Self, KernelError> {
        Self::between(shape, [Layout::Planar; 2], tactic, weights, bias)
    }

    /// As [`ConvTranspose::new`], from and to these layouts.
    ///
    /// # Errors
    /// As there.
    pub fn between(
        shape: ConvTransposeShape,
        layouts: [Layout; 2],
        tactic: &str,
        weights: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        shape.check()?;
        let bias = checked("conv_transpose", weights.len(), shape.weights_len(), bias, shape.out_channels)?;
        let (way, needed) = isa::parse("conv_transpose", ways(&shape, layouts), tactic)?;
        let taps = |factor| Tactic::Taps(Box::new(Taps::transposed(&shape, needed, factor, layouts, weights, &bias)));
        let tactic = match way {
            "taps" => taps(Factor::F32),
            "taps_bf16" => taps(Factor::Bf16),
            "taps_int8" => taps(Factor::Int8),
            _ => Tactic::Naive { weights: weights.to_vec(), bias },
        };
        Ok(Self { shape, layouts, tactic })
    }

    /// Its sizes.
    pub fn shape(&self) -> &ConvTransposeShape {
        &self.shape
    }

    /// The floats of scratch memory that [`ConvTranspose::run`] needs.
    pub fn scratch_len(&self) -> usize {
        match &self.tactic {
            Tactic::Naive { .. } => {
                let input = if self.layouts[0].is_blocked() { self.shape.in_len() } else { 0 };
                input + if self.layouts[1].is_blocked() { self.shape.out_len() } else { 0 }
            }
            Tactic::Taps(taps) => taps.scratch_len(),
        }
    }

    /// Computes one picture: output = act(transposed convolution + bias).
    ///
    /// # Shapes
    /// `input` in × height × width; `output` out × height × width of [`ConvTransposeShape::out_size`], each as
    /// [`Layout::len`] says.
    ///
    /// # Panics
    /// When a slice has another length, or the scratch memory is shorter than [`ConvTranspose::scratch_len`].
    pub fn run(&self, pool: &Pool, input: &[f32], activation: Activation, output: &mut [f32], scratch: &mut [f32]) {
        let s = &self.shape;
        let pixels = [s.in_size, s.out_size()].map(|[h, w]| h * w);
        assert_eq!(input.len(), self.layouts[0].len(s.in_channels, pixels[0]), "values of the input");
        assert_eq!(output.len(), self.layouts[1].len(s.out_channels, pixels[1]), "values of the output");
        assert!(scratch.len() >= self.scratch_len(), "floats of scratch memory");
        match &self.tactic {
            Tactic::Naive { weights, bias } => {
                let (mut input, mut rest) = (input, scratch);
                if self.layouts[0].is_blocked() {
                    let (planes, after) = rest.split_at_mut(s.in_len());
                    unpack(pool, self.layouts[0], s.in_channels, pixels[0], input, planes);
                    (input, rest) = (planes, after);
                }
                if self.layouts[1] == Layout::Planar {
                    return naive(s, pool, weights, bias, input, activation, output);
                }
                naive(s, pool, weights, bias, input, activation, &mut rest[..s.out_len()]);
                pack(pool, self.layouts[1], s.out_channels, pixels[1], &rest[..s.out_len()], output);
            }
            Tactic::Taps(taps) => {
                taps.run(Run { pool, input, residual: None, activation, output, scratch }, None);
                if activation.bounds().is_none() && !matches!(self.layouts[1], Layout::BlockedU8(_)) {
                    activation.run_on(pool, self.layouts[1], output);
                }
            }
        }
    }
}

/// Loop by loop, from planes to planes.
fn naive(
    s: &ConvTransposeShape,
    pool: &Pool,
    weights: &[f32],
    bias: &[f32],
    input: &[f32],
    activation: Activation,
    output: &mut [f32],
) {
    let [oh, ow] = s.out_size();
    let output = SharedMut::new(output);
    pool.run(s.out_channels, &|o| {
        // SAFETY: one plane a task.
        let plane = unsafe { output.slice(o * oh * ow, oh * ow) };
        for (at, out) in plane.iter_mut().enumerate() {
            *out = activation.of(bias[o] + gather(s, weights, input, o, at / ow, at % ow));
        }
    });
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
