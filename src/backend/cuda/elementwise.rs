//! Launches `kernels/elementwise.cu`.

use super::activation::coded;
use super::conv::Halves;
use super::launch::{Arg, Launch, Region};
use super::layout::{floats, words};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::{Arithmetic, steps};

/// A function of src · scale + shift, or of src alone; in place where both are the same. None for a function that no kernel
/// computes.
///
/// # Shapes
/// `src` and `dst` so many pixels; `numbers` a scale for each channel, then a shift for each, as floats.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn affine(
    [pixels, channels]: [usize; 2],
    src: Halves,
    numbers: Option<Region>,
    dst: Halves,
    activation: Activation,
) -> Option<Launch> {
    let function = coded(activation)?;
    let ([from, from_pitch], [to, to_pitch]) =
        (src.chunks(pixels, channels, "the input"), dst.chunks(pixels, channels, "the output"));
    let has_numbers = Arg::U32(u32::from(numbers.is_some()));
    let numbers = numbers.map_or(from, |numbers| floats(numbers, 2 * channels));
    let mut args = vec![from, from_pitch, numbers, has_numbers, to, to_pitch];
    args.extend([pixels, channels].map(|n| Arg::U32(n as u32)));
    args.extend(function);
    Some(Launch::line("affine", (pixels * channels / 8) as u32, args))
}

/// One of two that are taken together.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Where it lies.
    pub halves: Halves,
    /// Its pixels: as many as the result has, or one that stands for all.
    pub pixels: usize,
    /// Whether its first channel stands for all.
    pub single: bool,
}

/// A function of the sum, difference or product of two. None where no kernel computes it.
///
/// # Shapes
/// `dst` so many pixels; each operand as many or one, of as many channels or eight.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn binary(
    op: Arithmetic,
    [pixels, channels]: [usize; 2],
    [a, b]: [Operand; 2],
    dst: Halves,
    activation: Activation,
) -> Option<Launch> {
    let operation = match op {
        Arithmetic::Add | Arithmetic::Sub | Arithmetic::Mul => number(op),
        _ => return None,
    };
    let function = coded(activation)?;
    let mut args = Vec::new();
    for Operand { halves, pixels: own, single } in [a, b] {
        assert!(own == pixels || own == 1, "an operand of {own} pixels for {pixels}");
        let [from, pitch] = halves.chunks(own, if single { 8 } else { channels }, "an operand");
        args.extend([from, if own == 1 { Arg::U32(0) } else { pitch }, Arg::U32(u32::from(single))]);
    }
    args.extend(dst.chunks(pixels, channels, "the output"));
    args.extend([pixels, channels, operation].map(|n| Arg::U32(n as u32)));
    args.extend(function);
    Some(Launch::line("binary", (pixels * channels / 8) as u32, args))
}

/// An operation's number, as `kernels/elementwise.cu` has it.
fn number(op: Arithmetic) -> usize {
    match op {
        Arithmetic::Add => 0,
        Arithmetic::Sub => 1,
        Arithmetic::Mul => 2,
        Arithmetic::Div => 3,
        Arithmetic::Min => 4,
        Arithmetic::Max => 5,
        Arithmetic::Pow => 6,
        Arithmetic::Mod => 7,
        Arithmetic::Remainder => 8,
        Arithmetic::Prelu => 9,
        Arithmetic::Equal => 10,
        Arithmetic::Greater => 11,
        Arithmetic::GreaterOrEqual => 12,
        Arithmetic::Less => 13,
        Arithmetic::LessOrEqual => 14,
        Arithmetic::And => 15,
        Arithmetic::Or => 16,
        Arithmetic::Xor => 17,
    }
}

/// Tensors of floats that are taken together by the rules of numpy.
#[derive(Clone, Debug)]
pub struct Repeated<const N: usize> {
    shape: Vec<usize>,
    steps: [Vec<usize>; N],
    lens: [usize; N],
}

impl<const N: usize> Repeated<N> {
    /// Tensors of these shapes, repeated to that of the result.
    ///
    /// # Panics
    /// When one cannot be, or the result has more than eight axes.
    pub fn new(shapes: [&[usize]; N], out: &[usize]) -> Self {
        let steps = shapes.map(|shape| steps(shape, out)[..out.len()].to_vec());
        Self { shape: out.to_vec(), steps, lens: shapes.map(|shape| shape.iter().product()) }
    }

    /// What the kernels look up; one number that is not read where there are no axes.
    pub fn tables(&self) -> Vec<u8> {
        let axis = |i: usize| std::iter::once(self.shape[i]).chain(self.steps.iter().map(move |steps| steps[i]));
        let table = (0..self.rank()).flat_map(axis).map(|n| n as u32);
        words(table.chain((self.rank() == 0).then_some(0)))
    }

    /// Axes of the result.
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Values of the result.
    pub(super) fn out_len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn args(&self, tensors: [Region; N]) -> [Arg; N] {
        std::array::from_fn(|i| floats(tensors[i], self.lens[i]))
    }

    pub(super) fn lookup(&self, lookup: Region) -> Arg {
        floats(lookup, ((1 + N) * self.rank()).max(1))
    }
}

/// Two tensors of floats together.
///
/// # Shapes
/// `tensors` the floats of the two that `repeated` has; `dst` those of the result; `lookup` what [`Repeated::tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn combine(op: Arithmetic, repeated: &Repeated<2>, tensors: [Region; 2], lookup: Region, dst: Region) -> Launch {
    let mut args = repeated.args(tensors).to_vec();
    args.extend([floats(dst, repeated.out_len()), repeated.lookup(lookup)]);
    args.extend([repeated.rank(), number(op), repeated.out_len()].map(|n| Arg::U32(n as u32)));
    Launch::line("combine", repeated.out_len() as u32, args)
}

/// src · scale + shift of floats, one of each for every `plane` values in turn.
///
/// # Shapes
/// `src` and `dst` `count` floats; `numbers` a scale for each channel, then a shift for each.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn scale([count, channels, plane]: [usize; 3], src: Region, numbers: Region, dst: Region) -> Launch {
    let mut args = vec![floats(src, count), floats(dst, count), floats(numbers, 2 * channels)];
    args.extend([channels, plane, count].map(|n| Arg::U32(n as u32)));
    Launch::line("scale", count as u32, args)
}
