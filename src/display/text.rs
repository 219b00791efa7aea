//! Antialiased text from the embedded font; every glyph is drawn once, at the start.

use fontdue::{Font, FontSettings};

use super::canvas::Canvas;
use super::color;

/// What a piece of text is for; its size follows from that and from the scale of the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Face {
    /// Numbers in tables, names of keys.
    Small,
    /// Most text.
    Body,
    /// Values and labels on the picture.
    Strong,
    /// Second line of the banner, captions.
    Title,
    /// The word of the state.
    Banner,
}

const MEDIUM: &[u8] = include_bytes!("../../assets/fonts/Inter-Medium.otf");
const SEMI_BOLD: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.otf");

/// Pixels per em at scale 1, and whether it is the heavier cut; in the order of [`Face`].
const FACES: [(f32, bool); 5] = [(11.0, false), (13.0, false), (13.0, true), (15.0, true), (22.0, true)];

/// Beyond Latin-1: everything else in a name becomes `?`.
const EXTRA: [char; 19] =
    ['–', '—', '‘', '’', '“', '”', '•', '…', '←', '↑', '→', '↓', '−', '≤', '≥', 'μ', '●', '■', '▲'];

#[derive(Clone, Copy, Default)]
struct Glyph {
    left: i32,
    /// Rows from the baseline up to the first row of the bitmap.
    rise: i32,
    width: usize,
    height: usize,
    advance: f32,
    start: usize,
}

struct Table {
    px: f32,
    glyphs: Vec<Glyph>,
    coverage: Vec<u8>,
}

/// Glyphs of all faces at one scale.
pub struct Text {
    fonts: [Font; 2],
    quarters: u32,
    tables: Vec<Table>,
}

impl Text {
    /// The glyphs at scale 1.
    pub fn new() -> Self {
        let open = |bytes: &[u8]| {
            Font::from_bytes(bytes, FontSettings::default()).expect("the embedded font is one that fontdue reads")
        };
        let mut text = Self { fonts: [open(MEDIUM), open(SEMI_BOLD)], quarters: 0, tables: Vec::new() };
        text.set_scale(1.0);
        text
    }

    /// Draws all glyphs anew when the scale (in quarters) has changed.
    pub fn set_scale(&mut self, scale: f32) {
        let quarters = (scale * 4.0).round().clamp(1.0, 32.0) as u32;
        if quarters != self.quarters {
            self.quarters = quarters;
            let scale = quarters as f32 / 4.0;
            self.tables = FACES.iter().map(|&(px, heavy)| table(&self.fonts[usize::from(heavy)], px * scale)).collect();
        }
    }

    /// Rows from one line to the next.
    pub fn line(&self, face: Face) -> i32 {
        (self.tables[face as usize].px * 1.4).round() as i32
    }

    /// Rows from the top of a capital letter to the baseline.
    pub fn capital(&self, face: Face) -> i32 {
        (self.tables[face as usize].px * 0.727).round() as i32
    }

    /// Columns that `text` takes.
    pub fn width(&self, face: Face, text: &str) -> i32 {
        let table = &self.tables[face as usize];
        text.chars().map(|c| table.glyphs[slot(c)].advance).sum::<f32>().ceil() as i32
    }

    /// Draws with the baseline at row `y` and returns the column where the text ends.
    pub fn draw(&self, canvas: &mut Canvas, face: Face, x: i32, y: i32, color: u32, text: &str) -> i32 {
        let table = &self.tables[face as usize];
        let mut pen = x as f32;
        for c in text.chars() {
            let g = &table.glyphs[slot(c)];
            let (left, top) = (pen.round() as i32 + g.left, y - g.rise);
            for (i, &a) in table.coverage[g.start..g.start + g.width * g.height].iter().enumerate() {
                if a > 0 {
                    let (dx, dy) = ((i % g.width) as i32, (i / g.width) as i32);
                    canvas.blend(left + dx, top + dy, color, f32::from(a) / 255.0);
                }
            }
            pen += g.advance;
        }
        pen.ceil() as i32
    }

