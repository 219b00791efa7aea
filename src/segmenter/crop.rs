//! Finds the ultrasound picture in a scanner's screen: what is left when lettering, rulers and bars are taken away.
//!
//! A scanner draws its picture on a constant dark ground. Speckle fills the picture nearly without gaps, even where it
//! is one grey level above the ground; lettering and rulers are thin, bars are flat. So the screen is divided into
//! cells; a cell belongs to the picture when most of its pixels stand above the ground and it is not flat and bright;
//! an opening removes what is thinner than three cells; the largest connected rest is the picture, and its edges are
//! then sought again to the pixel.
//!
//! # References
//! Opening: Serra, "Image Analysis and Mathematical Morphology", 1982, with a square of 3 × 3 cells.

use crate::geometry::{Rect, Size};

/// Shape of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CropKind {
    /// A rectangle, from a linear array.
    Linear,
    /// A sector, from a curved or phased array; the rectangle is the smallest around it.
    Curved,
    /// No screen around a picture was found: the rectangle is the whole frame.
    None,
}

/// Where the picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropFound {
    /// The picture, or the whole frame.
    pub rect: Rect,
    /// Its shape.
    pub kind: CropKind,
    /// Whether there was enough light to tell.
    pub certain: bool,
    /// Why, in a few words.
    pub note: &'static str,
}

impl CropFound {
    fn full(size: Size, certain: bool, note: &'static str) -> Self {
        Self { rect: size.full(), kind: CropKind::None, certain, note }
    }
}

/// Finds the picture in one grey frame; [`CropFinder::find`] without the reused buffers.
///
/// # Panics
/// When `gray` has not `size.area()` bytes.
pub fn find(gray: &[u8], size: Size) -> CropFound {
    CropFinder::default().find(gray, size)
}

/// Levels above the ground from which a pixel counts, tried in this order: clean screens first, then noisier ones.
const MARGINS: [u8; 5] = [0, 2, 5, 10, 18];
/// Flat cells brighter than this above the ground are drawn by the scanner.
const BRIGHT: u8 = 20;
/// A picture covers at least this part of the screen.
const MIN_PICTURE: f32 = 0.04;

const LIVE: u8 = 1;
const BAR: u8 = 2;
const CORE: u8 = 4;
const PICTURE: u8 = 8;

/// The buffers of [`find`], kept from frame to frame.
#[derive(Default)]
pub struct CropFinder {
    cells: Vec<u8>,
    fill: Vec<f32>,
    queue: Vec<usize>,
    best: Vec<usize>,
}

/// Cells of a picture: `columns × rows` squares of `side` pixels, the last ones cut off by the edge.
#[derive(Clone, Copy)]
struct Grid {
    side: usize,
    columns: usize,
    rows: usize,
}

/// A screen and what counts as ground in it.
#[derive(Clone, Copy)]
struct Screen<'a> {
    gray: &'a [u8],
    width: usize,
    height: usize,
    /// Pixels above this level are live.
    level: u8,
    ground: u8,
}

impl CropFinder {
    /// Finds the picture in one grey frame.
    ///
    /// # Panics
    /// When `gray` has not `size.area()` bytes.
    pub fn find(&mut self, gray: &[u8], size: Size) -> CropFound {
        assert_eq!(gray.len(), size.area(), "grey plane of a {size} frame");
        let (width, height) = (size.width as usize, size.height as usize);
        if width.min(height) < 32 {
            return CropFound::full(size, true, "too small to be a screen");
        }
        let Some(ground) = ground(gray, width) else {
            return CropFound::full(size, true, "no dark ground around the picture");
        };
        let side = (width.min(height) / 75).clamp(2, 16);
        let grid = Grid { side, columns: width.div_ceil(side), rows: height.div_ceil(side) };
        let mut chosen: Option<(f32, u8)> = None;
        for margin in MARGINS {
            let screen = Screen { gray, width, height, level: ground.saturating_add(margin), ground };
            let Some(score) = self.split(screen, grid) else { continue };
            // A higher level loses the dark depth of the picture, so it must be clearly better.
            if chosen.is_none_or(|(best, _)| score > best + 0.05) {
                chosen = Some((score, screen.level));
            }
            if score > 0.8 {
                break;
            }
        }
        let Some((_, level)) = chosen else {
            return CropFound::full(size, false, "too dark to tell");
        };
        let screen = Screen { gray, width, height, level, ground };
        if self.split(screen, grid).is_none() {
            return CropFound::full(size, false, "too dark to tell");
        }
        let cells = self.cell_bounds(grid);
        let kind = self.kind(grid, cells);
        let rect = screen.refine(grid, cells, kind);
        self.judge(screen, rect, kind, size)
    }

