//! Launches `kernels/resize_tensor.cu`.

use super::conv::Halves;
use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::resize_tensor::ResizeTensor;

/// What the kernel looks up: both neighbours of every position of each axis, and the weight of the second.
pub fn tables(resize: &ResizeTensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    for axis in resize.neighbours() {
        bytes.extend(axis.iter().flat_map(|&(first, ..)| (first as u32).to_le_bytes()));
        bytes.extend(axis.iter().flat_map(|&(_, second, _)| (second as u32).to_le_bytes()));
        bytes.extend(axis.iter().flat_map(|&(.., weight)| weight.to_le_bytes()));
    }
    bytes
}

/// Resizes a tensor of `channels`, a multiple of eight, which need not be those of `resize`.
///
/// # Shapes
/// `src` and `dst` the pixels of the input and the output; `lookup` what [`tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn launch(resize: &ResizeTensor, channels: usize, src: Halves, lookup: Region, dst: Halves) -> Launch {
    let shape = resize.shape();
    let ([in_height, in_width], [height, width]) = (shape.in_size, shape.out_size);
    let number = |n: usize| Arg::U32(n as u32);
    let [from, from_pitch] = src.chunks(in_height * in_width, channels, "the input");
    let [to, to_pitch] = dst.chunks(height * width, channels, "the output");
    let mut args = vec![from, number(in_width), from_pitch];
    args.extend(looked_up(resize, lookup));
    args.extend([to, number(height), number(width), to_pitch, number(channels)]);
    Launch::line("resize_tensor", (height * width * channels / 8) as u32, args)
}

/// Resizes planes of floats; none of more than a launch has threads for.
///
/// # Shapes
/// `src` and `dst` the planes of the input and the output; `lookup` what [`tables`] made.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn planes(resize: &ResizeTensor, planes: usize, src: Region, lookup: Region, dst: Region) -> Option<Launch> {
    let shape = resize.shape();
    let [from, to] = [shape.in_size, shape.out_size].map(|[height, width]| planes * height * width);
    let count = u32::try_from(to).ok()?;
    let mut args = vec![floats(src, from)];
    args.extend(shape.in_size.map(|n| Arg::U32(n as u32)));
    args.extend(looked_up(resize, lookup));
    args.push(floats(dst, to));
    args.extend(shape.out_size.map(|n| Arg::U32(n as u32)));
    args.push(Arg::U32(count));
    Some(Launch::line("resize_planes", count, args))
}

/// The tables, one after the other.
fn looked_up(resize: &ResizeTensor, lookup: Region) -> Vec<Arg> {
    let lengths = resize.shape().out_size.into_iter().flat_map(|length| [length; 3]);
    let mut at = 0;
    let parts = lengths.map(|length| {
        let bytes = 4 * length as u64;
        at += bytes;
        floats(lookup.part(at - bytes, bytes), length)
    });
    let parts = parts.collect();
    lookup.of(at, "the tables");
    parts
}
