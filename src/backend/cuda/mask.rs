//! Launches `kernels/mask.cu`.

use super::launch::{Arg, Launch, Region};
use super::layout::floats;
use crate::backend::cpu::mask::Meaning;
use crate::backend::cpu::resize::{Axis, Resampler};
use crate::geometry::{Rect, Size};

/// What is read and written on the way from maps to labels.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Classes, or with a background one more, × height × width floats.
    pub maps: Region,
    /// Classes × height × width floats of the part of the maps that shows the picture.
    pub small: Region,
    /// [`broken_bytes`] of it: other than 0 where the maps have what is not a number.
    pub broken: Region,
    /// What [`super::resize::tables`] made of the resampler, for no channel.
    pub tables: Region,
    /// Height × width bytes of the crop, 0 where nothing is to be found.
    pub inside: Option<Region>,
    /// One float a class.
    pub thresholds: Region,
    /// Height × width bytes of the frame.
    pub labels: Region,
    /// Classes × height × width bytes of the frame.
    pub bytes: Region,
}

/// Bytes of [`Memory::broken`]: a number for each block of maps.
pub fn broken_bytes(map_size: Size) -> u64 {
    let [across, down, _] = Launch::pixels("mask_probability", map_size, 1, []).grid();
    4 * u64::from(across) * u64::from(down)
}

/// The probability and the label of every pixel of a frame, of which `crop` is segmented: from the part `placed` of maps of
/// `map_size`, which `resampler` brings to the size of the crop.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or a part does not lie in its whole.
pub fn launches(
    meaning: Meaning,
    (map_size, placed): (Size, Rect),
    resampler: &Resampler,
    (frame, crop): (Size, Rect),
    memory: &Memory,
) -> [Launch; 2] {
    let classes = (memory.thresholds.bytes / 4) as usize;
    assert!(placed.fits(map_size) && crop.fits(frame), "{placed:?} of {map_size}, {crop:?} of {frame}");
    assert_eq!((resampler.from(), resampler.to()), (placed.size(), crop.size()), "sizes of the resampler");
    let number = |n: usize| Arg::U32(n as u32);
    let small = floats(memory.small, classes * placed.size().area());
    let maps = floats(memory.maps, (classes + usize::from(meaning.softmax)) * map_size.area());
    assert!(memory.broken.offset.is_multiple_of(4), "{:?} lies at multiples of four bytes", memory.broken);
    let broken = Arg::Region(memory.broken.of(broken_bytes(map_size), "the flags"));
    let mut args = vec![maps, small, broken, number(classes)];
    args.extend([meaning.logits, meaning.softmax].map(|yes| Arg::U32(u32::from(yes))));
    let part = [map_size.width, map_size.height, placed.x, placed.y, placed.width, placed.height];
    args.extend(part.map(Arg::U32));
    let first = Launch::pixels("mask_probability", map_size, 1, args);

    assert!(memory.tables.offset.is_multiple_of(4), "{:?} lies at multiples of four bytes", memory.tables);
    let mut at = 0;
    let mut lookup = |numbers: usize| {
        let region = memory.tables.part(at, 4 * numbers as u64);
        at += 4 * numbers as u64;
        Arg::Region(region)
    };
    let mut args = vec![small, Arg::U32(placed.width), Arg::U32(placed.height)];
    for Axis { taps, first, weights } in resampler.axes() {
        args.extend([lookup(first.len()), lookup(weights.len()), number(*taps)]);
    }
    memory.tables.of(at, "the tables");
    let labels = memory.labels.of(frame.area() as u64, "the labels");
    let inside = memory.inside.map(|inside| inside.of(crop.size().area() as u64, "what is inside"));
    args.extend([Arg::Region(inside.unwrap_or(labels)), Arg::U32(u32::from(inside.is_some()))]);
    args.extend([floats(memory.thresholds, classes), number(classes), Arg::Region(labels)]);
    args.push(Arg::Region(memory.bytes.of((classes * frame.area()) as u64, "the probabilities")));
    args.extend([frame.width, frame.height, crop.x, crop.y, crop.width, crop.height].map(Arg::U32));
    [first, Launch::pixels("mask_classify", frame, 1, args)]
}
