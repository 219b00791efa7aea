//! From the maps of a network to probabilities, and from these to the class of every pixel.

use crate::geometry::{Rect, Size};

/// What the values of maps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Whether they are logits; else probabilities.
    pub logits: bool,
    /// Whether the classes of a pixel add up to 1 with a background, whose map is the first; else each stands alone.
    pub softmax: bool,
}

/// 1 / (1 + e⁻ˣ); what is not a number is improbable.
pub fn sigmoid(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { 1.0 / (1.0 + (-x).exp()) }
}

/// Appends the probability of every class in the part `placed` of the maps.
///
/// # Shapes
/// `maps` classes, or with a background one more, × height × width of `size`; appended are classes × height × width of
/// `placed`.
///
/// # Panics
/// When the maps have fewer values, or the part does not lie in them.
pub fn probabilities(
    meaning: Meaning,
    maps: &[f32],
    (size, placed): (Size, Rect),
    classes: usize,
    small: &mut Vec<f32>,
) {
    let (area, first) = (size.area(), usize::from(meaning.softmax));
    for class in 0..classes {
        for y in placed.y..placed.y + placed.height {
            let start = y as usize * size.width as usize + placed.x as usize;
            let row = start..start + placed.width as usize;
            let map = &maps[(first + class) * area..][..area];
            match (meaning.logits, meaning.softmax) {
                (false, _) => small.extend(map[row].iter().map(|&v| if v.is_nan() { 0.0 } else { v.clamp(0.0, 1.0) })),
                (true, false) => small.extend(map[row].iter().map(|&v| sigmoid(v))),
                (true, true) => small.extend(row.map(|i| softmax(maps, area, classes + 1, first + class, i))),
            }
        }
    }
}

/// One value of a softmax over `maps` planes of `area` values, stable for large logits.
///
/// # References
/// Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 4.1 (the maximum is subtracted first).
fn softmax(data: &[f32], area: usize, maps: usize, map: usize, i: usize) -> f32 {
    let values = || (0..maps).map(|m| data[m * area + i]);
    let highest = values().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = values().map(|v| (v - highest).exp()).sum();
    let p = (data[map * area + i] - highest).exp() / sum;
    if p.is_nan() { 0.0 } else { p }
}

/// Writes the part `crop` of a frame: probabilities as bytes, 255 for 1; and the number of the most probable of the classes
/// that reach their threshold, the first of equals, else 0.
///
/// # Shapes
/// `large` classes × height × width of `crop`; `labels` height × width of the frame, and 0 in the crop; `bytes` classes ×
/// that.
///
/// # Panics
/// When a slice is shorter, or the crop does not lie in the frame.
pub fn classify(large: &[f32], thresholds: &[f32], (frame, crop): (Size, Rect), labels: &mut [u8], bytes: &mut [u8]) {
    let (width, whole) = (crop.width as usize, crop.size().area());
    for y in 0..crop.height as usize {
        let start = (crop.y as usize + y) * frame.width as usize + crop.x as usize;
        let labels = &mut labels[start..start + width];
        for (class, &threshold) in thresholds.iter().enumerate() {
            let row = &large[class * whole + y * width..][..width];
            let bytes = &mut bytes[class * frame.area() + start..][..width];
            for (b, &p) in bytes.iter_mut().zip(row) {
                *b = (p * 255.0 + 0.5) as u8;
            }
            for (x, (label, &p)) in labels.iter_mut().zip(row).enumerate() {
                let beaten = |l: u8| p > large[(l as usize - 1) * whole + y * width + x];
                if p >= threshold && p > 0.0 && (*label == 0 || beaten(*label)) {
                    *label = class as u8 + 1;
                }
            }
        }
    }
}