    /// The same, ending at column `x`.
    pub fn draw_right(&self, canvas: &mut Canvas, face: Face, x: i32, y: i32, color: u32, text: &str) {
        self.draw(canvas, face, x - self.width(face, text), y, color, text);
    }

    /// The same with at most `width` columns; what is too long ends in an ellipsis.
    #[expect(clippy::too_many_arguments, reason = "a place, a look and a text")]
    pub fn draw_fitted(&self, canvas: &mut Canvas, face: Face, x: i32, y: i32, width: i32, color: u32, text: &str) {
        if self.width(face, text) <= width {
            self.draw(canvas, face, x, y, color, text);
            return;
        }
        let room = width - self.width(face, "…");
        let mut end = 0;
        for (i, c) in text.char_indices() {
            let next = i + c.len_utf8();
            if self.width(face, &text[..next]) > room {
                break;
            }
            end = next;
        }
        let x = self.draw(canvas, face, x, y, color, text[..end].trim_end());
        if room >= 0 {
            self.draw(canvas, face, x, y, color, "…");
        }
    }

    /// The same over a picture: with a dark rim, so that it is read on bright tissue too.
    pub fn draw_rimmed(&self, canvas: &mut Canvas, face: Face, x: i32, y: i32, color: u32, text: &str) {
        for (dx, dy) in
            [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1), (0, 2), (2, 0), (-2, 0), (0, -2)]
        {
            self.draw(canvas, face, x + dx, y + dy, color::INK, text);
        }
        self.draw(canvas, face, x, y, color, text);
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

/// Place of a character in a table: printable ASCII, Latin-1, then [`EXTRA`].
fn slot(c: char) -> usize {
    let code = c as usize;
    match code {
        0x20..=0x7e => code - 0x20,
        0xa0..=0xff => code - 0xa0 + 95,
        _ => EXTRA.iter().position(|&e| e == c).map_or('?' as usize - 0x20, |i| 95 + 96 + i),
    }
}

fn table(font: &Font, px: f32) -> Table {
    let (ascii, latin) = ((0x20..=0x7eu8).map(char::from), (0xa0..=0xffu8).map(char::from));
    let digit = ('0'..='9').map(|c| font.metrics(c, px).advance_width).fold(0.0, f32::max);
    let mut table = Table { px, glyphs: Vec::new(), coverage: Vec::new() };
    for c in ascii.chain(latin).chain(EXTRA) {
        let (m, bitmap) = font.rasterize(c, px);
        // Digits are all as wide as the widest, so that numbers stand still while they change.
        let advance = if c.is_ascii_digit() { digit.round() } else { m.advance_width };
        table.glyphs.push(Glyph {
            left: m.xmin + ((advance - m.advance_width) / 2.0).round() as i32,
            rise: m.ymin + m.height as i32,
            width: m.width,
            height: m.height,
            advance,
            start: table.coverage.len(),
        });
        table.coverage.extend_from_slice(&bitmap);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn digits_are_equally_wide_and_unknown_letters_are_shown_as_a_question() {
        let t = Text::new();
        assert_eq!(t.width(Face::Body, "1111"), t.width(Face::Body, "0848"));
        assert_eq!(t.width(Face::Body, "雪"), t.width(Face::Body, "?"));
        assert!(t.width(Face::Banner, "NERVE") > t.width(Face::Small, "NERVE"));
        for c in "µ²·×←→±°…".chars() {
            assert!(t.tables[0].glyphs[slot(c)].width > 0, "{c}");
        }
    }

    #[test]
    fn long_text_stays_within_its_width() {
        let t = Text::new();
        let mut c = Canvas::new(Size::new(200, 30), 0);
        t.draw_fitted(&mut c, Face::Body, 10, 20, 60, 0x00ff_ffff, "a_very_long_file_name.mp4");
        let lit = (0..200).filter(|x| (0..30).any(|y| c.pixels[y * 200 + x] != 0)).max().unwrap();
        assert!((40..=71).contains(&lit), "{lit}");
    }
}
