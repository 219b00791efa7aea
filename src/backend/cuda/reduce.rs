//! Launches `kernels/reduce.cu`.

use super::conv::Halves;
use super::launch::{Arg, Launch, Region};
use super::layout::{floats, words};
use crate::backend::cpu::reduce::{ArgExtreme, Reduce, Reduction};
use crate::backend::cpu::strided::Strided;

/// Threads of a block; as `kernels/reduce.cu` has it.
const THREADS: u32 = 256;

/// The mean of all pixels of each channel, or the largest.
///
/// # Shapes
/// `src` so many pixels; `dst` one.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn pixels([pixels, channels]: [usize; 2], src: Halves, dst: Halves, largest: bool) -> Launch {
    let [from, pitch] = src.chunks(pixels, channels, "the input");
    let [to, _] = dst.chunks(1, channels, "the output");
    let args = vec![from, Arg::U32(pixels as u32), pitch, to, Arg::U32(u32::from(largest))];
    Launch::tiles("reduce_pixels", [(channels / 8) as u32, 1, 1], THREADS, args)
}

/// Threads that find one result of so many values together: a power of two.
pub(super) fn lanes(values: usize) -> usize {
    values.next_power_of_two().min(THREADS as usize)
}

/// A reduction's number, as `kernels/reduce.cu` has it.
fn number(reduction: Reduction) -> u32 {
    match reduction {
        Reduction::Sum => 0,
        Reduction::Mean => 1,
        Reduction::Max => 2,
        Reduction::Min => 3,
        Reduction::Prod => 4,
        Reduction::L1 => 5,
        Reduction::L2 => 6,
        Reduction::SumSquare => 7,
        Reduction::LogSum => 8,
        Reduction::LogSumExp => 9,
    }
}

/// The axes that are kept, or those that are taken together: of each its length and the distance of neighbours.
fn axes(reduce: &Reduce, together: bool) -> Vec<[u32; 2]> {
    let lengths: Vec<usize> = reduce.axes.iter().map(|a| a.0).collect();
    let steps = Strided::whole(&lengths).strides;
    let own = reduce.axes.iter().zip(steps).filter(|((_, kind), _)| *kind == together);
    own.map(|(&(length, _), step)| [length as u32, step as u32]).collect()
}

/// What the kernel of [`launch`] looks up.
pub fn tables(reduce: &Reduce) -> Vec<u8> {
    // Where there is nothing of either kind, one number that is not read.
    let lists = [axes(reduce, false), axes(reduce, true)].concat();
    words(if lists.is_empty() { vec![[1, 0]] } else { lists }.into_iter().flatten())
}

/// Values of some axes taken together.
///
/// # Shapes
/// `src` and `dst` the floats of the input and the output; `lookup` what [`tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn launch(reduce: &Reduce, src: Region, lookup: Region, dst: Region) -> Launch {
    let (outs, kinds) = (reduce.out_len(), [false, true].map(|together| axes(reduce, together).len()));
    let together = reduce.in_len() / outs;
    // Threads of a warp read what lies side by side.
    let lanes = if reduce.axes.last().is_none_or(|a| a.1) { lanes(together) } else { 1 };
    let mut args = vec![floats(src, reduce.in_len()), floats(dst, outs)];
    args.push(floats(lookup, 2 * (kinds[0] + kinds[1]).max(1)));
    args.extend(kinds.into_iter().chain([outs, together]).map(|n| Arg::U32(n as u32)));
    args.extend([number(reduce.reduction), lanes as u32].map(Arg::U32));
    Launch::line("reduce", (outs * lanes) as u32, args)
}

/// The number of the largest or smallest value along an axis.
///
/// # Shapes
/// `src` outer × axis × inner floats, `dst` outer × inner.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn arg_extreme(arg: &ArgExtreme, src: Region, dst: Region) -> Launch {
    let count = arg.outer * arg.inner;
    let mut args = vec![floats(src, count * arg.axis), floats(dst, count)];
    args.extend(
        [arg.axis, arg.inner, usize::from(arg.smallest), usize::from(arg.last), count].map(|n| Arg::U32(n as u32)),
    );
    Launch::line("arg_extreme", count as u32, args)
}
