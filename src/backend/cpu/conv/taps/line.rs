//! What the taps of one row read.

use super::tile::WIDEST;

/// Taps of one row. A tile reads their pixels as a line, sorted by the remainder of their column by the stride, so that
/// what a tap reads for neighbouring outputs lies side by side.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Row and first column, from `stride` × output on.
    pub row: isize,
    pub column: isize,
    /// Columns from the first tap to the last.
    span: usize,
    /// Remainders that are needed.
    pub classes: usize,
    /// Of each tap, from the first: remainder, and columns of that remainder.
    pub taps: Vec<[usize; 2]>,
}

impl Line {
    /// The lines of `taps`, which are sorted by row.
    pub fn of(taps: &[[isize; 2]], stride: usize, most: usize) -> Vec<Self> {
        let line = |taps: &[[isize; 2]]| {
            let (column, last) = (taps[0][1], taps[taps.len() - 1][1]);
            let span = (last - column) as usize;
            let shift = |tap: &[isize; 2]| [(tap[1] - column) as usize % stride, (tap[1] - column) as usize / stride];
            let taps_ = taps.iter().map(shift).collect();
            Self { row: taps[0][0], column, span, classes: stride.min(span + 1), taps: taps_ }
        };
        let rows = taps.chunk_by(|a, b| a[0] == b[0]).flat_map(|row| {
            let whole = line(row);
            match whole.classes * whole.length(most, stride) <= WIDEST {
                true => vec![whole],
                // Taps far apart are read one by one.
                false => row.chunks(1).map(line).collect(),
            }
        });
        rows.collect()
    }

    /// Pixels of one remainder for a tile of `count` pixels.
    pub fn length(&self, count: usize, stride: usize) -> usize {
        count + self.span / stride
    }
}
