//! A scanner's screen around the picture: text, a depth ruler, a grey bar, a probe mark.

use super::anatomy::DEPTH_MM;
use crate::geometry::{Rect, Size};

/// Where the picture lies on a screen of `size`.
pub(super) fn picture(size: Size) -> Rect {
    let part = |whole: u32, per_mille: u32| (u64::from(whole) * u64::from(per_mille) / 1000) as u32;
    Rect {
        x: part(size.width, 190),
        y: part(size.height, 120),
        width: part(size.width, 660),
        height: part(size.height, 790),
    }
}

/// Everything but the picture.
pub(super) fn backdrop(size: Size, picture: Rect, fps: f64) -> Vec<u8> {
    let mut page = Page { size, pixels: vec![0; size.area()], scale: (size.height / 300).max(1) };
    let s = page.scale;
    let (left, line) = (2 * s, 11 * s);
    page.text(left, 3 * s, "SONOPLEX", 230);
    page.text(picture.x, 3 * s, "PHANTOM - NO PATIENT", 200);
    let rate = format!("{fps:.0} HZ");
    for (i, text) in
        ["NERVE", "LINEAR", &rate, "4.0 CM", "", "2D", " RES", " GN 60", " 60", " 2/3/4"].iter().enumerate()
    {
        page.text(left, picture.y + i as u32 * line, text, 170);
    }
    // probe mark
    page.fill(picture.x.saturating_sub(8 * s), picture.y, 5 * s, 5 * s, 210);
    // ruler: a short tick every 5 mm, a longer one every cm
    let right = picture.x + picture.width;
    for half_cm in 0..=(DEPTH_MM / 5.0) as u32 {
        let y = picture.y + (f64::from(picture.height - 1) * f64::from(half_cm) * 5.0 / f64::from(DEPTH_MM)) as u32;
        let long = half_cm % 2 == 0;
        page.fill(right + 5 * s, y, if long { 6 * s } else { 2 * s }, s, 220);
        if long && half_cm > 0 {
            page.text(right + 13 * s, y.saturating_sub(3 * s), &(half_cm / 2).to_string(), 200);
        }
    }
    // grey bar
    let bar = picture.height / 4;
    for i in 0..bar {
        let v = (255 - 255 * i / bar.max(1)) as u8;
        page.fill(right + 24 * s, picture.y + i, 5 * s, 1, v);
    }
    page.text(picture.x, picture.y + picture.height + 6 * s, "MI 0.6  TIS 0.1", 150);
    page.pixels
}

struct Page {
    size: Size,
    pixels: Vec<u8>,
    scale: u32,
}

impl Page {
    fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, level: u8) {
        for row in y..(y + height).min(self.size.height) {
            for column in x..(x + width).min(self.size.width) {
                self.pixels[row as usize * self.size.width as usize + column as usize] = level;
            }
        }
    }

    fn text(&mut self, mut x: u32, y: u32, text: &str, level: u8) {
        for c in text.chars() {
            for (row, bits) in glyph(c).into_iter().enumerate() {
                for column in (0..5u32).filter(|c| bits >> (4 - c) & 1 == 1) {
                    self.fill(x + column * self.scale, y + row as u32 * self.scale, self.scale, self.scale, level);
                }
            }
            x += 6 * self.scale;
        }
    }
}

/// Seven rows of five pixels, the leftmost in the highest bit; only what the screen says.
const fn glyph(c: char) -> [u8; 7] {
    match c {
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 2, 4, 8, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        'A' => [14, 17, 17, 31, 17, 17, 17],
        'C' => [14, 17, 16, 16, 16, 17, 14],
        'D' => [30, 17, 17, 17, 17, 17, 30],
        'E' => [31, 16, 16, 30, 16, 16, 31],
        'G' => [14, 17, 16, 23, 17, 17, 15],
        'H' => [17, 17, 17, 31, 17, 17, 17],
        'I' => [14, 4, 4, 4, 4, 4, 14],
        'L' => [16, 16, 16, 16, 16, 16, 31],
        'M' => [17, 27, 21, 21, 17, 17, 17],
        'N' => [17, 25, 21, 19, 17, 17, 17],
        'O' => [14, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'R' => [30, 17, 17, 30, 20, 18, 17],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'V' => [17, 17, 17, 17, 17, 10, 4],
        'X' => [17, 17, 10, 4, 10, 17, 17],
        'Z' => [31, 1, 2, 4, 8, 16, 31],
        '-' => [0, 0, 0, 31, 0, 0, 0],
        '.' => [0, 0, 0, 0, 0, 12, 12],
        '/' => [1, 1, 2, 4, 8, 16, 16],
        _ => [0; 7],
    }
}
