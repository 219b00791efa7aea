//! Launches `kernels/conv.cu`.

pub mod depthwise;
pub mod direct;
mod division;
pub mod first;
pub mod head;
pub mod int8;

use half::f16;

use self::division::Division;
use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::max_pool::PoolShape;

/// Input channels of one step of the kernel.
const DEPTH: usize = 32;
/// Channels that are copied at once.
const CHUNK: usize = 8;
/// Threads of a block.
const THREADS: u32 = 128;

/// A tensor of halves, channels last, or a slice of channels of one.
#[derive(Clone, Copy, Debug)]
pub struct Halves {
    /// From the first channel of the first pixel to the last of the last.
    pub region: Region,
    /// Halves from one pixel to the next.
    pub pitch: u32,
}

impl Halves {
    /// Channels `first..first + channels` of a tensor of so many pixels, each of `pitch` halves.
    ///
    /// # Panics
    /// When they do not lie in it.
    pub fn slice(whole: Region, pixels: usize, pitch: usize, first: usize, channels: usize) -> Self {
        assert!(first + channels <= pitch && pixels > 0, "channels {first} to {} of {pitch}", first + channels);
        let whole = whole.of(2 * (pixels * pitch) as u64, "the tensor");
        let region = whole.part(2 * first as u64, 2 * ((pixels - 1) * pitch + channels) as u64);
        Self { region, pitch: pitch as u32 }
    }

    /// As [`Halves::args`], of what is read and written eight channels at once.
    pub(super) fn chunks(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        let own = self.pitch.is_multiple_of(CHUNK as u32) && self.region.offset.is_multiple_of(2 * CHUNK as u64);
        assert!(own && channels.is_multiple_of(CHUNK), "{channels} channels of {what}, {self:?}, are whole chunks");
        self.args(pixels, channels, what)
    }

    pub(super) fn args(self, pixels: usize, channels: usize, what: &str) -> [Arg; 2] {
        let bytes = 2 * ((pixels - 1) * self.pitch as usize + channels) as u64;
        [Arg::Region(self.region.of(bytes, what)), Arg::U32(self.pitch)]
    }
}

/// Steps of a sum: for each tap the input channels, `depth` at once.
fn steps(shape: &ConvShape, depth: usize) -> usize {
    shape.kernel.iter().product::<usize>() * shape.in_channels.div_ceil(depth)
}

/// How the taps of a transposed convolution that doubles height and width fall on the four pixels of each square of its
/// output: the pixel at `phase` reads a window of the input that is the same for all of them, and each tap of it counts
/// as one of the kernel's, or as none.
#[derive(Clone, Copy, Debug)]
struct Phases {
    /// Height and width of the kernel.
    kernel: [usize; 2],
    /// Rows and columns that are cut off above and on the left.
    cut: [usize; 2],
    /// Rows and columns of the window before the pixel of the input.
    before: [usize; 2],
    /// And of all of it.
    window: [usize; 2],
}

impl Phases {
    /// None where height and width are not doubled, or there are holes between the taps.
    fn new(shape: &ConvTransposeShape) -> Option<Self> {
        let doubles = shape.out_size() == shape.in_size.map(|n| 2 * n);
        // More would be rows that no tap paints; so the window is no larger than the kernel.
        let painted = shape.output_padding.iter().all(|&n| n < 2);
        if shape.groups != 1 || shape.stride != [2, 2] || shape.dilation != [1, 1] || !doubles || !painted {
            return None;
        }
        let cut = [shape.pads[0], shape.pads[1]];
        // Tap k paints pixel 2·i + k − cut, so pixel 2·y + phase is painted from i = y + (phase + cut − k) / 2.
        let before = [0, 1].map(|i| shape.kernel[i].saturating_sub(1 + cut[i]) / 2);
        let after = cut.map(|own| own.div_ceil(2));
        Some(Self { kernel: shape.kernel, cut, before, window: [0, 1].map(|i| before[i] + 1 + after[i]) })
    }

    /// The convolution of each phase.
    fn convolution(&self, shape: &ConvTransposeShape) -> ConvShape {
        let [top, left] = self.before;
        let [bottom, right] = [0, 1].map(|i| self.window[i] - 1 - self.before[i]);
        ConvShape {
            in_channels: shape.in_channels,
            out_channels: shape.out_channels,
            groups: 1,
            in_size: shape.in_size,
            kernel: self.window,
            stride: [1, 1],
            pads: [top, left, bottom, right],
            dilation: [1, 1],
        }
    }

