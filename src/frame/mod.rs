//! One picture of a moving ultrasound, with its time and what is known of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::geometry::{Size, Spacing};
use crate::latency::Stamps;
use crate::mask::Mask;

mod pixels;

pub use pixels::{Factors, Matrix, PixelFormat, Samples, Yuv, YuvLayout, YuvSamples, luma};

/// One picture from a source.
///
/// Shared as `Arc<Frame>`: the segmenter, the display and the recorder read the same pixels.
///
/// # Shapes
/// `pixels` is `format.bytes(size)` long, row-major, top row first.
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
    /// When `pixels` has not `format.bytes(size)` bytes.
    pub fn new(id: u64, size: Size, format: PixelFormat, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), format.bytes(size), "pixels of a {size} frame");
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
    /// Colour becomes luma, (77 R + 150 G + 29 B + 128) / 256, whatever it is stored as; 16 bits become 8, rounded. So
    /// a frame that was recorded as grey or RGB has the same levels.
    ///
    /// # References
    /// ITU-R BT.601, weights 0.299, 0.587, 0.114 in 8-bit fixed point.
    ///
    /// # Panics
    /// When `out` has not `size.area()` bytes.
    pub fn write_gray(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.size.area(), "grey plane of a {} frame", self.size);
        let rows = out.chunks_exact_mut(self.size.width.max(1) as usize).enumerate();
        rows.for_each(|(y, row)| self.format.write_gray(self.size, &self.pixels, (0, y), row));
    }

    /// The grey level of every pixel: those of the frame, or what [`Frame::write_gray`] writes to `buffer`.
    pub fn gray<'a>(&'a self, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if self.format == PixelFormat::Gray8 {
            return &self.pixels;
        }
        buffer.resize(self.size.area(), 0);
        self.write_gray(buffer);
        buffer
    }

    /// The picture with one byte of grey or three of red, green and blue a pixel, and which of both: its own bytes, or
    /// what is written to `buffer` where they are laid out otherwise.
    pub fn plain<'a>(&'a self, buffer: &'a mut Vec<u8>) -> (&'a [u8], usize) {
        match self.format {
            PixelFormat::Gray8 => (&self.pixels, 1),
            PixelFormat::Rgb8 => (&self.pixels, 3),
            PixelFormat::Gray16 => (self.gray(buffer), 1),
            PixelFormat::Yuv(yuv) => {
                buffer.resize(3 * self.size.area(), 0);
                yuv.write_rgb(self.size, &self.pixels, buffer);
                (buffer, 3)
            }
        }
    }

    /// Red, green and blue of the pixel at column `x`, row `y`.
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        self.format.rgb(self.size, &self.pixels, (x as usize, y as usize))
    }
}
