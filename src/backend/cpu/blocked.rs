//! What stands between convolutions, on blocks of sixteen channels ([`super::layout`]).
//!
//! Each is the operation of the same name on planes, whose file has its formula and reference. A row of pixels is a
//! task; the loops over the sixteen channels become vector instructions.

use super::elementwise::{Arithmetic, batch_norm_affine};
use super::isa::Isa;
use super::lanes::{self, Lanes, Vectorised};
use super::layout::BLOCK;
use super::max_pool::PoolShape;
use super::pool::{Pool, SharedMut};

/// A pixel of a block.
type Pixel = [f32; BLOCK];

/// Calls `row(first pixel, pixels)` for runs of `length` pixels of the output.
fn rows(pool: &Pool, output: &mut [f32], length: usize, row: &(dyn Fn(usize, &mut [Pixel]) + Sync)) {
    let pixels = output.len() / BLOCK;
    let output = SharedMut::new(output);
    pool.run(pixels.div_ceil(length.max(1)), &|i| {
        let from = i * length;
        // SAFETY: runs of different tasks do not overlap.
        let own = unsafe { output.slice(from * BLOCK, length.min(pixels - from) * BLOCK) };
        row(from, own.as_chunks_mut::<BLOCK>().0);
    });
}

/// The pixels of `values`.
fn pixels(values: &[f32]) -> &[Pixel] {
    values.as_chunks::<BLOCK>().0
}

/// How many values the window of an output row and column has a mean of.
pub type Count<'a> = &'a (dyn Fn(usize, usize) -> f32 + Sync);

/// The largest value, or with `mean` the mean, of every window.
///
/// # Shapes
/// Input and output as [`super::layout::Layout::len`] says.
pub fn pool(threads: &Pool, shape: &PoolShape, mean: Option<Count>, input: &[f32], output: &mut [f32]) {
    let (isa, [h, w], [down, across]) = (Isa::detect(), shape.in_size, shape.out_size());
    rows(threads, output, across, &|first, out| {
        let plane = &pixels(input)[first / across / down * h * w..][..h * w];
        lanes::run(isa, PoolRow { shape, mean, plane, row: first / across % down, out });
    });
}

struct PoolRow<'a> {
    shape: &'a PoolShape,
    mean: Option<Count<'a>>,
    plane: &'a [Pixel],
    row: usize,
    out: &'a mut [Pixel],
}

impl Vectorised for PoolRow<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (shape, [h, w]) = (self.shape, self.shape.in_size);
        for (x, out) in self.out.iter_mut().enumerate() {
            let mut sum = [if self.mean.is_some() { 0.0 } else { f32::NEG_INFINITY }; BLOCK];
            for i in 0..shape.kernel[0] {
                let v = (self.row * shape.stride[0] + i * shape.dilation[0]).wrapping_sub(shape.pads[0]);
                for j in 0..shape.kernel[1] {
                    let u = (x * shape.stride[1] + j * shape.dilation[1]).wrapping_sub(shape.pads[1]);
                    if v >= h || u >= w {
                        continue;
                    }
                    let from = &self.plane[v * w + u];
                    for c in 0..BLOCK {
                        sum[c] = match self.mean {
                            Some(_) => sum[c] + from[c],
                            None if from[c] > sum[c] => from[c],
                            None => sum[c],
                        };
                    }
                }
            }
            if let Some(count) = self.mean {
                let count = count(self.row, x);
                sum.iter_mut().for_each(|value| *value /= count);
            }
            *out = sum;
        }
    }
}

/// Batch normalisation with stored statistics: scale, bias, mean and variance.
///
/// # Shapes
/// Input and output as [`super::layout::Layout::len`] says; the statistics one value a channel.
pub fn batch_norm(threads: &Pool, numbers: [&[f32]; 4], epsilon: f32, input: &[f32], output: &mut [f32]) {
    let (isa, [scale, bias, mean, variance]) = (Isa::detect(), numbers);
    let size = input.len() / scale.len().next_multiple_of(BLOCK);
    rows(threads, output, size, &|first, out| {
        let (mut factors, mut offsets) = ([0.0; BLOCK], [0.0; BLOCK]);
        let block = first / size * BLOCK;
        for c in block..(block + BLOCK).min(scale.len()) {
            (factors[c - block], offsets[c - block]) =
                batch_norm_affine(scale[c], bias[c], mean[c], variance[c], epsilon);
        }
        lanes::run(isa, Affine { factors, offsets, from: &pixels(input)[first..], out });
    });
}

struct Affine<'a> {
    factors: Pixel,
    offsets: Pixel,
    from: &'a [Pixel],
    out: &'a mut [Pixel],
}

impl Vectorised for Affine<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for (out, from) in self.out.iter_mut().zip(self.from) {
            for c in 0..BLOCK {
                out[c] = from[c] * self.factors[c] + self.offsets[c];
            }
        }
    }
}

