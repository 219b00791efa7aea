//! Launches `kernels/conv.cu` for the first convolution of a network.

use super::Halves;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cuda::launch::{Arg, Launch, Region};
use crate::geometry::Size;

/// Output channels of a thread.
const GROUP: usize = 8;

/// The most input planes that the kernel is meant for.
const MOST: usize = 4;

/// The first convolution of a network, of a few planes of floats.
#[derive(Clone, Debug)]
pub struct ConvFirst(ConvShape);

impl ConvFirst {
    /// None where the kernel does not compute it: grouped, dilated, of many planes, with other steps down than across, or
    /// without output.
    pub fn new(shape: &ConvShape) -> Option<Self> {
        let fits = shape.groups == 1
            && shape.in_channels <= MOST
            && shape.dilation == [1, 1]
            && shape.stride[0] == shape.stride[1]
            && shape.out_size().iter().all(|&n| n > 0);
        fits.then(|| Self(shape.clone()))
    }

    /// The weights as the kernel reads them: in × height × width × out floats.
    ///
    /// # Shapes
    /// out × in × height × width.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub fn pack(&self, weights: &[f32]) -> Vec<u8> {
        let outs = self.0.out_channels;
        let each = self.0.in_channels * self.0.kernel[0] * self.0.kernel[1];
        assert_eq!(weights.len(), outs * each, "weights");
        let at = (0..each).flat_map(|i| (0..outs).map(move |o| o * each + i));
        at.flat_map(|at| weights[at].to_le_bytes()).collect()
    }

    /// Computes clip(convolution + bias) between two bounds.
    ///
    /// # Shapes
    /// `src` in × height × width floats; `weights` what [`ConvFirst::pack`] made; `bias` out floats; `dst` the output's
    /// pixels.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must.
    pub fn launch(&self, src: Region, [weights, bias]: [Region; 2], dst: Halves, [low, high]: [f32; 2]) -> Launch {
        let s = &self.0;
        let (ins, outs, [height, width]) = (s.in_channels, s.out_channels, s.out_size());
        let floats = [src, weights, bias];
        assert!(
            floats.iter().all(|region| region.offset.is_multiple_of(4)),
            "{floats:?} lie at multiples of four bytes"
        );
        let number = |n: usize| Arg::U32(n as u32);
        let of = |region: Region, floats: usize, what| Arg::Region(region.of(4 * floats as u64, what));
        let [to, pitch] = dst.args(height * width, outs, "the output");
        let mut args = vec![of(src, ins * s.in_size[0] * s.in_size[1], "the input")];
        args.extend([ins, s.in_size[0], s.in_size[1]].map(number));
        args.extend([of(weights, outs * ins * s.kernel[0] * s.kernel[1], "the weights"), of(bias, outs, "the bias")]);
        args.extend([to, number(height), number(width), pitch, number(outs)]);
        args.extend([s.kernel[0], s.kernel[1], s.stride[0], s.pads[0], s.pads[1]].map(number));
        args.extend([low, high].map(Arg::F32));
        let size = Size::new(width as u32, height as u32);
        Launch::pixels("conv_first", size, 1, args).deep(outs.div_ceil(GROUP) as u32)
    }
}
