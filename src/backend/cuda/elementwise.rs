//! Launches `kernels/elementwise.cu`.

use super::activation::coded;
use super::conv::Halves;
use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;

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
        Arithmetic::Add => 0,
        Arithmetic::Sub => 1,
        Arithmetic::Mul => 2,
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
