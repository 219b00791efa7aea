//! The choice of a filter against speckle, as people write it.

use serde::{Deserialize, Serialize};

use super::bilateral::Bilateral;
use super::frost::Frost;
use super::kuan::Kuan;
use super::lee::Lee;
use super::median::Median;
use super::nlm::{MAX_PATCH, MAX_SEARCH, Nlm};
use super::pool::{Pool, SharedMut};
use super::srad::Srad;
use crate::geometry::Size;

/// The largest radius of a window; a larger one is taken as this.
pub const MAX_RADIUS: u32 = 15;

/// A filter and its settings.
///
/// Written `off`, `median`, `median:radius=2`, `srad:iterations=10,step=0.5`; what is not written keeps its default.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Despeckle {
    /// The picture as it is.
    #[default]
    Off,
    /// [`Median`].
    Median {
        /// Pixels on each side of the middle one.
        radius: u32,
    },
    /// [`Bilateral`].
    Bilateral {
        /// Radius of the disc in pixels.
        radius: u32,
        /// Standard deviation of grey levels.
        range: f32,
        /// Standard deviation of distances in pixels.
        space: f32,
    },
    /// [`Lee`].
    Lee {
        /// Pixels on each side of the middle one.
        radius: u32,
        /// Standard deviation of the noise divided by the mean.
        noise: f32,
    },
    /// [`Kuan`].
    Kuan {
        /// Pixels on each side of the middle one.
        radius: u32,
        /// Standard deviation of the noise divided by the mean.
        noise: f32,
    },
    /// [`Frost`].
    Frost {
        /// Pixels on each side of the middle one.
        radius: u32,
        /// How fast weights fall with the distance.
        damping: f32,
    },
    /// [`Nlm`].
    Nlm {
        /// Pixels on each side of the middle one of a patch.
        patch: u32,
        /// Pixels on each side of the middle one of the search window.
        search: u32,
        /// Difference of patches in grey levels.
        strength: f32,
    },
    /// [`Srad`].
    Srad {
        /// Steps in time.
        iterations: u32,
        /// Length of a step, 0 to 1.
        step: f32,
        /// Coefficient of variation of speckle at the start.
        speckle: f32,
        /// Decibels from black to white.
        dynamic_range: f32,
    },
}

/// What can be wrong with the name of a filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DespeckleError {
    /// No such filter.
    #[error(
        "cannot choose the filter `{found}`: expected one of {}; the nearest is `{nearest}`", Despeckle::ALL.map(|d| d.name()).join(", ")
    )]
    Name {
        /// What was written.
        found: String,
        /// The filter whose name is most like it.
        nearest: &'static str,
    },
    /// No such setting.
    #[error("cannot set `{found}` of the filter `{filter}`: expected {}", if known.is_empty() { "no settings".to_owned() } else { format!("{known}; the nearest is `{nearest}`") })]
    Setting {
        /// The filter.
        filter: &'static str,
        /// What was written.
        found: String,
        /// The settings there are.
        known: String,
        /// The setting whose name is most like it.
        nearest: &'static str,
    },
    /// A value that the setting cannot have.
    #[error("cannot set `{setting}` of the filter `{filter}` to `{found}`: expected {expected}")]
    Value {
        /// The filter.
        filter: &'static str,
        /// The setting.
        setting: &'static str,
        /// What was written.
        found: String,
        /// What would do.
        expected: String,
    },
}

/// One setting: its name, its least and greatest value, and where it is kept.
type Setting<'a> = (&'static str, f32, f32, Value<'a>);

