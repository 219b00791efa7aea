//! Launches `kernels/components.cu`, and reads what it found.

use super::launch::{Arg, Launch, Region};
use crate::backend::cpu::components::Component;
use crate::geometry::{Rect, Size};

/// Bytes of one region's sums on the device.
const SUM: u64 = 40;

/// The memory that regions are found in.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Class of every pixel; regions that are too small leave it.
    pub labels: Region,
    /// 4 bytes a pixel.
    pub parents: Region,
    /// [`Memory::sums_bytes`].
    pub sums: Region,
    /// [`Memory::found_bytes`]: the regions that were found.
    pub found: Region,
    /// 4 bytes: how many were found; more than there is room for are counted, and not kept.
    pub count: Region,
}

impl Memory {
    /// Bytes of [`Memory::sums`].
    pub fn sums_bytes(size: Size) -> u64 {
        SUM * size.area() as u64
    }

    /// Bytes of [`Memory::found`] for so many regions.
    pub fn found_bytes(regions: usize) -> u64 {
        SUM * regions as u64
    }
}

/// Finds the regions of `class`, the same as [`Components::find`](crate::backend::cpu::components::Components::find).
///
/// # Panics
/// When the mask has no pixels, or a region of memory has another length or does not lie as its numbers must.
pub fn launches(size: Size, class: u8, least: u32, memory: &Memory) -> Vec<Launch> {
    let area = size.area() as u64;
    assert!(area > 0, "a mask of {size}");
    let labels = Arg::Region(memory.labels.of(area, "the labels"));
    let parents = Arg::Region(memory.parents.of(4 * area, "the parents"));
    let sums = Arg::Region(memory.sums.of(Memory::sums_bytes(size), "the sums"));
    let count = Arg::Region(memory.count.of(4, "the count"));
    let found = Arg::Region(memory.found);
    let aligned = [(memory.parents, 4), (memory.sums, 8), (memory.found, 8), (memory.count, 4)];
    assert!(aligned.iter().all(|(region, bytes)| region.offset % bytes == 0), "{memory:?} lies as its numbers must");
    let room = Arg::U32((memory.found.bytes / SUM) as u32);
    let (pixels, width) = (Arg::U32(area as u32), Arg::U32(size.width));
    let line = |kernel, args: &[Arg]| Launch::line(kernel, area as u32, args.iter().copied());
    vec![
        line("components_start", &[labels, parents, sums, count, pixels, Arg::U32(class.into())]),
        line("components_join", &[parents, width, pixels]),
        line("components_sum", &[parents, sums, width, pixels]),
        line("components_keep", &[labels, parents, sums, found, count, pixels, Arg::U32(least), room]),
    ]
}

/// The regions that were found, in the order of the CPU: the largest first, then from above and from the left; they replace
/// what `regions` had.
///
/// `found` and `count` are the bytes of that memory.
///
/// # Errors
/// With how many there were, when there was no room for all.
pub fn read(size: Size, found: &[u8], count: [u8; 4], regions: &mut Vec<Component>) -> Result<(), u32> {
    let count = u32::from_le_bytes(count);
    let sums = found.as_chunks::<{ SUM as usize }>().0;
    let sums = sums.get(..count as usize).ok_or(count)?;
    let component = |sum: &[u8; SUM as usize]| {
        let long = |at: usize| u64::from_le_bytes(sum[at..at + 8].try_into().expect("eight bytes"));
        let [area, left, top, right, bottom, first] =
            [16, 20, 24, 28, 32, 36].map(|at| u32::from_le_bytes(sum[at..at + 4].try_into().expect("four bytes")));
        let mean = |sum: u64| (sum as f64 / f64::from(area)) as f32;
        Component {
            area: area as usize,
            centroid: [mean(long(0)), mean(long(8))],
            bounds: Rect { x: left, y: top, width: right - left, height: bottom - top },
            first: [first % size.width, first / size.width],
        }
    };
    regions.clear();
    regions.extend(sums.iter().map(component));
    regions.sort_unstable_by_key(|c| (std::cmp::Reverse(c.area), c.first[1], c.first[0]));
    Ok(())
}
