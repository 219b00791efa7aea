//! One scene laid out on one canvas.

use super::canvas::Canvas;
use super::color;
use super::edges::EdgeFinder;
use super::hud::Hud;
use super::layout::{Layout, Panel};
use super::overlay::{OverlayPainter, View};
use super::panel::Board;
use super::scale::Scaler;
use super::text::{Face, Text};
use super::{Scene, Style};
use crate::frame::Frame;
use crate::geometry::{Rect, Size};
use crate::segmentation::{Class, Segmentation};

/// Draws scenes; keeps its buffers, so that after the first pictures of a size it allocates nothing.
pub struct Compositor {
    canvas: Canvas,
    text: Text,
    scaler: Scaler,
    overlay: OverlayPainter,
    /// There once edges have been asked for.
    edges: Option<EdgeFinder>,
    line: String,
}

impl Default for Compositor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compositor {
    /// With its letters drawn and no picture yet.
    pub fn new() -> Self {
        Self {
            canvas: Canvas::default(),
            text: Text::new(),
            scaler: Scaler::default(),
            overlay: OverlayPainter::default(),
            edges: None,
            line: String::with_capacity(256),
        }
    }

    /// The picture as it was composed last; empty at the start.
    pub fn canvas(&self) -> &Canvas {
        &self.canvas
    }

    /// Draws `scene` on a canvas of `size`, the frame in its own aspect.
    pub fn compose(&mut self, size: Size, scene: &Scene<'_>) -> &Canvas {
        self.canvas.reset(size, color::BACKGROUND);
        if size.area() == 0 || scene.frame.size.area() == 0 {
            return &self.canvas;
        }
        let layout = Layout::of(size, scene.frame.size, scene.hud.is_some());
        self.draw(&layout, layout.scale * 1.2, scene);
        &self.canvas
    }

    /// Draws a frame pixel for pixel with what was found over it, and below it the state, the confidence and what the
    /// picture may be used for; a narrow frame gets the room for that at its right.
    pub fn overlay(&mut self, frame: &Frame, segmentation: &Segmentation, classes: &[Class]) -> &Canvas {
        let layout = Layout::below(frame.size);
        let size = Size::new(layout.footer.width, layout.footer.y + layout.footer.height);
        self.canvas.reset(size, color::BACKGROUND);
        if frame.size.area() == 0 {
            return &self.canvas;
        }
        let hud = Hud {
            banner: segmentation.state().into(),
            probability: Some(segmentation.confidence()),
            uncalibrated: !segmentation.calibrated,
            ..Hud::default()
        };
        let scene = Scene {
            frame,
            segmentation: Some(segmentation),
            matched: true,
            truth: None,
            classes,
            edges: None,
            style: &Style::default(),
            hud: Some(&hud),
        };
        let stroke = (frame.size.width.min(frame.size.height) as f32 / 400.0).clamp(0.6, 4.0);
        self.draw(&layout, stroke, &scene);
        &self.canvas
    }

    fn draw(&mut self, layout: &Layout, stroke: f32, scene: &Scene<'_>) {
        self.text.set_scale(layout.scale);
        self.scaler.draw(scene.frame, &mut self.canvas, layout.picture);
        let view = View { frame: scene.frame.size, area: layout.picture };
        let labels = (layout.picture.width >= 160).then_some(&self.text);
        let edges = match scene.edges {
            None if scene.style.edges => Some(self.edges.get_or_insert_with(EdgeFinder::new).find(scene.frame)),
            given => given,
        };
        let scene = &Scene { edges, ..*scene };
        self.overlay.draw(&mut self.canvas, labels, view, stroke, scene);
        let mut board = Board { canvas: &mut self.canvas, text: &self.text, line: &mut self.line, scale: layout.scale };
        let spacing = scene.frame.spacing.or(scene.hud.and_then(|h| h.spacing));
        let mm = spacing.map(|s| s.x_mm * f64::from(scene.frame.size.width) / f64::from(layout.picture.width));
        // Where the panel has no row for it, the age of the picture stands here: it is never out of sight.
        let crowded = scene.style.help || matches!(layout.panel, Panel::None | Panel::Strip(_));
        let age = scene.hud.filter(|h| crowded && h.frame.is_some()).map(|h| h.picture_age_ms);
        board.footer(mm, age, layout.picture, layout.footer);
        if let Some(hud) = scene.hud {
            match layout.panel {
                Panel::None => {}
                Panel::Side(r) => side(&mut board, hud, scene, r),
                Panel::Bottom(r) => bottom(&mut board, hud, scene, r),
                Panel::Strip(r) => strip(&mut board, hud, scene, r),
            }
        }
    }
}

