//! Sizes, rectangles and the way from pixels to millimetres.

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// The rectangle that covers all of it.
    pub const fn full(self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// `WIDTHxHEIGHT`, for example `640x480`.
impl std::str::FromStr for Size {
    type Err = GeometryError;

    fn from_str(text: &str) -> Result<Self, GeometryError> {
        let bad = || GeometryError::Size { found: text.to_owned() };
        let (w, h) = text.split_once(['x', 'X', '×']).ok_or_else(bad)?;
        let size = Self::new(w.trim().parse().map_err(|_| bad())?, h.trim().parse().map_err(|_| bad())?);
        if size.width == 0 || size.height == 0 {
            return Err(bad());
        }
        Ok(size)
    }
}

/// An axis-aligned rectangle of whole pixels; `x`, `y` is its upper left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Rect {
    /// Leftmost column.
    pub x: u32,
    /// Uppermost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Rect {
    /// Width and height.
    pub const fn size(self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// Whether it lies wholly inside a picture of `size`, with at least one pixel.
    pub fn fits(self, size: Size) -> bool {
        self.width > 0
            && self.height > 0
            && u64::from(self.x) + u64::from(self.width) <= u64::from(size.width)
            && u64::from(self.y) + u64::from(self.height) <= u64::from(size.height)
    }
}

impl std::fmt::Display for Rect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}+{}+{}", self.width, self.height, self.x, self.y)
    }
}

/// `WIDTHxHEIGHT+X+Y`, as X11 writes it: `536x424+192+78`.
impl std::str::FromStr for Rect {
    type Err = GeometryError;

    fn from_str(text: &str) -> Result<Self, GeometryError> {
        let bad = || GeometryError::Rect { found: text.to_owned() };
        let mut parts = text.split('+');
        let size: Size = parts.next().and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        let x = parts.next().and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        let y = parts.next().and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { x, y, width: size.width, height: size.height })
    }
}

/// A fan, as a curved or phased array images it, in pixels of the frame: everything between two edges that meet in the
/// apex, and between two arcs around it.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Sector {
    /// Column and row of the point that all lines of the picture come from; often above the frame.
    pub apex: [f32; 2],
    /// Columns that the left and the right edge move with each row.
    pub edges: [f32; 2],
    /// Radius of the upper arc; 0 where there is none.
    pub near: f32,
    /// Radius of the lower arc, where it was seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub far: Option<f32>,
}

impl Sector {
    /// Whether the centre of a pixel is inside.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        let (dx, dy) = (x as f32 - self.apex[0], y as f32 - self.apex[1]);
        let square = dx * dx + dy * dy;
        dy > 0.0
            && dx >= self.edges[0] * dy
            && dx <= self.edges[1] * dy
            && square >= self.near * self.near
            && self.far.is_none_or(|far| square <= far * far)
    }

    /// Angles of the left and the right edge from straight down, in degrees; for people.
    pub fn degrees(&self) -> [f32; 2] {
        self.edges.map(|slope| slope.atan().to_degrees())
    }
}

/// For people: `sector of -38 to 38 degrees, radii 120 to 480, apex 460,-72`.
impl std::fmt::Display for Sector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([left, right], [x, y]) = (self.degrees(), self.apex);
        write!(f, "sector of {left:.0} to {right:.0} degrees, radii {:.0} to ", self.near)?;
        match self.far {
            Some(far) => write!(f, "{far:.0}")?,
            None => f.write_str("the edge")?,
        }
        write!(f, ", apex {x:.0},{y:.0}")
    }
}

/// Distance between the centres of neighbouring pixels, in millimetres.
///
/// A source that does not know it says so with `None`; a placeholder of 1 × 1 is not a spacing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spacing {
    /// Millimetres between columns.
    pub x_mm: f64,
    /// Millimetres between rows.
    pub y_mm: f64,
}

impl Spacing {
    /// Area of one pixel in mm².
    pub fn pixel_mm2(self) -> f64 {
        self.x_mm * self.y_mm
    }

    /// Whether it may be that of an ultrasound picture, 0.1 µm to 10 cm; what lies beyond is a mistake of its file.
    pub fn is_plausible(self) -> bool {
        [self.x_mm, self.y_mm].iter().all(|step| (1e-4..=1e2).contains(step))
    }
}

/// What can be wrong with a size or a rectangle that somebody wrote.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GeometryError {
    /// Not `WIDTHxHEIGHT`.
    #[error("cannot read the size `{found}`: expected WIDTHxHEIGHT in pixels, for example 640x480")]
    Size {
        /// What was written.
        found: String,
    },
    /// Not `WIDTHxHEIGHT+X+Y`.
    #[error("cannot read the rectangle `{found}`: expected WIDTHxHEIGHT+X+Y in pixels, for example 536x424+192+78")]
    Rect {
        /// What was written.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_round_trip_and_refuse_nonsense() {
        let r: Rect = "536x424+192+78".parse().unwrap();
        assert_eq!(r, Rect { x: 192, y: 78, width: 536, height: 424 });
        assert_eq!(r.to_string().parse::<Rect>().unwrap(), r);
        for bad in ["", "536x424", "0x4+1+1", "a", "1x1+1+1+1", "536x424+-1+2"] {
            assert!(bad.parse::<Rect>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rectangle_at_the_end_of_the_number_range_does_not_fit() {
        let r = Rect { x: u32::MAX, y: 0, width: 2, height: 1 };
        assert!(!r.fits(Size::new(10, 10)));
        assert!(Size::new(10, 10).full().fits(Size::new(10, 10)));
    }
}