    /// Which tap of the kernel that of the window is for a phase.
    fn tap(&self, phase: usize, tap: usize) -> Option<usize> {
        let place = [tap / self.window[1], tap % self.window[1]];
        let phase = [phase / 2, phase % 2];
        let own = [0, 1].map(|i| (phase[i] + self.cut[i] + 2 * self.before[i]).checked_sub(2 * place[i]));
        let [Some(y), Some(x)] = own else { return None };
        (y < self.kernel[0] && x < self.kernel[1]).then_some(y * self.kernel[1] + x)
    }

    /// Whether taps do not overlap: each phase has one of its own.
    fn is_apart(&self) -> bool {
        self.kernel == [2, 2] && self.cut == [0, 0]
    }
}

/// A convolution, or a transposed one that doubles height and width, as the kernel computes it.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Where it is transposed, that of one of the pixels of each square.
    shape: ConvShape,
    /// Where it is transposed.
    phases: Option<Phases>,
    division: Division,
    /// Where the largest of each square of 2 × 2 of its output goes.
    pooled: Option<Halves>,
}

impl Conv {
    /// A convolution; none where the kernel does not compute it: grouped, of a number of input channels that is no multiple
    /// of eight, with other steps down than across, or without output.
    pub fn convolution(shape: &ConvShape) -> Option<Self> {
        let square = |pair: [usize; 2]| pair[0] == pair[1];
        let fits = shape.groups == 1
            && shape.in_channels.is_multiple_of(CHUNK)
            && square(shape.stride)
            && square(shape.dilation)
            && shape.out_size().iter().all(|&n| n > 0);
        fits.then(|| Self::guessed(shape.clone(), None))
    }

    /// A transposed convolution that doubles height and width by steps of 2; none where it is another, or the kernel
    /// does not compute it.
    pub fn transposed(shape: &ConvTransposeShape) -> Option<Self> {
        let phases = Phases::new(shape)?;
        let one = Self::convolution(&phases.convolution(shape))?;
        Some(Self::guessed(one.shape, Some(phases)))
    }

    fn guessed(shape: ConvShape, phases: Option<Phases>) -> Self {
        let division = Division::guess(&shape, if phases.is_some() { 4 } else { 1 }, steps(&shape, DEPTH));
        Self { shape, phases, division, pooled: None }
    }

    /// Pixels of each square where it is transposed; else 1.
    fn phase_count(&self) -> usize {
        self.up() * self.up()
    }

    /// Pixels of the output for each of the input, down and across, where it is transposed; else 1.
    fn up(&self) -> usize {
        if self.phases.is_some() { 2 } else { 1 }
    }

    /// The ways to divide it among blocks, what is probably fastest first.
    pub fn tactics(&self) -> Vec<String> {
        Division::all(&self.shape, self.phase_count(), steps(&self.shape, DEPTH))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The same by one of its tactics; none by another.
    pub fn by(self, tactic: &str) -> Option<Self> {
        let division = Division::named(tactic, &self.shape, self.phase_count(), steps(&self.shape, DEPTH))?;
        Some(Self { division, ..self })
    }

    /// Whether it can pool its output so on the way.
    pub fn pools(&self, pool: &PoolShape) -> bool {
        self.up() == 1 && self.division.pools(&self.shape, pool)
    }

    /// The same, writing the largest of each square of 2 × 2 of its output to `pooled`.
    ///
    /// # Panics
    /// Where [`Conv::pools`] would say no, when it is launched.
    pub fn pooling(self, pooled: Halves) -> Self {
        Self { pooled: Some(pooled), ..self }
    }

    /// Numbers of a row of packed weights: taps × input channels, each to whole steps.
    fn row(&self) -> usize {
        steps(&self.shape, DEPTH) * DEPTH
    }

    fn out_pixels(&self) -> usize {
        self.shape.out_size().iter().product::<usize>() * self.phase_count()
    }

    /// Bytes of memory for the sums of the parts; none where it is not split.
    pub fn scratch_bytes(&self) -> u64 {
        match self.division.parts {
            1 => 0,
            parts => 4 * (parts * self.out_pixels() * self.columns()) as u64,
        }
    }

    fn columns(&self) -> usize {
        self.shape.out_channels.next_multiple_of(self.division.channels)
    }

    /// The weights as the kernel reads them.
    ///
    /// # Shapes
    /// out × in × height × width, of a transposed convolution in × out × height × width.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub fn pack(&self, weights: &[f32]) -> Vec<u8> {
        let s = &self.shape;
        let (taps, phases) = (s.kernel.iter().product::<usize>(), self.phase_count());
        let own = self.phases.map_or(taps, |phases| phases.kernel.iter().product());
        assert_eq!(weights.len(), s.out_channels * s.in_channels * own, "weights");
        let deep = s.in_channels.next_multiple_of(DEPTH);
        let mut packed = vec![f16::ZERO; phases * self.columns() * self.row()];
        for (phase, o) in (0..phases).flat_map(|phase| (0..s.out_channels).map(move |o| (phase, o))) {
            let row = &mut packed[(phase * self.columns() + o) * self.row()..][..self.row()];
            for (tap, c) in (0..taps).flat_map(|tap| (0..s.in_channels).map(move |c| (tap, c))) {
                let at = match self.phases {
                    None => Some((o * s.in_channels + c) * own + tap),
                    Some(phases) => phases.tap(phase, tap).map(|tap| (c * s.out_channels + o) * own + tap),
                };
                row[tap * deep + c] = at.map_or(f16::ZERO, |at| f16::from_f32(weights[at]));
            }
        }
        packed.iter().flat_map(|half| half.to_le_bytes()).collect()
    }

