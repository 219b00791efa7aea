//! How an ultrasound picture lies in its file, and how it is brought upright.
//!
//! # References
//! PLUS toolkit, "Ultrasound image orientation": the first letter says where the columns grow to (the Marked or the
//! Unmarked side of the probe), the second where the rows grow to (Near the probe or Far from it). MF is the usual
//! display, with the skin on top.

use crate::geometry::Size;

/// Steps from the stored picture to MF, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upright {
    /// Columns and rows change places.
    pub transpose: bool,
    /// Left and right change places.
    pub flip_x: bool,
    /// Top and bottom change places.
    pub flip_y: bool,
}

impl Upright {
    /// The steps for `UltrasoundImageOrientation`; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<Self> {
        // A third letter (A, D) orders the planes of a volume and changes nothing in the plane.
        let mut letters = text.trim().chars().map(|c| c.to_ascii_uppercase());
        let (first, second) = (letters.next()?, letters.next()?);
        if letters.next().is_some_and(|c| !matches!(c, 'A' | 'D')) || letters.next().is_some() {
            return None;
        }
        let (transpose, side, depth) = match (first, second) {
            ('M' | 'U', 'F' | 'N') => (false, first, second),
            ('F' | 'N', 'M' | 'U') => (true, second, first),
            _ => return None,
        };
        Some(Self { transpose, flip_x: side == 'U', flip_y: depth == 'N' })
    }

    /// What was done, for people; `None` where nothing was.
    pub fn describe(self) -> Option<String> {
        let steps = [
            (self.transpose, "transposed"),
            (self.flip_x, "left and right swapped"),
            (self.flip_y, "turned upside down"),
        ];
        let done: Vec<&str> = steps.iter().filter(|s| s.0).map(|s| s.1).collect();
        (!done.is_empty()).then(|| done.join(", "))
    }

    /// Size of the upright picture of a stored `size`.
    pub fn size(self, size: Size) -> Size {
        if self.transpose { Size::new(size.height, size.width) } else { size }
    }

    /// The upright picture of `pixels`, a stored `size` of `bytes` bytes a pixel.
    ///
    /// # Panics
    /// When `pixels` has not `size.area() * bytes` bytes.
    pub fn apply(self, pixels: Vec<u8>, size: Size, bytes: usize) -> Vec<u8> {
        assert_eq!(pixels.len(), size.area() * bytes, "pixels of a {size} frame");
        if self == Self::default() {
            return pixels;
        }
        let upright = self.size(size);
        let (width, height) = (upright.width as usize, upright.height as usize);
        let mut out = Vec::with_capacity(pixels.len());
        for y in 0..height {
            let row = if self.flip_y { height - 1 - y } else { y };
            for x in 0..width {
                let column = if self.flip_x { width - 1 - x } else { x };
                let from = if self.transpose { column * size.width as usize + row } else { row * width + column };
                out.extend_from_slice(&pixels[from * bytes..(from + 1) * bytes]);
            }
        }
        out
    }
}
