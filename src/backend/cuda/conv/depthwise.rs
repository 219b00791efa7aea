//! Launches `kernels/conv.cu` for a convolution whose channels stand each for itself.

use super::Halves;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cuda::launch::{Arg, Launch, Region};

/// A depthwise convolution.
#[derive(Clone, Debug)]
pub struct ConvDepthwise(ConvShape);

impl ConvDepthwise {
    /// None where the kernel does not compute it: with other than one channel in and out of each group, a number of them that
    /// is no multiple of eight, other steps down than across, or without output.
    pub fn new(shape: &ConvShape) -> Option<Self> {
        let s = shape;
        let fits = s.groups == s.in_channels
            && s.groups == s.out_channels
            && s.groups.is_multiple_of(8)
            && s.stride[0] == s.stride[1]
            && s.dilation[0] == s.dilation[1]
            && s.out_size().iter().all(|&n| n > 0);
        fits.then(|| Self(shape.clone()))
    }

    /// The weights as the kernel reads them: height × width × channels floats.
    ///
    /// # Shapes
    /// channels × height × width.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub fn pack(&self, weights: &[f32]) -> Vec<u8> {
        let (channels, taps) = (self.0.groups, self.0.kernel[0] * self.0.kernel[1]);
        assert_eq!(weights.len(), channels * taps, "weights");
        let at = (0..taps).flat_map(|tap| (0..channels).map(move |c| c * taps + tap));
        at.flat_map(|at| weights[at].to_le_bytes()).collect()
    }

    /// Computes clip(convolution + bias) between two bounds.
    ///
    /// # Shapes
    /// `src` the input's pixels; `weights` what [`ConvDepthwise::pack`] made; `bias` floats; `dst` the output's pixels.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must.
    pub fn launch(&self, src: Halves, [weights, bias]: [Region; 2], dst: Halves, [low, high]: [f32; 2]) -> Launch {
        let s = &self.0;
        let (channels, taps, [height, width]) = (s.groups, s.kernel[0] * s.kernel[1], s.out_size());
        let floats = [weights, bias];
        assert!(floats.iter().all(|region| region.offset.is_multiple_of(4)), "{floats:?} lie as floats must");
        let number = |n: usize| Arg::U32(n as u32);
        let of = |region: Region, floats: usize, what| Arg::Region(region.of(4 * floats as u64, what));
        let [from, from_pitch] = src.chunks(s.in_size[0] * s.in_size[1], channels, "the input");
        let [to, to_pitch] = dst.chunks(height * width, channels, "the output");
        let mut args = vec![from, number(s.in_size[0]), number(s.in_size[1]), from_pitch];
        args.extend([of(weights, channels * taps, "the weights"), of(bias, channels, "the bias")]);
        args.extend([to, number(height), number(width), to_pitch, number(channels)]);
        args.extend([s.kernel[0], s.kernel[1], s.stride[0], s.dilation[0], s.pads[0], s.pads[1]].map(number));
        args.extend([low, high].map(Arg::F32));
        Launch::line("conv_depthwise", (height * width * channels / 8) as u32, args)
    }
}
