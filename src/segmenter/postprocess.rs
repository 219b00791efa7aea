//! From the output of the network to the class of every pixel: probability ▸ back to the frame ▸ threshold.

use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::geometry::{Rect, Size};
use crate::segmentation::Segmentation;

use super::spec::{Activation, Output};

/// 1 / (1 + e⁻ˣ); what is not a number is improbable.
pub fn sigmoid(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { 1.0 / (1.0 + (-x).exp()) }
}

/// The maps of a network, and what they mean.
pub struct Maps<'a> {
    /// `maps × height × width`.
    pub data: &'a [f32],
    /// Width and height of a map.
    pub size: Size,
    /// What the values are.
    pub output: Output,
    /// How the classes stand to each other.
    pub activation: Activation,
    /// The part that shows the picture.
    pub placed: Rect,
}

/// Buffers and tables on the way out, kept from frame to frame.
#[derive(Default)]
pub struct Postprocessor {
    /// Probability at the network's resolution, one class after the other.
    small: Vec<f32>,
    /// The same at the size of the crop.
    large: Vec<f32>,
    resampler: Option<(Size, Size, Resampler)>,
}

impl Postprocessor {
    /// Fills `probability` and `mask` of `out`, whose `size` and `crop` are set: zero outside the crop and
    /// where `inside` (of the size of the crop, or empty) is 0, elsewhere the most probable of the classes that reach
    /// their threshold.
    pub fn run(&mut self, pool: &Pool, maps: &Maps, thresholds: &[f32], inside: &[u8], out: &mut Segmentation) {
        let classes = thresholds.len();
        self.small(maps, classes);
        let (from, to) = (maps.placed.size(), out.crop.size());
        let resampler = match &self.resampler {
            Some((f, t, _)) if (*f, *t) == (from, to) => &self.resampler.as_ref().expect("just matched").2,
            _ => &self.resampler.insert((from, to, Resampler::new(from, to, Filter::Bilinear))).2,
        };
        self.large.resize(classes * to.area(), 0.0);
        for (small, large) in self.small.chunks_exact(from.area()).zip(self.large.chunks_exact_mut(to.area())) {
            resampler.resize_f32(pool, small, large);
            large.iter_mut().zip(inside).filter(|(_, i)| **i == 0).for_each(|(p, _)| *p = 0.0);
        }
        self.quantise(thresholds, out);
    }

    /// Probability of every class at the network's resolution, without what a letterbox added.
    fn small(&mut self, maps: &Maps, classes: usize) {
        let (placed, area) = (maps.placed, maps.size.area());
        // A softmax has the background in front.
        let first = usize::from(maps.activation == Activation::Softmax);
        self.small.clear();
        for class in 0..classes {
            for y in placed.y..placed.y + placed.height {
                let start = y as usize * maps.size.width as usize + placed.x as usize;
                let row = start..start + placed.width as usize;
                let map = &maps.data[(first + class) * area..][..area];
                match (maps.output, maps.activation) {
                    (Output::Probability, _) => {
                        self.small.extend(map[row].iter().map(|&v| if v.is_nan() { 0.0 } else { v.clamp(0.0, 1.0) }));
                    }
                    (Output::Logits, Activation::Sigmoid) => self.small.extend(map[row].iter().map(|&v| sigmoid(v))),
                    (Output::Logits, Activation::Softmax) => {
                        let of = |i: usize| softmax(maps.data, area, classes + 1, first + class, i);
                        self.small.extend(row.map(of));
                    }
                }
            }
        }
    }

    fn quantise(&self, thresholds: &[f32], out: &mut Segmentation) {
        let (crop, frame) = (out.crop, out.size);
        let (width, whole) = (crop.width as usize, crop.size().area());
        out.mask.reset(frame);
        out.probability.clear();
        out.probability.resize(thresholds.len() * frame.area(), 0);
        for y in 0..crop.height as usize {
            let start = (crop.y as usize + y) * frame.width as usize + crop.x as usize;
            let labels = &mut out.mask.labels[start..start + width];
            for (class, &threshold) in thresholds.iter().enumerate() {
                let row = &self.large[class * whole + y * width..][..width];
                let bytes = &mut out.probability[class * frame.area() + start..][..width];
                for (b, &p) in bytes.iter_mut().zip(row) {
                    *b = (p * 255.0 + 0.5) as u8;
                }
                let rivals = &self.large;
                for (x, (label, &p)) in labels.iter_mut().zip(row).enumerate() {
                    let beaten = |l: u8| p > rivals[(l as usize - 1) * whole + y * width + x];
                    if p >= threshold && p > 0.0 && (*label == 0 || beaten(*label)) {
                        *label = class as u8 + 1;
                    }
                }
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
