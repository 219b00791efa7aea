//! What is seen in the terminal while a network learns.

use std::collections::VecDeque;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use sonoplex::segmentation::Class;

use crate::trainer::Epoch;

/// Bars with the time that is left, the course of the loss, and the Dice of every class; plain lines where no terminal is.
pub struct Progress {
    steps: ProgressBar,
    course: ProgressBar,
    scores: Vec<ProgressBar>,
    bars: MultiProgress,
    recent: Mutex<VecDeque<f64>>,
    epoch_steps: usize,
    classes: Vec<String>,
    seen: Mutex<Vec<Vec<f64>>>,
    losses: Mutex<Vec<f64>>,
}

/// Steps over which a loss is averaged for the course.
const WINDOW: usize = 50;
/// Epochs of a course that are seen.
const COURSE: usize = 48;

impl Progress {
    /// Begins at step `done` of `steps`.
    pub fn new(steps: usize, done: usize, epoch_steps: usize, classes: &[Class]) -> Self {
        let bars = MultiProgress::new();
        let line = |template: &str| ProgressStyle::with_template(template).expect("a template that is tried in tests");
        let bar = bars.add(
            ProgressBar::new(steps as u64)
                .with_style(line("{elapsed_precise} {bar:32.cyan/blue} step {pos} of {len}, {per_sec}, {eta} left")),
        );
        bar.set_position(done as u64);
        bar.reset_eta();
        let text = || bars.add(ProgressBar::new(1).with_style(line("{msg}")));
        let course = text();
        let scores = classes.iter().map(|_| text()).collect();
        let seen = Mutex::new(vec![vec![]; classes.len()]);
        let recent = Mutex::new(VecDeque::new());
        Self {
            steps: bar,
            course,
            scores,
            bars,
            recent,
            epoch_steps,
            classes: classes.iter().map(|c| c.name.clone()).collect(),
            seen,
            losses: Mutex::default(),
        }
    }

    /// After step `step`.
    pub fn step(&self, step: usize, loss: f64) {
        self.steps.set_position(step as u64);
        let mut recent = self.recent.lock().expect("nobody fails with it");
        recent.push_back(loss);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        let epoch = (step - 1) / self.epoch_steps + 1;
        let losses = self.losses.lock().expect("nobody fails with it");
        self.course.set_message(format!("epoch {epoch:>6} {} loss {mean:.4}", sparkline(&losses, COURSE)));
    }

    /// After an epoch: one line that stays, and the courses of the classes.
    pub fn epoch(&self, epoch: &Epoch, best: Option<(u32, f64)>) {
        let mut parts = vec![format!("epoch {:>3}  loss {:.4}", epoch.epoch, epoch.loss)];
        self.losses.lock().expect("nobody fails with it").push(epoch.loss);
        let mut seen = self.seen.lock().expect("nobody fails with it");
        for (i, class) in self.classes.iter().enumerate() {
            let Some(dice) = epoch.verdict.dice_shown.get(i).copied().flatten() else { continue };
            let false_positives = epoch.verdict.false_positives.get(i).copied().flatten();
            let wrong =
                false_positives.map_or(String::new(), |f| format!(" (found on {:.0} % of frames without)", f * 100.0));
            parts.push(format!("{class} Dice {dice:.3}{wrong}"));
            seen[i].push(dice);
            let best = seen[i].iter().copied().fold(0.0, f64::max);
            self.scores[i].set_message(format!("{class:>12} {} best {best:.3}", sparkline(&seen[i], COURSE)));
        }
        if best.is_some_and(|(at, _)| at == epoch.epoch) && epoch.verdict.score().is_some() {
            parts.push("best so far".into());
        }
        let text = parts.join("  ");
        if self.bars.is_hidden() {
            eprintln!("{text}");
        } else {
            // a terminal that has gone must not end a run
            let _ = self.bars.println(text);
        }
    }

    /// Clears the bars.
    pub fn finish(&self) {
        self.steps.finish_and_clear();
        self.course.finish_and_clear();
        self.scores.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// The last values of a course as a line of blocks, the lowest of them empty and the highest full.
fn sparkline(values: &[f64], most: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = &values[values.len().saturating_sub(most)..];
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let place = |v: f64| if high > low { ((v - low) / (high - low) * 7.0).round() as usize } else { 0 };
    values.iter().map(|v| BLOCKS[place(*v)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_spans_its_values() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 8), "▁▅█");
        assert_eq!(sparkline(&[9.0, 0.2, 0.2], 2), "▁▁");
        assert_eq!(sparkline(&[], 4), "");
    }
}
