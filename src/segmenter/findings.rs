//! From a labelled mask to what is said of every class.

use crate::geometry::{Rect, Spacing};
use crate::segmentation::{Contour, Finding, Segmentation, State};

use super::compute::Answer;
use super::contour;
use super::decision::{self, Decision, TOP, least_area};
use super::model::Model;
use super::spec::Output;
use crate::backend::cpu::components::{Component, Components};
use crate::backend::cpu::mask::sigmoid;

/// Outlines that are kept ready, and points in each.
const SPARE: (usize, usize) = (64, 1024);

/// Regions, outlines and words; its buffers are kept from frame to frame.
pub(super) struct Finder {
    components: Components,
    decisions: Vec<Decision>,
    spare: Vec<Contour>,
}

impl Finder {
    pub fn new(classes: usize) -> Self {
        let spare = (0..SPARE.0).map(|_| Contour::with_capacity(SPARE.1)).collect();
        Self { components: Components::default(), decisions: vec![Decision::default(); classes], spare }
    }

    pub fn reset(&mut self) {
        self.decisions.iter_mut().for_each(Decision::reset);
    }

    /// Fills the findings of `out`, whose mask and probability are there. Regions that are too small leave the mask, and
    /// so does a class that is said to be absent: nothing is drawn that is not said.
    pub fn run(&mut self, model: &Model, answer: &Answer, spacing: Option<Spacing>, out: &mut Segmentation) {
        let (size, crop, presence) = (out.size, out.crop, answer.presence);
        self.components.reserve(size.area());
        out.calibrated = presence.is_some();
        for finding in out.findings.iter_mut().skip(self.decisions.len()) {
            self.spare.append(&mut finding.contours);
        }
        out.findings.resize_with(self.decisions.len(), Finding::default);
        for (i, decision) in self.decisions.iter_mut().enumerate() {
            let class = i as u8 + 1;
            let plane = out.probability[i * size.area()..(i + 1) * size.area()].chunks_exact(size.width as usize);
            let rows = plane.skip(crop.y as usize).take(crop.height as usize);
            let rows = rows.map(|r| &r[crop.x as usize..][..crop.width as usize]);
            let confidence = match presence {
                Some(values) => {
                    let logits = model.output == Output::Logits;
                    let said = if logits { sigmoid(values[i]) } else { values[i].clamp(0.0, 1.0) };
                    let seen = least_area(model.seen_area[i], crop.size());
                    decision::both(said, decision::confidence(rows, TOP.min(seen)))
                }
                None => decision::confidence(rows, TOP),
            };
            let (labels, least) = (&mut out.mask.labels, model.least_area(i, crop.size()));
            let mut found = match answer.regions.get(i) {
                Some(Some(found)) => found,
                _ => self.components.find(labels, size, class, least),
            };
            let state = decision.update(confidence, !found.is_empty(), &model.decisions[i]);
            if state == State::NoNerve && !found.is_empty() {
                found = self.components.find(labels, size, class, usize::MAX);
            }
            let finding = &mut out.findings[i];
            self.spare.append(&mut finding.contours);
            for component in found {
                let mut outline = self.spare.pop().unwrap_or_default();
                contour::trace(labels, size, class, component, &mut outline);
                finding.contours.push(outline);
            }
            summarise(finding, found);
            finding.state = state;
            finding.confidence = confidence;
            finding.area_mm2 = spacing.map(|s| s.pixel_mm2() * finding.area_px as f64);
        }
    }
}

/// Area, centroid and bounds of all regions together.
fn summarise(finding: &mut Finding, found: &[Component]) {
    finding.area_px = found.iter().map(|c| c.area).sum();
    let n = finding.area_px as f64;
    let mean = |axis: usize| found.iter().map(|c| f64::from(c.centroid[axis]) * c.area as f64).sum::<f64>() / n;
    finding.centroid = (!found.is_empty()).then(|| [mean(0) as f32, mean(1) as f32]);
    finding.bounds = found.iter().map(|c| c.bounds).reduce(|a, b| {
        let (x, y) = (a.x.min(b.x), a.y.min(b.y));
        let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
        Rect { x, y, width: right - x, height: bottom - y }
    });
}