fn side(b: &mut Board<'_>, hud: &Hud, scene: &Scene<'_>, r: Rect) {
    b.canvas.fill(r, color::PANEL);
    b.canvas.fill(Rect { width: 1, ..r }, color::LINE);
    let (x, gap) = (r.x as i32 + b.px(14.0), b.px(14.0));
    let (width, end) = (r.width as i32 - b.px(28.0), (r.y + r.height) as i32 - b.px(10.0));
    let mut y = r.y as i32 + gap;
    b.banner(hud, Board::rect(x, y, width, b.px(76.0)));
    y += b.px(76.0) + gap;
    if !hud.notice.is_empty() {
        y = b.notice(&hud.notice, Face::Body, x, y, width, y + 3 * b.text.line(Face::Body) + 1) + gap / 2;
    }
    let facts = Facts::of(hud, scene);
    let bottom = end - facts.rows() * b.text.line(Face::Small);
    if scene.style.help {
        b.rule(x, y, width);
        b.keys(x, y + gap, width, 1, Face::Body);
    } else {
        b.rule(x, y, width);
        y = b.classes(scene, x, y + gap, width, bottom, Face::Body);
        b.rule(x, y, width);
        y = b.times(hud, scene.matched, x, y + gap, width, Face::Body);
        b.rule(x, y, width);
        b.stages(&hud.stages, x, y + gap, width, bottom - gap);
    }
    b.rule(x, bottom - gap / 2, width);
    facts.draw(b, x, bottom, width, end);
}

fn bottom(b: &mut Board<'_>, hud: &Hud, scene: &Scene<'_>, r: Rect) {
    b.canvas.fill(r, color::PANEL);
    b.canvas.fill(Rect { height: 1, ..r }, color::LINE);
    let (y, margin) = (r.y as i32 + b.px(8.0), b.px(10.0));
    let (end, whole) = ((r.y + r.height) as i32 - b.px(5.0), r.width as i32 - 2 * margin);
    let first = (whole * 30 / 100).clamp(b.px(176.0), b.px(240.0));
    let mut x = r.x as i32 + margin;
    b.banner(hud, Board::rect(x, y, first, b.px(54.0)));
    let below = y + b.px(54.0) + b.px(8.0);
    let step = b.text.line(Face::Small);
    if hud.notice.is_empty() {
        Facts::of(hud, scene).draw(b, x, below, first, end);
    } else {
        // The first row stays: it says whether a recording runs.
        Facts::of(hud, scene).draw(b, x, below, first, below + step);
        b.notice(&hud.notice, Face::Small, x, below + step, first, end);
    }
    x += first + 2 * margin;
    let rest = whole - first - 2 * margin;
    if scene.style.help {
        let face = if rest < b.px(480.0) { Face::Small } else { Face::Body };
        b.keys(x, y + b.px(2.0), rest, if rest < b.px(300.0) { 2 } else { 3 }, face);
        return;
    }
    // Bars need room: without it the classes and times take all of it.
    let bars = rest >= b.px(340.0);
    let second = if bars { ((rest - 2 * margin) * 42 / 100).min(b.px(260.0)) } else { rest };
    let times = end - 4 * step;
    b.classes(scene, x, y, second, times, Face::Small);
    b.times(hud, scene.matched, x, times, second, Face::Small);
    if bars {
        let (left, room) = (x + second + 2 * margin, rest - second - 2 * margin);
        b.stages(&hud.stages, left, y, room.min(b.px(420.0)), end);
    }
}

