//! The sector of a curved or phased array in a scanner's screen: two straight edges and two arcs.
//!
//! The edges are sought among the lines through the outermost lit pixels of two rows: the best one touches most rows
//! and leaves hardly any outside. Shadows and dark corners are dents, which cost nothing; a badge that touches the
//! picture costs more than it brings. The edges meet in the apex, and from there rays tell the near and the far arc in
//! the same way.
//!
//! # References
//! Fischler & Bolles, "Random Sample Consensus", Communications of the ACM 24, 1981; here every pair is tried, so that
//! nothing is random.

use crate::geometry::{Rect, Sector};

use super::screen::{Grid, Screen};

/// Rows whose outermost pixels are looked at, at most.
const ROWS: usize = 96;
/// Rays from the apex.
const RAYS: usize = 64;

/// What was lit of a screen, and which cells of it are the picture.
pub struct Lit<'a> {
    pub screen: Screen<'a>,
    pub grid: Grid,
    pub cells: &'a [u8],
    /// The flag of a picture cell.
    pub picture: u8,
    /// Left, top, right, bottom pixel of those cells, the last two excluded.
    pub bounds: [usize; 4],
}

impl Lit<'_> {
    /// Whether a pixel is live, in a cell of the picture or beside one.
    fn at(&self, x: isize, y: isize) -> bool {
        let inside = x >= 0 && y >= 0 && (x as usize) < self.screen.width && (y as usize) < self.screen.height;
        inside && self.screen.live(x as usize, y as usize) && self.beside(x as usize, y as usize)
    }

    fn beside(&self, x: usize, y: usize) -> bool {
        let (u, v) = (x / self.grid.side, y / self.grid.side);
        (v.saturating_sub(1)..(v + 2).min(self.grid.rows)).any(|v| {
            (u.saturating_sub(1)..(u + 2).min(self.grid.columns))
                .any(|u| self.cells[v * self.grid.columns + u] & self.picture != 0)
        })
    }

    /// Whether lit tissue begins here and goes on in a direction: three of the next four pixels are lit.
    fn begins(&self, [x, y]: [f32; 2], [dx, dy]: [f32; 2]) -> bool {
        let lit = |k: f32| self.at((x + k * dx).round() as isize, (y + k * dy).round() as isize);
        lit(0.0) && [1.0, 2.0, 3.0, 4.0].into_iter().filter(|&k| lit(k)).count() >= 3
    }

    /// How far a measured edge may lie from the true one, in pixels.
    fn tolerance(&self) -> f32 {
        (self.grid.side as f32 / 2.0).max(2.0)
    }
}

/// Buffers of [`SectorFinder::find`], kept from look to look.
#[derive(Default)]
pub struct SectorFinder {
    left: Vec<[f32; 2]>,
    right: Vec<[f32; 2]>,
}

impl SectorFinder {
    /// The sector, a tolerance wider than what is lit, and the smallest rectangle around it; nothing where no two
    /// edges fit or picture would be lost.
    pub fn find(&mut self, lit: &Lit, rect: Rect) -> Option<(Sector, Rect)> {
        let [x0, y0, x1, y1] = lit.bounds;
        let reach = 2 * lit.grid.side;
        let (x0, x1) = (x0.saturating_sub(reach), (x1 + reach).min(lit.screen.width));
        self.left.clear();
        self.right.clear();
        for y in (y0..y1).step_by((y1 - y0).div_ceil(ROWS).max(1)) {
            let at = |x: usize| [x as f32, y as f32];
            let first = (x0..x1).find(|&x| lit.begins(at(x), [1.0, 0.0]));
            let last = (x0..x1).rfind(|&x| lit.begins(at(x), [-1.0, 0.0]));
            if let Some((first, last)) = first.zip(last) {
                self.left.push([first as f32, y as f32]);
                self.right.push([-(last as f32), y as f32]);
            }
        }
        let tolerance = lit.tolerance();
        let [a, left] = edge(&self.left, tolerance)?;
        let [b, right] = edge(&self.right, tolerance)?;
        // Both run outwards with depth, and meet above the picture.
        let (a, b, right) = (a - tolerance, -b + tolerance, -right);
        let top = (b - a) / (left - right);
        if left > -0.05 || right < 0.05 || top > y0 as f32 + 0.1 * (y1 - y0) as f32 {
            return None;
        }
        let mut sector = Sector { apex: [a + left * top, top], edges: [left, right], near: 0.0, far: None };
        arcs(lit, &mut sector);
        let outside = |i: usize| {
            let (side, columns) = (lit.grid.side, lit.grid.columns);
            let middle = |k: usize| (k * side + side / 2) as u32;
            lit.cells[i] & lit.picture != 0 && !sector.contains(middle(i % columns), middle(i / columns))
        };
        let lost = (0..lit.cells.len()).filter(|&i| outside(i)).count();
        let all = lit.cells.iter().filter(|&&c| c & lit.picture != 0).count();
        if lost * 20 > all {
            return None;
        }
        let bounds = bounds(&sector, rect, lit)?;
        Some((sector, bounds))
    }
}

