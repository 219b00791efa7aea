//! A scanner's screen as rows and columns of grey levels over a constant ground.

use crate::geometry::Rect;

use super::crop::CropKind;

/// Flat cells brighter than this above the ground are drawn by the scanner.
const BRIGHT: u8 = 20;

/// Cells of a picture: `columns × rows` squares of `side` pixels, the last ones cut off by the edge.
#[derive(Clone, Copy)]
pub struct Grid {
    pub side: usize,
    pub columns: usize,
    pub rows: usize,
}

/// A screen and what counts as ground in it.
#[derive(Clone, Copy)]
pub struct Screen<'a> {
    pub gray: &'a [u8],
    /// One frame of those that `gray` sums up, to tell what is flat.
    pub texture: &'a [u8],
    pub width: usize,
    pub height: usize,
    /// Pixels above this level are live.
    pub level: u8,
    pub ground: u8,
}

/// The level of the ground: the darkest frequent one of the frame's border, else of the whole frame, if it is so
/// frequent that it was drawn and not measured.
pub fn ground(gray: &[u8], width: usize) -> Option<u8> {
    let (mut all, mut border) = ([0usize; 256], [0usize; 256]);
    let rows = gray.len() / width;
    for (y, row) in gray.chunks_exact(width).enumerate() {
        for &p in row {
            all[p as usize] += 1;
        }
        if y == 0 || y + 1 == rows {
            for &p in row {
                border[p as usize] += 1;
            }
        }
        border[row[0] as usize] += 1;
        border[row[width - 1] as usize] += 1;
    }
    let dark = |histogram: &[usize; 256], percent: usize| {
        let total: usize = histogram.iter().sum();
        (0..80).find(|&level| histogram[level] * 100 > total * percent).map(|level| level as u8)
    };
    dark(&border, 15).filter(|&level| all[level as usize] * 50 > gray.len()).or_else(|| dark(&all, 5))
}

impl Screen<'_> {
    /// Part of the cell's pixels that are live, and whether it is a flat bright bar.
    pub fn cell(&self, grid: Grid, x: usize, y: usize) -> (f32, bool) {
        let (x0, y0) = (x * grid.side, y * grid.side);
        let (x1, y1) = ((x0 + grid.side).min(self.width), (y0 + grid.side).min(self.height));
        let (mut live, mut sum, mut flat, mut white) = (0usize, 0usize, 0usize, 0usize);
        for y in y0..y1 {
            let row = &self.texture[y * self.width..][..self.width];
            let mut before = row[x0.saturating_sub(1)];
            for &p in &row[x0..x1] {
                flat += usize::from(p == before);
                white += usize::from(p >= 250);
                sum += p as usize;
                before = p;
            }
            let row = &self.gray[y * self.width..][..self.width];
            live += row[x0..x1].iter().filter(|&&p| p > self.level).count();
        }
        let n = (x1 - x0) * (y1 - y0);
        let bright = sum > n * (self.ground as usize + BRIGHT as usize);
        (live as f32 / n as f32, bright && flat * 2 > n && white * 2 < n)
    }

    pub fn live(&self, x: usize, y: usize) -> bool {
        self.gray[y * self.width + x] > self.level
    }

    /// Part of column `x` between two rows that is live.
    fn column(&self, x: usize, [top, bottom]: [usize; 2]) -> f32 {
        (top..bottom).filter(|&y| self.live(x, y)).count() as f32 / (bottom - top).max(1) as f32
    }

    /// Part of row `y` between two columns that is live.
    fn row(&self, y: usize, [left, right]: [usize; 2]) -> f32 {
        (left..right).filter(|&x| self.live(x, y)).count() as f32 / (right - left).max(1) as f32
    }

    /// The edges of the picture to the pixel: from two cells inside outwards as long as a line is half as full as
    /// the picture beside it (a sector: as long as a few pixels are live).
    pub fn refine(&self, grid: Grid, [left, top, right, bottom]: [usize; 4], kind: CropKind) -> Rect {
        let side = grid.side;
        let (x0, y0) = (left * side, top * side);
        let (x1, y1) = ((right * side).min(self.width), (bottom * side).min(self.height));
        let part = |inner: f32, length: usize| match kind {
            CropKind::Curved => (3.0 / length.max(1) as f32).min(0.5 * inner),
            _ => 0.5 * inner,
        };
        let seek = |line: &dyn Fn(usize) -> f32, from: usize, step: isize, end: usize, length: usize| {
            let reach = 4 * side;
            let threshold = part(line(from), length);
            let mut at = from;
            for _ in 0..reach {
                let Some(next) = at.checked_add_signed(step).filter(|&n| n < end) else { break };
                if line(next) < threshold {
                    break;
                }
                at = next;
            }
            at
        };
        // The near field is never dark, so it decides where a rectangle begins and ends sideways.
        let lit = match kind {
            CropKind::Curved => [y0, y1],
            _ => [y0, y0 + ((y1 - y0) * 3 / 5).max(1)],
        };
        let inset = (2 * side).min((x1 - x0) / 2).min((y1 - y0) / 2);
        let column = |x: usize| self.column(x, lit);
        let l = seek(&column, x0 + inset, -1, self.width, lit[1] - lit[0]);
        let r = seek(&column, x1 - 1 - inset, 1, self.width, lit[1] - lit[0]) + 1;
        let row = |y: usize| self.row(y, [l, r]);
        let t = seek(&row, y0 + inset, -1, self.height, r - l);
        let b = seek(&row, y1 - 1 - inset, 1, self.height, r - l) + 1;
        Rect { x: l as u32, y: t as u32, width: (r.max(l + 1) - l) as u32, height: (b.max(t + 1) - t) as u32 }
    }

    /// Whether something bright stands outside the picture and clear of it: lettering, a ruler, a bar.
    pub fn drawn_outside(&self, rect: Rect) -> bool {
        let clear = (self.width.min(self.height) / 100).max(2) as i64;
        let (l, t) = (i64::from(rect.x) - clear, i64::from(rect.y) - clear);
        let (r, b) = (i64::from(rect.x + rect.width) + clear, i64::from(rect.y + rect.height) + clear);
        let bright = self.ground.saturating_add(60);
        let mut count = 0usize;
        for (y, row) in self.gray.chunks_exact(self.width).enumerate() {
            let inside = (t..b).contains(&(y as i64));
            let bright = |x: usize, p: u8| p > bright && !(inside && (l..r).contains(&(x as i64)));
            count += row.iter().enumerate().filter(|&(x, &p)| bright(x, p)).count();
        }
        count * 4000 > self.width * self.height
    }
}
