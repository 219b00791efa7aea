//! Antialiased lines with a dark halo.
//!
//! Every pixel keeps its distance to the nearest line, so that a line that meets itself is not painted twice.

use super::canvas::Canvas;
use super::color;
use crate::geometry::Rect;
use crate::mask::Mask;

/// Steps of a stored distance in one pixel; 255 is "far", so lines and halo reach at most 7.9 pixels.
const STEPS: f32 = 32.0;
const FAR: u8 = 255;

/// How a line looks.
#[derive(Clone, Copy)]
pub struct Pen {
    /// Colour of the line.
    pub color: u32,
    /// Half its width in pixels.
    pub radius: f32,
    /// Width of the dark rim on either side.
    pub halo: f32,
    /// Opacity, 0..=1.
    pub alpha: f32,
}

/// Collects the segments of lines, then paints them at once.
#[derive(Default)]
pub struct Stroke {
    area: Rect,
    distance: Vec<u8>,
    /// Columns and rows of `area` that have been touched: x0, y0, x1, y1.
    touched: Option<[i32; 4]>,
    reach: f32,
}

impl Stroke {
    /// Starts lines inside `area` that reach at most `reach` pixels to either side.
    pub fn begin(&mut self, area: Rect, reach: f32) {
        self.area = area;
        self.reach = reach.min(7.0) + 1.0;
        self.touched = None;
        self.distance.clear();
        self.distance.resize(area.size().area(), FAR);
    }

