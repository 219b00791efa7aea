//! What the taps of one row read.

use super::input::Drawn;
use super::tile::WIDEST;

/// Taps of one row, whose pixels a tile reads as a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Row and first column, from that of the first output on.
    pub row: isize,
    pub column: isize,
    /// Pixels that the last tap reads beyond those of the first.
    more: usize,
    /// Of each tap, the pixels from the beginning of the line.
    pub taps: Vec<usize>,
}

impl Line {
    /// The lines of `taps`, which are sorted by row, of an input whose outputs are one pixel apart.
    pub fn of(taps: &[[isize; 2]], most: usize) -> Vec<Self> {
        let line = |taps: &[[isize; 2]]| {
            let column = taps[0][1];
            let taps_: Vec<usize> = taps.iter().map(|tap| (tap[1] - column) as usize).collect();
            Self { row: taps[0][0], column, more: taps_[taps_.len() - 1], taps: taps_ }
        };
        let rows = taps.chunk_by(|a, b| a[0] == b[0]).flat_map(|row| {
            let whole = line(row);
            match whole.length(most) <= WIDEST {
                true => vec![whole],
                // Taps far apart are read one by one.
                false => row.chunks(1).map(line).collect(),
            }
        });
        rows.collect()
    }

    /// The lines of `taps` of a copy of the input, whose outputs are `stride` pixels apart.
    pub fn of_drawn(taps: &[[isize; 2]], stride: usize, drawn: &Drawn) -> Vec<Self> {
        let at = |tap: &[isize; 2]| tap[1] as usize % stride * drawn.class + tap[1] as usize / stride;
        let rows = taps.chunk_by(|a, b| a[0] == b[0]);
        rows.map(|row| Self { row: row[0][0], column: 0, more: 0, taps: row.iter().map(at).collect() }).collect()
    }

    /// Pixels for a tile of `count`.
    pub fn length(&self, count: usize) -> usize {
        count + self.more
    }
}
