//! Launches `kernels/conv.cu` on codes: bytes that stand for the numbers of a grid.

use super::division::Division;
use super::{DEPTH, Halves, Phases, THREADS, steps};
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::layout::Grid;
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cuda::launch::{Arg, Launch, Region};

/// Codes that are copied at once.
pub const CHUNK: usize = 16;
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

    /// As [`Codes::args`], of what is read and written sixteen codes at once.
    pub(in super::super) fn chunks(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        let own = self.pitch.is_multiple_of(CHUNK as u32) && self.region.offset.is_multiple_of(CHUNK as u64);
        assert!(own && channels.is_multiple_of(CHUNK), "{channels} channels of {what}, {self:?}, are whole chunks");
        self.args(pixels, channels, what)
    }

    fn args(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        let bytes = ((pixels - 1) * self.pitch as usize + channels) as u64;
        [Arg::Region(self.region.of(bytes, what)), Arg::U32(self.pitch)]
    }
}

/// A tensor, or a slice of channels of one, as it is kept.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    /// Codes of a grid.
    Codes(Codes),
    /// Numbers.
    Halves(Halves),
}

impl Kept {
    /// Channels of a word of 16 bits: one half, or two codes.
    ///
    /// # Panics
    /// When one is codes and the other is not.
    pub(in super::super) fn channels_of_a_word(a: Self, b: Self) -> usize {
        match (a, b) {
            (Self::Halves(_), Self::Halves(_)) => 1,
            (Self::Codes(_), Self::Codes(_)) => 2,
            _ => panic!("{a:?} and {b:?} are kept alike"),
        }
    }

    /// Its region and its pitch in words of 16 bits, of what is read and written eight words at once.
    pub(in super::super) fn words(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        match self {
            Self::Codes(codes) => [codes.chunks(pixels, channels, what)[0], Arg::U32(codes.pitch / 2)],
            Self::Halves(halves) => halves.chunks(pixels, channels, what),
        }
    }

    /// Its arguments, and whether it is halves.
    fn args(self, pixels: usize, channels: usize, what: &str) -> ([Arg; 2], bool) {
        match self {
            Self::Codes(codes) => (codes.args(pixels, channels, what), false),
            Self::Halves(halves) => {
                assert!(halves.region.offset.is_multiple_of(2), "{halves:?} lies at multiples of two bytes");
                (halves.args(pixels, channels, what), true)
            }
        }
    }
}

/// What a grid is where it is none: halves are their own numbers.
fn scale_and_zero(grid: Option<Grid>) -> (f32, f32) {
    grid.map_or((1.0, 0.0), |grid| (grid.scale, f32::from(grid.zero)))
}

/// A convolution of codes, or a transposed one whose taps do not overlap, as the kernel computes it.
#[derive(Clone, Debug)]
pub struct ConvInt8 {
    /// With one tap where it is transposed; then one of the pixels of each square.
    shape: ConvShape,
    /// Pixels of the output for each of the input, down and across, where it is transposed; else 1.
    up: usize,
    /// Of the input.
    grid: Grid,
    /// Of the output, where that is codes.
    made: Option<Grid>,
    /// Of what is added, where that is codes.
    added: Option<Grid>,
    division: Division,
    /// Where the largest of each square of 2 × 2 of its output goes.
    pooled: Option<Kept>,
}

impl ConvInt8 {
    /// A convolution from one grid to another, or to halves; none where the kernel does not compute it: grouped, of a number of
    /// input channels that is no multiple of sixteen, of more products than a sum of 32 bits holds, with other steps down than
    /// across, or without output.
    pub fn convolution(shape: &ConvShape, grid: Grid, made: Option<Grid>) -> Option<Self> {
        let square = |pair: [usize; 2]| pair[0] == pair[1];
        let products = shape.in_channels * shape.kernel[0] * shape.kernel[1];
        let fits = shape.groups == 1
            && shape.in_channels.is_multiple_of(CHUNK)
            && products <= i32::MAX as usize / (255 * 127)
            && square(shape.stride)
            && square(shape.dilation)
            && shape.out_size().iter().all(|&n| n > 0)
            && [Some(grid), made].into_iter().flatten().all(Grid::is_valid);
        fits.then(|| Self::guessed(shape, 1, grid, made))
    }

    /// A transposed convolution of 2 × 2 taps, 2 apart; none where it is another, or the kernel does not compute it.
    pub fn transposed(shape: &ConvTransposeShape, grid: Grid, made: Option<Grid>) -> Option<Self> {
        let phases = Phases::new(shape).filter(Phases::is_apart)?;
        let one = Self::convolution(&phases.convolution(shape), grid, made)?;
        Some(Self::guessed(&one.shape, 2, grid, made))
    }

    /// The same, adding codes of a grid; without it halves are added, if anything is.
    pub fn adding(self, grid: Grid) -> Self {
        Self { added: Some(grid), ..self }
    }

