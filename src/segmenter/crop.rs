//! Finds the ultrasound picture in a scanner's screen: what is left when lettering, rulers and bars are taken away.
//!
//! A scanner draws its picture on a constant dark ground. Speckle fills the picture nearly without gaps, even where it
//! is one grey level above the ground; lettering and rulers are thin, bars are flat. So the screen is divided into
//! cells; a cell belongs to the picture when most of its pixels stand above the ground and it is not flat and bright;
//! an opening removes what is thinner than three cells; the largest connected rest is the picture, and its edges are
//! then sought again to the pixel. Of a curved array, the sector itself is sought (`sector.rs`): what stands
//! beside it in the rectangle, such as the mark of the probe's orientation, is not the picture.
//!
//! # References
//! Opening: Serra, "Image Analysis and Mathematical Morphology", 1982, with a square of 3 × 3 cells.

use crate::geometry::{Rect, Sector, Size};

use super::screen::{Grid, Screen, ground};
use super::sector::{Lit, SectorFinder};

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropFound {
    /// The picture, or the whole frame.
    pub rect: Rect,
    /// The part of the rectangle that is the picture of a curved array, where its edges were found.
    pub sector: Option<Sector>,
    /// Its shape.
    pub kind: CropKind,
    /// Whether there was enough light to tell.
    pub certain: bool,
    /// Why, in a few words.
    pub note: &'static str,
}

impl CropFound {
    fn full(size: Size, certain: bool, note: &'static str) -> Self {
        Self { rect: size.full(), sector: None, kind: CropKind::None, certain, note }
    }
}

/// Finds the picture in one grey frame; [`CropFinder::find`] without the reused buffers.
///
/// # Panics
/// When `gray` has not `size.area()` bytes.
pub fn find(gray: &[u8], size: Size) -> CropFound {
    CropFinder::default().find(gray, gray, size)
}

/// Levels above the ground from which a pixel counts, tried in this order: clean screens first, then noisier ones.
const MARGINS: [u8; 5] = [0, 2, 5, 10, 18];
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
    sector: SectorFinder,
}

impl CropFinder {
    /// Finds the picture in what was brightest at each pixel over some frames, and in the `texture` of one of them:
    /// speckle that was lit everywhere in its turn is flat, as a bar is.
    ///
    /// # Panics
    /// When `gray` or `texture` has not `size.area()` bytes.
    pub fn find(&mut self, gray: &[u8], texture: &[u8], size: Size) -> CropFound {
        assert_eq!(gray.len(), size.area(), "grey plane of a {size} frame");
        assert_eq!(texture.len(), size.area(), "grey plane of a {size} frame");
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
            let screen = Screen { gray, texture, width, height, level: ground.saturating_add(margin), ground };
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
        let screen = Screen { gray, texture, width, height, level, ground };
        if self.split(screen, grid).is_none() {
            return CropFound::full(size, false, "too dark to tell");
        }
        let cells = self.cell_bounds(grid);
        let kind = self.kind(grid, cells);
        let rect = screen.refine(grid, cells, kind);
        let found = self.judge(screen, rect, kind, size);
        if found.kind != CropKind::Curved {
            return found;
        }
        let [left, top, right, bottom] = cells.map(|c| c * side);
        let bounds = [left, top, right.min(width), bottom.min(height)];
        let lit = Lit { screen, grid, cells: &self.cells, picture: PICTURE, bounds };
        match self.sector.find(&lit, rect) {
            Some((sector, rect)) => CropFound { rect, sector: Some(sector), ..found },
            None => found,
        }
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
            return CropFound { rect, sector: None, kind, certain: true, note: "lettering, rulers or bars around it" };
        }
        let left = f64::from(rect.x) / f64::from(size.width);
        if left > 0.1 && 1.0 - w - left > 0.1 && kind == CropKind::Linear {
            return CropFound { rect, sector: None, kind, certain: true, note: "empty bars left and right of it" };
        }
        CropFound::full(size, true, "nothing is drawn around the picture")
    }
}
