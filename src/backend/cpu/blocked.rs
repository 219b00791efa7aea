//! What stands between convolutions, on blocks of sixteen channels ([`super::layout`]).
//!
//! Each is the operation of the same name on planes, whose file has its formula and reference. Values are computed as
//! floats, whatever they are kept as. A row of pixels is a task; the loops over the sixteen channels become vector
//! instructions.

use super::elementwise::{Arithmetic, batch_norm_affine};
use super::isa::Isa;
use super::lanes::{self, Lanes, Vectorised};
use super::layout::{BLOCK, Cell, Layout, codes, codes_mut, halves, halves_mut};
use super::pool::{Pool, SharedMut};

mod pool;

pub use pool::{Count, max_row, pool};

/// A pixel of a block, as it is kept.
type Pixel<C> = [C; BLOCK];

/// Calls `row(first pixel, pixels)` for runs of `length` pixels of the output.
fn rows<C: Cell>(threads: &Pool, output: &mut [C], length: usize, row: &(dyn Fn(usize, &mut [Pixel<C>]) + Sync)) {
    let pixels = output.len() / BLOCK;
    let output = SharedMut::new(output);
    threads.run(pixels.div_ceil(length.max(1)), &|i| {
        let from = i * length;
        // SAFETY: runs of different tasks do not overlap.
        let own = unsafe { output.slice(from * BLOCK, length.min(pixels - from) * BLOCK) };
        row(from, own.as_chunks_mut::<BLOCK>().0);
    });
}

/// The pixels of `values`.
fn pixels<C>(values: &[C]) -> &[Pixel<C>] {
    values.as_chunks::<BLOCK>().0
}

/// The numbers of a pixel.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn get<L: Lanes, C: Cell>(pixel: &Pixel<C>) -> Pixel<f32> {
    let mut numbers = [0.0; BLOCK];
    for lane in (0..BLOCK).step_by(L::COUNT) {
        // SAFETY: the caller's promise; both have sixteen cells.
        unsafe { C::load::<L>(pixel.as_ptr().add(lane)).store(numbers.as_mut_ptr().add(lane)) };
    }
    numbers
}

/// Keeps the numbers of a pixel.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn put<L: Lanes, C: Cell>(numbers: &Pixel<f32>, pixel: &mut Pixel<C>) {
    for lane in (0..BLOCK).step_by(L::COUNT) {
        // SAFETY: the caller's promise; both have sixteen cells.
        unsafe { C::store(L::load(numbers.as_ptr().add(lane)), pixel.as_mut_ptr().add(lane)) };
    }
}

/// Batch normalisation with stored statistics: scale, bias, mean and variance.
///
/// # Shapes
/// Input and output as [`Layout::len`] says; the statistics one value a channel.
pub fn batch_norm(
    threads: &Pool,
    layout: Layout,
    numbers: [&[f32]; 4],
    epsilon: f32,
    input: &[f32],
    output: &mut [f32],
) {
    match layout {
        Layout::BlockedBf16 => batch_norm_cells(threads, numbers, epsilon, halves(input), halves_mut(output)),
        _ => batch_norm_cells(threads, numbers, epsilon, input, output),
    }
}

fn batch_norm_cells<C: Cell>(threads: &Pool, numbers: [&[f32]; 4], epsilon: f32, input: &[C], output: &mut [C]) {
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

struct Affine<'a, C> {
    factors: Pixel<f32>,
    offsets: Pixel<f32>,
    from: &'a [Pixel<C>],
    out: &'a mut [Pixel<C>],
}

impl<C: Cell> Vectorised for Affine<'_, C> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for (out, from) in self.out.iter_mut().zip(self.from) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut numbers = get::<L, C>(from);
                let lines = self.factors.iter().zip(&self.offsets);
                numbers.iter_mut().zip(lines).for_each(|(x, (factor, offset))| *x = *x * factor + offset);
                put::<L, C>(&numbers, out);
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
/// `a` and `output` as [`Layout::len`] says; `b` as `repeat` says.
pub fn binary(
    threads: &Pool,
    layout: Layout,
    op: Arithmetic,
    (size, repeat): (usize, Repeat),
    [a, b]: [&[f32]; 2],
    output: &mut [f32],
) {
    match layout {
        Layout::BlockedBf16 => {
            let cells = if repeat == Repeat::Channels { &[] } else { halves(b) };
            binary_cells(threads, op, (size, repeat), halves(a), cells, b, halves_mut(output));
        }
        _ => binary_cells(threads, op, (size, repeat), a, b, b, output),
    }
}

