//! Where everything goes.
//!
//! The picture gets all the room that its shape can use; the HUD takes what is left beside or below it.

use crate::geometry::{Rect, Size};

/// Places on the canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Size of text and lines: 1 on a laptop, 2 on a 4K screen.
    pub scale: f32,
    /// The picture, in the aspect of the frame.
    pub picture: Rect,
    /// Scale bar and "research use only"; empty on a tiny canvas.
    pub footer: Rect,
    /// The numbers.
    pub panel: Panel,
}

/// Where the numbers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Panel {
    /// None were asked for.
    None,
    /// A column at the right.
    Side(Rect),
    /// Columns below.
    Bottom(Rect),
    /// One line below: no room for more.
    Strip(Rect),
}

impl Layout {
    /// The layout for a frame on a canvas, with or without numbers.
    pub fn of(canvas: Size, frame: Size, numbers: bool) -> Self {
        let (w, h) = (canvas.width, canvas.height);
        let fit = (w as f32 / 1280.0).min(h as f32 / 760.0);
        let scale = ((fit * 4.0).floor() / 4.0).clamp(1.0, 4.0);
        let px = |v: f32| (v * scale).round() as u32;
        let foot = if h >= 120 && w >= 160 { px(24.0) } else { 0 };
        let rect = |x: u32, y: u32, width: u32, height: u32| Rect { x, y, width, height };
        let done =
            |picture: Rect, footer: Rect, panel: Panel| Self { scale, picture: inside(picture, frame), footer, panel };
        let plain = rect(0, 0, w, h - foot);
        if !numbers {
            return done(plain, rect(0, h - foot, w, foot), Panel::None);
        }
        if w < 440 || h < 300 {
            let strip = if h >= 140 { px(24.0) } else { 0 };
            let panel = if strip > 0 { Panel::Strip(rect(0, h - strip - foot, w, strip)) } else { Panel::None };
            return done(rect(0, 0, w, h - foot - strip), rect(0, h - foot, w, foot), panel);
        }
        let (side, bottom) = (px(256.0), px(124.0));
        let beside = rect(0, 0, w - side.min(w / 2), h - foot);
        let above = rect(0, 0, w, h - foot - bottom.min(h / 2));
        // A column needs height for all its rows; else the larger picture wins.
        let column = h >= px(520.0) && inside(beside, frame).width >= inside(above, frame).width;
        if column {
            let panel = rect(beside.width, 0, w - beside.width, h);
            done(beside, rect(0, h - foot, beside.width, foot), Panel::Side(panel))
        } else {
            let panel = rect(0, above.height + foot, w, h - foot - above.height);
            done(above, rect(0, above.height, w, foot), Panel::Bottom(panel))
        }
    }
}

impl Layout {
    /// The layout of a picture of its own: the frame pixel for pixel at the upper left, the words below it.
    pub fn below(frame: Size) -> Self {
        let fit = (frame.width as f32 / 1280.0).min(frame.height as f32 / 760.0);
        let scale = ((fit * 4.0).floor() / 4.0).clamp(1.0, 4.0);
        let (row, width) = ((24.0 * scale) as u32, frame.width.max((250.0 * scale) as u32));
        let line = |y: u32| Rect { x: 0, y, width, height: row };
        let panel = Panel::Strip(line(frame.height));
        Self { scale, picture: frame.full(), footer: line(frame.height + row), panel }
    }
}

/// The largest rectangle of the shape of `frame` in the middle of `room`.
fn inside(room: Rect, frame: Size) -> Rect {
    let (rw, rh) = (u64::from(room.width.max(1)), u64::from(room.height.max(1)));
    let (fw, fh) = (u64::from(frame.width.max(1)), u64::from(frame.height.max(1)));
    // Rounded to the nearest pixel; never empty.
    let (width, height) = if rw * fh <= rh * fw {
        (rw, ((rw * fh * 2 + fw) / (2 * fw)).clamp(1, rh))
    } else {
        (((rh * fw * 2 + fh) / (2 * fh)).clamp(1, rw), rh)
    };
    let (width, height) = (width as u32, height as u32);
    Rect { x: room.x + (rw as u32 - width) / 2, y: room.y + (rh as u32 - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_keeps_its_aspect_and_nothing_overlaps_it() {
        for canvas in [
            (640, 480),
            (800, 600),
            (1280, 800),
            (1920, 1080),
            (3840, 2160),
            (300, 700),
            (200, 150),
            (1, 1),
            (440, 300),
        ] {
            for frame in [(256, 186), (800, 600), (580, 420), (1, 1), (100, 900), (20_000, 3)] {
                for numbers in [false, true] {
                    let canvas = Size::new(canvas.0, canvas.1);
                    let frame = Size::new(frame.0, frame.1);
                    let l = Layout::of(canvas, frame, numbers);
                    assert!(l.picture.fits(canvas), "{l:?}");
                    let (sx, sy) = (
                        f64::from(l.picture.width) / f64::from(frame.width),
                        f64::from(l.picture.height) / f64::from(frame.height),
                    );
                    let half = 0.5 / f64::from(frame.width.min(frame.height));
                    assert!((sx - sy).abs() <= half + 1e-9 || l.picture.width.min(l.picture.height) == 1, "{l:?}");
                    let panel = match l.panel {
                        Panel::None => continue,
                        Panel::Side(r) | Panel::Bottom(r) | Panel::Strip(r) => r,
                    };
                    assert!(panel.fits(canvas));
                    for r in [panel, l.footer] {
                        let apart = l.picture.x + l.picture.width <= r.x || l.picture.y + l.picture.height <= r.y;
                        assert!(apart, "{l:?}");
                    }
                }
            }
        }
    }
}
