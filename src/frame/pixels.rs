//! How the bytes of a picture are laid out, and what grey and colours they mean.

use std::ops::Range;

use crate::geometry::Size;

/// How the bytes of a picture are laid out; rows follow each other without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One byte a pixel, 0 black, 255 white.
    Gray8,
    /// Two bytes a pixel, the lower first, 0 black, 65535 white.
    Gray16,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
    /// Luma and colour differences, as cameras, capture cards and decoders give them.
    Yuv(Yuv),
}

/// Luma of every pixel, blue and red difference of every second column: what video is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Yuv {
    /// Where the samples lie.
    pub layout: YuvLayout,
    /// Which colours they mean.
    pub matrix: Matrix,
    /// Whether black is 0 and white 255 (JPEG), not 16 and 235 (studio range).
    pub full_range: bool,
}

/// The order of the samples. Odd widths and heights have as many colour samples as the next even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum YuvLayout {
    /// Y U Y V: four bytes for two pixels of a row.
    Yuyv,
    /// U Y V Y: four bytes for two pixels of a row.
    Uyvy,
    /// A plane of Y, then one of U V, a pair for two by two pixels.
    Nv12,
    /// A plane of Y, one of U and one of V, a sample for two by two pixels.
    I420,
}

/// How luma and colour differences are made of red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601, standard definition and JPEG.
    Bt601,
    /// ITU-R BT.709, high definition.
    Bt709,
}

/// Where samples lie: that of column `x` and row `y` at `first + y * pitch + x * step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// The first of the picture.
    pub first: usize,
    /// Bytes from a row to the next.
    pub pitch: usize,
    /// Bytes from a column to the next.
    pub step: usize,
}

/// Where the samples of a [`Yuv`] picture lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YuvSamples {
    /// Luma, of every pixel.
    pub y: Samples,
    /// Blue difference, of every second column.
    pub u: Samples,
    /// Red difference, of every second column.
    pub v: Samples,
    /// Rows of pixels that share a row of differences.
    pub rows: usize,
}

/// What luma and colour differences count, times 256: R = (luma (Y − black) + rv V) / 256 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// The luma of black.
    pub black: i16,
    /// Of luma, in red, green and blue.
    pub luma: i16,
    /// Of V in red.
    pub rv: i16,
    /// Of U in green, where it is subtracted.
    pub gu: i16,
    /// Of V in green, where it is subtracted.
    pub gv: i16,
    /// Of U in blue.
    pub bu: i16,
}

impl PixelFormat {
    /// Bytes of the rows of each plane, and how many rows; absent planes have none.
    pub const fn planes(self, size: Size) -> [(usize, usize); 3] {
        let (width, height) = (size.width as usize, size.height as usize);
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        let none = (0, 0);
        match self {
            Self::Gray8 => [(width, height), none, none],
            Self::Gray16 => [(2 * width, height), none, none],
            Self::Rgb8 => [(3 * width, height), none, none],
            Self::Yuv(yuv) => match yuv.layout {
                YuvLayout::Yuyv | YuvLayout::Uyvy => [(4 * columns, height), none, none],
                YuvLayout::Nv12 => [(width, height), (2 * columns, rows), none],
                YuvLayout::I420 => [(width, height), (columns, rows), (columns, rows)],
            },
        }
    }

    /// Bytes of a picture.
    pub const fn bytes(self, size: Size) -> usize {
        let [one, two, three] = self.planes(size);
        one.0 * one.1 + two.0 * two.1 + three.0 * three.1
    }

    /// Writes the grey levels of `out.len()` pixels of row `y`, from column `x` on; see
    /// [`Frame::write_gray`](super::Frame::write_gray).
    ///
    /// # Panics
    /// When the picture does not have these pixels.
    pub fn write_gray(self, size: Size, pixels: &[u8], (x, y): (usize, usize), out: &mut [u8]) {
        let there = x + out.len() <= size.width as usize && y < size.height as usize;
        assert!(there || out.is_empty(), "{} pixels of row {y} from column {x} on lie in {size}", out.len());
        let count = out.len();
        let packed = |bytes: usize| &pixels[(y * size.width as usize + x) * bytes..][..count * bytes];
        match self {
            Self::Gray8 => out.copy_from_slice(packed(1)),
            Self::Gray16 => out.iter_mut().zip(packed(2).as_chunks().0).for_each(|(o, &level)| *o = eight_bits(level)),
            Self::Rgb8 => out.iter_mut().zip(packed(3).as_chunks().0).for_each(|(o, &[r, g, b])| *o = luma(r, g, b)),
            Self::Yuv(yuv) => yuv.each(size, pixels, (x, y), count, |first, own, [r, g, b]| {
                let gray: [u8; 2 * PAIRS] = std::array::from_fn(|i| luma(r[i], g[i], b[i]));
                out[first..][..own.len()].copy_from_slice(&gray[own]);
            }),
        }
    }

