//! Millimetres and milliseconds: where a DICOM file keeps them, and when they are not believed.
//!
//! # References
//! DICOM PS3.3: C.8.5.5 ultrasound region calibration, C.7.6.5 cine, 10.7.1.3 pixel spacing, C.7.6.16.2.1 pixel measures.

use std::time::Duration;

use dicom_object::InMemDicomObject;

use super::header::{Header, items, number, numbers};
use crate::geometry::Spacing;

/// Pace of a cine that says nothing of time.
const ASSUMED_RATE_HZ: f64 = 30.0;
/// `PhysicalUnitsXDirection`: centimetres.
const CENTIMETRES: f64 = 3.0;

/// Pixel measures of a functional group.
fn measures_of(group: &InMemDicomObject) -> Option<&InMemDicomObject> {
    items(group, (0x0028, 0x9110)).first()
}

/// Spacing of the pixels, and what was thought of it.
pub fn spacing(object: &InMemDicomObject, header: &Header, notes: &mut Vec<String>) -> Option<Spacing> {
    let regions = items(object, (0x0018, 0x6011));
    if !regions.is_empty() {
        let measured: Vec<Region> = regions.iter().filter_map(Region::read).collect();
        if let Some(region) = measured.iter().max_by(|a, b| a.area().total_cmp(&b.area())) {
            // Two views beside each other, at two depths; a small one is an inset.
            let beside = measured.iter().filter(|other| 4.0 * other.area() >= region.area());
            if let Some(other) = beside.into_iter().find(|other| !other.agrees(region)) {
                let [one, other] = [region, other].map(|r| format!("{:.4} × {:.4}", r.spacing.x_mm, r.spacing.y_mm));
                notes.push(format!(
                    "its ultrasound regions have {one} and {other} mm: uncalibrated, since one would be wrong"
                ));
                return None;
            }
            return region.judge(header, notes);
        }
        notes.push("no ultrasound region is measured in centimetres of an ultrasound picture".to_owned());
    }
    let measures = items(object, (0x5200, 0x9229)).first().and_then(measures_of);
    let of_frames: Vec<_> = items(object, (0x5200, 0x9230)).iter().map(measures_of).collect();
    let spacing_of = |measures: &Option<&InMemDicomObject>| measures.map(|m| numbers(m, (0x0028, 0x0030)));
    if of_frames.windows(2).any(|two| spacing_of(&two[0]) != spacing_of(&two[1])) {
        notes.push("its spacing differs from frame to frame: uncalibrated, since one would be wrong".to_owned());
        return None;
    }
    let measures = measures.or_else(|| of_frames.first().copied().flatten());
    let places = [
        (Some(object), (0x0028, 0x0030), "PixelSpacing"),
        (measures, (0x0028, 0x0030), "PixelMeasuresSequence"),
        (Some(object), (0x0018, 0x1164), "ImagerPixelSpacing"),
        (Some(object), (0x0018, 0x2010), "NominalScannedPixelSpacing"),
    ];
    for (object, tag, name) in places {
        // Rows come first: the distance downwards.
        if let Some(&[y_mm, x_mm]) = object.map(|o| numbers(o, tag)).as_deref() {
            if x_mm == 1.0 && y_mm == 1.0 {
                notes.push(format!("`{name}` of 1 × 1 is what writers put when they do not know it: uncalibrated"));
                continue;
            }
            let spacing = Spacing { x_mm, y_mm };
            if spacing.is_plausible() {
                notes.push(format!("spacing from `{name}`"));
                return Some(spacing);
            }
            notes.push(format!(
                "`{name}` of {y_mm:e} × {x_mm:e} mm is none of an ultrasound picture and was passed over"
            ));
        }
    }
    None
}

struct Region {
    /// Left, top, right, bottom; inclusive.
    edges: [f64; 4],
    spacing: Spacing,
}

impl Region {
    /// A region whose both axes are centimetres; spectra and M-mode have seconds across.
    fn read(item: &InMemDicomObject) -> Option<Self> {
        let get = |element| number(item, (0x0018, element));
        if get(0x6024)? != CENTIMETRES || get(0x6026)? != CENTIMETRES {
            return None;
        }
        // An axis that runs against the pixels has a negative delta.
        let (x, y) = (get(0x602c)?.abs(), get(0x602e)?.abs());
        let edges = [get(0x6018)?, get(0x601a)?, get(0x601c)?, get(0x601e)?];
        let spacing = Spacing { x_mm: 10.0 * x, y_mm: 10.0 * y };
        spacing.is_plausible().then_some(Self { edges, spacing })
    }

    /// Whether another one is measured alike, but for rounding.
    fn agrees(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 0.01 * a.max(b);
        near(self.spacing.x_mm, other.spacing.x_mm) && near(self.spacing.y_mm, other.spacing.y_mm)
    }

