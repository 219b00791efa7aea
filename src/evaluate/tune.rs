//! Which subjects are judged, and the setting that is best on those that it may be chosen on.

use std::collections::BTreeSet;

use serde::Serialize;

use super::EvaluateError;
use super::dataset::{Dataset, Entry};
use super::run::Judged;
use super::sweep::{Setting, Tally};

/// Part of a data set: subjects and frames by name, or one fold of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `2,7,14`: subjects, or single frames.
    Names(Vec<String>),
    /// `1/5`: the first of five folds; subjects in natural order are dealt out to them in turn.
    Fold(usize, usize),
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = |t: &str| t.trim().parse::<usize>().ok();
        if let Some((Some(k), Some(n))) = text.split_once('/').map(|(k, n)| (whole(k), whole(n))) {
            let fits = (1..=n).contains(&k);
            return if fits {
                Ok(Self::Fold(k, n))
            } else {
                Err("expected a fold such as 1/5, from 1/5 to 5/5".into())
            };
        }
        let names: Vec<String> =
            text.split([',', '\n']).map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        if names.is_empty() {
            Err("expected subjects with commas between them, or a fold such as 1/5".into())
        } else {
            Ok(Self::Names(names))
        }
    }
}

/// Subjects in natural order.
pub fn subjects(dataset: &Dataset) -> Vec<String> {
    let all: BTreeSet<&str> = dataset.entries.iter().map(|e| e.subject.as_str()).collect();
    let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    all.sort_by(|a, b| alphanumeric_sort::compare_str(a, b));
    all
}

impl Part {
    /// For every entry of `dataset`, whether it belongs to this part; with `whole`, a frame brings all of its subject along.
    ///
    /// # Errors
    /// When a name is that of nobody.
    pub fn of(&self, dataset: &Dataset, whole: bool) -> Result<Vec<bool>, EvaluateError> {
        let wanted: BTreeSet<String> = match self {
            Self::Fold(k, n) => subjects(dataset).into_iter().skip(k - 1).step_by(*n).collect(),
            Self::Names(names) => {
                // In several data sets a name may stand without that of its own.
                let is =
                    |own: &str, name: &str| own == name || own.strip_suffix(name).is_some_and(|o| o.ends_with('/'));
                let any = |name: &String| dataset.entries.iter().any(|e| is(&e.subject, name) || is(&e.id, name));
                if let Some(found) = names.iter().find(|n| !any(n)) {
                    return Err(unknown(dataset, found));
                }
                let named = |e: &&Entry| names.iter().any(|n| is(&e.subject, n) || is(&e.id, n));
                if !whole {
                    return Ok(dataset.entries.iter().map(|e| named(&e)).collect());
                }
                dataset.entries.iter().filter(named).map(|e| e.subject.clone()).collect()
            }
        };
        Ok(dataset.entries.iter().map(|e| wanted.contains(&e.subject)).collect())
    }
}

fn unknown(dataset: &Dataset, found: &str) -> EvaluateError {
    let subjects = subjects(dataset);
    let nearest =
        subjects.iter().max_by(|a, b| strsim::jaro_winkler(a, found).total_cmp(&strsim::jaro_winkler(b, found)));
    EvaluateError::Subject {
        dataset: dataset.name.clone(),
        found: found.to_owned(),
        nearest: nearest.cloned().unwrap_or_default(),
    }
}

/// A setting that was chosen for a class, and what it was worth where it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The class.
    pub class: String,
    /// What was chosen.
    pub chosen: Setting,
    /// What the model ships with.
    pub shipped: Setting,
    /// Mean Dice of the tuning frames with the chosen setting: too high, since it was chosen there.
    pub dice_mean_tuning: f64,
    /// The same with the shipped one.
    pub shipped_dice_mean_tuning: f64,
    /// Mean Dice of the reported frames with the shipped setting; beside it stands `classes.NAME.dice_mean`.
    pub shipped_dice_mean: Option<f64>,
}

/// Dice of a tally against a truth of so many pixels; 1 where both are empty.
fn dice(tally: Tally, truth: u64) -> f64 {
    let sum = u64::from(tally.mask) + truth;
    if sum == 0 { 1.0 } else { 2.0 * f64::from(tally.both) / sum as f64 }
}

/// The mean over frames of the Dice that each setting of a class would have had; nothing where no frame has the class labelled.
pub fn dice_means(judged: &Judged, class: usize) -> Option<Vec<f64>> {
    let mut sums = vec![0.0; judged.grids[class].settings.len()];
    let mut count = 0;
    for row in judged.frames.iter().filter_map(|f| f.classes[class].as_ref()) {
        count += 1;
        for (sum, &tally) in sums.iter_mut().zip(&row.tallies) {
            *sum += dice(tally, row.row.counts.truth());
        }
    }
    (count > 0).then(|| sums.into_iter().map(|s| s / f64::from(count)).collect())
}

/// The setting of the highest mean Dice for every class; the shipped one where none is better, or nothing is known.
pub fn choose(judged: &Judged, classes: &[String]) -> (Vec<Setting>, Vec<Choice>) {
    let (mut settings, mut choices) = (Vec::new(), Vec::new());
    for (i, (grid, class)) in judged.grids.iter().zip(classes).enumerate() {
        let shipped = grid.settings[grid.shipped];
        let Some(means) = dice_means(judged, i) else {
            settings.push(shipped);
            continue;
        };
        let best = (0..means.len()).fold(grid.shipped, |best, i| if means[i] > means[best] { i } else { best });
        settings.push(grid.settings[best]);
        choices.push(Choice {
            class: class.clone(),
            chosen: grid.settings[best],
            shipped,
            dice_mean_tuning: means[best],
            shipped_dice_mean_tuning: means[grid.shipped],
            shipped_dice_mean: None,
        });
    }
    (settings, choices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_names_or_folds() {
        assert_eq!("2, 7,14\r\n".parse(), Ok(Part::Names(["2", "7", "14"].map(str::to_owned).to_vec())));
        assert_eq!("2/5".parse(), Ok(Part::Fold(2, 5)));
        for bad in ["", " , ", "0/5", "6/5"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
        assert_eq!("kaggle/5".parse(), Ok(Part::Names(vec!["kaggle/5".into()])));
    }
}