/// How the second of two tensors is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It has every value.
    Never,
    /// One value a channel: blocks of one pixel.
    Pixels,
    /// One plane for all channels, in planar layout.
    Channels,
}

impl Repeat {
    /// How a tensor of shape `b` is repeated to `whole`, `[images, channels, height, width]`; `None` where blocks cannot.
    pub fn of(b: &[usize], whole: &[usize]) -> Option<Self> {
        let (&[images, channels, h, w], &[own_images, own_channels, own_h, own_w]) = (whole, b) else { return None };
        match ((own_images, own_channels), (own_h, own_w)) {
            _ if b == whole => Some(Self::Never),
            (count, (1, 1)) if count == (images, channels) => Some(Self::Pixels),
            (count, size) if count == (images, 1) && size == (h, w) => Some(Self::Channels),
            _ => None,
        }
    }
}

/// Two pictures of `size` pixels a plane, value by value.
///
/// # Shapes
/// `a` and `output` as [`super::layout::Layout::len`] says; `b` as `repeat` says.
pub fn binary(threads: &Pool, op: Arithmetic, size: usize, repeat: Repeat, a: &[f32], b: &[f32], output: &mut [f32]) {
    /// Pixels of a task: a run stays in the first-level cache.
    const RUN: usize = 256;
    // Runs do not cross planes where `b` has one value a channel.
    let run = if repeat == Repeat::Never { RUN } else { size };
    let isa = Isa::detect();
    rows(threads, output, run, &|first, out| {
        let b = match repeat {
            Repeat::Never => &b[first * BLOCK..],
            Repeat::Pixels => &b[first / size * BLOCK..],
            Repeat::Channels => &b[first % size..],
        };
        lanes::run(isa, BinaryRow { op, repeat, a: &pixels(a)[first..], b, out });
    });
}

struct BinaryRow<'a> {
    op: Arithmetic,
    repeat: Repeat,
    a: &'a [Pixel],
    b: &'a [f32],
    out: &'a mut [Pixel],
}

impl BinaryRow<'_> {
    #[inline(always)]
    fn each(self, op: impl Fn(f32, f32) -> f32) {
        let pairs = self.out.iter_mut().zip(self.a);
        match self.repeat {
            Repeat::Never => {
                for ((out, a), b) in pairs.zip(pixels(self.b)) {
                    (0..BLOCK).for_each(|c| out[c] = op(a[c], b[c]));
                }
            }
            Repeat::Pixels => {
                let b = pixels(self.b)[0];
                pairs.for_each(|(out, a)| (0..BLOCK).for_each(|c| out[c] = op(a[c], b[c])));
            }
            Repeat::Channels => {
                for ((out, a), &b) in pairs.zip(self.b) {
                    (0..BLOCK).for_each(|c| out[c] = op(a[c], b));
                }
            }
        }
    }
}

impl Vectorised for BinaryRow<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        match self.op {
            Arithmetic::Add => self.each(|x, y| x + y),
            Arithmetic::Sub => self.each(|x, y| x - y),
            Arithmetic::Mul => self.each(|x, y| x * y),
            Arithmetic::Div => self.each(|x, y| x / y),
            other => self.each(|x, y| other.of(x, y)),
        }
    }
}

/// Two neighbours of an output row or column, and the weight of the second.
pub type Neighbours = (usize, usize, f32);

/// Resizes by tables of neighbours; with `linear` unset the first neighbour alone is taken.
///
/// # Shapes
/// Input and output as [`super::layout::Layout::len`] says.
pub fn resize(
    threads: &Pool,
    in_size: [usize; 2],
    tables: [&[Neighbours]; 2],
    linear: bool,
    input: &[f32],
    output: &mut [f32],
) {
    let (isa, [h, w], [down, across]) = (Isa::detect(), in_size, tables);
    rows(threads, output, across.len(), &|first, out| {
        let row = first / across.len();
        let plane = &pixels(input)[row / down.len() * h * w..][..h * w];
        let (first, second, below) = down[row % down.len()];
        let (upper, lower) = (&plane[first * w..][..w], &plane[second * w..][..w]);
        lanes::run(isa, ResizeRow { upper, lower, below, across, linear, out });
    });
}

struct ResizeRow<'a> {
    upper: &'a [Pixel],
    lower: &'a [Pixel],
    below: f32,
    across: &'a [Neighbours],
    linear: bool,
    out: &'a mut [Pixel],
}

impl Vectorised for ResizeRow<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (upper, lower) = (self.upper, self.lower);
        for (out, &(left, right, beside)) in self.out.iter_mut().zip(self.across) {
            if !self.linear {
                *out = upper[left];
                continue;
            }
            let (a, b, c, d) = (&upper[left], &upper[right], &lower[left], &lower[right]);
            for i in 0..BLOCK {
                let over = a[i] * (1.0 - beside) + b[i] * beside;
                let under = c[i] * (1.0 - beside) + d[i] * beside;
                out[i] = over * (1.0 - self.below) + under * self.below;
            }
        }
    }
}
