//! What other thresholds and other smallest regions would have made of a frame.
//!
//! Probabilities are kept in 256 levels, so thresholds are tried half-way between two of them: there the masks are those that
//! the segmenter itself would make. Decisions ("is it there?") stay as they are shipped, and so do the other classes.

use serde::Serialize;

use crate::backend::cpu::components::Components;
use crate::geometry::{Rect, Size};
use crate::mask::Mask;
use crate::segmentation::{Segmentation, State};
use crate::segmenter::decision::least_area;

/// Steps between the thresholds that are tried, from 0.05 to 0.95.
const STEPS: u8 = 19;
/// Smallest regions that are tried, as a part of the picture.
const AREAS: [f32; 7] = [0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02];

/// A threshold and a smallest region.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Probability from which a pixel belongs to the class.
    pub threshold: f32,
    /// Smallest region, as a part of the picture.
    pub min_area: f32,
}

/// What is tried for one class; the settings of one threshold follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Every setting.
    pub settings: Vec<Setting>,
    /// The place of the shipped one among them.
    pub shipped: usize,
    areas: Vec<f32>,
    levels: Vec<u8>,
}

/// Pixels of a class in a mask that another setting would have made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the mask and in the truth.
    pub both: u32,
    /// In the mask.
    pub mask: u32,
}

/// The lowest of 256 levels that reaches a probability.
fn level(threshold: f32) -> u8 {
    (threshold * 255.0 + 0.5).round().clamp(1.0, 255.0) as u8
}

impl Grid {
    /// Thresholds around a shipped setting, and smallest regions too where `areas` says so.
    pub fn around(shipped: Setting, areas: bool) -> Self {
        let own = level(shipped.threshold);
        let between = |k: u8| (f32::from(k) - 0.5) / 255.0;
        let tried = (1..=STEPS).map(|i| level(f32::from(i) * 0.05)).filter(|k| *k != own);
        let mut thresholds: Vec<(u8, f32)> = tried.map(|k| (k, between(k))).collect();
        thresholds.push((own, shipped.threshold));
        thresholds.sort_by_key(|t| t.0);
        let mut tried: Vec<f32> = if areas { AREAS.to_vec() } else { Vec::new() };
        tried.retain(|a| *a != shipped.min_area);
        tried.push(shipped.min_area);
        tried.sort_by(f32::total_cmp);
        let settings = thresholds
            .iter()
            .flat_map(|&(_, threshold)| tried.iter().map(move |&min_area| Setting { threshold, min_area }))
            .collect::<Vec<_>>();
        let place = settings.iter().position(|s| *s == shipped).unwrap_or(0);
        Self { settings, shipped: place, areas: tried, levels: thresholds.into_iter().map(|t| t.0).collect() }
    }

    /// Indices of the settings with the shipped smallest region, by rising threshold.
    pub fn curve(&self) -> impl Iterator<Item = usize> {
        (self.shipped % self.areas.len()..self.settings.len()).step_by(self.areas.len())
    }
}

/// Tries settings; its buffers are kept from frame to frame.
#[derive(Default)]
pub struct Sweeper {
    plane: Vec<u8>,
    labels: Vec<u8>,
    components: Components,
}

impl Sweeper {
    /// A tally for every setting of `grid`, of class `class` of an answer and class `other` of `truth`; `shipped` are the
    /// thresholds of all classes of the model.
    pub fn run(
        &mut self,
        grid: &Grid,
        (answer, class, shipped): (&Segmentation, u8, &[f32]),
        (truth, other): (&Mask, u8),
    ) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); grid.settings.len()];
        let absent = answer.findings.get(usize::from(class) - 1).is_none_or(|f| f.state == State::NoNerve);
        let Some(part) = (!absent).then(|| self.cut(answer, class, shipped, grid.levels[0])).flatten() else {
            return tallies;
        };
        let width = part.width as usize;
        let truth = |i: usize| {
            let (x, y) = (part.x as usize + i % width, part.y as usize + i / width);
            truth.labels[y * truth.size.width as usize + x] == other
        };
        let mut out = tallies.iter_mut();
        for &level in &grid.levels {
            self.labels.clear();
            self.labels.extend(self.plane.iter().map(|&p| u8::from(p >= level)));
            let mut last: Option<(Tally, usize)> = None;
            for (&area, out) in grid.areas.iter().zip(&mut out) {
                let least = least_area(area, answer.crop.size());
                // Where the smallest region is large enough, nothing changes.
                let tally = last.filter(|(_, smallest)| *smallest >= least).unwrap_or_else(|| {
                    let found = self.components.find(&mut self.labels, part.size(), 1, least);
                    let smallest = found.last().map_or(usize::MAX, |c| c.area);
                    let mut tally = Tally::default();
                    for (i, _) in self.labels.iter().enumerate().filter(|(_, l)| **l == 1) {
                        tally.mask += 1;
                        tally.both += u32::from(truth(i));
                    }
                    (tally, smallest)
                });
                *out = tally.0;
                last = Some(tally);
            }
        }
        tallies
    }

    /// Cuts out the part of a class's plane that reaches `lowest`, 0 where another class is more probable and reaches its
    /// own threshold; nothing where none does.
    fn cut(&mut self, answer: &Segmentation, class: u8, shipped: &[f32], lowest: u8) -> Option<Rect> {
        let own = answer.plane(usize::from(class));
        let part = reach(own, answer.size, lowest)?;
        let rivals: Vec<(bool, u8, &[u8])> = (1u8..)
            .zip(shipped)
            .filter(|(other, _)| *other != class)
            .map(|(other, &threshold)| (other < class, level(threshold), answer.plane(usize::from(other))))
            .collect();
        self.plane.clear();
        for y in part.y..part.y + part.height {
            for i in (part.x..part.x + part.width).map(|x| y as usize * answer.size.width as usize + x as usize) {
                let p = own[i];
                // The first of equals wins, as in the segmenter.
                let beaten = |&(first, level, plane): &(bool, u8, &[u8])| {
                    plane[i] >= level && (plane[i] > p || first && plane[i] == p)
                };
                self.plane.push(if rivals.iter().any(beaten) { 0 } else { p });
            }
        }
        Some(part)
    }
}