    fn area(&self) -> f64 {
        let [left, top, right, bottom] = self.edges;
        (right - left).max(0.0) * (bottom - top).max(0.0)
    }

    /// A region that leaves the picture on both axes was drawn on a larger one: the picture was reduced afterwards, and
    /// the spacing with it, or was cut. Which of the two nobody can tell, so nothing is measured by it. On one axis alone
    /// the picture was cut, which keeps the spacing.
    fn judge(&self, header: &Header, notes: &mut Vec<String>) -> Option<Spacing> {
        let [left, top, right, bottom] = self.edges;
        // Writers disagree on whether the last pixel is counted in.
        let (wide, tall) = (right > f64::from(header.columns), bottom > f64::from(header.rows));
        let place = format!("the ultrasound region ({left}, {top}) to ({right}, {bottom})");
        let picture = format!("the {}x{} picture", header.columns, header.rows);
        let Spacing { x_mm, y_mm } = self.spacing;
        if wide && tall {
            notes.push(format!(
                "{place} does not fit {picture}, which was reduced or cut after it was measured: its {x_mm:.4} × {y_mm:.4} \
                 mm are not believed"
            ));
            return None;
        }
        let cut = if wide || tall { format!(", which reaches past {picture}: it was cut") } else { String::new() };
        notes.push(format!("spacing from {place}{cut}"));
        Some(self.spacing)
    }
}

/// Time of every frame since the first, and the mean rate where the file gives one.
pub struct Timing {
    steps: Steps,
    /// Frames a second.
    pub rate_hz: Option<f64>,
}

enum Steps {
    /// Milliseconds from frame to frame.
    Even(f64),
    /// Milliseconds since the first frame.
    Each(Vec<f64>),
}

impl Timing {
    /// The frame times that `FrameIncrementPointer` names, else the first of frame time, vector and rates that there is.
    pub fn read(object: &InMemDicomObject, header: &Header, notes: &mut Vec<String>) -> Self {
        if header.frames == 1 {
            return Self { steps: Steps::Even(0.0), rate_hz: None };
        }
        let vector = || Self::vector(object, header);
        let even = |tag, name: &str, notes: &mut Vec<String>, ms: fn(f64) -> f64| {
            let value = number(object, tag)?;
            let step = ms(value);
            // Anything from a microsecond to an hour between frames.
            if !(1e-3..=3.6e6).contains(&step) {
                notes.push(format!("`{name}` of {value} is no pace and was passed over"));
                return None;
            }
            Some(Self { steps: Steps::Even(step), rate_hz: Some(1e3 / step) })
        };
        let pointed = object
            .element(dicom_object::Tag(0x0028, 0x0009))
            .ok()
            .and_then(|e| e.value().primitive().map(|p| p.to_bytes().to_vec()));
        let points_to_vector = pointed.is_some_and(|b| b.starts_with(&[0x18, 0, 0x65, 0x10]));
        let found = if points_to_vector { vector() } else { None }
            .or_else(|| even((0x0018, 0x1063), "FrameTime", notes, |ms| ms))
            .or_else(vector)
            .or_else(|| even((0x0018, 0x0040), "CineRate", notes, |hz| 1e3 / hz))
            .or_else(|| even((0x0008, 0x2144), "RecommendedDisplayFrameRate", notes, |hz| 1e3 / hz));
        found.unwrap_or_else(|| {
            notes.push(format!("no usable frame times: {ASSUMED_RATE_HZ} frames a second are assumed"));
            Self { steps: Steps::Even(1e3 / ASSUMED_RATE_HZ), rate_hz: None }
        })
    }

    /// Increments in ms; the first belongs to the first frame and is 0.
    fn vector(object: &InMemDicomObject, header: &Header) -> Option<Self> {
        let steps = numbers(object, (0x0018, 0x1065));
        if steps.len() != header.frames as usize || steps.iter().any(|&ms| !(0.0..=3.6e6).contains(&ms)) {
            return None;
        }
        let mut now = 0.0;
        let times: Vec<f64> = steps
            .iter()
            .enumerate()
            .map(|(i, ms)| {
                now += if i == 0 { 0.0 } else { *ms };
                now
            })
            .collect();
        (now > 0.0).then(|| Self { rate_hz: Some(1e3 * (steps.len() - 1) as f64 / now), steps: Steps::Each(times) })
    }

    /// Time of frame `index` since the first.
    pub fn time(&self, index: u32) -> Duration {
        let ms = match &self.steps {
            Steps::Even(ms) => ms * f64::from(index),
            Steps::Each(times) => times.get(index as usize).copied().unwrap_or(0.0),
        };
        Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX)
    }
}