enum Value<'a> {
    Whole(&'a mut u32),
    Real(&'a mut f32),
}

impl Despeckle {
    /// Every filter with its defaults, in the order in which a key steps through them.
    pub const ALL: [Self; 8] = [
        Self::Off,
        Self::Median { radius: 1 },
        Self::Bilateral { radius: 3, range: 25.0, space: 2.0 },
        Self::Lee { radius: 2, noise: 0.25 },
        Self::Kuan { radius: 2, noise: 0.25 },
        Self::Frost { radius: 2, damping: 2.0 },
        Self::Nlm { patch: 3, search: 10, strength: 12.0 },
        Self::Srad { iterations: 10, step: 0.5, speckle: 0.52, dynamic_range: 60.0 },
    ];

    /// Its name without settings.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Median { .. } => "median",
            Self::Bilateral { .. } => "bilateral",
            Self::Lee { .. } => "lee",
            Self::Kuan { .. } => "kuan",
            Self::Frost { .. } => "frost",
            Self::Nlm { .. } => "nlm",
            Self::Srad { .. } => "srad",
        }
    }

    /// The filter after this one, with its defaults; after the last comes `off`.
    pub fn next(&self) -> Self {
        let at = Self::ALL.iter().position(|d| d.name() == self.name()).expect("every filter is listed");
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        use Value::{Real, Whole};
        let largest = MAX_RADIUS as f32;
        match self {
            Self::Off => vec![],
            Self::Median { radius } => vec![("radius", 0.0, largest, Whole(radius))],
            Self::Bilateral { radius, range, space } => vec![
                ("radius", 0.0, largest, Whole(radius)),
                ("range", 0.1, 255.0, Real(range)),
                ("space", 0.1, 100.0, Real(space)),
            ],
            Self::Lee { radius, noise } | Self::Kuan { radius, noise } => {
                vec![("radius", 0.0, largest, Whole(radius)), ("noise", 0.0, 10.0, Real(noise))]
            }
            Self::Frost { radius, damping } => {
                vec![("radius", 0.0, largest, Whole(radius)), ("damping", 0.0, 100.0, Real(damping))]
            }
            Self::Nlm { patch, search, strength } => vec![
                ("patch", 0.0, MAX_PATCH as f32, Whole(patch)),
                ("search", 0.0, MAX_SEARCH as f32, Whole(search)),
                ("strength", 0.1, 255.0, Real(strength)),
            ],
            Self::Srad { iterations, step, speckle, dynamic_range } => vec![
                ("iterations", 0.0, 1000.0, Whole(iterations)),
                ("step", 0.0, 1.0, Real(step)),
                ("speckle", 0.001, 10.0, Real(speckle)),
                ("dynamic_range", 1.0, 120.0, Real(dynamic_range)),
            ],
        }
    }

    /// Filters one picture.
    ///
    /// # Shapes
    /// `src` and `dst` height × width, one byte a pixel.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run(&self, pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], scratch: &mut Scratch) {
        match *self {
            Self::Off => dst.copy_from_slice(src),
            Self::Median { radius } => Median { radius }.run(pool, size, src, dst, scratch),
            Self::Bilateral { radius, range, space } => {
                Bilateral { radius, range, space }.run(pool, size, src, dst, scratch);
            }
            Self::Lee { radius, noise } => Lee { radius, noise }.run(pool, size, src, dst, scratch),
            Self::Kuan { radius, noise } => Kuan { radius, noise }.run(pool, size, src, dst, scratch),
            Self::Frost { radius, damping } => Frost { radius, damping }.run(pool, size, src, dst, scratch),
            Self::Nlm { patch, search, strength } => {
                Nlm { patch, search, strength }.run(pool, size, src, dst, scratch);
            }
            Self::Srad { iterations, step, speckle, dynamic_range } => {
                Srad { iterations, step, speckle, dynamic_range }.run(pool, size, src, dst, scratch);
            }
        }
    }
}