    /// Red, green and blue of the pixel at column `x`, row `y`.
    ///
    /// # Panics
    /// When the picture has no such pixel.
    pub fn rgb(self, size: Size, pixels: &[u8], (x, y): (usize, usize)) -> [u8; 3] {
        assert!(x < size.width as usize && y < size.height as usize, "column {x}, row {y} of {size}");
        let mut found = [0; 3];
        match self {
            Self::Rgb8 => found.copy_from_slice(&pixels[3 * (y * size.width as usize + x)..][..3]),
            Self::Yuv(yuv) => yuv.each(size, pixels, (x, y), 1, |_, own, rgb| found = rgb.map(|c| c[own.start])),
            Self::Gray8 | Self::Gray16 => {
                self.write_gray(size, pixels, (x, y), &mut found[..1]);
                found = [found[0]; 3];
            }
        }
        found
    }
}

impl Yuv {
    /// What cameras give that say nothing of colours.
    pub const fn studio(layout: YuvLayout) -> Self {
        Self { layout, matrix: Matrix::Bt601, full_range: false }
    }

    /// Where the samples of a picture of this size lie.
    pub fn samples(self, size: Size) -> YuvSamples {
        let (width, columns, area) = (size.width as usize, size.width.div_ceil(2) as usize, size.area());
        let at = |first, pitch, step| Samples { first, pitch, step };
        let packed = |y, u, v| YuvSamples {
            y: at(y, 4 * columns, 2),
            u: at(u, 4 * columns, 4),
            v: at(v, 4 * columns, 4),
            rows: 1,
        };
        match self.layout {
            YuvLayout::Yuyv => packed(0, 1, 3),
            YuvLayout::Uyvy => packed(1, 0, 2),
            YuvLayout::Nv12 => {
                YuvSamples { y: at(0, width, 1), u: at(area, 2 * columns, 2), v: at(area + 1, 2 * columns, 2), rows: 2 }
            }
            YuvLayout::I420 => YuvSamples {
                y: at(0, width, 1),
                u: at(area, columns, 1),
                v: at(area + columns * size.height.div_ceil(2) as usize, columns, 1),
                rows: 2,
            },
        }
    }

    /// The weights of its colours, rounded.
    ///
    /// # References
    /// ITU-R BT.601-7 and BT.709-6: Kr = 0.299, Kb = 0.114 and Kr = 0.2126, Kb = 0.0722; R = Y + 2 (1 − Kr) V, B = Y +
    /// 2 (1 − Kb) U, the studio range stretched by 255/219 and 255/224.
    pub fn factors(self) -> Factors {
        let of = |black, luma, [rv, gu, gv, bu]: [i16; 4]| Factors { black, luma, rv, gu, gv, bu };
        match (self.matrix, self.full_range) {
            (Matrix::Bt601, false) => of(16, 298, [409, 100, 208, 516]),
            (Matrix::Bt601, true) => of(0, 256, [359, 88, 183, 454]),
            (Matrix::Bt709, false) => of(16, 298, [459, 55, 136, 541]),
            (Matrix::Bt709, true) => of(0, 256, [403, 48, 120, 475]),
        }
    }

    /// Red, green and blue of every pixel.
    ///
    /// # Panics
    /// When `out` has not three bytes for each.
    pub fn write_rgb(self, size: Size, pixels: &[u8], out: &mut [u8]) {
        assert_eq!(out.len(), 3 * size.area(), "colours of a {size} frame");
        let width = size.width as usize;
        for (y, row) in out.chunks_exact_mut(3 * width.max(1)).enumerate() {
            let row = row.as_chunks_mut().0;
            self.each(size, pixels, (0, y), width, |first, own, [r, g, b]| {
                row[first..].iter_mut().zip(own).for_each(|(o, i)| *o = [r[i], g[i], b[i]]);
            });
        }
    }