    /// Adds a segment between two points in canvas pixels.
    pub fn segment(&mut self, a: [f32; 2], b: [f32; 2]) {
        let (ox, oy) = (self.area.x as f32, self.area.y as f32);
        let [a, b] = [[a[0] - ox, a[1] - oy], [b[0] - ox, b[1] - oy]];
        if !a.iter().chain(&b).all(|v| v.is_finite()) {
            return;
        }
        let (w, h) = (self.area.width as i32, self.area.height as i32);
        let low = |a: f32, b: f32| ((a.min(b) - self.reach).floor() as i32).max(0);
        let high = |a: f32, b: f32, end: i32| ((a.max(b) + self.reach).ceil() as i32 + 1).min(end);
        let [x0, y0, x1, y1] = [low(a[0], b[0]), low(a[1], b[1]), high(a[0], b[0], w), high(a[1], b[1], h)];
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        let length2 = dx * dx + dy * dy;
        for y in y0..y1 {
            let row = &mut self.distance[(y * w) as usize..][x0 as usize..x1 as usize];
            for (x, d) in (x0..x1).zip(row) {
                let [px, py] = [x as f32 - a[0], y as f32 - a[1]];
                let t = if length2 > 0.0 { ((px * dx + py * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
                let [ex, ey] = [px - t * dx, py - t * dy];
                *d = (*d).min(((ex * ex + ey * ey).sqrt() * STEPS) as u8);
            }
        }
        let t = self.touched.unwrap_or([x0, y0, x1, y1]);
        self.touched = Some([t[0].min(x0), t[1].min(y0), t[2].max(x1), t[3].max(y1)]);
    }

    /// Adds a closed outline; with `dash`, only `dash[0]` of every `dash[0] + dash[1]` pixels of its length.
    pub fn outline(&mut self, points: &[[f32; 2]], dash: Option<[f32; 2]>) {
        let Some(&last) = points.last() else { return };
        let (mut from, mut walked) = (last, 0.0f32);
        for &to in points {
            match dash {
                None => self.segment(from, to),
                Some(dash) => walked = self.dashes(from, to, walked, dash),
            }
            from = to;
        }
    }

    /// Adds the dashes of one segment that begins after `walked` pixels, and returns the length at its end.
    fn dashes(&mut self, from: [f32; 2], to: [f32; 2], walked: f32, [on, off]: [f32; 2]) -> f32 {
        let length = (to[0] - from[0]).hypot(to[1] - from[1]);
        let period = on + off;
        // More dashes than pixels across any screen means that the numbers are nonsense.
        if !length.is_finite() || length / period > 1e4 {
            return walked;
        }
        let at = |s: f32| {
            let t = if length > 0.0 { (s / length).clamp(0.0, 1.0) } else { 0.0 };
            [from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]
        };
        let mut start = -(walked % period);
        while start < length {
            if start + on > 0.0 {
                self.segment(at(start), at(start + on));
            }
            start += period;
        }
        (walked + length) % period
    }

    /// Adds the boundary of one class, between the centres of pixels that differ; `place` leads from frame to canvas.
    /// With `dots`, about two of every four stretches of that many pixels.
    ///
    /// # References
    /// Lorensen and Cline, "Marching Cubes", SIGGRAPH 1987, in two dimensions with the level at one half.
    pub fn boundary(&mut self, mask: &Mask, class: u8, dots: Option<i32>, place: impl Fn([f32; 2]) -> [f32; 2]) {
        let (w, h) = (mask.size.width as i32, mask.size.height as i32);
        let inside = |x: i32, y: i32| {
            x >= 0 && y >= 0 && x < w && y < h && mask.labels[y as usize * w as usize + x as usize] == class
        };
        let has = |y: i32| y >= 0 && y < h && mask.labels[y as usize * w as usize..][..w as usize].contains(&class);
        for y in -1..h {
            if !has(y) && !has(y + 1) {
                continue;
            }
            for x in -1..w {
                // Neighbours along a boundary share a side, so this sum changes by one or two from each to the next: lines
                // of every direction get their gaps.
                if dots.is_some_and(|n| (x.div_euclid(n) + 2 * y.div_euclid(n)).rem_euclid(4) >= 2) {
                    continue;
                }
                let corners = [inside(x, y), inside(x + 1, y), inside(x + 1, y + 1), inside(x, y + 1)];
                let (fx, fy) = (x as f32, y as f32);
                // Midpoints of the upper, right, lower and left side, where its two corners differ.
                let sides = [[fx + 0.5, fy], [fx + 1.0, fy + 0.5], [fx + 0.5, fy + 1.0], [fx, fy + 0.5]];
                let cut = |i: usize| corners[i] != corners[(i + 1) % 4];
                match (0..4).filter(|&i| cut(i)).count() {
                    2 => {
                        let mut ends = (0..4).filter(|&i| cut(i)).map(|i| place(sides[i]));
                        if let (Some(a), Some(b)) = (ends.next(), ends.next()) {
                            self.segment(a, b);
                        }
                    }
                    4 => {
                        // A saddle: the two corners inside stay apart.
                        let first = if corners[0] { [[3, 0], [1, 2]] } else { [[0, 1], [2, 3]] };
                        for [a, b] in first {
                            self.segment(place(sides[a]), place(sides[b]));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Paints what was added: first the halo, then the line.
    pub fn paint(&self, canvas: &mut Canvas, pen: Pen) {
        let Some([x0, y0, x1, y1]) = self.touched else { return };
        for y in y0..y1 {
            for x in x0..x1 {
                let d = self.distance[(y * self.area.width as i32 + x) as usize];
                if d == FAR {
                    continue;
                }
                let d = f32::from(d) / STEPS;
                let line = (pen.radius + 0.5 - d).clamp(0.0, 1.0);
                let rim = ((pen.radius + pen.halo + 0.5 - d) / 1.5).clamp(0.0, 1.0) * 0.75;
                let (px, py) = (x + self.area.x as i32, y + self.area.y as i32);
                if rim > 0.0 && pen.halo > 0.0 {
                    canvas.blend(px, py, color::INK, rim * pen.alpha);
                }
                if line > 0.0 {
                    canvas.blend(px, py, pen.color, line * pen.alpha);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const PEN: Pen = Pen { color: 0x00ff_ffff, radius: 1.0, halo: 2.0, alpha: 1.0 };

    #[test]
    fn a_line_is_bright_on_its_axis_and_dark_beside_it() {
        let size = Size::new(40, 21);
        let mut canvas = Canvas::new(size, 0x0080_8080);
        let mut stroke = Stroke::default();
        stroke.begin(size.full(), 3.0);
        stroke.outline(&[[5.0, 10.0], [35.0, 10.0]], None);
        stroke.paint(&mut canvas, PEN);
        let at = |x: usize, y: usize| canvas.pixels[y * 40 + x] & 255;
        assert_eq!(at(20, 10), 255);
        assert!(at(20, 12) < 80, "{}", at(20, 12));
        assert_eq!(at(20, 16), 128);
    }

    #[test]
    fn dashes_leave_gaps_and_wild_points_do_no_harm() {
        let size = Size::new(100, 9);
        let mut canvas = Canvas::new(size, 0);
        let mut stroke = Stroke::default();
        stroke.begin(size.full(), 3.0);
        stroke.outline(&[[0.0, 4.0], [99.0, 4.0]], Some([10.0, 15.0]));
        stroke.outline(&[[f32::NAN, 4.0], [1e30, -1e30]], Some([10.0, 15.0]));
        stroke.paint(&mut canvas, PEN);
        let lit = canvas.pixels[400..500].iter().filter(|p| **p == 0x00ff_ffff).count();
        assert!((30..90).contains(&lit), "{lit}");
    }

    #[test]
    fn the_boundary_of_one_pixel_is_a_diamond_around_it() {
        let mut mask = Mask::empty(Size::new(3, 3));
        mask.labels[4] = 1;
        let size = Size::new(31, 31);
        let mut canvas = Canvas::new(size, 0);
        let mut stroke = Stroke::default();
        stroke.begin(size.full(), 1.0);
        stroke.boundary(&mask, 1, None, |[x, y]| [x * 10.0 + 5.0, y * 10.0 + 5.0]);
        stroke.paint(&mut canvas, Pen { halo: 0.0, ..PEN });
        let lit = |x: usize, y: usize| canvas.pixels[y * 31 + x] != 0;
        assert!(lit(10, 15) && lit(20, 15) && lit(15, 10) && lit(15, 20) && !lit(15, 15) && !lit(10, 10));
    }
}
