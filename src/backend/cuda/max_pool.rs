//! Launches `kernels/max_pool.cu`.

use super::conv::Halves;
use super::conv::int8::Kept;
use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::max_pool::PoolShape;

/// The largest of each window; none where the kernel does not compute it: dilated, of a number of channels that is no
/// multiple of eight, of codes of sixteen, with other steps down than across, or without output.
///
/// # Shapes
/// `src` and `dst` the pixels of the input and the output, both halves or both codes of one grid.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or one of them is codes and the other is not.
pub fn launch(shape: &PoolShape, src: Kept, dst: Kept) -> Option<Launch> {
    let own = Kept::channels_of_a_word(src, dst);
    let args = windows(shape, src, dst, own)?;
    Some(Launch::line(["max_pool", "max_pool_codes"][own - 1], threads(shape, own), args))
}

/// The average of each window, or with `padded` one where what is around the picture counts as zeros; none where the
/// kernel does not compute it, as for [`launch`].
///
/// # Shapes
/// `src` and `dst` the pixels of the input and the output.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn average(shape: &PoolShape, padded: bool, src: Halves, dst: Halves) -> Option<Launch> {
    let mut args = windows(shape, Kept::Halves(src), Kept::Halves(dst), 1)?;
    args.extend([shape.pads[2], shape.pads[3], usize::from(padded)].map(|n| Arg::U32(n as u32)));
    Some(Launch::line("average_pool", threads(shape, 1), args))
}

/// What is taken of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The largest value.
    Largest,
    /// The average of those in the picture.
    Average,
    /// The average where what is around the picture counts as zeros.
    AveragePadded,
}

/// Pools planes of floats, of any steps and distances between taps; none of places beyond 31 bits.
///
/// # Shapes
/// `src` and `dst` the planes of the input and the output of so many pictures.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn planes(shape: &PoolShape, taken: Taken, pictures: usize, src: Region, dst: Region) -> Option<Launch> {
    let [height, width] = shape.out_size();
    let count = pictures * shape.out_len();
    let sides = [height, width].into_iter().zip(shape.kernel).zip(shape.stride).zip(shape.dilation);
    let ends = sides.map(|(((out, kernel), stride), dilation)| {
        let tap = (kernel - 1).saturating_mul(dilation);
        out.saturating_sub(1).saturating_mul(stride).saturating_add(tap)
    });
    let paddings = [0, 1].map(|i| shape.in_size[i].saturating_add(shape.pads[i]).saturating_add(shape.pads[i + 2]));
    let numbers = shape.stride.into_iter().chain(shape.dilation).chain(paddings).chain(ends).chain([count]);
    if count == 0 || numbers.into_iter().any(|n| i32::try_from(n).is_err()) {
        return None;
    }
    let mut args = vec![floats(src, pictures * shape.in_len())];
    args.extend(shape.in_size.map(|n| Arg::U32(n as u32)));
    args.push(floats(dst, count));
    let windows = [height, width].into_iter().chain(shape.kernel).chain(shape.stride).chain(shape.dilation);
    args.extend(windows.chain(shape.pads).chain([taken as usize, count]).map(|n| Arg::U32(n as u32)));
    Some(Launch::line("pool_planes", count as u32, args))
}

/// Where and what is pooled, of words of `own` channels.
fn windows(shape: &PoolShape, src: Kept, dst: Kept, own: usize) -> Option<Vec<Arg>> {
    let [height, width] = shape.out_size();
    let fits = shape.channels.is_multiple_of(8 * own)
        && shape.dilation == [1, 1]
        && shape.stride[0] == shape.stride[1]
        && height * width > 0;
    if !fits {
        return None;
    }
    let number = |n: usize| Arg::U32(n as u32);
    let [from, from_pitch] = src.words(shape.in_size[0] * shape.in_size[1], shape.channels, "the input");
    let [to, to_pitch] = dst.words(height * width, shape.channels, "the output");
    let mut args = vec![from, number(shape.in_size[0]), number(shape.in_size[1]), from_pitch];
    args.extend([to, number(height), number(width), to_pitch, number(shape.channels / own)]);
    let window = [shape.kernel[0], shape.kernel[1], shape.stride[0], shape.pads[0], shape.pads[1]];
    args.extend(window.map(number));
    Some(args)
}

/// One for eight words of each pixel.
fn threads(shape: &PoolShape, own: usize) -> u32 {
    let [height, width] = shape.out_size();
    (height * width * shape.channels / own / 8) as u32
}
