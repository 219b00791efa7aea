//! Launches `kernels/conv.cu` for any convolution, transposed or not, of planes of floats.

use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cuda::launch::{Arg, Launch, Region};
use crate::backend::cuda::layout::{floats, words};

/// Output channels of a thread; as `kernels/conv.cu` has it.
const QUAD: usize = 4;

/// A convolution by the places that each pixel of its output reads.
#[derive(Clone, Debug)]
pub struct ConvDirect {
    /// In and out.
    channels: [usize; 2],
    groups: usize,
    /// Of the input and the output.
    sizes: [[usize; 2]; 2],
    kernel: [usize; 2],
    /// Down and across: from one pixel of the output to the next, from one tap to the next, the first place, and how far the
    /// pixels of the input lie apart.
    places: [[isize; 2]; 4],
    transposed: bool,
}

impl ConvDirect {
    /// A convolution; none where places go beyond 31 bits.
    pub fn convolution(s: &ConvShape) -> Option<Self> {
        let [stride, dilation, pads] = signed([s.stride, s.dilation, [s.pads[0], s.pads[1]]])?;
        let places = [stride, dilation, pads.map(|n| -n), [1, 1]];
        let (channels, sizes) = ([s.in_channels, s.out_channels], [s.in_size, s.out_size()]);
        Self { channels, groups: s.groups, sizes, kernel: s.kernel, places, transposed: false }.checked()
    }

    /// A transposed one; none as for [`ConvDirect::convolution`].
    pub fn transposed(s: &ConvTransposeShape) -> Option<Self> {
        let [stride, dilation, pads] = signed([s.stride, s.dilation, [s.pads[0], s.pads[1]]])?;
        let places = [[1, 1], dilation.map(|n| -n), pads, stride];
        let (channels, sizes) = ([s.in_channels, s.out_channels], [s.in_size, s.out_size()]);
        Self { channels, groups: s.groups, sizes, kernel: s.kernel, places, transposed: true }.checked()
    }

    /// The same, where every place that a thread computes, inside or not, is a number of 31 bits and a sign.
    fn checked(self) -> Option<Self> {
        let [steps, taps, first, apart] = self.places;
        let fits = (0..2).all(|i| {
            let [from, to, kernel] = [self.sizes[0][i], self.sizes[1][i], self.kernel[i]].map(|n| n as i128);
            let [step, tap, first, apart] = [steps, taps, first, apart].map(|pair| pair[i] as i128);
            let (down, tap) = ((to - 1) * step, (kernel - 1) * tap);
            to > 0
                && [first, first + down, first + tap, first + down + tap, from * apart]
                    .map(i32::try_from)
                    .iter()
                    .all(Result::is_ok)
        });
        fits.then_some(self)
    }

    fn quads(&self) -> usize {
        (self.channels[1] / self.groups).div_ceil(QUAD)
    }

    /// The weights as the kernel reads them: groups × quads of output channels × height × width × input channels of a group × 4
    /// floats, zeros where there is no channel.
    ///
    /// # Shapes
    /// out × in/groups × height × width, of a transposed convolution in × out/groups × height × width.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub fn pack(&self, weights: &[f32]) -> Vec<u8> {
        let [ins, outs] = self.channels.map(|n| n / self.groups);
        let taps = self.kernel[0] * self.kernel[1];
        let [by_out, by_in] = if self.transposed { [1, outs] } else { [ins, 1] };
        assert_eq!(weights.len(), self.groups * ins * outs * taps, "weights");
        let mut packed = vec![0.0f32; self.groups * self.quads() * taps * ins * QUAD];
        for (at, number) in packed.iter_mut().enumerate() {
            let (lane, c, rest) = (at % QUAD, at / QUAD % ins, at / QUAD / ins);
            let (tap, quad, group) = (rest % taps, rest / taps % self.quads(), rest / taps / self.quads());
            let o = quad * QUAD + lane;
            if o < outs {
                *number = weights[(group * ins * outs + o * by_out + c * by_in) * taps + tap];
            }
        }
        words(packed.into_iter().map(f32::to_bits))
    }

    /// Computes convolution + bias + residual of so many pictures; none of more threads than a launch has.
    ///
    /// # Shapes
    /// `src` pictures × in × height × width floats; `weights` what [`ConvDirect::pack`] made; `bias` out floats; `residual` and
    /// `dst` pictures × out × height × width.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must.
    pub fn launch(
        &self,
        pictures: usize,
        src: Region,
        [weights, bias]: [Region; 2],
        residual: Option<Region>,
        dst: Region,
    ) -> Option<Launch> {
        let [ins, outs] = self.channels;
        let [in_pixels, out_pixels] = self.sizes.map(|[h, w]| h * w);
        let count = u32::try_from(pictures * self.groups * self.quads() * out_pixels).ok()?;
        let packed = self.groups * self.quads() * self.kernel[0] * self.kernel[1] * (ins / self.groups) * QUAD;
        let numbers = |list: &[usize]| list.iter().map(|&n| Arg::U32(n as u32)).collect::<Vec<_>>();
        let to = floats(dst, pictures * outs * out_pixels);
        let mut args = vec![floats(src, pictures * ins * in_pixels)];
        args.extend(numbers(&[ins, self.sizes[0][0], self.sizes[0][1]]));
        args.extend([floats(weights, packed), floats(bias, outs)]);
        args.push(residual.map_or(to, |residual| floats(residual, pictures * outs * out_pixels)));
        args.extend([Arg::U32(u32::from(residual.is_some())), to]);
        args.extend(numbers(&[outs, self.sizes[1][0], self.sizes[1][1], self.groups, self.kernel[0], self.kernel[1]]));
        // What is less than nothing wraps around.
        args.extend(self.places.iter().flatten().map(|&n| Arg::U32(n as u32)));
        args.push(Arg::U32(count));
        Some(Launch::line("conv_direct", count, args))
    }
}

fn signed(pairs: [[usize; 2]; 3]) -> Option<[[isize; 2]; 3]> {
    let fit = pairs.iter().flatten().all(|&n| i32::try_from(n).is_ok());
    fit.then(|| pairs.map(|pair| pair.map(|n| n as isize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_more_than_31_bits_are_refused() {
        const MOST: usize = i32::MAX as usize;
        let conv = |pads: [usize; 2], stride: usize, dilation: usize| {
            ConvDirect::convolution(&ConvShape {
                in_channels: 1,
                out_channels: 1,
                groups: 1,
                in_size: [1, 1],
                kernel: [1, 2],
                stride: [1, stride],
                pads: [0, pads[0], 0, pads[1]],
                dilation: [1, dilation],
            })
            .is_some()
        };
        // The second of two taps, as far away as can be: from the padding on the left into the picture.
        assert!(conv([MOST, 0], 1, MOST));
        assert!(!conv([MOST + 1, 0], 1, MOST + 1), "a number of 32 bits");
        // The last tap of the second of two pixels, in the padding on the right.
        assert!(conv([0, MOST], MOST - 1, 1));
        assert!(!conv([0, MOST + 1], MOST, 1), "a sum of 32 bits");
        let transposed = |in_size: usize, stride: usize| {
            ConvDirect::transposed(&ConvTransposeShape {
                in_channels: 1,
                out_channels: 1,
                groups: 1,
                in_size: [1, in_size],
                kernel: [1, 1],
                stride: [1, stride],
                pads: [0; 4],
                dilation: [1, 1],
                output_padding: [0, 0],
            })
            .is_some()
        };
        assert!(transposed(2, MOST / 2));
        assert!(!transposed(3, MOST / 2), "the end of the input is beyond");
    }
}
