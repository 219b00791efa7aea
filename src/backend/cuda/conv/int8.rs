//! Launches `kernels/conv.cu` on codes: bytes that stand for the numbers of a grid.

use super::{DEPTH, Halves, THREADS, tile};
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::layout::Grid;
use crate::backend::cuda::launch::{Arg, Launch, Region};

/// Codes that are copied at once.
const CHUNK: usize = 16;
/// Input channels of one step of the kernel: two codes lie where it has a half.
const CODES: usize = 2 * DEPTH;

/// A tensor of codes, channels last, or a slice of channels of one.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// From the first channel of the first pixel to the last of the last.
    pub region: Region,
    /// Codes from one pixel to the next.
    pub pitch: u32,
}

impl Codes {
    /// Channels `first..first + channels` of a tensor of so many pixels, each of `pitch` codes.
    ///
    /// # Panics
    /// When they do not lie in it.
    pub fn slice(whole: Region, pixels: usize, pitch: usize, first: usize, channels: usize) -> Self {
        assert!(first + channels <= pitch && pixels > 0, "channels {first} to {} of {pitch}", first + channels);
        let whole = whole.of((pixels * pitch) as u64, "the tensor");
        Self { region: whole.part(first as u64, ((pixels - 1) * pitch + channels) as u64), pitch: pitch as u32 }
    }

    fn args(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        let bytes = ((pixels - 1) * self.pitch as usize + channels) as u64;
        [Arg::Region(self.region.of(bytes, what)), Arg::U32(self.pitch)]
    }
}

/// What comes out.
#[derive(Clone, Copy, Debug)]
pub enum Made {
    /// Codes of the grid that was asked for.
    Codes(Codes),
    /// Numbers.
    Halves(Halves),
}

/// A convolution of codes, as the kernel computes it.
#[derive(Clone, Debug)]
pub struct ConvInt8 {
    shape: ConvShape,
    /// Of the input.
    grid: Grid,
    /// Of the output, where that is codes.
    made: Option<Grid>,
    /// Of what is added, where something is.
    added: Option<Grid>,
    /// Pixels and channels of a block.
    tile: (&'static str, usize, usize),
}

impl ConvInt8 {
    /// A convolution from one grid to another, or to halves, that adds codes of a third or nothing; none where the kernel does
    /// not compute it: grouped, of a number of input channels that is no multiple of sixteen, of more products than a sum of
    /// 32 bits holds, with other steps down than across, or without output.
    pub fn new(shape: &ConvShape, grid: Grid, made: Option<Grid>, added: Option<Grid>) -> Option<Self> {
        let square = |pair: [usize; 2]| pair[0] == pair[1];
        let products = shape.in_channels * shape.kernel[0] * shape.kernel[1];
        let fits = shape.groups == 1
            && shape.in_channels.is_multiple_of(CHUNK)
            && products <= i32::MAX as usize / (255 * 127)
            && square(shape.stride)
            && square(shape.dilation)
            && shape.out_size().iter().all(|&n| n > 0)
            && [Some(grid), made, added].into_iter().flatten().all(Grid::is_valid);
        let tile = tile(shape.out_channels, ["conv_int8_128x32", "conv_int8_64x64"]);
        fits.then(|| Self { shape: shape.clone(), grid, made, added, tile })
    }

    fn row(&self) -> usize {
        self.shape.kernel.iter().product::<usize>() * self.shape.in_channels.next_multiple_of(CODES)
    }

    /// Where in the constants each kind begins: weights, what lies outside of the picture, then three numbers of four bytes for
    /// each output; and where they end.
    fn places(&self) -> [usize; 6] {
        let outs = self.shape.out_channels;
        let outside = self.shape.out_channels.next_multiple_of(self.tile.2) * self.row();
        [
            0,
            outside,
            outside + CHUNK,
            outside + CHUNK + 4 * outs,
            outside + CHUNK + 8 * outs,
            outside + CHUNK + 12 * outs,
        ]
    }

    /// Steps of the output's grid in a unit, and its zero; of halves their own.
    fn steps(&self) -> (f32, f32) {
        self.made.map_or((1.0, 0.0), |grid| (grid.steps(), f32::from(grid.zero)))
    }

