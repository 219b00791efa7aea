//! What the precision of a plan does to masks: the same frames in fp32 and in the plan, side by side.

use anyhow::bail;
use serde::Serialize;
use sonoplex::engine::Plan;
use sonoplex::frame::Frame;
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, Source, open};

/// Pixels of a class in both masks together from which a frame can be the worst: a speck has no Dice worth a name.
const SPECK: usize = 200;

/// How far the masks of a plan are from those of fp32.
#[derive(Serialize)]
pub struct Calibration {
    pub source: String,
    pub frames: u64,
    pub classes: Vec<ClassDice>,
    pub worst: Option<Worst>,
    pub states_changed: u64,
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

/// Segments up to `count` frames of `spec`, spread evenly, each by itself, with both `plans`: fp32 first.
pub fn calibrate(spec: &str, count: u64, plans: [Plan; 2], config: &SegmenterConfig) -> anyhow::Result<Calibration> {
    let mut source = open(spec, &OpenOptions::default())?;
    if source.info().live {
        bail!("cannot compare precisions on `{spec}`: it is a device; give a recording or a folder of pictures");
    }
    let [exact, own] = plans;
    let mut segmenters = [Segmenter::from_plan(exact, config)?, Segmenter::from_plan(own, config)?];
    let names: Vec<String> = segmenters[0].classes().iter().map(|c| c.name.clone()).collect();
    // Pixels in both masks, and the sum of those in each.
    let mut pooled = vec![[0usize; 2]; names.len()];
    let (mut frames, mut states_changed, mut worst) = (0, 0, None::<Worst>);
    let clock = Clock::monotonic();
    let mut out = [Segmentation::default(), Segmentation::default()];
    let (total, mut index) = (source.info().frames, 0);
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
        frames += 1;
        let [a, b] = &out;
        states_changed += u64::from(a.findings.iter().zip(&b.findings).any(|(a, b)| a.state != b.state));
        for (i, name) in names.iter().enumerate() {
            let class = i as u8 + 1;
            let both = a.mask.labels.iter().zip(&b.mask.labels).filter(|&(&a, &b)| a == class && b == class).count();
            let sum = a.mask.area(class) + b.mask.area(class);
            pooled[i][0] += both;
            pooled[i][1] += sum;
            let dice = dice(both, sum);
            if sum >= SPECK && worst.as_ref().is_none_or(|w| dice < w.dice) {
                worst = Some(Worst { frame: frame.id, name: frame.name.clone(), class: name.clone(), dice });
            }
        }
    }
    if frames == 0 {
        bail!("cannot compare precisions on `{spec}`: it has no frames; give a recording or a folder of pictures");
    }
    let classes = names.into_iter().zip(&pooled);
    let classes = classes.map(|(class, [both, sum])| ClassDice { class, dice: dice(*both, *sum) }).collect();
    Ok(Calibration { source: spec.to_owned(), frames, classes, worst, states_changed })
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

fn dice(both: usize, sum: usize) -> f64 {
    if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 }
}
