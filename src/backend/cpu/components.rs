//! Connected regions of one class in a mask.
//!
//! # References
//! Rosenfeld & Pfaltz, "Sequential operations in digital picture processing", Journal of the ACM 13, 1966: two-pass
//! labelling, here on runs of pixels instead of single ones, with union-find.

use crate::geometry::{Rect, Size};

/// One region of pixels that touch by a side or a corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Number of pixels.
    pub area: usize,
    /// Mean position; pixel centres are at whole numbers.
    pub centroid: [f32; 2],
    /// Smallest rectangle around it.
    pub bounds: Rect,
    /// Column and row of its leftmost pixel in its uppermost row.
    pub first: [u32; 2],
}

#[derive(Clone, Copy)]
struct Run {
    row: u32,
    /// First column and the one after the last.
    from: u32,
    to: u32,
    parent: u32,
}

#[derive(Clone, Copy)]
struct Sum {
    area: usize,
    x: f64,
    y: f64,
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
    first: [u32; 2],
}

/// Finds regions; its buffers are kept from mask to mask.
#[derive(Default)]
pub struct Components {
    runs: Vec<Run>,
    sums: Vec<Sum>,
    found: Vec<Component>,
}

impl Components {
    /// Reserves for masks of `area` pixels, so that no ordinary one allocates.
    pub fn reserve(&mut self, area: usize) {
        let runs = (area / 4).max(64);
        self.runs.reserve(runs.saturating_sub(self.runs.len()));
        self.sums.reserve(runs.saturating_sub(self.sums.len()));
        self.found.reserve(256usize.saturating_sub(self.found.len()));
    }

    /// The regions of `class`, largest first; those under `min_area` pixels are wiped out of `labels`.
    ///
    /// # Panics
    /// When `labels` has not `size.area()` elements.
    pub fn find(&mut self, labels: &mut [u8], size: Size, class: u8, min_area: usize) -> &[Component] {
        assert_eq!(labels.len(), size.area(), "labels of a {size} mask");
        self.label(labels, size, class);
        self.sum();
        self.found.clear();
        for run in &self.runs {
            let sum = &self.sums[run.parent as usize];
            if sum.area < min_area {
                let start = run.row as usize * size.width as usize;
                labels[start + run.from as usize..start + run.to as usize].fill(0);
            } else if sum.first == [run.from, run.row] {
                let n = sum.area as f64;
                self.found.push(Component {
                    area: sum.area,
                    centroid: [(sum.x / n) as f32, (sum.y / n) as f32],
                    bounds: Rect { x: sum.left, y: sum.top, width: sum.right - sum.left, height: sum.bottom - sum.top },
                    first: sum.first,
                });
            }
        }
        self.found.sort_unstable_by_key(|c| (std::cmp::Reverse(c.area), c.first[1], c.first[0]));
        &self.found
    }