    /// Weights and bias as the kernel reads them: the weights of each output as multiples of a number of its own, just those
    /// of the CPU.
    ///
    /// # Shapes
    /// `weights` out × in × height × width; `bias` out.
    ///
    /// # Panics
    /// When there are more or fewer, or one is not finite.
    pub fn pack(&self, weights: &[f32], bias: &[f32]) -> Vec<u8> {
        let s = &self.shape;
        let taps = s.kernel[0] * s.kernel[1];
        assert_eq!(
            (weights.len(), bias.len()),
            (s.out_channels * s.in_channels * taps, s.out_channels),
            "weights, bias"
        );
        assert!(weights.iter().chain(bias).all(|x| x.is_finite()), "weights and bias are numbers");
        let deep = s.in_channels.next_multiple_of(CODES);
        let places = self.places();
        let mut packed = vec![0; places[5]];
        packed[places[1]..places[2]].fill(self.grid.zero);
        let (steps, zero) = self.steps();
        for (o, own) in weights.chunks_exact(s.in_channels * taps).enumerate() {
            let largest = own.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            let scale = (largest / 127.0).max(f32::MIN_POSITIVE) * self.grid.scale;
            let step = scale / self.grid.scale;
            let mut sum = 0;
            for (i, weight) in own.iter().enumerate() {
                let code = (weight / step).clamp(-127.0, 127.0).round_ties_even() as i8;
                sum += i32::from(code);
                packed[o * self.row() + i % taps * deep + i / taps] = code as u8;
            }
            // Σ w·(code − zero) = Σ w·code − zero · Σ w.
            let start = -i32::from(self.grid.zero) * sum;
            let ours = bias[o].mul_add(steps, zero);
            // What is added has a zero too.
            let ours = self.added.map_or(ours, |added| (-f32::from(added.zero)).mul_add(added.scale * steps, ours));
            let numbers = [start.to_le_bytes(), (scale * steps).to_le_bytes(), ours.to_le_bytes()];
            for (place, number) in places[2..5].iter().zip(numbers) {
                packed[place + 4 * o..][..4].copy_from_slice(&number);
            }
        }
        packed
    }

    /// Computes clip(convolution + bias + residual) between two bounds, to the nearest code.
    ///
    /// # Shapes
    /// `src` the input's pixels; `constants` what [`ConvInt8::pack`] made; `residual` and `dst` the output's pixels.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must, or the output or what is added is of another kind
    /// than was asked for.
    pub fn launch(
        &self,
        src: Codes,
        constants: Region,
        residual: Option<Codes>,
        dst: Made,
        [low, high]: [f32; 2],
    ) -> Launch {
        let s = &self.shape;
        let [height, width] = s.out_size();
        let (out_pixels, outs) = (height * width, s.out_channels);
        let whole_chunks = src.region.offset.is_multiple_of(16) && constants.offset.is_multiple_of(16);
        assert!(
            whole_chunks && src.pitch.is_multiple_of(CHUNK as u32),
            "{src:?} and {constants:?} lie in whole chunks"
        );
        assert_eq!(residual.is_some(), self.added.is_some(), "something is added");
        let (halves, [to, to_pitch]) = match dst {
            Made::Codes(codes) => (0, codes.args(out_pixels, outs, "the output")),
            Made::Halves(halves) => {
                assert!(halves.region.offset.is_multiple_of(2), "{halves:?} lies at multiples of two bytes");
                (1, halves.args(out_pixels, outs, "the output"))
            }
        };
        assert_eq!(halves == 0, self.made.is_some(), "codes come out of a grid");
        let (steps, zero) = self.steps();
        let bounds = match self.made {
            Some(_) => [low, high].map(|bound| (bound * steps + zero).clamp(0.0, 255.0)),
            None => [low, high],
        };
        let [from, _] = src.args(s.in_size[0] * s.in_size[1], s.in_channels, "the input");
        let [added, added_pitch] =
            residual.map_or([to, Arg::U32(0)], |residual| residual.args(out_pixels, outs, "the residual"));
        let places = self.places();
        let constants = constants.of(places[5] as u64, "the constants");
        let [weights, outside, starts, scales, bias] =
            [0, 1, 2, 3, 4].map(|i| Arg::Region(constants.part(places[i] as u64, (places[i + 1] - places[i]) as u64)));
        let number = |n: usize| Arg::U32(n as u32);
        let pairs = [src.pitch as usize / 2, s.in_channels / 2];
        let mut args = vec![from, outside];
        args.extend([s.in_size[0], s.in_size[1], pairs[0], pairs[1]].map(number));
        args.extend([weights, starts, scales, bias, added, added_pitch]);
        args.push(Arg::F32(self.added.map_or(0.0, |grid| grid.scale * steps)));
        args.extend([to, number(height), number(width), to_pitch, number(outs), Arg::U32(halves)]);
        args.extend([s.kernel[0], s.kernel[1], s.stride[0], s.dilation[0], s.pads[0], s.pads[1]].map(number));
        args.extend(bounds.map(Arg::F32));
        let (kernel, pixels, channels) = self.tile;
        let grid = [out_pixels.div_ceil(pixels), outs.div_ceil(channels), 1];
        Launch::tiles(kernel, grid.map(|n| n as u32), THREADS, args)
    }
}
