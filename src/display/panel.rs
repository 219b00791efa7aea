//! The parts of the HUD: banner, classes, times, stages, keys, scale bar.

use std::fmt::Write as _;

use super::canvas::Canvas;
use super::color;
use super::command::KEYS;
use super::hud::{Banner, Hud, StageBar};
use super::overlay::class_color;
use super::text::{Face, Text};
use super::{Overlay, Scene, paint};
use crate::geometry::Rect;

/// Words that stand on every picture.
pub const RESEARCH: &str = "Research use only";

/// What a part is drawn with.
pub struct Board<'a> {
    /// Where.
    pub canvas: &'a mut Canvas,
    /// With which letters.
    pub text: &'a Text,
    /// A line that is being made; its memory is kept.
    pub line: &'a mut String,
    /// Size of everything.
    pub scale: f32,
}

/// Milliseconds with as many digits as can be read while they change.
fn write_ms(line: &mut String, ms: f64) {
    let _ = if ms < 0.995 {
        write!(line, "{ms:.2}")
    } else if ms < 9.95 {
        write!(line, "{ms:.1}")
    } else {
        write!(line, "{ms:.0}")
    };
}

impl Board<'_> {
    /// Pixels of a length at scale 1.
    pub fn px(&self, v: f32) -> i32 {
        (v * self.scale).round() as i32
    }

    /// A box at whole pixels.
    pub fn rect(x: i32, y: i32, width: i32, height: i32) -> Rect {
        let u = |v: i32| v.max(0) as u32;
        Rect { x: u(x), y: u(y), width: u(width), height: u(height) }
    }

    /// A hairline across.
    pub fn rule(&mut self, x: i32, y: i32, width: i32) {
        self.canvas.fill(Self::rect(x, y, width, 1), color::LINE);
    }

    /// The sign of a state, about `r` in radius: every state has its own shape.
    pub fn sign(&mut self, banner: Banner, cx: f32, cy: f32, r: f32, ink: u32) {
        let thick = (r * 0.28).max(1.6);
        let c = &mut *self.canvas;
        match banner {
            Banner::Nerve => paint::disc(c, cx, cy, r, ink),
            Banner::NoNerve => paint::ring(c, cx, cy, r, thick, ink),
            Banner::Uncertain => {
                paint::diamond(c, cx, cy, r * 1.2, thick, ink);
                paint::disc(c, cx, cy, r * 0.25, ink);
            }
            Banner::Frozen => {
                for side in [-0.45, 0.45] {
                    let x = cx + side * r;
                    paint::line(c, [x, cy - r * 0.75], [x, cy + r * 0.75], r * 0.5, ink);
                }
            }
            Banner::NoSignal => {
                for side in [-0.75, 0.75] {
                    paint::line(c, [cx - r * 0.75, cy - side * r], [cx + r * 0.75, cy + side * r], thick, ink);
                }
            }
            Banner::Waiting => {
                for side in [-0.8, 0.0, 0.8] {
                    paint::disc(c, cx + side * r, cy, r * 0.24, ink);
                }
            }
        }
    }

    /// The state, in a box.
    pub fn banner(&mut self, hud: &Hud, r: Rect) {
        let shown = hud.shown();
        let (radius, wide) = (6.0 * self.scale, 2.0 * self.scale);
        let ink = match shown {
            Banner::Nerve => 0x00ff_ffff,
            Banner::NoNerve => color::TEXT,
            Banner::Uncertain => color::ORANGE,
            Banner::Frozen | Banner::NoSignal => color::INK,
            Banner::Waiting => color::DIM,
        };
        match shown {
            Banner::Nerve => paint::filled_box(self.canvas, r, radius, color::GREEN_DEEP),
            Banner::NoNerve => paint::outlined_box(self.canvas, r, radius, wide, color::DIM),
            Banner::Uncertain => paint::dashed_box(self.canvas, r, radius, wide, 6.0 * self.scale, color::ORANGE),
            Banner::Frozen => paint::filled_box(self.canvas, r, radius, color::SKY),
            Banner::NoSignal => paint::filled_box(self.canvas, r, radius, color::VERMILION),
            Banner::Waiting => paint::outlined_box(self.canvas, r, radius, wide, color::LINE),
        }
        self.answer(hud);
        let sign = self.px(10.0).min(r.height as i32 / 4) as f32;
        let (x, y) = (r.x as i32, r.y as i32);
        let left = x + self.px(16.0) + (sign * 2.0) as i32 + self.px(12.0);
        let (word, under) = (self.text.capital(Face::Banner), self.text.capital(Face::Body));
        let gap = self.px(9.0);
        let height = if self.line.is_empty() { word } else { word + gap + under };
        let top = y + (r.height as i32 - height) / 2;
        self.sign(shown, (x + self.px(16.0)) as f32 + sign, y as f32 + r.height as f32 / 2.0, sign, ink);
        let room = x + r.width as i32 - left - self.px(8.0);
        // On a narrow box a smaller face, rather than a word that loses its end.
        let fitting = |faces: &[Face], words: &str| {
            faces.iter().copied().find(|&f| self.text.width(f, words) <= room).unwrap_or(Face::Small)
        };
        let face = fitting(&[Face::Banner, Face::Title, Face::Strong], shown.as_str());
        self.text.draw_fitted(self.canvas, face, left, top + word, room, ink, shown.as_str());
        let face = fitting(&[Face::Body], self.line);
        self.text.draw_fitted(self.canvas, face, left, top + height, room, ink, self.line);
    }

    /// What stands beside the word of the state, into the line.
    pub fn answer(&mut self, hud: &Hud) {
        let shown = hud.shown();
        self.line.clear();
        match (shown, hud.probability) {
            (Banner::NoSignal, _) => self.line.push_str("no new picture comes"),
            (Banner::Waiting, _) => self.line.push_str("no answer yet"),
            (_, None) if shown == Banner::Frozen => self.line.push_str("not segmented"),
            (_, None) => {}
            (_, Some(p)) => {
                if shown == Banner::Frozen {
                    self.line.extend(hud.banner.as_str().chars().map(|c| c.to_ascii_lowercase()));
                    self.line.push(' ');
                }
                let _ = write!(self.line, "{p:.2}{}", if hud.uncalibrated { " uncalibrated" } else { "" });
            }
        }
    }

    /// A name and, at the right end, what is in the line; returns the row below.
    pub fn row(&mut self, x: i32, y: i32, width: i32, name: &str, face: Face) -> i32 {
        let strong = if face == Face::Small { Face::Small } else { Face::Strong };
        let base = y + self.text.capital(face);
        let value = self.text.width(strong, self.line);
        self.text.draw_fitted(self.canvas, face, x, base, width - value - self.px(6.0), color::DIM, name);
        self.text.draw_right(self.canvas, strong, x + width, base, color::TEXT, self.line);
        y + self.pitch(face)
    }

    /// Rows from one row of a list to the next: looser where the face says that there is room.
    fn pitch(&self, face: Face) -> i32 {
        self.text.line(face) + if face == Face::Small { 0 } else { self.px(5.0) }
    }

    /// One row for every class: its colour, confidence and area; then what the dots and colours mean.
    pub fn classes(&mut self, scene: &Scene<'_>, x: i32, mut y: i32, width: i32, end: i32, face: Face) -> i32 {
        let step = self.pitch(face);
        let (side, indent) = (self.text.capital(face), self.text.capital(face) + self.px(8.0));
        for (i, class) in scene.classes.iter().enumerate() {
            if y + step > end {
                return y;
            }
            paint::filled_box(self.canvas, Self::rect(x, y, side, side), 2.0, class_color(scene, i));
            self.line.clear();
            match scene.segmentation.and_then(|s| s.findings.get(i)) {
                None => self.line.push('–'),
                Some(f) => {
                    let _ = match f.area_mm2 {
                        _ if f.area_px == 0 => Ok(()),
                        Some(mm2) => write!(self.line, "{mm2:.1} mm²  ·  "),
                        None => write!(self.line, "{} px  ·  ", f.area_px),
                    };
                    let _ = write!(self.line, "{:.2}", f.confidence);
                }
            }
            y = self.row(x + indent, y, width - indent, &class.name, face);
        }
        if scene.truth.is_some() && y + step <= end {
            for dx in (0..side).step_by(4) {
                self.canvas.fill(Self::rect(x + dx, y + side / 2 - 1, 2, 2), color::TEXT);
            }
            self.line.clear();
            self.line.push_str("dotted");
            y = self.row(x + indent, y, width - indent, "truth", face);
        }
        if scene.style.overlay == Overlay::Heat && scene.style.overlay_on && y + step <= end {
            let base = y + self.text.capital(face);
            let name = if scene.segmentation.is_some_and(|s| s.calibrated) { "heat" } else { "heat, uncalibrated" };
            let ends = self.text.width(face, "01") + self.px(20.0);
            let bar = (width - self.text.width(face, name) - ends).clamp(16.min(width), width * 40 / 100);
            let right = x + width - self.text.width(face, "1");
            let room = width - bar - ends;
            self.text.draw_fitted(self.canvas, face, x, base, room, color::DIM, name);
            self.text.draw_right(self.canvas, face, right - bar - self.px(10.0), base, color::DIM, "0");
            self.text.draw(self.canvas, face, right, base, color::DIM, "1");
            for i in 0..bar {
                let level = color::viridis((i * 255 / bar.max(1)) as u8);
                self.canvas.fill(Self::rect(right - bar - self.px(5.0) + i, y, 1, side), level);
            }
            y += step;
        }
        y
    }

    /// Ages, rate and drops.
    pub fn times(&mut self, hud: &Hud, matched: bool, x: i32, mut y: i32, width: i32, face: Face) -> i32 {
        for (name, age) in [("picture age", hud.picture_age_ms), ("mask age", hud.mask_age_ms)] {
            self.line.clear();
            match age {
                None => self.line.push('–'),
                Some(ms) => {
                    write_ms(self.line, ms);
                    self.line.push_str(" ms");
                }
            }
            let name = if name == "mask age" && !matched && age.is_some() { "mask age (dashed)" } else { name };
            y = self.row(x, y, width, name, face);
        }
        self.line.clear();
        let _ = write!(self.line, "{:.1} fps", hud.fps);
        y = self.row(x, y, width, "shown", face);
        self.line.clear();
        let _ = write!(self.line, "{}", hud.drops);
        self.row(x, y, width, "dropped", face)
    }

    /// A bar for every stage: filled to p50, thin to p99, on one scale.
    pub fn stages(&mut self, stages: &[StageBar], x: i32, mut y: i32, width: i32, end: i32) -> i32 {
        let longest = stages.iter().map(|s| s.p99_ms).fold(1e-3, f64::max);
        let cap = self.text.capital(Face::Small);
        let step = ((end - y) / (stages.len() as i32 + 1)).clamp(cap + self.px(4.0), self.px(20.0));
        let number = self.text.width(Face::Small, "0000");
        let name = self.px(if width > self.px(222.0) { 102.0 } else { 66.0 });
        let bar = width - name - 2 * number - self.px(14.0);
        let (p50, p99) = (x + width - number - self.px(6.0), x + width);
        if stages.is_empty() || bar < 1 || y + step > end {
            return y;
        }
        self.text.draw(self.canvas, Face::Small, x, y + cap, color::DIM, "stage, ms");
        self.text.draw_right(self.canvas, Face::Small, p50, y + cap, color::DIM, "p50");
        self.text.draw_right(self.canvas, Face::Small, p99, y + cap, color::DIM, "p99");
        y += step;
        for stage in stages {
            if y + cap > end {
                break;
            }
            let short = match stage.name {
                "capture_to_present" if name < self.px(100.0) => "total",
                "capture_to_present" => "capture to present",
                other => other,
            };
            self.text.draw_fitted(self.canvas, Face::Small, x, y + cap, name, color::TEXT, short);
            let length = |ms: f64| (f64::from(bar) * (ms / longest).clamp(0.0, 1.0)).round() as i32;
            let (left, thick) = (x + name + self.px(4.0), self.px(6.0));
            let top = y + (cap - thick) / 2;
            self.canvas.fill(Self::rect(left, top, bar, thick), color::LINE);
            self.canvas
                .fill(Self::rect(left, top + thick / 3, length(stage.p99_ms), thick - 2 * (thick / 3)), color::DIM);
            self.canvas.fill(Self::rect(left, top, length(stage.p50_ms).max(1), thick), color::SKY);
            for (right, ms) in [(p50, stage.p50_ms), (p99, stage.p99_ms)] {
                self.line.clear();
                if ms > 0.0 {
                    write_ms(self.line, ms);
                } else {
                    // Not measured yet is not zero.
                    self.line.push('–');
                }
                self.text.draw_right(self.canvas, Face::Small, right, y + cap, color::TEXT, self.line);
            }
            y += step;
        }
        y
    }

    /// The keys in `columns` columns.
    pub fn keys(&mut self, x: i32, y: i32, width: i32, columns: i32, face: Face) {
        let step = self.text.line(face) + self.px(if columns == 1 { 6.0 } else { 4.0 });
        let rows = (KEYS.len() as i32 + columns - 1) / columns;
        let key = self.text.width(face, "space") + self.px(if columns == 1 { 14.0 } else { 8.0 });
        for (i, (name, what)) in KEYS.iter().enumerate() {
            let (column, row) = (i as i32 / rows, i as i32 % rows);
            // In two columns the longer words are in the first.
            let offset = if columns == 2 { column * width * 58 / 100 } else { column * width / columns };
            let (left, base) = (x + offset, y + row * step + self.text.capital(face));
            self.text.draw(self.canvas, face, left, base, color::SKY, name);
            let next = if columns == 2 && column == 0 { width * 58 / 100 } else { width / columns };
            let room = next - key - self.px(4.0);
            self.text.draw_fitted(self.canvas, face, left + key, base, room, color::TEXT, what);
        }
    }

    /// Text over as many lines as `end` leaves; returns the row below.
    pub fn notice(&mut self, notice: &str, face: Face, x: i32, mut y: i32, width: i32, end: i32) -> i32 {
        let (step, cap) = (self.text.line(face), self.text.capital(face));
        let mut rest = notice.trim();
        while !rest.is_empty() && y + step <= end {
            let last = y + 2 * step > end;
            let fits = |n: usize| self.text.width(face, &rest[..n]) <= width;
            let breaks = rest.match_indices(' ').map(|(i, _)| i).chain([rest.len()]);
            let cut = breaks.take_while(|&i| fits(i)).last().filter(|_| !last).unwrap_or(rest.len());
            self.text.draw_fitted(self.canvas, face, x, y + cap, width, color::ORANGE, &rest[..cut]);
            rest = rest[cut..].trim_start();
            y += step;
        }
        y
    }

    /// Below the picture: a bar of a round length, the age of the picture where it is asked for, and what the picture may
    /// be used for. Where not all of it fits, the bar goes first.
    pub fn footer(&mut self, mm_per_px: Option<f64>, age: Option<Option<f64>>, picture: Rect, r: Rect) {
        if r.height == 0 {
            return;
        }
        let (x, y, margin) = (r.x as i32, r.y as i32, self.px(8.0));
        self.line.clear();
        match age {
            None => {}
            Some(None) => self.line.push_str("age –"),
            Some(Some(ms)) => {
                self.line.push_str("age ");
                write_ms(self.line, if ms < 9_999.5 { ms } else { ms / 1e3 });
                self.line.push_str(if ms < 9_999.5 { " ms" } else { " s" });
            }
        }
        let both = |face: Face| {
            let age = if age.is_some() { self.text.width(face, self.line) + 2 * margin } else { 0 };
            self.text.width(face, RESEARCH) + age
        };
        let face = if both(Face::Body) + 2 * margin <= r.width as i32 { Face::Body } else { Face::Small };
        let (words, base) = (both(face), y + (r.height as i32 + self.text.capital(face)) / 2);
        // Flush with the picture, unless that is too narrow for both.
        let narrow = (picture.width as i32) < words + self.px(200.0);
        let (from, to) =
            if narrow { (x, x + r.width as i32) } else { (picture.x as i32, (picture.x + picture.width) as i32) };
        let (mut left, right) = (from.max(x + margin), to.min(x + r.width as i32 - margin));
        let start = right - self.text.width(face, RESEARCH).min(right - left);
        self.text.draw_fitted(self.canvas, face, start, base, right - start, color::DIM, RESEARCH);
        if age.is_some() {
            self.text.draw_right(self.canvas, face, start - 2 * margin, base, color::TEXT, self.line);
        }
        let room = right - words - margin - left;
        if let Some(mm) = mm_per_px.filter(|mm| mm.is_finite() && *mm > 0.0) {
            let length_mm = round_length(mm * f64::from(picture.width) * 0.25);
            let bar = (length_mm / mm).round() as i32;
            let (start, tick, middle) = (left, self.px(4.0), y + r.height as i32 / 2);
            self.line.clear();
            let _ = write!(self.line, "{length_mm} mm");
            if bar + margin + self.text.width(face, self.line) > room {
                return;
            }
            let thick = self.px(2.0);
            self.canvas.fill(Self::rect(start, middle - thick / 2, bar, thick), color::TEXT);
            for end in [start, start + bar - thick] {
                self.canvas.fill(Self::rect(end, middle - tick, thick, 2 * tick), color::TEXT);
            }
            left = start + bar + margin;
            self.text.draw(self.canvas, face, left, base, color::TEXT, self.line);
        } else if room > self.px(122.0) {
            self.text.draw(self.canvas, face, left, base, color::DIM, "no spacing known");
        }
    }
}

/// The longest of 1, 2 and 5 times a power of ten that is at most `most`.
fn round_length(most: f64) -> f64 {
    let power = 10f64.powf(most.max(1e-6).log10().floor());
    let step = [5.0, 2.0].into_iter().find(|s| s * power <= most * (1.0 + 1e-9)).unwrap_or(1.0);
    step * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_bars_have_round_lengths_and_times_readable_digits() {
        for (most, expected) in [(10.0, 10.0), (9.9, 5.0), (4.9, 2.0), (1.0, 1.0), (0.7, 0.5), (137.0, 100.0)] {
            assert!((round_length(most) - expected).abs() < 1e-9, "{most}");
        }
        for (ms, expected) in [(0.034, "0.03"), (0.999, "1.0"), (9.96, "10"), (123.4, "123")] {
            let mut line = String::new();
            write_ms(&mut line, ms);
            assert_eq!(line, expected);
        }
    }
}
