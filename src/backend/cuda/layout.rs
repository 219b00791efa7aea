//! Launches `kernels/layout.cu`.

use super::conv::Halves;
use super::conv::int8::{CHUNK, Codes, Kept};
use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::layout::Grid;

/// Brings planes of floats to channels-last halves of `width` channels, zeros beyond those that there are.
///
/// # Shapes
/// `src` channels × pixels floats; `dst` so many pixels.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or `width` is no multiple of eight.
pub fn to_last([channels, pixels]: [usize; 2], src: Region, dst: Halves, width: usize) -> Launch {
    assert!(channels <= width, "{channels} channels in {width}");
    let [to, pitch] = dst.chunks(pixels, width, "the output");
    let number = |n: usize| Arg::U32(n as u32);
    let args = [floats(src, channels * pixels), number(channels), number(pixels), to, pitch, number(width)];
    Launch::line("to_last", (pixels * width / 8) as u32, args)
}

/// Brings channels-last halves to planes of floats.
///
/// # Shapes
/// `src` so many pixels; `dst` channels × pixels floats.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn to_planes([channels, pixels]: [usize; 2], src: Halves, dst: Region) -> Launch {
    assert!(src.region.offset.is_multiple_of(2), "{src:?} lies at multiples of two bytes");
    let [from, pitch] = src.args(pixels, channels, "the input");
    let args = [from, pitch, Arg::U32(pixels as u32), floats(dst, channels * pixels)];
    Launch::line("to_planes", pixels as u32, args).down(channels as u32)
}

/// Brings halves to the nearest codes of a grid, and codes of zero after them.
///
/// # Shapes
/// `src` so many pixels of so many channels, a multiple of eight; `dst` as many of the next multiple of sixteen.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must.
pub fn to_codes([channels, pixels]: [usize; 2], src: Halves, grid: Grid, dst: Codes) -> Launch {
    let [from, from_pitch] = src.chunks(pixels, channels, "the input");
    let [to, to_pitch] = dst.chunks(pixels, channels.next_multiple_of(CHUNK), "the output");
    let number = |n: usize| Arg::U32(n as u32);
    let mut args = vec![from, from_pitch, number(pixels), to, to_pitch, number(channels)];
    args.extend([grid.steps(), f32::from(grid.zero)].map(Arg::F32));
    Launch::line("to_codes", (pixels * channels.div_ceil(CHUNK)) as u32, args)
}

/// Brings codes of a grid to halves.
///
/// # Shapes
/// As of [`to_codes`], the other way round.
///
/// # Panics
/// As [`to_codes`].
pub fn to_halves([channels, pixels]: [usize; 2], src: Codes, grid: Grid, dst: Halves) -> Launch {
    let [from, from_pitch] = src.chunks(pixels, channels.next_multiple_of(CHUNK), "the input");
    let [to, to_pitch] = dst.chunks(pixels, channels, "the output");
    let number = |n: usize| Arg::U32(n as u32);
    let mut args = vec![from, from_pitch, number(pixels), to, to_pitch, number(channels)];
    args.extend([grid.scale, f32::from(grid.zero)].map(Arg::F32));
    Launch::line("to_halves", (pixels * channels.div_ceil(CHUNK)) as u32, args)
}

/// Copies channels as they are.
///
/// # Shapes
/// `src` and `dst` so many pixels of so many channels, both halves or both codes of one grid.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, one of them is codes and the other is not, or the
/// channels are no multiple of eight, of codes of sixteen.
pub fn copy([channels, pixels]: [usize; 2], src: Kept, dst: Kept) -> Launch {
    let words = channels / Kept::channels_of_a_word(src, dst);
    let [from, from_pitch] = src.words(pixels, channels, "the input");
    let [to, to_pitch] = dst.words(pixels, channels, "the output");
    let number = |n: usize| Arg::U32(n as u32);
    let args = [from, from_pitch, number(pixels), to, to_pitch, number(words)];
    Launch::line("copy_words", (pixels * words / 8) as u32, args)
}

/// Words as the device reads them.
pub(super) fn words(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// So many floats, or other words.
pub(super) fn floats(region: Region, count: usize) -> Arg {
    assert!(region.offset.is_multiple_of(4), "{region:?} lies at multiples of four bytes");
    Arg::Region(region.of(4 * count as u64, "the planes"))
}
