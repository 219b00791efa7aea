//! What is drawn on the picture: contour, fill, heat map, truth, edges, labels.

use std::fmt::Write as _;

use super::canvas::Canvas;
use super::color;
use super::stroke::{Pen, Stroke};
use super::text::{Face, Text};
use super::{Overlay, Scene};
use crate::geometry::{Rect, Size};
use crate::latency::Moment;
use crate::segmentation::{Contour, Finding, Segmentation, State};

/// Where a frame lies on the canvas; centres of pixels are at whole numbers on both.
#[derive(Clone, Copy)]
pub struct View {
    /// Size of the frame.
    pub frame: Size,
    /// Where on the canvas.
    pub area: Rect,
}

impl View {
    fn scale(self) -> [f32; 2] {
        let ratio = |a: u32, b: u32| a as f32 / b.max(1) as f32;
        [ratio(self.area.width, self.frame.width), ratio(self.area.height, self.frame.height)]
    }

    fn place(self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [sx, sy] = self.scale();
        [self.area.x as f32 + (x + 0.5) * sx - 0.5, self.area.y as f32 + (y + 0.5) * sy - 0.5]
    }

    /// Calls `paint` for every canvas pixel that shows `part` of the frame, with the four frame pixels around it and the
    /// fractions between them.
    fn each(self, part: Rect, mut paint: impl FnMut(i32, i32, [usize; 4], [f32; 2])) {
        let [sx, sy] = self.scale();
        let (w, h) = (self.frame.width as usize, self.frame.height as usize);
        let span = |start: u32, length: u32, scale: f32, end: u32| {
            let from = (start as f32 - 1.0) * scale;
            let to = (start as f32 + length as f32 + 1.0) * scale;
            (from.floor().max(0.0) as u32)..(to.ceil().max(0.0) as u32).min(end)
        };
        let near = |i: u32, scale: f32, n: usize| {
            let at = ((i as f32 + 0.5) / scale - 0.5).clamp(0.0, (n - 1) as f32);
            (at as usize, (at as usize + 1).min(n - 1), at.fract())
        };
        for y in span(part.y, part.height, sy, self.area.height) {
            let (y0, y1, fy) = near(y, sy, h);
            for x in span(part.x, part.width, sx, self.area.width) {
                let (x0, x1, fx) = near(x, sx, w);
                let around = [y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1];
                paint((x + self.area.x) as i32, (y + self.area.y) as i32, around, [fx, fy]);
            }
        }
    }
}

fn bilinear(values: [f32; 4], [fx, fy]: [f32; 2]) -> f32 {
    let top = values[0] + (values[1] - values[0]) * fx;
    let low = values[2] + (values[3] - values[2]) * fx;
    top + (low - top) * fy
}

/// Draws overlays; keeps its buffers.
#[derive(Default)]
pub struct OverlayPainter {
    stroke: Stroke,
    points: Contour,
    label: String,
    /// Where labels are already: left, top, right, bottom.
    taken: Vec<[i32; 4]>,
}

impl OverlayPainter {
    /// Draws what the style of `scene` asks for. `scale` is the width of a line in pixels, about 1 on a laptop; without
    /// `text` nothing is labelled.
    pub fn draw(&mut self, canvas: &mut Canvas, text: Option<&Text>, view: View, scale: f32, scene: &Scene<'_>) {
        let style = scene.style;
        let n = view.frame.area();
        if n == 0 {
            return;
        }
        if let Some(edges) = scene.edges.filter(|e| style.edges && e.len() == n) {
            draw_edges(canvas, view, edges);
        }
        if !style.overlay_on {
            return;
        }
        // A mask of another size belongs to another picture altogether: there is no honest place for it.
        let found = scene.segmentation.filter(|s| {
            s.size == view.frame && s.mask.size == s.size && s.mask.labels.len() == n && s.crop.fits(s.size)
        });
        if let Some(found) = found {
            match style.overlay {
                Overlay::Contour => {}
                Overlay::Fill => self.fill(canvas, view, scene, found),
                Overlay::Heat => heat(canvas, view, scene, found),
            }
        }
        if let Some(truth) = scene.truth.filter(|t| t.size == view.frame && t.labels.len() == n) {
            let dots = (3.0 * scale / view.scale()[0]).round().max(1.0) as i32;
            for class in 1..=scene.classes.len().clamp(1, 255) {
                self.stroke.begin(view.area, 3.0 * scale);
                self.stroke.boundary(truth, class as u8, Some(dots), |p| view.place(p));
                let pen = Pen { color: color::TEXT, radius: 0.5 * scale, halo: scale, alpha: style.opacity };
                self.stroke.paint(canvas, pen);
            }
        }
        let Some(found) = found else { return };
        for (i, finding) in found.findings.iter().enumerate() {
            self.contours(canvas, view, scale, scene, finding, class_color(scene, i));
        }
        let Some(text) = text else { return };
        self.taken.clear();
        for (i, finding) in found.findings.iter().enumerate().filter(|(_, f)| f.area_px > 0) {
            self.label(canvas, text, view, scene, (i, finding, found));
        }
    }