    /// Marks the cells of the picture at one level; how well they stand apart from the rest, -1..=1, or nothing when
    /// there is no such region.
    fn split(&mut self, screen: Screen, grid: Grid) -> Option<f32> {
        let n = grid.columns * grid.rows;
        self.cells.clear();
        self.cells.resize(n, 0);
        self.fill.clear();
        self.fill.resize(n, 0.0);
        for i in 0..n {
            let (fill, bar) = screen.cell(grid, i % grid.columns, i / grid.columns);
            self.fill[i] = fill;
            self.cells[i] = if bar {
                BAR
            } else if fill >= 0.5 {
                LIVE
            } else {
                0
            };
        }
        self.open(grid);
        self.largest(grid);
        if (self.best.len() as f32) < MIN_PICTURE * n as f32 {
            return None;
        }
        for &i in &self.best {
            self.cells[i] |= PICTURE;
        }
        let (mut inside, mut outside, mut others) = (0.0, 0.0, 0usize);
        for (c, f) in self.cells.iter().zip(&self.fill) {
            if c & PICTURE != 0 {
                inside += f;
            } else if c & BAR == 0 {
                outside += f;
                others += 1;
            }
        }
        Some(inside / self.best.len() as f32 - outside / others.max(1) as f32)
    }

    /// Erodes the live cells by 3 × 3 (cells beyond the edge of the screen count as live) and grows the rest twice
    /// inside what was live: tips of a sector come back, lettering does not.
    fn open(&mut self, grid: Grid) {
        let flag = |cells: &[u8], x: isize, y: isize, flag: u8| {
            x < 0
                || y < 0
                || x >= grid.columns as isize
                || y >= grid.rows as isize
                || cells[y as usize * grid.columns + x as usize] & flag != 0
        };
        for y in 0..grid.rows as isize {
            for x in 0..grid.columns as isize {
                let around = (0..9).all(|k| flag(&self.cells, x + k % 3 - 1, y + k / 3 - 1, LIVE));
                if around {
                    self.cells[y as usize * grid.columns + x as usize] |= CORE;
                }
            }
        }
        self.queue.clear();
        for _ in 0..2 {
            self.queue.clear();
            for i in 0..self.cells.len() {
                if self.cells[i] & (LIVE | CORE) != LIVE {
                    continue;
                }
                let (x, y) = (i % grid.columns, i / grid.columns);
                let near = (y.saturating_sub(1)..(y + 2).min(grid.rows)).any(|v| {
                    (x.saturating_sub(1)..(x + 2).min(grid.columns))
                        .any(|u| self.cells[v * grid.columns + u] & CORE != 0)
                });
                if near {
                    self.queue.push(i);
                }
            }
            for &i in &self.queue {
                self.cells[i] |= CORE;
            }
        }
    }

    /// The largest region of cells that share a side, into `best`.
    fn largest(&mut self, grid: Grid) {
        const SEEN: u8 = 16;
        self.best.clear();
        for start in 0..self.cells.len() {
            if self.cells[start] & (CORE | SEEN) != CORE {
                continue;
            }
            self.queue.clear();
            self.queue.push(start);
            self.cells[start] |= SEEN;
            let mut next = 0;
            while next < self.queue.len() {
                let i = self.queue[next];
                next += 1;
                let (x, y) = (i % grid.columns, i / grid.columns);
                let sides = [
                    (x > 0).then(|| i - 1),
                    (x + 1 < grid.columns).then(|| i + 1),
                    (y > 0).then(|| i - grid.columns),
                    (y + 1 < grid.rows).then(|| i + grid.columns),
                ];
                for j in sides.into_iter().flatten() {
                    if self.cells[j] & (CORE | SEEN) == CORE {
                        self.cells[j] |= SEEN;
                        self.queue.push(j);
                    }
                }
            }
            if self.queue.len() > self.best.len() {
                std::mem::swap(&mut self.queue, &mut self.best);
            }
        }
    }