    fn guessed(shape: &ConvShape, up: usize, grid: Grid, made: Option<Grid>) -> Self {
        let division = Division::guess(shape, up * up, steps(shape, CODES));
        Self { shape: shape.clone(), up, grid, made, added: None, division, pooled: None }
    }

    /// The ways to divide it among blocks, what is probably fastest first.
    pub fn tactics(&self) -> Vec<String> {
        Division::all(&self.shape, self.phases(), steps(&self.shape, CODES)).iter().map(ToString::to_string).collect()
    }

    /// The same by one of its tactics, to the same bits; none by another.
    pub fn by(self, tactic: &str) -> Option<Self> {
        let division = Division::named(tactic, &self.shape, self.phases(), steps(&self.shape, CODES))?;
        Some(Self { division, ..self })
    }

    /// Whether it can pool its output so on the way.
    pub fn pools(&self, pool: &PoolShape) -> bool {
        self.up == 1 && self.division.pools(&self.shape, pool)
    }

    /// The same, writing the largest of each square of 2 × 2 of its output to `pooled`, which is kept as the output is.
    ///
    /// # Panics
    /// Where [`ConvInt8::pools`] would say no, when it is launched.
    pub fn pooling(self, pooled: Kept) -> Self {
        Self { pooled: Some(pooled), ..self }
    }

    /// Codes of a row of packed weights.
    fn row(&self) -> usize {
        steps(&self.shape, CODES) * CODES
    }

    /// Pixels of each square where it is transposed; else 1.
    fn phases(&self) -> usize {
        self.up * self.up
    }

    fn out_pixels(&self) -> usize {
        self.shape.out_size().iter().product::<usize>() * self.phases()
    }

    fn columns(&self) -> usize {
        self.shape.out_channels.next_multiple_of(self.division.channels)
    }

    /// Bytes of memory for the sums of the parts; none where it is not split.
    pub fn scratch_bytes(&self) -> u64 {
        match self.division.parts {
            1 => 0,
            parts => 4 * (parts * self.out_pixels() * self.columns()) as u64,
        }
    }

    /// Where in the constants each kind begins: weights, what lies outside of the picture, then three numbers of four bytes for
    /// each output of each phase; and where they end.
    fn places(&self) -> [usize; 6] {
        let outs = self.shape.out_channels;
        let outside = self.phases() * self.columns() * self.row();
        let numbers = outside + CHUNK;
        let run = 4 * self.phases() * outs;
        [0, outside, numbers, numbers + run, numbers + 2 * run, numbers + 3 * run]
    }

    /// Steps of the output's grid in a unit, and its zero; of halves their own.
    fn steps(&self) -> (f32, f32) {
        self.made.map_or((1.0, 0.0), |grid| (grid.steps(), f32::from(grid.zero)))
    }

    /// Weights and bias as the kernel reads them: the weights of each output as multiples of a number of its own, just those
    /// of the CPU. `adds` is whether something is added.
    ///
    /// # Shapes
    /// `weights` out × in × height × width, of a transposed convolution in × out × 2 × 2; `bias` out.
    ///
    /// # Panics
    /// When there are more or fewer, or one is not finite.
    pub fn pack(&self, weights: &[f32], bias: &[f32], adds: bool) -> Vec<u8> {
        let s = &self.shape;
        let (taps, phases, outs) = (s.kernel[0] * s.kernel[1], self.phases(), s.out_channels);
        assert_eq!((weights.len(), bias.len()), (outs * s.in_channels * taps * phases, outs), "weights, bias");
        assert!(weights.iter().chain(bias).all(|x| x.is_finite()), "weights and bias are numbers");
        // One of taps and phases is 1.
        let each = taps * phases;
        let at = |o: usize, c: usize, i: usize| match self.up {
            1 => weights[(o * s.in_channels + c) * each + i],
            _ => weights[(c * outs + o) * each + i],
        };
        let deep = s.in_channels.next_multiple_of(CODES);
        let columns = self.columns();
        let places = self.places();
        let mut packed = vec![0; places[5]];
        packed[places[1]..places[2]].fill(self.grid.zero);
        let (steps, zero) = self.steps();
        for o in 0..outs {
            let own = || (0..s.in_channels).flat_map(|c| (0..each).map(move |i| (c, i)));
            let largest = own().fold(0.0f32, |m, (c, i)| m.max(at(o, c, i).abs()));
            let scale = (largest / 127.0).max(f32::MIN_POSITIVE) * self.grid.scale;
            let step = scale / self.grid.scale;
            let mut sums = vec![0; phases];
            for (c, i) in own() {
                let code = (at(o, c, i) / step).clamp(-127.0, 127.0).round_ties_even() as i8;
                let (tap, phase) = (i % taps, i % phases);
                sums[phase] += i32::from(code);
                packed[(phase * columns + o) * self.row() + tap * deep + c] = code as u8;
            }
            let mut ours = bias[o].mul_add(steps, zero);
            if adds {
                // What is added has a zero too.
                let (scale, zero) = scale_and_zero(self.added);
                ours = (-zero).mul_add(scale * steps, ours);
            }
            for (phase, sum) in sums.into_iter().enumerate() {
                // Σ w·(code − zero) = Σ w·code − zero · Σ w.
                let start = -i32::from(self.grid.zero) * sum;
                let numbers = [start.to_le_bytes(), (scale * steps).to_le_bytes(), ours.to_le_bytes()];
                for (place, number) in places[2..5].iter().zip(numbers) {
                    packed[place + 4 * (phase * outs + o)..][..4].copy_from_slice(&number);
                }
            }
        }
        packed
    }