    fn contours(&mut self, canvas: &mut Canvas, view: View, scale: f32, scene: &Scene<'_>, f: &Finding, color: u32) {
        let dash = if scene.matched { None } else { Some([9.0 * scale, 7.0 * scale]) };
        // A probability map has its own colours: there the outline is thinner.
        let radius = if scene.style.overlay == Overlay::Heat { 0.55 } else { 0.9 } * scale;
        self.stroke.begin(view.area, radius + 2.5 * scale);
        for contour in &f.contours {
            self.points.clear();
            self.points.extend((0..contour.len()).map(|i| view.place(smoothed(contour, i))));
            self.stroke.outline(&self.points, dash);
        }
        self.stroke.paint(canvas, Pen { color, radius, halo: 1.4 * scale, alpha: scene.style.opacity });
    }

    fn fill(&mut self, canvas: &mut Canvas, view: View, scene: &Scene<'_>, found: &Segmentation) {
        let sharp = view.scale()[0].max(1.0);
        for (i, finding) in found.findings.iter().enumerate().take(254) {
            let Some(bounds) = finding.bounds else { continue };
            let (class, color) = (i as u8 + 1, class_color(scene, i));
            view.each(bounds, |x, y, around, at| {
                let inside = bilinear(around.map(|i| f32::from(found.mask.labels[i] == class)), at);
                let cover = ((inside - 0.5) * sharp + 0.5).clamp(0.0, 1.0);
                if cover > 0.0 && (scene.matched || hatched(x, y)) {
                    canvas.blend(x, y, color, cover * scene.style.opacity * 0.42);
                }
            });
        }
    }

    fn label(
        &mut self,
        canvas: &mut Canvas,
        text: &Text,
        view: View,
        scene: &Scene<'_>,
        (i, finding, found): (usize, &Finding, &Segmentation),
    ) {
        let Some([x0, y0, x1, y1]) = extent(finding) else { return };
        let name = scene.classes.get(i).map_or("class", |c| c.name.as_str());
        let doubt = if finding.state == State::Uncertain { "?" } else { "" };
        self.label.clear();
        let _ = write!(self.label, "{name}{doubt} {:.2}", finding.confidence);
        let width = text.width(Face::Strong, &self.label);
        let (left, right) = (view.area.x as i32 + 4, (view.area.x + view.area.width) as i32 - 4);
        let (top, bottom) = (view.area.y as i32 + 4, (view.area.y + view.area.height) as i32 - 4);
        let centre = view.place([(x0 + x1) / 2.0, 0.0])[0] as i32;
        let x = (centre - width / 2).min(right - width).max(left);
        let (line, small) = (text.line(Face::Strong), text.line(Face::Small));
        let age = (!scene.matched).then(|| mask_age_ms(scene, found)).flatten();
        // Said once for the picture: with the first label that there is.
        let caution = !found.calibrated && self.taken.is_empty();
        let second = caution || !scene.matched;
        let height = text.capital(Face::Strong) + if second { small } else { 0 };
        let above = view.place([0.0, y0])[1] as i32 - 9 - height;
        let below = view.place([0.0, y1])[1] as i32 + 9;
        // Above the structure where there is room, so that what lies deeper stays free; else below; else higher still.
        let reach = width.max(if second { text.width(Face::Small, "000 ms old · uncalibrated") } else { 0 }) / 2 + 4;
        let free = |y: i32| {
            let [l, t, r, b] = [centre - reach, y - 4, centre + reach, y + height + 4];
            y >= top
                && y + height <= bottom
                && !self.taken.iter().any(|&[l2, t2, r2, b2]| l < r2 && l2 < r && t < b2 && t2 < b)
        };
        let higher = (1..4).map(|k| above - k * (height + 10));
        let y =
            [above, below].into_iter().chain(higher).find(|&y| free(y)).unwrap_or(below.min(bottom - height).max(top));
        self.taken.push([centre - reach, y - 4, centre + reach, y + height + 4]);
        let first = y + text.capital(Face::Strong);
        text.draw_rimmed(canvas, Face::Strong, x, first, brightened(class_color(scene, i)), &self.label);
        if second {
            self.label.clear();
            if !scene.matched {
                match age {
                    Some(ms) => write!(self.label, "{ms:.0} ms old"),
                    None => write!(self.label, "of an older picture"),
                }
                .unwrap_or(());
            }
            if caution {
                let dot = if self.label.is_empty() { "" } else { " · " };
                let _ = write!(self.label, "{dot}uncalibrated");
            }
            let width = text.width(Face::Small, &self.label);
            let x = (centre - width / 2).min(right - width).max(left);
            text.draw_rimmed(canvas, Face::Small, x, first + small.max(line - 3), color::TEXT, &self.label);
        }
    }
}