impl std::fmt::Display for Despeckle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        let mut copy = *self;
        for (i, (name, _, _, value)) in copy.settings().into_iter().enumerate() {
            let separator = if i == 0 { ':' } else { ',' };
            match value {
                Value::Whole(n) => write!(f, "{separator}{name}={n}")?,
                Value::Real(x) => write!(f, "{separator}{name}={x}")?,
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Despeckle {
    type Err = DespeckleError;

    fn from_str(text: &str) -> Result<Self, DespeckleError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let (name, names) = (name.trim(), Self::ALL.map(|d| d.name()));
        let Some(mut filter) = Self::ALL.into_iter().find(|d| d.name() == name) else {
            return Err(DespeckleError::Name { found: name.to_owned(), nearest: nearest(name, &names) });
        };
        let title = filter.name();
        for setting in settings.split(',').map(str::trim).filter(|s| !s.is_empty()) {
            let (key, value) = setting.split_once('=').map_or((setting, ""), |(k, v)| (k.trim(), v.trim()));
            let known: Vec<&'static str> = filter.settings().iter().map(|s| s.0).collect();
            let Some((name, least, greatest, place)) = filter.settings().into_iter().find(|s| s.0 == key) else {
                let nearest = nearest(key, &known);
                return Err(DespeckleError::Setting {
                    filter: title,
                    found: key.to_owned(),
                    known: known.join(", "),
                    nearest,
                });
            };
            let refuse = |kind: &str| DespeckleError::Value {
                filter: title,
                setting: name,
                found: value.to_owned(),
                expected: format!("a {kind} from {least} to {greatest}"),
            };
            match place {
                Value::Whole(place) => {
                    let fits = |n: &u32| (least as u32..=greatest as u32).contains(n);
                    *place = value.parse().ok().filter(fits).ok_or_else(|| refuse("whole number"))?;
                }
                Value::Real(place) => {
                    let fits = |x: &f32| (least..=greatest).contains(x);
                    *place = value.parse().ok().filter(fits).ok_or_else(|| refuse("number"))?;
                }
            }
        }
        Ok(filter)
    }
}

impl TryFrom<String> for Despeckle {
    type Error = DespeckleError;

    fn try_from(text: String) -> Result<Self, DespeckleError> {
        text.parse()
    }
}

impl From<Despeckle> for String {
    fn from(filter: Despeckle) -> Self {
        filter.to_string()
    }
}

/// The known name that is most like `found`; empty when there is none.
fn nearest(found: &str, known: &[&'static str]) -> &'static str {
    let likeness = |name: &&str| (strsim::jaro_winkler(found, name) * 1e6) as u32;
    known.iter().copied().max_by_key(likeness).unwrap_or_default()
}

/// Memory that filters work in; it grows to the largest picture seen and stays.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    planes: [Vec<f32>; 3],
    counts: [Vec<u32>; 2],
    bytes: Vec<u8>,
    pub(super) gradients: [Vec<i32>; 3],
    pub(super) stack: Vec<usize>,
}

impl Scratch {
    pub(super) fn planes(&mut self, length: usize) -> [&mut [f32]; 3] {
        self.planes.each_mut().map(|plane| grown(plane, length))
    }

    pub(super) fn bytes(&mut self, length: usize) -> &mut [u8] {
        grown(&mut self.bytes, length)
    }

    pub(super) fn counts(&mut self, length: usize) -> [&mut [u32]; 2] {
        self.counts.each_mut().map(|plane| grown(plane, length))
    }
}

/// The first `length` values, which are allocated when there were never so many.
pub(super) fn grown<T: Clone + Default>(plane: &mut Vec<T>, length: usize) -> &mut [T] {
    if plane.len() < length {
        plane.resize(length, T::default());
    }
    &mut plane[..length]
}

/// Calls `row(y, row)` for every row of `dst`; a picture without pixels has none.
pub(super) fn rows(pool: &Pool, size: Size, src: &[u8], dst: &mut [u8], row: &(dyn Fn(usize, &mut [u8]) + Sync)) {
    assert_eq!(src.len(), size.area(), "pixels of a {size} picture");
    assert_eq!(dst.len(), size.area(), "pixels of a {size} picture");
    if size.area() == 0 {
        return;
    }
    let width = size.width as usize;
    let dst = SharedMut::new(dst);
    pool.run(size.height as usize, &|y| {
        // SAFETY: one row a task.
        row(y, unsafe { dst.slice(y * width, width) });
    });
}