/// The smallest rectangle around the pixels of a plane that reach `lowest`.
fn reach(plane: &[u8], size: Size, lowest: u8) -> Option<Rect> {
    let width = size.width.max(1) as usize;
    let mut found: Option<[usize; 4]> = None;
    for (y, row) in plane.chunks_exact(width).enumerate() {
        let Some(first) = row.iter().position(|&p| p >= lowest) else { continue };
        let last = row.iter().rposition(|&p| p >= lowest).unwrap_or(first);
        let [x0, y0, x1, _] = found.unwrap_or([first, y, last, y]);
        found = Some([x0.min(first), y0, x1.max(last), y]);
    }
    found.map(|[x0, y0, x1, y1]| Rect {
        x: x0 as u32,
        y: y0 as u32,
        width: (x1 - x0 + 1) as u32,
        height: (y1 - y0 + 1) as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::Finding;

    #[test]
    fn the_shipped_setting_stands_among_the_others_once() {
        let shipped = Setting { threshold: 0.5, min_area: 0.0005 };
        let grid = Grid::around(shipped, true);
        assert_eq!((grid.settings.len(), grid.settings[grid.shipped]), (19 * 7, shipped));
        assert_eq!(grid.curve().map(|i| grid.settings[i].min_area).collect::<Vec<_>>(), [0.0005; 19]);
        let other = Grid::around(Setting { threshold: 0.37, min_area: 0.003 }, false);
        assert_eq!((other.settings.len(), other.settings[other.shipped].threshold), (20, 0.37));
        assert!(other.settings.is_sorted_by(|a, b| a.threshold < b.threshold));
    }

    #[test]
    fn regions_go_as_they_become_too_small_and_rivals_keep_their_pixels() {
        let size = Size::new(10, 2);
        let mut answer = Segmentation { size, crop: size.full(), ..Default::default() };
        answer.findings = vec![Finding { state: State::Nerve, ..Default::default() }; 2];
        answer.probability = [200, 200, 200, 0, 0, 100, 0, 0, 0, 255].repeat(2);
        // The second class is as probable in the first column, and more so in the third.
        answer.probability.extend([200, 0, 201, 0, 0, 0, 0, 0, 0, 0].repeat(2));
        let truth = Mask { size, labels: [1, 1, 1, 1, 0, 0, 0, 0, 0, 0].repeat(2) };
        let grid = Grid::around(Setting { threshold: 0.5, min_area: 0.15 }, true);
        let tallies = Sweeper::default().run(&grid, (&answer, 1, &[0.5, 0.5]), (&truth, 1));
        assert_eq!(tallies[grid.shipped], Tally { both: 4, mask: 4 }, "the pair at the right is too small");
        let at = |threshold: f32, min_area: f32| {
            let near = |s: &Setting| (s.threshold - threshold).abs() < 0.01 && s.min_area == min_area;
            tallies[grid.settings.iter().position(near).unwrap()]
        };
        assert_eq!(at(0.5, 0.0), Tally { both: 4, mask: 6 });
        assert_eq!(at(0.1, 0.0), Tally { both: 4, mask: 8 });
        answer.findings[0].state = State::NoNerve;
        let silent = Sweeper::default().run(&grid, (&answer, 1, &[0.5, 0.5]), (&truth, 1));
        assert!(silent.iter().all(|t| *t == Tally::default()));
    }
}
