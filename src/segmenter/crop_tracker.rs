//! The crop of a moving picture: found from what has been lit so far, and held.

use crate::geometry::{Rect, Sector, Size};

use super::crop::{CropFinder, CropFound, CropKind};

/// Frames after which the first looks are taken; each may correct the one before it.
const EARLY: [u32; 4] = [1, 2, 4, 16];
/// Frames of one look after that.
const WINDOW: u32 = 32;

/// Finds the picture once and holds it, frame after frame.
///
/// A look sees the brightest value that each pixel has had since the last one, so that a dark frame or a dark corner
/// does not shrink the picture. After the first frames the crop changes only when two looks in a row agree with each
/// other and not with it: the scanner's depth or layout was changed. It never moves by a pixel or two.
#[derive(Default)]
pub struct CropTracker {
    finder: CropFinder,
    /// The brightest value of every pixel, and the brightest frame, since the last look.
    brightest: Vec<u8>,
    texture: Vec<u8>,
    light: u64,
    size: Size,
    seen: u32,
    current: Option<CropFound>,
    pending: Option<CropFound>,
}

impl CropTracker {
    /// Forgets everything: the next frame is of another recording, or of another place in it.
    pub fn reset(&mut self) {
        self.seen = 0;
        self.current = None;
        self.pending = None;
    }

    /// Where the picture is in this frame, which is also remembered.
    ///
    /// # Panics
    /// When `gray` has not `size.area()` bytes.
    pub fn update(&mut self, gray: &[u8], size: Size) -> CropFound {
        if self.size != size {
            self.size = size;
            self.reset();
        }
        let light = gray.iter().map(|&p| u64::from(p)).sum();
        if self.seen == 0 || self.window_begins() {
            self.light = 0;
            self.brightest.clear();
            self.brightest.extend_from_slice(gray);
        } else {
            for (b, &g) in self.brightest.iter_mut().zip(gray) {
                *b = (*b).max(g);
            }
        }
        if self.light == 0 || light > self.light {
            self.light = light;
            self.texture.clear();
            self.texture.extend_from_slice(gray);
        }
        self.seen = if self.seen == u32::MAX { 2 * WINDOW } else { self.seen + 1 };
        match self.current {
            Some(held) if !self.look_is_due() => held,
            _ => self.look(size),
        }
    }

    fn window_begins(&self) -> bool {
        self.seen >= EARLY[EARLY.len() - 1] && self.seen.is_multiple_of(WINDOW)
    }

    fn look_is_due(&self) -> bool {
        EARLY.contains(&self.seen) || (self.seen > WINDOW && self.seen.is_multiple_of(WINDOW))
    }

    fn look(&mut self, size: Size) -> CropFound {
        let found = self.finder.find(&self.brightest, &self.texture, size);
        let Some(held) = self.current else {
            self.current = Some(found);
            return found;
        };
        let agrees = same(found, held);
        if agrees || !found.certain {
            self.pending = None;
            // What was dark at first has been seen now.
            if agrees && !held.certain {
                self.current = Some(CropFound { rect: held.rect, sector: held.sector, ..found });
            }
            return held;
        }
        let early = self.seen <= EARLY[EARLY.len() - 1] || !held.certain;
        let twice = self.pending.is_some_and(|p| same(p, found));
        if early || twice {
            self.pending = None;
            self.current = Some(found);
            return found;
        }
        self.pending = Some(found);
        held
    }
}

/// Whether two looks saw the same picture.
fn same(a: CropFound, b: CropFound) -> bool {
    let sectors = match (a.sector, b.sector) {
        (Some(a), Some(b)) => {
            let reach = |s: Sector| s.far.unwrap_or(f32::INFINITY);
            let far = reach(a) == reach(b) || (reach(a) - reach(b)).abs() < 0.03 * reach(a);
            far && a.edges.iter().zip(b.edges).all(|(p, q)| (p - q).abs() < 0.03)
        }
        (None, None) => true,
        _ => false,
    };
    sectors && a.kind == b.kind && overlap(a.rect, b.rect) > 0.97
}

/// Area of the intersection over that of the union, 0..=1.
///
/// # References
/// Jaccard, "Étude comparative de la distribution florale", Bulletin de la Société Vaudoise des Sciences Naturelles 37,
/// 1901.
pub fn overlap(a: Rect, b: Rect) -> f64 {
    let side = |x: u32, w: u32, u: u32, v: u32| {
        let (first, last) = (x.max(u), (u64::from(x) + u64::from(w)).min(u64::from(u) + u64::from(v)));
        last.saturating_sub(u64::from(first)) as f64
    };
    let both = side(a.x, a.width, b.x, b.width) * side(a.y, a.height, b.y, b.height);
    let area = |r: Rect| f64::from(r.width) * f64::from(r.height);
    both / (area(a) + area(b) - both).max(1.0)
}

/// How the segmenter learns where the picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CropChoice {
    /// Found in the frames.
    #[default]
    Auto,
    /// The whole frame.
    Full,
    /// Given by hand.
    Rect(Rect),
}

/// `auto`, `full` or `WIDTHxHEIGHT+X+Y`.
impl std::str::FromStr for CropChoice {
    type Err = crate::geometry::GeometryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "full" => Self::Full,
            rect => Self::Rect(rect.parse()?),
        })
    }
}

impl std::fmt::Display for CropChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Full => f.write_str("full"),
            Self::Rect(rect) => rect.fmt(f),
        }
    }
}

impl std::fmt::Display for CropKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Curved => "curved",
            Self::None => "none",
        })
    }
}