    /// Left, top, right, bottom cell of the picture, the last two excluded.
    fn cell_bounds(&self, grid: Grid) -> [usize; 4] {
        let (mut left, mut top, mut right, mut bottom) = (grid.columns, grid.rows, 0, 0);
        for &i in &self.best {
            let (x, y) = (i % grid.columns, i / grid.columns);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        [left, top, right, bottom]
    }

    /// A sector grows to both sides with depth; a rectangle does not.
    fn kind(&self, grid: Grid, [left, top, right, bottom]: [usize; 4]) -> CropKind {
        let extent = |y: usize| {
            let row = &self.cells[y * grid.columns..][..grid.columns];
            let first = (left..right).find(|&x| row[x] & PICTURE != 0)?;
            let last = (left..right).rfind(|&x| row[x] & PICTURE != 0)?;
            Some((first as f32, last as f32))
        };
        let (width, height) = ((right - left) as f32, bottom - top);
        let at = |part: usize| extent(top + height * part / 100);
        let grows = |a: Option<(f32, f32)>, b: Option<(f32, f32)>| {
            a.zip(b).is_some_and(|((l, r), (m, s))| l - m > 0.06 * width && s - r > 0.06 * width)
        };
        if [(2, 25), (10, 45), (25, 60)].iter().any(|&(a, b)| grows(at(a), at(b))) {
            CropKind::Curved
        } else {
            CropKind::Linear
        }
    }

    /// Whether what was found is a picture in a screen, or the frame is all picture.
    fn judge(&self, screen: Screen, rect: Rect, kind: CropKind, size: Size) -> CropFound {
        let (w, h) = (f64::from(rect.width) / f64::from(size.width), f64::from(rect.height) / f64::from(size.height));
        if w > 0.97 && h > 0.97 {
            return CropFound::full(size, true, "the picture fills the frame");
        }
        if screen.drawn_outside(rect) {
            return CropFound { rect, kind, certain: true, note: "lettering, rulers or bars around it" };
        }
        let left = f64::from(rect.x) / f64::from(size.width);
        if left > 0.1 && 1.0 - w - left > 0.1 && kind == CropKind::Linear {
            return CropFound { rect, kind, certain: true, note: "empty bars left and right of it" };
        }
        CropFound::full(size, true, "nothing is drawn around the picture")
    }
}

/// The level of the ground: the darkest frequent one of the frame's border, else of the whole frame, if it is so
/// frequent that it was drawn and not measured.
fn ground(gray: &[u8], width: usize) -> Option<u8> {
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
    fn cell(&self, grid: Grid, x: usize, y: usize) -> (f32, bool) {
        let (x0, y0) = (x * grid.side, y * grid.side);
        let (x1, y1) = ((x0 + grid.side).min(self.width), (y0 + grid.side).min(self.height));
        let (mut live, mut sum, mut flat, mut white) = (0usize, 0usize, 0usize, 0usize);
        for row in self.gray.chunks_exact(self.width).take(y1).skip(y0) {
            let mut before = row[x0.saturating_sub(1)];
            for &p in &row[x0..x1] {
                live += usize::from(p > self.level);
                flat += usize::from(p == before);
                white += usize::from(p >= 250);
                sum += p as usize;
                before = p;
            }
        }
        let n = (x1 - x0) * (y1 - y0);
        let bright = sum > n * (self.ground as usize + BRIGHT as usize);
        (live as f32 / n as f32, bright && flat * 2 > n && white * 2 < n)
    }

    fn live(&self, x: usize, y: usize) -> bool {
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
    fn refine(&self, grid: Grid, [left, top, right, bottom]: [usize; 4], kind: CropKind) -> Rect {
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
    fn drawn_outside(&self, rect: Rect) -> bool {
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