    /// Computes clip(convolution + bias + residual) between two bounds, to the nearest code.
    ///
    /// # Shapes
    /// `src` the input's pixels; `constants` what [`ConvInt8::pack`] made; `residual` and `dst` the output's pixels; `scratch` as
    /// [`ConvInt8::scratch_bytes`] says.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must, or the output or what is added is of another kind
    /// than was asked for.
    pub fn launches(
        &self,
        src: Codes,
        constants: Region,
        residual: Option<Kept>,
        dst: Kept,
        [low, high]: [f32; 2],
        scratch: Region,
    ) -> Vec<Launch> {
        let s = &self.shape;
        let [height, width] = s.out_size();
        let (out_pixels, outs, parts) = (self.out_pixels(), s.out_channels, self.division.parts);
        assert!(constants.offset.is_multiple_of(16), "{constants:?} lie in whole chunks");
        let scratch = scratch.of(self.scratch_bytes(), "the scratch");
        assert!(
            scratch.offset.is_multiple_of(8) || scratch.bytes == 0,
            "{scratch:?} lies at a multiple of eight bytes"
        );
        let (to, halves) = dst.args(out_pixels, outs, "the output");
        assert_eq!(halves, self.made.is_none(), "codes come out of a grid");
        let (steps, zero) = self.steps();
        let bounds = match self.made {
            Some(_) => [low, high].map(|bound| (bound * steps + zero).clamp(0.0, 255.0)),
            None => [low, high],
        };
        let [from, _] = src.chunks(s.in_size[0] * s.in_size[1], s.in_channels, "the input");
        let (added, added_halves) =
            residual.map_or(([to[0], Arg::U32(0)], false), |own| own.args(out_pixels, outs, "the residual"));
        assert!(residual.is_none() || added_halves == self.added.is_none(), "codes that are added have a grid");
        let places = self.places();
        let constants = constants.of(places[5] as u64, "the constants");
        let [weights, outside, starts, scales, bias] =
            [0, 1, 2, 3, 4].map(|i| Arg::Region(constants.part(places[i] as u64, (places[i + 1] - places[i]) as u64)));
        let number = |n: usize| Arg::U32(n as u32);
        // What becomes of a sum, which is all that the second kernel knows.
        let mut end = vec![starts, scales, bias, added[0], added[1], number(usize::from(added_halves))];
        end.extend([Arg::F32(scale_and_zero(self.added).0 * steps), to[0], to[1]]);
        end.extend([number(outs), number(usize::from(halves)), Arg::F32(bounds[0]), Arg::F32(bounds[1])]);
        end.extend([height, width, self.up].map(number));

        let mut args = vec![from, outside];
        args.extend([s.in_size[0], s.in_size[1], src.pitch as usize / 2, s.in_channels / 2].map(number));
        args.push(weights);
        args.extend(&end);
        args.extend([s.kernel[0], s.kernel[1], s.stride[0], s.dilation[0], s.pads[0], s.pads[1]].map(number));
        // Where it is not split nobody reads or writes sums: any whole numbers stand for them.
        args.push(if parts > 1 { Arg::Region(scratch) } else { starts });
        args.extend(self.pooled.map_or([to[0], Arg::U32(0)], |own| {
            assert!(parts == 1 && self.up == 1 && height % 2 == 0 && width % 2 == 0, "{self:?} pools");
            let (args, own) = own.args(out_pixels / 4, outs, "the pooled");
            assert_eq!(own, halves, "it is kept as the output is");
            args
        }));
        let [across, down, deep] = self.division.blocks(s, self.phases()).map(|n| n as u32);
        let kernel = self.division.kernel(match self.pooled {
            None => ["conv_int8_128x32", "conv_int8_64x64"],
            Some(_) => ["conv_int8_128x32_pool", "conv_int8_64x64_pool"],
        });
        let mut launches = vec![Launch::tiles(kernel, [across, down, deep * parts as u32], THREADS, args)];
        if parts > 1 {
            let mut args = vec![Arg::Region(scratch), number(parts), number(self.columns())];
            args.extend(end);
            launches.push(Launch::line("conv_int8_sum", (out_pixels * outs) as u32, args));
        }
        launches
    }
}
