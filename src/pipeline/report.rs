//! What a run comes to: one JSON whose every field is explained, and a table for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::latency::{Counts, LatencySummary, Stage};
use crate::record::Scoring;
use crate::segmentation::{Segmentation, State};

/// With what a run is made; the report repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Path or name of the model.
    pub model: String,
    /// SHA-256 of the model file.
    pub model_sha256: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// What computes it.
    pub device: String,
}

/// What a run comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the program.
    pub sonoplex: String,
    /// What was replayed or captured.
    pub source: String,
    /// Its format.
    pub format: String,
    /// Path or name of the model.
    pub model: String,
    /// SHA-256 of the model file.
    pub model_sha256: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// What computed it.
    pub device: String,
    /// `every frame` or `newest frame`.
    pub policy: String,
    /// `1`, `0.5`, `max`.
    pub speed: String,
    /// Why it ended.
    pub ended: String,
    /// The first error.
    pub error: Option<String>,
    /// Length of the run.
    pub duration_s: f64,
    /// Segmented frames by duration.
    pub segmented_per_second: f64,
    /// Frames that no percentile contains.
    pub warm_up: u64,
    /// What became of the frames.
    pub frames: Counts,
    /// Percentiles of every stage.
    pub latency_us: LatencySummary,
    /// What each stage takes on a GPU alone.
    #[serde(default)]
    pub device_us: BTreeMap<String, f64>,
    /// Segmented frames by state.
    pub states: BTreeMap<String, u64>,
    /// Mean Dice of every class that the truth knows.
    pub dice: BTreeMap<String, f64>,
    /// Frames with a truth.
    pub dice_frames: u64,
    /// How often something was amiss.
    pub alarms: Alarms,
    /// What else has to be said.
    pub notes: Vec<String>,
}

/// How often the watchdog had something to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarms {
    /// The source was silent for too long.
    pub no_signal: u64,
    /// The segmenter was at one frame for too long.
    pub segmenter_stuck: u64,
}

/// States and Dice, added up while the run goes on; allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    scoring: Scoring,
    states: [u64; 3],
    dice: Vec<f64>,
    frames: u64,
    device: Vec<(&'static str, f32)>,
}

/// Stages of a frame on a device, in order.
const ON_DEVICE: [&str; 8] = ["h2d", "crop", "despeckle", "resize", "network", "mask", "regions", "d2h"];

const STATES: [State; 3] = [State::Nerve, State::NoNerve, State::Uncertain];

impl Scores {
    pub(super) fn new(scoring: Scoring) -> Self {
        let dice = vec![0.0; scoring.names().count()];
        Self { scoring, dice, ..Self::default() }
    }

    pub(super) fn add(&mut self, frame: &Frame, segmentation: &Segmentation) {
        for (n, state) in self.states.iter_mut().zip(STATES) {
            *n += u64::from(segmentation.state() == state);
        }
        let mut scored = false;
        for (sum, (_, dice)) in self.dice.iter_mut().zip(self.scoring.dice(frame, segmentation)) {
            *sum += dice;
            scored = true;
        }
        self.frames += u64::from(scored);
    }

    pub(super) fn set_device(&mut self, times: Vec<(&'static str, f32)>) {
        self.device = times;
    }

    pub(super) fn write(&self, report: &mut Report) {
        report.device_us = self.device.iter().map(|&(stage, us)| (stage.to_owned(), us.into())).collect();
        report.states = STATES.iter().zip(self.states).map(|(s, n)| (s.as_str().to_owned(), n)).collect();
        report.dice_frames = self.frames;
        if self.frames > 0 {
            let means = self.dice.iter().map(|sum| sum / self.frames as f64);
            report.dice = self.scoring.names().map(str::to_owned).zip(means).collect();
        }
    }
}

/// The report as `--json` writes it.
impl Report {
    /// Indented JSON, with a line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain values with text keys become JSON") + "\n"
    }
}

/// For the terminal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { captured, segmented, shown, recorded, dropped } = &self.frames;
        writeln!(f, "source   {} ({})", self.source, self.format)?;
        writeln!(f, "model    {} on {}", self.model, self.device)?;
        writeln!(
            f,
            "frames   {captured} captured, {segmented} segmented, {shown} shown, {recorded} recorded ({}, speed {})",
            self.policy, self.speed
        )?;
        let lost: Vec<_> = dropped.iter().filter(|(_, n)| **n > 0).map(|(cause, n)| format!("{n} {cause}")).collect();
        writeln!(f, "dropped  {}", if lost.is_empty() { "none".to_owned() } else { lost.join(", ") })?;
        let states: Vec<_> = self.states.iter().map(|(state, n)| format!("{n} {state}")).collect();
        writeln!(f, "states   {}", states.join(", "))?;
        for (class, dice) in &self.dice {
            writeln!(f, "dice     {class} {dice:.3} (mean of {} frames with a truth)", self.dice_frames)?;
        }
        writeln!(f, "speed    {:.1} frames/s over {:.1} s", self.segmented_per_second, self.duration_s)?;
        if self.alarms != Alarms::default() {
            let Alarms { no_signal, segmenter_stuck } = self.alarms;
            writeln!(f, "alarms   {no_signal} no signal, {segmenter_stuck} segmenter stuck")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}",
            "latency, ms", "p50", "p95", "p99", "p99.9", "max", "frames"
        )?;
        let order = |name: &str| Stage::ALL.iter().position(|s| s.as_str() == name).unwrap_or(Stage::ALL.len());
        let mut stages: Vec<_> = self.latency_us.iter().collect();
        stages.sort_by_key(|(name, _)| order(name));
        for (name, p) in stages {
            let ms = |us: f64| us / 1000.0;
            writeln!(
                f,
                "{name:<20}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>9}",
                ms(p.p50),
                ms(p.p95),
                ms(p.p99),
                ms(p.p999),
                ms(p.max),
                p.count
            )?;
        }
        if !self.device_us.is_empty() {
            let order = |stage: &str| ON_DEVICE.iter().position(|name| *name == stage).unwrap_or(ON_DEVICE.len());
            let mut times: Vec<_> = self.device_us.iter().collect();
            times.sort_by_key(|(stage, _)| order(stage));
            let times: Vec<_> = times.into_iter().map(|(stage, us)| format!("{stage} {us:.1}")).collect();
            writeln!(f, "device   each stage alone, microseconds: {}", times.join(", "))?;
        }
        for note in &self.notes {
            writeln!(f, "note     {note}")?;
        }
        write!(f, "ended    {}", self.ended)
    }
}