    /// Red, green and blue of `count` pixels of row `y`, from column `x` on, a run of them at once: the index of its
    /// first among them, and where in the run they are.
    fn each(
        self,
        size: Size,
        pixels: &[u8],
        (x, y): (usize, usize),
        count: usize,
        mut found: impl FnMut(usize, Range<usize>, &[[u8; 2 * PAIRS]; 3]),
    ) {
        let (at, factors) = (self.samples(size), self.factors());
        let mut run = Run::default();
        let mut colours = [[0; 2 * PAIRS]; 3];
        let odd = x % 2;
        for first in (x - odd..x + count).step_by(2 * PAIRS) {
            let of =
                |samples: Samples, y: usize, x: usize| &pixels[samples.first + y * samples.pitch + x * samples.step..];
            let (luma, pair) = (of(at.y, y, first), first / 2);
            let (u, v) = (of(at.u, y / at.rows, pair), of(at.v, y / at.rows, pair));
            match self.layout {
                YuvLayout::Yuyv | YuvLayout::Uyvy => run.read::<4, 4>(2, luma, u, v),
                YuvLayout::Nv12 => run.read::<2, 2>(1, luma, u, v),
                YuvLayout::I420 => run.read::<2, 1>(1, luma, u, v),
            }
            factors.colours(&run, &mut colours);
            // Of a pair that is cut in two the first was not asked for.
            let begin = if first < x { odd } else { 0 };
            found(first + begin - x, begin..(2 * PAIRS).min(x + count - first), &colours);
        }
    }
}

/// Pairs of pixels that are converted at once.
const PAIRS: usize = 32;

/// Samples of neighbouring pairs, as numbers that processors multiply many of at once; both of a pair have the same
/// differences.
#[derive(Default)]
struct Run {
    luma: [[i16; 2]; PAIRS],
    u: [[i16; 2]; PAIRS],
    v: [[i16; 2]; PAIRS],
}

impl Run {
    /// Reads from bytes of which `LUMA` and `DIFFERENCE` belong to a pair; its luma is `next` bytes apart.
    fn read<const LUMA: usize, const DIFFERENCE: usize>(&mut self, next: usize, luma: &[u8], u: &[u8], v: &[u8]) {
        pick::<LUMA>(&mut self.luma, luma, [0, next]);
        pick::<DIFFERENCE>(&mut self.u, u, [0, 0]);
        pick::<DIFFERENCE>(&mut self.v, v, [0, 0]);
    }
}

/// Two of each `STEP` bytes; of the last, which may be fewer, those that are there.
fn pick<const STEP: usize>(out: &mut [[i16; 2]; PAIRS], bytes: &[u8], at: [usize; 2]) {
    let (whole, rest) = bytes.as_chunks::<STEP>();
    for (out, own) in out.iter_mut().zip(whole) {
        *out = at.map(|i| i16::from(own[i]));
    }
    if let Some(last) = out.get_mut(whole.len()) {
        *last = at.map(|i| rest.get(i).copied().map_or(0, i16::from));
    }
}

impl Factors {
    fn colours(self, run: &Run, [red, green, blue]: &mut [[u8; 2 * PAIRS]; 3]) {
        let level = |sum: i32| ((sum + 128) >> 8).clamp(0, 255) as u8;
        let (luma, u, v) = (run.luma.as_flattened(), run.u.as_flattened(), run.v.as_flattened());
        // Of sixteen bits each, which is what processors multiply fastest.
        let times = |factor: i16, value: i16| i32::from(factor) * i32::from(value);
        for i in 0..2 * PAIRS {
            let luma = times(self.luma, luma[i] - self.black);
            let (u, v) = (u[i] - 128, v[i] - 128);
            red[i] = level(luma + times(self.rv, v));
            green[i] = level(luma - times(self.gu, u) - times(self.gv, v));
            blue[i] = level(luma + times(self.bu, u));
        }
    }
}

/// 16 bits of level as 8, rounded.
const fn eight_bits(level: [u8; 2]) -> u8 {
    ((u16::from_le_bytes(level) as u32 * 255 + 32767) / 65535) as u8
}

/// BT.601 luma in 8-bit fixed point; see [`Frame::write_gray`](super::Frame::write_gray).
pub const fn luma(r: u8, g: u8, b: u8) -> u8 {
    // At most 65408: processors multiply numbers of 16 bits fastest.
    ((77 * r as u16 + 150 * g as u16 + 29 * b as u16 + 128) >> 8) as u8
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
