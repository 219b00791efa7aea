//! Launches `kernels/normalize.cu`.

use super::conv::Halves;
use super::elementwise;
use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::normalize::Normalize;

/// Threads of a block; as `kernels/normalize.cu` has it.
const THREADS: u32 = 256;
/// Blocks that the pixels are divided among: two for each of the 132 multiprocessors of the largest devices.
const BLOCKS: usize = 264;
/// Most parts of the pixels: who puts them together takes one after the other.
const MOST: usize = 64;
/// Fewest pixels of a block.
const FEWEST: usize = 4 * THREADS as usize;

/// A normalisation of one picture by the mean and variance of each group of its channels.
#[derive(Clone, Debug)]
pub struct Groups {
    pixels: usize,
    /// Places of a pixel, of which `channels` are channels.
    width: usize,
    channels: usize,
    /// Channels of a group.
    group: usize,
    centered: bool,
    epsilon: f32,
}

impl Groups {
    /// None where the kernel does not compute it: where a run is not of whole channels.
    pub fn new(sizes: &Normalize, [pixels, channels, width]: [usize; 3]) -> Option<Self> {
        let group = sizes.length.checked_div(pixels)?;
        let whole = sizes.length.is_multiple_of(pixels) && sizes.plane.is_multiple_of(pixels);
        let (centered, epsilon) = (sizes.centered, sizes.epsilon);
        let fits = whole && sizes.groups * group == channels && width.is_multiple_of(8);
        fits.then_some(Self { pixels, width, channels, group, centered, epsilon })
    }

    /// Blocks that share the pixels of eight channels.
    fn parts(&self) -> usize {
        (8 * BLOCKS / self.width).min(self.pixels / FEWEST).clamp(1, MOST)
    }

    /// Where the moments of the parts, those of channels, and the factors with the addends begin, and their end.
    fn places(&self) -> [u64; 4] {
        let of_parts = 8 * (self.parts() * self.width) as u64;
        let moments = of_parts + 8 * self.channels as u64;
        [0, of_parts, moments, moments + 8 * self.width as u64]
    }

    /// Bytes of memory that it works in.
    pub fn scratch_bytes(&self) -> u64 {
        self.places()[3]
    }

    /// Where channels are, their scales and biases, as the kernel reads them.
    ///
    /// # Panics
    /// When there are not as many as channels.
    pub fn pack(&self, places: &[usize], scales: &[f32], biases: &[f32]) -> Vec<u8> {
        assert_eq!([places.len(), scales.len(), biases.len()], [self.channels; 3], "places, scales and biases");
        assert!(places.iter().all(|&place| place < self.width), "{places:?} of {}", self.width);
        let places = places.iter().flat_map(|&place| (place as u32).to_le_bytes());
        places.chain(scales.iter().chain(biases).flat_map(|x| x.to_le_bytes())).collect()
    }

    /// The normalisation, and a function of it; in place where `dst` is `src`. None for a function that no kernel
    /// computes.
    ///
    /// # Shapes
    /// `src` and `dst` its pixels; `constants` what [`Groups::pack`] made; `scratch` as [`Groups::scratch_bytes`] says.
    ///
    /// # Panics
    /// When a region has another length or does not lie as its numbers must.
    pub fn launches(
        &self,
        src: Halves,
        constants: Region,
        dst: Halves,
        scratch: Region,
        activation: Activation,
    ) -> Option<Vec<Launch>> {
        let [of_parts, moments, numbers, end] = self.places();
        let scratch = scratch.of(end, "the scratch");
        let run = 4 * self.channels as u64;
        let constants = constants.of(3 * run, "the constants");
        assert!(
            scratch.offset.is_multiple_of(8) && constants.offset.is_multiple_of(4),
            "{scratch:?} and {constants:?} lie as they must"
        );
        let of_parts = scratch.part(of_parts, moments - of_parts);
        let moments = scratch.part(moments, numbers - moments);
        let numbers = scratch.part(numbers, end - numbers);
        let [from, pitch] = src.chunks(self.pixels, self.width, "the input");
        let number = |n: usize| Arg::U32(n as u32);
        let grid = [(self.width / 8) as u32, self.parts() as u32, 1];
        let summed = vec![from, number(self.pixels), pitch, Arg::Region(of_parts)];
        let mut args = vec![Arg::Region(of_parts), number(self.pixels), number(self.parts()), number(self.width)];
        args.extend([0, 1, 2].map(|i| Arg::Region(constants.part(i * run, run))));
        args.extend([self.channels, self.group, usize::from(self.centered)].map(number));
        args.extend([Arg::F32(self.epsilon), Arg::Region(moments), Arg::Region(numbers)]);
        Some(vec![
            Launch::tiles("normalize_parts", grid, THREADS, summed),
            Launch::tiles("normalize_numbers", [1, 1, 1], THREADS, args),
            elementwise::affine([self.pixels, self.width], src, Some(numbers), dst, activation)?,
        ])
    }
}

/// Runs of floats that lie side by side, by the mean and variance of each.
///
/// # Shapes
/// `src` and `dst` the floats of the tensor; `numbers` a scale for each channel, then a bias for each.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn launch(sizes: &Normalize, src: Region, numbers: Region, dst: Region) -> Launch {
    let run = 4 * sizes.channels as u64;
    let [scales, biases] = [0, run].map(|at| floats(numbers.part(at, run), sizes.channels));
    numbers.of(2 * run, "the scales and biases");
    let mut args = vec![floats(src, sizes.len()), scales, biases, floats(dst, sizes.len())];
    let whole = [sizes.length, sizes.plane, sizes.channels, usize::from(sizes.centered)];
    args.extend(whole.map(|n| Arg::U32(n as u32)));
    args.push(Arg::F32(sizes.epsilon));
    Launch::tiles("normalize", [sizes.groups as u32, 1, 1], THREADS, args)
}