/// The line `x = c + s·y` that touches most points and has hardly any left of it, as `[c, s]`.
fn edge(points: &[[f32; 2]], tolerance: f32) -> Option<[f32; 2]> {
    let mut best = (0, [0.0; 2]);
    for (i, &[x0, y0]) in points.iter().enumerate() {
        for &[x1, y1] in points.iter().skip(i + 4) {
            let slope = (x1 - x0) / (y1 - y0);
            let at = x0 - slope * y0;
            let score: i32 = points.iter().map(|&[x, y]| touches(x - (at + slope * y), tolerance)).sum();
            if score > best.0 {
                best = (score, [at, slope]);
            }
        }
    }
    (best.0 as usize >= (points.len() / 5).max(6)).then_some(best.1)
}

/// What a point says for an edge that it lies `inside` of by so much: a dent says nothing.
fn touches(inside: f32, tolerance: f32) -> i32 {
    if inside > tolerance {
        0
    } else if inside < -tolerance {
        -1
    } else {
        1
    }
}

/// Where the rays from the apex enter and leave the picture.
fn arcs(lit: &Lit, sector: &mut Sector) {
    let (mut first, mut last) = ([f32::NAN; RAYS], [f32::NAN; RAYS]);
    let [left, right] = sector.edges;
    let longest = lit.screen.width + lit.screen.height + (-sector.apex[1].min(0.0)) as usize;
    let border = 2.0 * lit.grid.side as f32;
    let (width, height) = (lit.screen.width as f32, lit.screen.height as f32);
    for (k, (first, last)) in first.iter_mut().zip(&mut last).enumerate() {
        let slope = left + (right - left) * (k as f32 + 0.5) / RAYS as f32;
        let down = 1.0 / (1.0 + slope * slope).sqrt();
        let ray = [slope * down, down];
        let at = |r: usize| [sector.apex[0] + r as f32 * ray[0], sector.apex[1] + r as f32 * ray[1]];
        let Some(enters) = (0..longest).find(|&r| lit.begins(at(r), ray)) else { continue };
        let Some(leaves) = (enters..longest).rfind(|&r| lit.begins(at(r), [-ray[0], -ray[1]])) else { continue };
        *first = enters as f32;
        let [x, y] = at(leaves);
        // Where the screen ends, the arc is not seen.
        if x > border && x < width - border && y < height - border {
            *last = -(leaves as f32);
        }
    }
    let tolerance = lit.tolerance();
    sector.near = arc(&first, tolerance).map_or(0.0, |r| (r - 2.0 * tolerance).max(0.0));
    sector.far = arc(&last, tolerance).map(|r| -r + 2.0 * tolerance);
}

/// The radius that most rays agree on, as [`edge`] does.
fn arc(radii: &[f32; RAYS], tolerance: f32) -> Option<f32> {
    let score = |at: f32| radii.iter().filter(|r| !r.is_nan()).map(|r| touches(r - at, 2.0 * tolerance)).sum::<i32>();
    let mut best = (0, 0.0);
    for &at in radii.iter().filter(|r| !r.is_nan()) {
        let found = score(at);
        if found > best.0 {
            best = (found, at);
        }
    }
    (best.0 as usize >= RAYS * 2 / 5).then_some(best.1)
}

/// The smallest rectangle around the sector in the screen; where the far arc was not seen, in the rows of `rect`.
fn bounds(sector: &Sector, rect: Rect, lit: &Lit) -> Option<Rect> {
    let (width, height) = (lit.screen.width as u32, lit.screen.height as u32);
    let rows = if sector.far.is_some() { 0..height } else { 0..rect.y + rect.height };
    let (mut l, mut t, mut r, mut b) = (width, height, 0, 0);
    for y in rows {
        let Some(first) = (0..width).find(|&x| sector.contains(x, y)) else { continue };
        let last = (first..width).rfind(|&x| sector.contains(x, y)).unwrap_or(first);
        (l, r) = (l.min(first), r.max(last + 1));
        (t, b) = (t.min(y), y + 1);
    }
    (l < r).then(|| Rect { x: l, y: t, width: r - l, height: b - t })
}
