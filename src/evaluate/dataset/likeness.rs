//! Which pictures are near-copies of each other, told by their content.

use std::ops::Range;

use super::survey;
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::geometry::Size;

/// Correlation above which two pictures are frames of one sweep, and stay in one fold.
pub const NEAR: f32 = 0.9;

const SIDE: usize = 64;
/// Side of a block of the coarse picture.
const BLOCK: usize = 4;
const LANES: usize = 16;

/// A picture of 64×64 pixels, of mean 0 and length 1: the product of two is their correlation (Pearson).
#[derive(Clone, Debug)]
pub struct Thumbnail {
    fine: Vec<f32>,
    coarse: Vec<f32>,
    /// Length of what the coarse picture leaves out.
    rest: f32,
}

/// Two pictures that resemble each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The one of the smaller index.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Correlation of their thumbnails.
    pub correlation: f32,
}

impl Thumbnail {
    /// Of grey levels, `height × width`. A picture of one level resembles nothing.
    pub fn new(gray: &[u8], size: Size) -> Self {
        let mut fine = vec![0.0; SIDE * SIDE];
        let resampler = Resampler::new(size, Size::new(SIDE as u32, SIDE as u32), Filter::Area);
        resampler.resize_u8_to_f32(&Pool::new(1), gray, size.width as usize, &mut fine);
        let mean = fine.iter().sum::<f32>() / fine.len() as f32;
        fine.iter_mut().for_each(|v| *v -= mean);
        let length = fine.iter().map(|v| v * v).sum::<f32>().sqrt();
        // A hundredth of a grey level is rounding.
        let by = if length > 0.01 * SIDE as f32 { 1.0 / length } else { 0.0 };
        fine.iter_mut().for_each(|v| *v *= by);
        let mut coarse = vec![0.0; (SIDE / BLOCK) * (SIDE / BLOCK)];
        for (i, v) in fine.iter().enumerate() {
            coarse[i / SIDE / BLOCK * (SIDE / BLOCK) + i % SIDE / BLOCK] += v / BLOCK as f32;
        }
        let rest = (1.0 - dot(&coarse, &coarse)).max(0.0).sqrt();
        Self { fine, coarse, rest }
    }

    /// Correlation with another, −1 to 1.
    pub fn correlation(&self, other: &Self) -> f32 {
        dot(&self.fine, &other.fine)
    }

    /// The correlation where it is above `least`.
    pub fn above(&self, other: &Self, least: f32) -> Option<f32> {
        // The coarse pictures are projections, so that what they leave out adds the product of its lengths at most
        // (Cauchy-Schwarz); most pairs end here.
        if dot(&self.coarse, &other.coarse) + self.rest * other.rest + 1e-4 <= least {
            return None;
        }
        Some(self.correlation(other)).filter(|&c| c > least)
    }
}

/// Pairs of pictures among those that are `wanted` whose correlation is above `least`: each of `rows` with those behind
/// it, in that order, and of these the `most` that resemble it most.
pub fn pairs(
    thumbnails: &[&Thumbnail],
    rows: Range<usize>,
    (least, most): (f32, usize),
    wanted: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Pair> {
    let row = |i: usize| {
        let first = rows.start + i;
        let others = (first + 1..thumbnails.len()).filter(|&second| wanted(first, second));
        let pair = |second: usize| {
            let correlation = thumbnails[first].above(thumbnails[second], least)?;
            Some(Pair { first, second, correlation })
        };
        let mut row: Vec<Pair> = others.filter_map(pair).collect();
        row.sort_by(|a, b| b.correlation.total_cmp(&a.correlation).then(a.second.cmp(&b.second)));
        row.truncate(most);
        row
    };
    survey::all(rows.len(), row).into_iter().flatten().collect()
}

/// The sum of products in a fixed order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Sets that grow together.
///
/// # References
/// Galler and Fischer, "An improved equivalence algorithm", Communications of the ACM 7, 1964.
pub struct Union(Vec<usize>);

impl Union {
    /// `count` sets of one.
    pub fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The smallest member of the set of `a`.
    pub fn first(&mut self, a: usize) -> usize {
        let mut root = a;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    /// Makes one set of two; whether they were two.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
        a != b
    }
}
