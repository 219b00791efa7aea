//! Two-dimensional convolution of one picture, with bias, residual and activation in the same step.
//!
//! `out[o, y, x] = act(bias[o] + Σ w[o, c, i, j] · in[c, y·s − p + i·d, x·s − p + j·d] + residual[o, y, x])`

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::dot::Factor;
use super::error::KernelError;
use super::isa::{self, Isa};
use super::layout::{BLOCK, Layout, pack, unpack};
use super::pool::Pool;
use super::window;

mod depthwise;
mod direct;
mod head;
mod naive;
pub(super) mod taps;
mod winograd;

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
    /// Of the input, and of the output with its residual.
    layouts: [Layout; 2],
    tactic: Tactic,
}

#[derive(Clone, Debug)]
enum Tactic {
    Naive(naive::Naive),
    Direct(Box<direct::Direct>),
    Taps(Box<taps::Taps>),
    Depthwise(Box<depthwise::Depthwise>),
    Head(Box<head::Head>),
    Winograd(Box<winograd::Winograd>),
}

/// Output channels and pixels of the widest product whose sums stay in registers: of AVX-512's 32 registers 28 hold
/// sums, of 16 registers 12 do.
fn tile(isa: Isa, outs: usize) -> (usize, usize) {
    match isa {
        Isa::Portable => (8, 6),
        Isa::Avx2 => (16, 6),
        Isa::Avx512 if outs.div_ceil(BLOCK).is_multiple_of(2) => (32, 14),
        Isa::Avx512 => (16, 28),
    }
}

/// Multiplications in the time in which a weight comes from memory, as measured on an AMD EPYC of 2024.
const WEIGHT: usize = 50;

/// The ways to compute the shape from and to these layouts, the best guess first. The last way converts what is not
/// planar.
///
/// Winograd's filtering has fewer multiplications and more weights, which come from memory: the guess counts both, a
/// weight as [`WEIGHT`] multiplications.
fn ways(shape: &ConvShape, layouts: [Layout; 2]) -> Vec<&'static str> {
    let [h, w] = shape.out_size();
    let tiled = |m: usize| (m + 2).pow(2) * (h.div_ceil(m) * w.div_ceil(m) + WEIGHT);
    let mut families = [
        (tiled(4), ["winograd4_bf16", "winograd4"]),
        (tiled(2), ["winograd2_bf16", "winograd2"]),
        (9 * (h * w + WEIGHT), ["taps_bf16", "taps"]),
    ];
    families.sort_by_key(|(cost, _)| *cost);
    // Factors of 16 bits first, of every family, since a plan of full precision leaves them out.
    let guess = [0, 1].into_iter().flat_map(|i| families.map(|(_, names)| names[i]));
    let guess = ["head", "depthwise"].into_iter().chain(guess).chain(["direct"]);
    let blocked = layouts.iter().all(|l| l.is_blocked());
    let fits = |way: &&str| match *way {
        "winograd4" | "winograd2" | "winograd4_bf16" | "winograd2_bf16" => blocked && winograd::Winograd::fits(shape),
        "taps_bf16" => shape.groups == 1 && layouts[0].is_blocked(),
        "taps" => shape.groups == 1 && layouts != [Layout::Planar; 2] && layouts[0] != Layout::BlockedBf16,
        "head" => layouts[0].is_blocked() && layouts[1] == Layout::Planar && head::Head::fits(shape),
        "depthwise" => blocked && depthwise::Depthwise::fits(shape),
        _ => true,
    };
    guess.filter(fits).collect()
}

impl Conv {
    /// The tactics that can compute `shape` from and to planes on `isa`, the one that is probably fastest first,
    /// `naive` last.
    pub fn tactics(shape: &ConvShape, isa: Isa) -> Vec<String> {
        Self::tactics_between(shape, [Layout::Planar; 2], isa)
    }

    /// As [`Conv::tactics`], for an input and an output of these layouts.
    pub fn tactics_between(shape: &ConvShape, layouts: [Layout; 2], isa: Isa) -> Vec<String> {
        isa::tactics(&ways(shape, layouts), isa)
    }

    /// Lays the weights out for a tactic that works on planes.
    ///
    /// # Shapes
    /// `weights` out × in/groups × height × width; `bias` out, or empty for none.
    ///
    /// # Errors
    /// When the sizes contradict each other, the tactic is not known, or this processor cannot run it.
    pub fn new(shape: ConvShape, tactic: &str, weights: &[f32], bias: &[f32]) -> Result<Self, KernelError> {
        Self::between(shape, [Layout::Planar; 2], tactic, weights, bias)
    }

