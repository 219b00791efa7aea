//! What the precision of a plan does to masks: the same frames in fp32 and in the plan, side by side; and, for int8,
//! which layers stay out of it.

use anyhow::{Context, bail};
use serde::Serialize;
use sonoplex::engine::{Calibration, Calibrator, Device, Plan, Threshold};
use sonoplex::frame::Frame;
use sonoplex::latency::Clock;
use sonoplex::mask::Overlap;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, Source, open};

/// Pixels of a class in both masks together from which a frame can be the worst: a speck has no Dice worth a name.
const SPECK: u64 = 200;
/// Frames on which single layers are judged.
const JUDGED: u64 = 4;

/// How far the masks of a plan are from those of fp32.
#[derive(Serialize)]
pub struct Comparison {
    pub source: String,
    pub frames: u64,
    pub classes: Vec<ClassDice>,
    pub worst: Option<Worst>,
    pub states_changed: u64,
    /// Where the masks of the plan were computed.
    pub device: Device,
    /// Layers that int8 left in bf16, on a GPU in fp16, to stay within the budget.
    pub kept: Vec<String>,
}

#[derive(Serialize)]
pub struct ClassDice {
    pub class: String,
    pub dice: f64,
}

#[derive(Serialize)]
pub struct Worst {
    pub frame: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub class: String,
    pub dice: f64,
}

impl Comparison {
    /// The Dice of the class that lost most.
    pub fn least(&self) -> f64 {
        self.classes.iter().map(|c| c.dice).fold(1.0, f64::min)
    }
}

/// Frames to calibrate on, and how they are segmented.
pub struct Frames<'a> {
    pub spec: &'a str,
    /// The most that are looked at, spread evenly.
    pub count: u64,
    pub config: &'a SegmenterConfig,
}