    /// Runs of every row, joined to those of the row above that they touch; parents point to an earlier run.
    fn label(&mut self, labels: &[u8], size: Size, class: u8) {
        self.runs.clear();
        let mut above = 0..0usize;
        for (y, row) in labels.chunks_exact(size.width.max(1) as usize).enumerate() {
            let start = self.runs.len();
            let mut x = 0;
            while let Some(skip) = row[x..].iter().position(|&l| l == class) {
                let from = x + skip;
                let to = row[from..].iter().position(|&l| l != class).map_or(row.len(), |n| from + n);
                let id = self.runs.len() as u32;
                self.runs.push(Run { row: y as u32, from: from as u32, to: to as u32, parent: id });
                x = to;
            }
            let mut a = above.start;
            for b in start..self.runs.len() {
                let (from, to) = (self.runs[b].from, self.runs[b].to);
                // Touching by a corner counts, so the reach is one pixel more on both sides.
                while a < above.end && self.runs[a].to < from {
                    a += 1;
                }
                let mut c = a;
                while c < above.end && self.runs[c].from <= to {
                    self.join(c as u32, b as u32);
                    c += 1;
                }
            }
            above = start..self.runs.len();
        }
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.runs[i as usize].parent != i {
            let grandparent = self.runs[self.runs[i as usize].parent as usize].parent;
            self.runs[i as usize].parent = grandparent;
            i = grandparent;
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.runs[a.max(b) as usize].parent = a.min(b);
    }

    /// Area, sums of the coordinates and bounds of every region; afterwards a run's parent is the index of its sum.
    fn sum(&mut self) {
        self.sums.clear();
        for i in 0..self.runs.len() {
            let run = self.runs[i];
            let index = if run.parent as usize == i {
                self.sums.push(Sum {
                    area: 0,
                    x: 0.0,
                    y: 0.0,
                    left: run.from,
                    top: run.row,
                    right: run.to,
                    bottom: run.row + 1,
                    first: [run.from, run.row],
                });
                self.sums.len() as u32 - 1
            } else {
                // Parents come earlier and already hold the index of their sum.
                self.runs[run.parent as usize].parent
            };
            self.runs[i].parent = index;
            let sum = &mut self.sums[index as usize];
            let (n, middle) = (f64::from(run.to - run.from), f64::from(run.from + run.to - 1) / 2.0);
            sum.area += (run.to - run.from) as usize;
            sum.x += n * middle;
            sum.y += n * f64::from(run.row);
            sum.left = sum.left.min(run.from);
            sum.right = sum.right.max(run.to);
            sum.bottom = sum.bottom.max(run.row + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_touch_small_ones_are_wiped_and_the_largest_comes_first() {
        let picture = ["11....2", "..1...2", "......2", "1..11..", "...11.1", "...11.."];
        let size = Size::new(7, 6);
        let mut labels: Vec<u8> =
            picture.iter().flat_map(|r| r.bytes().map(|b| if b == b'.' { 0 } else { b - b'0' })).collect();
        let mut c = Components::default();
        let found = c.find(&mut labels, size, 1, 2).to_vec();
        assert_eq!(found.iter().map(|c| c.area).collect::<Vec<_>>(), [6, 3]);
        assert_eq!(found[0].bounds, Rect { x: 3, y: 3, width: 2, height: 3 });
        assert_eq!(found[0].centroid, [3.5, 4.0]);
        assert_eq!(found[1].first, [0, 0]);
        assert_eq!(labels.iter().filter(|&&l| l == 1).count(), 9, "two single pixels are gone");
        assert_eq!(c.find(&mut labels, size, 2, 0)[0].area, 3);
        assert!(c.find(&mut [], Size::new(0, 0), 1, 0).is_empty());
    }

    #[test]
    fn a_spiral_is_one_region_and_agrees_with_a_flood() {
        let size = Size::new(23, 19);
        for seed in 1..40u32 {
            let mut state = seed;
            let mut labels: Vec<u8> = (0..size.area())
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    u8::from(state >> 24 > 140)
                })
                .collect();
            let expected = flood(&labels, size);
            let mut found: Vec<usize> =
                Components::default().find(&mut labels, size, 1, 0).iter().map(|c| c.area).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    fn flood(labels: &[u8], size: Size) -> Vec<usize> {
        let (w, h) = (size.width as i32, size.height as i32);
        let mut left = labels.to_vec();
        let mut areas = Vec::new();
        for start in 0..left.len() {
            let mut stack = vec![start as i32];
            let mut area = 0;
            while let Some(i) = stack.pop() {
                if std::mem::take(&mut left[i as usize]) == 0 {
                    continue;
                }
                area += 1;
                let near = (0..9).map(|k| (i % w + k % 3 - 1, i / w + k / 3 - 1));
                stack.extend(near.filter(|&(x, y)| x >= 0 && y >= 0 && x < w && y < h).map(|(x, y)| y * w + x));
            }
            areas.extend((area > 0).then_some(area));
        }
        areas.sort_unstable();
        areas
    }
}