fn strip(b: &mut Board<'_>, hud: &Hud, scene: &Scene<'_>, r: Rect) {
    use std::fmt::Write as _;
    b.canvas.fill(r, color::PANEL);
    let shown = hud.shown();
    let (half, base) = (r.height as f32 / 2.0, r.y as i32 + (r.height as i32 + b.text.capital(Face::Strong)) / 2);
    b.sign(shown, r.x as f32 + half, r.y as f32 + half, half * 0.5, color::TEXT);
    let x = b.text.draw(b.canvas, Face::Strong, (r.x + r.height) as i32, base, color::TEXT, shown.as_str());
    b.answer(hud);
    if let (false, Some(ms)) = (scene.matched, hud.mask_age_ms) {
        let _ = write!(b.line, " · mask {ms:.0} ms");
    }
    let (x, mut room) = (x + b.px(8.0), (r.x + r.width) as i32 - x - b.px(14.0));
    if hud.recording {
        let side = b.text.capital(Face::Small) as f32 / 2.0;
        super::paint::disc(b.canvas, (r.x + r.width) as f32 - half, r.y as f32 + half, side, color::VERMILION);
        room -= r.height as i32;
    }
    b.text.draw_fitted(b.canvas, Face::Small, x, base, room, color::DIM, b.line);
}

/// What is watched, by what, on what: rows that are there only when they say something.
struct Facts<'a> {
    hud: &'a Hud,
    rows: [(&'static str, &'a str); 5],
}

impl<'a> Facts<'a> {
    fn of(hud: &'a Hud, scene: &Scene<'a>) -> Self {
        let overlay = if scene.style.overlay_on { scene.style.overlay.as_str() } else { "off" };
        let rows = [
            ("source", hud.source.as_str()),
            ("model", &hud.model),
            ("overlay", overlay),
            ("filter", &hud.despeckle),
            ("on", &hud.device),
        ];
        Self { hud, rows }
    }

    fn shown(&self) -> impl Iterator<Item = &(&'static str, &'a str)> {
        self.rows.iter().filter(|(_, what)| !what.is_empty())
    }

    fn rows(&self) -> i32 {
        self.shown().count() as i32 + i32::from(self.hud.frame.is_some() || self.hud.recording)
    }

    fn draw(&self, b: &mut Board<'_>, x: i32, mut y: i32, width: i32, end: i32) {
        use std::fmt::Write as _;
        let (step, cap) = (b.text.line(Face::Small), b.text.capital(Face::Small));
        let name = b.text.width(Face::Small, "overlay") + b.px(8.0);
        if self.hud.frame.is_some() || self.hud.recording {
            let mut left = x;
            if self.hud.recording {
                let r = cap as f32 / 2.0;
                super::paint::disc(b.canvas, x as f32 + r, y as f32 + r, r, color::VERMILION);
                left = b.text.draw(b.canvas, Face::Small, x + cap + b.px(5.0), y + cap, color::TEXT, "REC") + b.px(8.0);
            }
            b.line.clear();
            if let Some(frame) = self.hud.frame {
                let _ = write!(b.line, "frame {}", frame + 1);
            }
            if let Some(frames) = self.hud.frames {
                let _ = write!(b.line, " of {frames}");
            }
            b.text.draw_fitted(b.canvas, Face::Small, left, y + cap, x + width - left, color::TEXT, b.line);
            y += step;
        }
        for (what, value) in self.shown() {
            if y + cap > end {
                break;
            }
            b.text.draw(b.canvas, Face::Small, x, y + cap, color::DIM, what);
            b.text.draw_fitted(b.canvas, Face::Small, x + name, y + cap, width - name, color::TEXT, value);
            y += step;
        }
    }
}