impl Frames<'_> {
    /// Shows up to `count` frames, each segmented by itself by every segmenter; returns how many there were.
    fn each(
        &self,
        count: u64,
        plans: Vec<Plan>,
        mut look: impl FnMut(&Frame, &mut [Segmenter], &[Segmentation]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let spec = self.spec;
        let mut source = open(spec, &OpenOptions::default())?;
        if source.info().live {
            bail!("cannot calibrate on `{spec}`: it is a device; give a recording or a folder of pictures");
        }
        let segmenters: Result<Vec<_>, _> = plans.into_iter().map(|p| Segmenter::from_plan(p, self.config)).collect();
        let mut segmenters = segmenters?;
        let mut out = vec![Segmentation::default(); segmenters.len()];
        let clock = Clock::monotonic();
        let (total, mut index, mut frames) = (source.info().frames, 0, 0);
        while frames < count {
            let Some(frame) = next(&mut *source)? else { break };
            index += 1;
            // Of an unknown number of frames the first are taken.
            if total.is_some_and(|n| n > count && index * count / n == (index - 1) * count / n) {
                continue;
            }
            for (segmenter, out) in segmenters.iter_mut().zip(&mut out) {
                segmenter.reset();
                segmenter.segment(&frame, &clock, out)?;
            }
            look(&frame, &mut segmenters, &out)?;
            frames += 1;
        }
        if frames == 0 {
            bail!("cannot calibrate on `{spec}`: it has no frames; give a recording or a folder of pictures");
        }
        Ok(frames)
    }

    /// What the tensors of `exact` hold.
    fn ranges(&self, exact: &Plan, threshold: Threshold) -> anyhow::Result<Calibration> {
        let mut calibrator = Calibrator::default();
        self.each(self.count, vec![exact.clone()], |_, segmenters, _| {
            Ok(calibrator.observe(segmenters[0].context_mut()?)?)
        })?;
        Ok(calibrator.calibration(threshold))
    }

    /// The masks of `own` against those of `exact`.
    pub fn compare(&self, exact: &Plan, own: &Plan) -> anyhow::Result<Comparison> {
        let (mut names, mut pooled) = (Vec::new(), Vec::new());
        let (mut states_changed, mut worst) = (0, None::<Worst>);
        let frames = self.each(self.count, vec![exact.clone(), own.clone()], |frame, segmenters, out| {
            let [a, b] = out else { unreachable!("two plans, two segmentations") };
            if names.is_empty() {
                names = segmenters[0].classes().iter().map(|c| c.name.clone()).collect();
                pooled = vec![Overlap::default(); names.len()];
            }
            states_changed += u64::from(a.findings.iter().zip(&b.findings).any(|(a, b)| a.state != b.state));
            for (i, (class, pooled)) in names.iter().zip(&mut pooled).enumerate() {
                let overlap = a.mask.overlap(i as u8 + 1, &b.mask, i as u8 + 1);
                *pooled += overlap;
                let dice = overlap.dice();
                if overlap.sum >= SPECK && worst.as_ref().is_none_or(|w| dice < w.dice) {
                    worst = Some(Worst { frame: frame.id, name: frame.name.clone(), class: class.clone(), dice });
                }
            }
            Ok(())
        })?;
        let classes = names.into_iter().zip(pooled).map(|(class, o)| ClassDice { class, dice: o.dice() }).collect();
        let (source, device, kept) = (self.spec.to_owned(), own.device(), Vec::new());
        Ok(Comparison { source, frames, classes, worst, states_changed, device, kept })
    }

    /// The plan of int8 whose masks have the Dice `budget` against those of `exact`, with as few layers kept out of it as
    /// that takes, and its calibration; `build` makes the plan of one.
    pub fn quantize(
        &self,
        exact: &Plan,
        (threshold, budget): (Threshold, f64),
        build: &dyn Fn(Calibration) -> anyhow::Result<Plan>,
    ) -> anyhow::Result<(Plan, Calibration, Comparison)> {
        let mut calibration = self.ranges(exact, threshold)?;
        let plan = build(calibration.clone())?;
        let mut comparison = self.compare(exact, &plan)?;
        if comparison.least() >= budget {
            return Ok((plan, calibration, comparison));
        }
        let order = self.costliest(exact, &plan, &calibration, build)?;
        let (mut plan, mut kept) = (plan, 1);
        while comparison.least() < budget && kept < 2 * order.len() {
            calibration.kept = order.iter().take(kept).cloned().collect();
            plan = build(calibration.clone())?;
            comparison = self.compare(exact, &plan)?;
            comparison.kept = order.iter().take(kept).cloned().collect();
            kept *= 2;
        }
        Ok((plan, calibration, comparison))
    }

    /// The layers that multiply bytes, the one first that does most to what the network says when it does so alone.
    fn costliest(
        &self,
        exact: &Plan,
        plan: &Plan,
        calibration: &Calibration,
        build: &dyn Fn(Calibration) -> anyhow::Result<Plan>,
    ) -> anyhow::Result<Vec<String>> {
        let in_bytes = plan.steps().iter().filter(|s| s.tactic.contains("_int8"));
        let layers: Vec<String> = in_bytes.map(|s| s.name.clone()).collect();
        let mut cost = Vec::new();
        for layer in &layers {
            let kept = layers.iter().filter(|other| *other != layer).cloned().collect();
            let alone = build(Calibration { kept, ranges: calibration.ranges.clone() })?;
            let mut sum = 0.0;
            self.each(JUDGED, vec![exact.clone(), alone], |_, segmenters, _| {
                let [one, other] = segmenters else { unreachable!("two plans, two segmenters") };
                let (a, b) = (one.raw_output()?, other.raw_output()?);
                sum += a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                Ok(())
            })
            .with_context(|| format!("cannot judge the layer `{layer}`"))?;
            cost.push(sum);
        }
        let mut order: Vec<usize> = (0..layers.len()).collect();
        order.sort_by(|&a, &b| cost[b].total_cmp(&cost[a]));
        Ok(order.into_iter().map(|i| layers[i].clone()).collect())
    }
}

/// The next frame that can be read.
fn next(source: &mut dyn Source) -> anyhow::Result<Option<Frame>> {
    loop {
        match source.next() {
            Err(error) if source.goes_on() => super::say(format_args!("sonoplex: {error}")),
            other => return Ok(other?),
        }
    }
}
