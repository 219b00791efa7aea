//! From the output of the network to the class of every pixel: probability ▸ back to the frame ▸ threshold.

use crate::backend::cpu::mask::{Meaning, classify, probabilities};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::geometry::{Rect, Size};
use crate::segmentation::Segmentation;

/// The maps of a network, and what they mean.
pub struct Maps<'a> {
    /// `maps × height × width`.
    pub data: &'a [f32],
    /// Width and height of a map.
    pub size: Size,
    /// What the values mean.
    pub meaning: Meaning,
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
        self.small.clear();
        probabilities(maps.meaning, maps.data, (maps.size, maps.placed), classes, &mut self.small);
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
        out.mask.reset(out.size);
        out.probability.clear();
        out.probability.resize(classes * out.size.area(), 0);
        classify(&self.large, thresholds, (out.size, out.crop), &mut out.mask.labels, &mut out.probability);
    }
}