    /// As [`Conv::new`], from and to these layouts.
    ///
    /// # Errors
    /// As there, and when the tactic does not work between the layouts.
    pub fn between(
        shape: ConvShape,
        layouts: [Layout; 2],
        tactic: &str,
        weights: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
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
        let Some((way, needed)) = isa::parse(&ways(&shape, layouts), tactic) else {
            let known = Self::tactics_between(&shape, layouts, Isa::Avx512);
            let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(KernelError::Tactic { operation: "conv", found: tactic.to_owned(), known });
        };
        let found = Isa::detect();
        if needed > found {
            return Err(KernelError::Isa { operation: "conv", tactic: tactic.to_owned(), needed, found });
        }
        let winograd = |m, factor| {
            Tactic::Winograd(Box::new(winograd::Winograd::new(&shape, (needed, factor), layouts, m, weights, &bias)))
        };
        let taps =
            |factor| Tactic::Taps(Box::new(taps::Taps::convolution(&shape, needed, factor, layouts, weights, &bias)));
        let tactic = match way {
            "winograd4" => winograd(4, Factor::F32),
            "winograd2" => winograd(2, Factor::F32),
            "winograd4_bf16" => winograd(4, Factor::Bf16),
            "winograd2_bf16" => winograd(2, Factor::Bf16),
            "taps" => taps(Factor::F32),
            "taps_bf16" => taps(Factor::Bf16),
            "depthwise" => {
                Tactic::Depthwise(Box::new(depthwise::Depthwise::new(&shape, needed, layouts, weights, &bias)))
            }
            "head" => Tactic::Head(Box::new(head::Head::new(&shape, needed, layouts[0], weights, &bias))),
            "direct" => Tactic::Direct(Box::new(direct::Direct::new(&shape, needed, weights, bias))),
            _ => Tactic::Naive(naive::Naive { weights: weights.to_vec(), bias }),
        };
        Ok(Self { shape, layouts, tactic })
    }

    /// Its sizes.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The floats of scratch memory that [`Conv::run`] needs on so many threads.
    pub fn scratch_len(&self, threads: usize) -> usize {
        match &self.tactic {
            Tactic::Naive(_) => self.converted_len(),
            Tactic::Direct(direct) => direct.scratch_len() + self.converted_len(),
            Tactic::Winograd(winograd) => winograd.scratch_len(threads),
            Tactic::Taps(taps) => taps.scratch_len(),
            Tactic::Depthwise(_) | Tactic::Head(_) => 0,
        }
    }

    /// Floats of planes that stand in for blocks: input, output and residual.
    fn converted_len(&self) -> usize {
        let input = if self.layouts[0].is_blocked() { self.shape.in_len() } else { 0 };
        let output = if self.layouts[1].is_blocked() { 2 * self.shape.out_len() } else { 0 };
        input + output
    }

    /// Convolves one picture: output = act(conv + bias + residual).
    ///
    /// # Shapes
    /// `input` in × height × width; `residual` and `output` out × height × width of [`ConvShape::out_size`], each as
    /// [`Layout::len`] says.
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
        let s = &self.shape;
        let pixels = [s.in_size, s.out_size()].map(|[h, w]| h * w);
        assert_eq!(input.len(), self.layouts[0].len(s.in_channels, pixels[0]), "values of the input");
        assert_eq!(output.len(), self.layouts[1].len(s.out_channels, pixels[1]), "values of the output");
        assert!(residual.is_none_or(|r| r.len() == output.len()), "values of the residual");
        assert!(scratch.len() >= self.scratch_len(pool.threads()), "floats of scratch memory");
        match &self.tactic {
            Tactic::Taps(taps) => taps.run(pool, input, residual, activation, output, scratch),
            Tactic::Depthwise(depthwise) => depthwise.run(pool, input, residual, activation, output),
            Tactic::Head(head) => head.run(pool, input, residual, activation, output),
            Tactic::Winograd(winograd) => winograd.run(pool, input, residual, activation, output, scratch),
            Tactic::Direct(_) | Tactic::Naive(_) => self.planar(pool, input, residual, activation, output, scratch),
        }
        if activation.bounds().is_none() && !matches!(self.tactic, Tactic::Direct(_) | Tactic::Naive(_)) {
            activation.run_on(pool, self.layouts[1], output);
        }
    }

    /// Runs a tactic that knows planes alone.
    fn planar(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let s = &self.shape;
        let pixels = [s.in_size, s.out_size()].map(|[h, w]| h * w);
        let mut input = input;
        let mut rest = scratch;
        if self.layouts[0].is_blocked() {
            let (planes, after) = rest.split_at_mut(s.in_len());
            unpack(pool, self.layouts[0], s.in_channels, pixels[0], input, planes);
            (input, rest) = (planes, after);
        }
        if self.layouts[1] == Layout::Planar {
            return self.planes(pool, input, residual, activation, output, rest);
        }
        let (planes, after) = rest.split_at_mut(s.out_len());
        let (shortcut, after) = after.split_at_mut(s.out_len());
        if let Some(residual) = residual {
            unpack(pool, self.layouts[1], s.out_channels, pixels[1], residual, shortcut);
        }
        self.planes(pool, input, residual.map(|_| &*shortcut), activation, planes, after);
        pack(pool, self.layouts[1], s.out_channels, pixels[1], planes, output);
    }

    fn planes(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        match &self.tactic {
            Tactic::Naive(naive) => naive.run(&self.shape, pool, input, residual, activation, output),
            Tactic::Direct(direct) => direct.run(pool, input, residual, activation, output, scratch),
            _ => unreachable!("the others do not work on planes"),
        }
    }
}
