//! A kernel with its arguments: a plain value, which a device runs, or the host for a test.

use crate::geometry::Size;

/// Bytes of device memory, from the start of the one arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
}

impl Region {
    /// `bytes` of it from `offset` on.
    ///
    /// # Panics
    /// When it has not so many.
    pub fn part(self, offset: u64, bytes: u64) -> Self {
        assert!(
            offset.checked_add(bytes).is_some_and(|end| end <= self.bytes),
            "{bytes} bytes at {offset} of {self:?}"
        );
        Self { offset: self.offset + offset, bytes }
    }

    /// The same, where it has just so many bytes.
    ///
    /// # Panics
    /// When it has not.
    pub fn of(self, bytes: u64, what: &str) -> Self {
        assert_eq!(self.bytes, bytes, "bytes of {what}");
        self
    }
}

/// An argument of a kernel, in the order of its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A pointer.
    Region(Region),
    /// A whole number.
    U32(u32),
    /// A number.
    F32(f32),
}

/// One run of a kernel. Only a launcher makes one, so that what is run is what was proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    kernel: &'static str,
    grid: [u32; 3],
    block: [u32; 3],
    args: Vec<Arg>,
}

/// Threads of a block of a filter, across and down; as `kernels/common.cuh` has it.
const BLOCK: [u32; 2] = [32, 8];

/// Most blocks of a launch down, or deep.
pub const MOST_ROWS: usize = 65535;

/// Threads of a block where pixels have no neighbours.
const LINE: u32 = 256;

impl Launch {
    /// A filter from one picture to another of the same size, whose threads compute `rows` pixels each.
    pub(super) fn filter(
        kernel: &'static str,
        (size, rows): (Size, u32),
        [src, dst]: [Region; 2],
        settings: impl IntoIterator<Item = Arg>,
    ) -> Self {
        let picture = [Arg::Region(src), Arg::Region(dst), Arg::U32(size.width), Arg::U32(size.height)];
        Self::pixels(kernel, size, rows, picture.into_iter().chain(settings))
    }

    /// Threads for the pixels of a picture, each for `rows` of them, one below the other.
    pub(super) fn pixels(kernel: &'static str, size: Size, rows: u32, args: impl IntoIterator<Item = Arg>) -> Self {
        let grid = [size.width.div_ceil(BLOCK[0]), size.height.div_ceil(BLOCK[1] * rows), 1];
        Self { kernel, grid, block: [BLOCK[0], BLOCK[1], 1], args: args.into_iter().collect() }
    }

    /// A thread for each of `count` values.
    pub(super) fn line(kernel: &'static str, count: u32, args: impl IntoIterator<Item = Arg>) -> Self {
        let grid = [count.div_ceil(LINE), 1, 1];
        Self { kernel, grid, block: [LINE, 1, 1], args: args.into_iter().collect() }
    }

    /// The same, with so many rows of blocks.
    pub(super) fn down(mut self, count: u32) -> Self {
        self.grid[1] = count;
        self
    }

    /// The same, with so many layers of blocks.
    pub(super) fn deep(mut self, count: u32) -> Self {
        self.grid[2] = count;
        self
    }

    /// Blocks of so many threads in a row.
    pub(super) fn tiles(kernel: &'static str, grid: [u32; 3], threads: u32, args: Vec<Arg>) -> Self {
        Self { kernel, grid, block: [threads, 1, 1], args }
    }

    /// Its name in `kernels/`.
    pub fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Blocks across, down and deep.
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// Threads of a block.
    pub fn block(&self) -> [u32; 3] {
        self.block
    }

    /// What it is given.
    pub fn args(&self) -> &[Arg] {
        &self.args
    }
}
