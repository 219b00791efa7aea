//! The picture that is shown: pixels as the window takes them, and as a PNG.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::DisplayError;
use crate::frame::Frame;
use crate::geometry::{Rect, Size};
use crate::write;

/// A picture of `0x00RRGGBB` pixels, row-major, top row first.
///
/// # Shapes
/// `pixels` is `height × width`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canvas {
    /// Width and height.
    pub size: Size,
    /// The picture.
    pub pixels: Vec<u32>,
}

impl Canvas {
    /// A picture of one colour.
    pub fn new(size: Size, color: u32) -> Self {
        Self { size, pixels: vec![color; size.area()] }
    }

    /// The pixels of a frame as they are.
    pub fn from_frame(frame: &Frame) -> Self {
        let mut canvas = Self::new(frame.size, 0);
        let mut buffer = Vec::new();
        let (plain, channels) = frame.plain(&mut buffer);
        for (p, own) in canvas.pixels.iter_mut().zip(plain.chunks_exact(channels)) {
            *p = if let [r, g, b] = *own { rgb(r, g, b) } else { rgb(own[0], own[0], own[0]) };
        }
        canvas
    }

    /// Changes the size and fills it; allocates only when it has never been as large.
    pub fn reset(&mut self, size: Size, color: u32) {
        self.size = size;
        self.pixels.clear();
        self.pixels.resize(size.area(), color);
    }

    /// Red, green, blue of every pixel, three bytes each.
    pub fn to_rgb(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_rgb(&mut out);
        out
    }

    /// The same into a buffer that is used again from picture to picture.
    pub fn write_rgb(&self, out: &mut Vec<u8>) {
        out.resize(self.pixels.len() * 3, 0);
        for (o, &p) in out.chunks_exact_mut(3).zip(&self.pixels) {
            o.copy_from_slice(&channels(p));
        }
    }

    /// Writes it as a PNG.
    ///
    /// # Errors
    /// When the file cannot be written; then none is left.
    pub fn save_png(&self, path: &Path) -> Result<(), DisplayError> {
        let Size { width, height } = self.size;
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&self.to_rgb(), width, height, ExtendedColorType::Rgb8)
            .map_err(|cause| cause.to_string())
            .and_then(|()| write::whole(path, &png).map_err(|cause| cause.to_string()))
            .map_err(|cause| DisplayError::Write { path: path.to_owned(), cause })
    }

    /// Fills the part of `area` that lies inside.
    pub fn fill(&mut self, area: Rect, color: u32) {
        let x1 = area.x.saturating_add(area.width).min(self.size.width) as usize;
        let y1 = area.y.saturating_add(area.height).min(self.size.height) as usize;
        let x0 = (area.x as usize).min(x1);
        for y in (area.y as usize).min(y1)..y1 {
            let row = y * self.size.width as usize;
            self.pixels[row + x0..row + x1].fill(color);
        }
    }

    /// Copies `picture` with its upper left pixel at `x`, `y`; what does not fit is left out.
    pub fn place(&mut self, picture: &Canvas, x: u32, y: u32) {
        let width = picture.size.width.min(self.size.width.saturating_sub(x)) as usize;
        let height = picture.size.height.min(self.size.height.saturating_sub(y)) as usize;
        for row in 0..height {
            let from = row * picture.size.width as usize;
            let to = (row + y as usize) * self.size.width as usize + x as usize;
            self.pixels[to..to + width].copy_from_slice(&picture.pixels[from..from + width]);
        }
    }

    /// Lays `color` over one pixel, `alpha` in 0..=1; outside nothing happens.
    pub(super) fn blend(&mut self, x: i32, y: i32, color: u32, alpha: f32) {
        if x >= 0 && y >= 0 && (x as u32) < self.size.width && (y as u32) < self.size.height {
            let p = &mut self.pixels[y as usize * self.size.width as usize + x as usize];
            *p = mix(*p, color, alpha);
        }
    }
}

/// `0x00RRGGBB`.
pub(super) const fn rgb(r: u8, g: u8, b: u8) -> u32 {
    (r as u32) << 16 | (g as u32) << 8 | b as u32
}

/// Red, green, blue.
pub(super) const fn channels(p: u32) -> [u8; 3] {
    [(p >> 16) as u8, (p >> 8) as u8, p as u8]
}

/// `over` laid on `under`, `alpha` in 0..=1 (in 256 steps).
pub(super) fn mix(under: u32, over: u32, alpha: f32) -> u32 {
    let a = (alpha.clamp(0.0, 1.0) * 256.0 + 0.5) as u32;
    let [mut u, o] = [channels(under), channels(over)];
    for (u, o) in u.iter_mut().zip(o) {
        *u = ((u32::from(*u) * (256 - a) + u32::from(o) * a + 128) >> 8) as u8;
    }
    rgb(u[0], u[1], u[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_ends_at_both_colours_and_places_clip() {
        assert_eq!(mix(0x0012_3456, 0x00ff_ffff, 0.0), 0x0012_3456);
        assert_eq!(mix(0x0012_3456, 0x00ff_8000, 1.0), 0x00ff_8000);
        let mut c = Canvas::new(Size::new(4, 3), 0);
        c.place(&Canvas::new(Size::new(4, 4), 7), 2, 1);
        assert_eq!(c.pixels, [0, 0, 0, 0, 0, 0, 7, 7, 0, 0, 7, 7]);
        c.fill(Rect { x: 3, y: 2, width: 9, height: 9 }, 5);
        assert_eq!(c.pixels[11], 5);
        c.blend(-1, 0, 9, 1.0);
        c.blend(4, 0, 9, 1.0);
        assert_eq!(c.to_rgb().len(), 36);
    }
}