    /// Computes clip(convolution + bias + residual) between two bounds.
    ///
    /// # Shapes
    /// `src` the input's pixels; `weights` what [`Conv::pack`] made; `bias` out floats; `dst` and `residual` the output's
    /// pixels; `scratch` as [`Conv::scratch_bytes`] says.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must.
    pub fn launches(
        &self,
        src: Halves,
        (weights, bias): (Region, Region),
        residual: Option<Halves>,
        dst: Halves,
        [low, high]: [f32; 2],
        scratch: Region,
    ) -> Vec<Launch> {
        let s = &self.shape;
        let [height, width] = s.out_size();
        let (out_pixels, outs) = (self.out_pixels(), s.out_channels);
        let packed = 2 * (self.phase_count() * self.columns() * self.row()) as u64;
        let whole_chunks = src.region.offset.is_multiple_of(16) && weights.offset.is_multiple_of(16);
        assert!(whole_chunks && src.pitch.is_multiple_of(CHUNK as u32), "{src:?} and {weights:?} lie in whole chunks");
        assert!(
            bias.offset.is_multiple_of(4) && dst.region.offset.is_multiple_of(2),
            "{bias:?} and {dst:?} lie as they must"
        );
        let (scratch, bias) = (scratch.of(self.scratch_bytes(), "the scratch"), bias.of(4 * outs as u64, "the bias"));
        assert!(
            scratch.offset.is_multiple_of(8) || scratch.bytes == 0,
            "{scratch:?} lies at a multiple of eight bytes"
        );
        let [from, from_pitch] = src.args(s.in_size[0] * s.in_size[1], s.in_channels, "the input");
        let [to, to_pitch] = dst.args(out_pixels, outs, "the output");
        let [added, added_pitch] =
            residual.map_or([to, Arg::U32(0)], |residual| residual.args(out_pixels, outs, "the residual"));
        let bounds = [low, high].map(Arg::F32);
        let number = |n: usize| Arg::U32(n as u32);
        let mut args = vec![from, number(s.in_size[0]), number(s.in_size[1]), from_pitch, number(s.in_channels)];
        args.extend([weights.of(packed, "the weights"), bias].map(Arg::Region));
        args.extend([added, added_pitch, to, number(height), number(width), to_pitch, number(outs)]);
        args.extend(
            [s.kernel[0], s.kernel[1], s.stride[0], s.dilation[0], s.pads[0], s.pads[1], self.up()].map(number),
        );
        args.extend(bounds);
        let parts = self.division.parts;
        // Where it is not split nobody reads or writes sums: any floats stand for them.
        args.push(Arg::Region(if parts > 1 { scratch } else { bias }));
        args.extend(self.pooled.map_or([to, Arg::U32(0)], |own| {
            assert!(parts == 1 && self.up() == 1 && height % 2 == 0 && width % 2 == 0, "{self:?} pools");
            own.args(out_pixels / 4, outs, "the pooled")
        }));
        let [across, down, deep] = self.division.blocks(s, self.phase_count()).map(|n| n as u32);
        let kernel = self.division.kernel(match self.pooled {
            None => ["conv_128x32", "conv_64x64"],
            Some(_) => ["conv_128x32_pool", "conv_64x64_pool"],
        });
        let mut launches = vec![Launch::tiles(kernel, [across, down, deep * parts as u32], THREADS, args)];
        if parts > 1 {
            let mut args = vec![Arg::Region(scratch)];
            args.extend([parts, self.columns(), out_pixels, outs].map(number));
            args.extend([Arg::Region(bias), added, added_pitch, to, to_pitch]);
            args.extend(bounds);
            launches.push(Launch::line("conv_sum", (out_pixels * outs) as u32, args));
        }
        launches
    }
}
