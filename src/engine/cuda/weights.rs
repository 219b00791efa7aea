//! The weights of convolutions as the tensors of a GPU want them.

use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;

/// Weights with their channels where the tensors have them, and zeros between: for each axis of channels, the outer first,
/// where each is and how many places there are.
pub(super) fn spread(weights: &[f32], outer: (&[usize], usize), inner: (&[usize], usize)) -> Vec<f32> {
    let taps = weights.len() / (outer.0.len() * inner.0.len());
    let mut spread = vec![0.0; outer.1 * inner.1 * taps];
    for (i, run) in weights.chunks_exact(taps).enumerate() {
        let place = outer.0[i / inner.0.len()] * inner.1 + inner.0[i % inner.0.len()];
        spread[place * taps..][..taps].copy_from_slice(run);
    }
    spread
}

/// The weights of a convolution in groups as those of one of all channels: zeros between the groups.
pub(super) fn dense(shape: &ConvShape, weights: Vec<f32>) -> Vec<f32> {
    if shape.groups == 1 {
        return weights;
    }
    let taps = shape.kernel[0] * shape.kernel[1];
    let (ins, outs) = (shape.in_channels / shape.groups * taps, shape.out_channels / shape.groups);
    let mut dense = vec![0.0; shape.out_channels * shape.in_channels * taps];
    for (o, own) in weights.chunks_exact(ins).enumerate() {
        dense[o * shape.in_channels * taps + o / outs * ins..][..ins].copy_from_slice(own);
    }
    dense
}

/// The same of a transposed one: in, then out, rows, columns.
pub(super) fn dense_transposed(shape: &ConvTransposeShape, weights: Vec<f32>) -> Vec<f32> {
    if shape.groups == 1 {
        return weights;
    }
    let taps = shape.kernel[0] * shape.kernel[1];
    let (ins, outs) = (shape.in_channels / shape.groups, shape.out_channels / shape.groups * taps);
    let mut dense = vec![0.0; shape.in_channels * shape.out_channels * taps];
    for (i, own) in weights.chunks_exact(outs).enumerate() {
        dense[i * shape.out_channels * taps + i / ins * outs..][..outs].copy_from_slice(own);
    }
    dense
}
