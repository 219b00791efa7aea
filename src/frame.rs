//! One picture of a moving ultrasound, with its time and what is known of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::geometry::{Size, Spacing};
use crate::latency::Stamps;
use crate::mask::Mask;

/// How the bytes of a picture are laid out; rows follow each other without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One byte a pixel, 0 black, 255 white.
    Gray8,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb8 => 3,
        }
    }
}

/// One picture from a source.
///
/// Shared as `Arc<Frame>`: the segmenter, the display and the recorder read the same pixels.
///
/// # Shapes
/// `pixels` is `height × width × format.bytes()`, row-major, top row first.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Position in what the source delivered, from 0, without gaps.
    pub id: u64,
    /// Width and height; may change from frame to frame.
    pub size: Size,
    /// Layout of `pixels`.
    pub format: PixelFormat,
    /// The picture.
    pub pixels: Vec<u8>,
    /// Presentation time since the start of the recording (or of the capture).
    pub time: Duration,
    /// How old the picture was when the source handed it over, by the clock of the device that took it, where it tells.
    pub age: Option<Duration>,
    /// Pixel spacing where the source knows it.
    pub spacing: Option<Spacing>,
    /// The true mask where the source knows it (phantom, data sets).
    pub truth: Option<Arc<Mask>>,
    /// A name for people: the file of an image, empty where there is none.
    pub name: String,
    /// When it was captured and received; the rest is stamped later, on what is derived from it.
    pub stamps: Stamps,
    /// When it was first composited and presented: set once, by the display, while others share the frame already.
    pub shown: OnceLock<Stamps>,
}

impl Frame {
    /// A frame of the given pixels at time zero, with nothing else known.
    ///
    /// # Panics
    /// When `pixels` has not `size.area() * format.bytes()` bytes.
    pub fn new(id: u64, size: Size, format: PixelFormat, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), size.area() * format.bytes(), "pixels of a {size} frame");
        Self {
            id,
            size,
            format,
            pixels,
            time: Duration::ZERO,
            age: None,
            spacing: None,
            truth: None,
            name: String::new(),
            stamps: Stamps::default(),
            shown: OnceLock::new(),
        }
    }

    /// The grey level of every pixel, written to `out`.
    ///
    /// Colour becomes luma, (77 R + 150 G + 29 B + 128) / 256.
    ///
    /// # References
    /// ITU-R BT.601, weights 0.299, 0.587, 0.114 in 8-bit fixed point.
    ///
    /// # Panics
    /// When `out` has not `size.area()` bytes.
    pub fn write_gray(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.size.area(), "grey plane of a {} frame", self.size);
        match self.format {
            PixelFormat::Gray8 => out.copy_from_slice(&self.pixels),
            PixelFormat::Rgb8 => {
                for (o, p) in out.iter_mut().zip(self.pixels.chunks_exact(3)) {
                    *o = luma(p[0], p[1], p[2]);
                }
            }
        }
    }

    /// Red, green and blue of the pixel at column `x`, row `y`.
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let i = y as usize * self.size.width as usize + x as usize;
        match self.format {
            PixelFormat::Gray8 => [self.pixels[i]; 3],
            PixelFormat::Rgb8 => [self.pixels[3 * i], self.pixels[3 * i + 1], self.pixels[3 * i + 2]],
        }
    }
}

/// BT.601 luma in 8-bit fixed point; see [`Frame::write_gray`].
pub const fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((77 * r as u32 + 150 * g as u32 + 29 * b as u32 + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_colours_keep_their_level() {
        for v in 0..=255 {
            assert_eq!(luma(v, v, v), v);
        }
    }
}