fn binary_cells<C: Cell>(
    threads: &Pool,
    op: Arithmetic,
    (size, repeat): (usize, Repeat),
    a: &[C],
    b: &[C],
    plane: &[f32],
    output: &mut [C],
) {
    /// Pixels of a task: a run stays in the first-level cache.
    const RUN: usize = 256;
    // Runs do not cross planes where `b` has one value a channel.
    let run = if repeat == Repeat::Never { RUN } else { size };
    let isa = Isa::detect();
    rows(threads, output, run, &|first, out| {
        let second = match repeat {
            Repeat::Never => Second::Pixels(&pixels(b)[first..]),
            Repeat::Pixels => Second::Pixel(&pixels(b)[first / size]),
            Repeat::Channels => Second::Plane(&plane[first % size..]),
        };
        lanes::run(isa, BinaryRow { op, a: &pixels(a)[first..], second, out });
    });
}

/// The second of two rows.
enum Second<'a, C> {
    Pixels(&'a [Pixel<C>]),
    Pixel(&'a Pixel<C>),
    Plane(&'a [f32]),
}

struct BinaryRow<'a, C> {
    op: Arithmetic,
    a: &'a [Pixel<C>],
    second: Second<'a, C>,
    out: &'a mut [Pixel<C>],
}

impl<C: Cell> BinaryRow<'_, C> {
    /// # Safety
    /// The processor has the instructions of `L`.
    #[inline(always)]
    unsafe fn each<L: Lanes>(self, op: impl Fn(f32, f32) -> f32) {
        for (i, (out, a)) in self.out.iter_mut().zip(self.a).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let mut numbers = get::<L, C>(a);
                let b = match self.second {
                    Second::Pixels(b) => get::<L, C>(&b[i]),
                    Second::Pixel(b) => get::<L, C>(b),
                    Second::Plane(b) => [b[i]; BLOCK],
                };
                (0..BLOCK).for_each(|c| numbers[c] = op(numbers[c], b[c]));
                put::<L, C>(&numbers, out);
            }
        }
    }
}

impl<C: Cell> Vectorised for BinaryRow<'_, C> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.op {
                Arithmetic::Add => self.each::<L>(|x, y| x + y),
                Arithmetic::Sub => self.each::<L>(|x, y| x - y),
                Arithmetic::Mul => self.each::<L>(|x, y| x * y),
                Arithmetic::Div => self.each::<L>(|x, y| x / y),
                other => self.each::<L>(|x, y| other.of(x, y)),
            }
        }
    }
}

/// Two neighbours of an output row or column, and the weight of the second.
pub type Neighbours = (usize, usize, f32);

/// Resizes by tables of neighbours; with `linear` unset the first neighbour alone is taken.
///
/// # Shapes
/// Input and output as [`Layout::len`] says.
pub fn resize(
    threads: &Pool,
    layout: Layout,
    in_size: [usize; 2],
    tables: [&[Neighbours]; 2],
    linear: bool,
    input: &[f32],
    output: &mut [f32],
) {
    match layout {
        Layout::BlockedBf16 => resize_cells(threads, in_size, tables, linear, halves(input), halves_mut(output)),
        Layout::BlockedU8(_) => {
            resize_cells(threads, in_size, tables, linear, codes(input), codes_mut(output));
        }
        _ => resize_cells(threads, in_size, tables, linear, input, output),
    }
}

fn resize_cells<C: Cell>(
    threads: &Pool,
    [h, w]: [usize; 2],
    [down, across]: [&[Neighbours]; 2],
    linear: bool,
    input: &[C],
    output: &mut [C],
) {
    let isa = Isa::detect();
    rows(threads, output, across.len(), &|first, out| {
        let row = first / across.len();
        let plane = &pixels(input)[row / down.len() * h * w..][..h * w];
        let (first, second, below) = down[row % down.len()];
        let (upper, lower) = (&plane[first * w..][..w], &plane[second * w..][..w]);
        lanes::run(isa, ResizeRow { upper, lower, below, across, linear, out });
    });
}

struct ResizeRow<'a, C> {
    upper: &'a [Pixel<C>],
    lower: &'a [Pixel<C>],
    below: f32,
    across: &'a [Neighbours],
    linear: bool,
    out: &'a mut [Pixel<C>],
}

impl<C: Cell> Vectorised for ResizeRow<'_, C> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (upper, lower) = (self.upper, self.lower);
        for (out, &(left, right, beside)) in self.out.iter_mut().zip(self.across) {
            if !self.linear {
                *out = upper[left];
                continue;
            }
            // SAFETY: the caller's promise.
            unsafe {
                let [a, b, c, d] = [&upper[left], &upper[right], &lower[left], &lower[right]].map(|p| get::<L, C>(p));
                let mut numbers = [0.0; BLOCK];
                for i in 0..BLOCK {
                    let over = a[i] * (1.0 - beside) + b[i] * beside;
                    let under = c[i] * (1.0 - beside) + d[i] * beside;
                    numbers[i] = over * (1.0 - self.below) + under * self.below;
                }
                put::<L, C>(&numbers, out);
            }
        }
    }
}
