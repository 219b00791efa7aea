//! Launches `kernels/resize_tensor.cu`.

use super::conv::Halves;
use super::launch::{Arg, Launch, Region};
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
    assert!(lookup.offset.is_multiple_of(4), "{lookup:?} lies at multiples of four bytes");
    let number = |n: usize| Arg::U32(n as u32);
    let [from, from_pitch] = src.chunks(in_height * in_width, channels, "the input");
    let [to, to_pitch] = dst.chunks(height * width, channels, "the output");
    let mut args = vec![from, number(in_width), from_pitch];
    let mut at = 0;
    for length in [height, width] {
        for _ in 0..3 {
            args.push(Arg::Region(lookup.part(at, 4 * length as u64)));
            at += 4 * length as u64;
        }
    }
    lookup.of(at, "the tables");
    args.extend([to, number(height), number(width), to_pitch, number(channels)]);
    Launch::line("resize_tensor", (height * width * channels / 8) as u32, args)
}