/// Left, top, right and bottom of the largest component, where there is one.
fn extent(finding: &Finding) -> Option<[f32; 4]> {
    let points = finding.contours.first()?;
    let &[x, y] = points.first()?;
    Some(points.iter().fold([x, y, x, y], |[x0, y0, x1, y1], &[x, y]| [x0.min(x), y0.min(y), x1.max(x), y1.max(y)]))
}

/// How much older than the picture the mask is, in ms.
pub fn mask_age_ms(scene: &Scene<'_>, found: &Segmentation) -> Option<f64> {
    let captured = (scene.frame.stamps.get(Moment::Captured), found.stamps.get(Moment::Captured));
    match captured {
        (Some(picture), Some(mask)) => Some(picture.saturating_sub(mask) as f64 / 1e6),
        _ => scene.hud.and_then(|h| h.mask_age_ms),
    }
}

/// Colour of class `index` (0 is the first class).
pub fn class_color(scene: &Scene<'_>, index: usize) -> u32 {
    let [r, g, b] = scene.classes.get(index).map_or(color::UNNAMED, |c| c.color);
    super::canvas::rgb(r, g, b)
}

/// The same colour, light enough for small text on a dark rim.
fn brightened(color: u32) -> u32 {
    super::canvas::mix(color, 0x00ff_ffff, 0.45)
}

/// Diagonal stripes: what is filled with them belongs to an older picture.
fn hatched(x: i32, y: i32) -> bool {
    (x + y).rem_euclid(8) < 4
}

/// A point of a pixel outline without the steps of the pixel grid, moved by less than a pixel; outlines of long straight
/// pieces are left as they are.
fn smoothed(contour: &Contour, i: usize) -> [f32; 2] {
    let n = contour.len();
    let at = |k: usize| contour[(i + n + k - 2) % n];
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() <= 1.5 && (a[1] - b[1]).abs() <= 1.5;
    if n < 8 || !(1..5).all(|k| near(at(k - 1), at(k))) {
        return contour[i];
    }
    let weights = [1.0, 4.0, 6.0, 4.0, 1.0];
    let sum = |axis: usize| (0..5).map(|k| weights[k] * at(k)[axis]).sum::<f32>() / 16.0;
    [sum(0), sum(1)]
}

fn heat(canvas: &mut Canvas, view: View, scene: &Scene<'_>, found: &Segmentation) {
    let n = found.size.area();
    if found.probability.len() < n {
        return;
    }
    let plane = found.plane(1);
    view.each(found.crop, |x, y, around, at| {
        if around.iter().all(|&i| plane[i] < 13) {
            return;
        }
        let level = bilinear(around.map(|i| f32::from(plane[i])), at);
        // What is improbable stays tissue: from 5 % on the colour comes in, from 35 % it is there.
        let alpha = ((level / 255.0 - 0.05) / 0.3).clamp(0.0, 1.0) * scene.style.opacity * 0.7;
        if alpha > 0.0 && (scene.matched || hatched(x, y)) {
            canvas.blend(x, y, color::viridis(level as u8), alpha);
        }
    });
}

fn draw_edges(canvas: &mut Canvas, view: View, edges: &[u8]) {
    view.each(view.frame.full(), |x, y, around, at| {
        let level = bilinear(around.map(|i| f32::from(edges[i] > 0)), at);
        if level > 0.25 {
            canvas.blend(x, y, color::YELLOW, (level * 0.8).min(0.65));
        }
    });
}
