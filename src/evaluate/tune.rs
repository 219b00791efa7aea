//! Which subjects are judged, and the setting that is best on those that it may be chosen on.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use super::EvaluateError;
use super::dataset::{Dataset, Entry, Split};
use super::run::Judged;
use super::sweep::{Setting, Tally};

/// Part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `2,7,14`: subjects, or single frames, by name.
    Names(Vec<String>),
    /// `every:6`: frames whose number is a multiple of it.
    Every(u64),
    /// `validation`: what a packed file keeps for validation.
    Validation,
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "validation" {
            return Ok(Self::Validation);
        }
        if text.starts_with("every:") {
            return match text.trim().parse::<Split>()? {
                Split::Every(number) => Ok(Self::Every(number)),
                other => Err(format!("expected every:N, found `{other}`")),
            };
        }
        let names = text.split([',', '\n']).map(str::trim).filter(|n| !n.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.is_empty() {
            return Err("expected names with commas between them, every:N, or validation".to_owned());
        }
        Ok(Self::Names(names))
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
    /// Names of the frames of `dataset` that belong to it.
    ///
    /// # Errors
    /// When a name is that of nobody, or the data set keeps nothing for validation.
    pub fn of(&self, dataset: &Dataset) -> Result<HashSet<String>, EvaluateError> {
        match self {
            Self::Every(number) => Ok(ids(&dataset.split(&Split::Every(*number))?[0].validation)),
            Self::Validation => match dataset.stored_split() {
                Some((_, fold)) => Ok(ids(&fold.validation)),
                None => Err(unknown(dataset, "validation")),
            },
            Self::Names(names) => {
                // Where data sets are joined, a name may stand without that of its own.
                let is =
                    |own: &str, name: &str| own == name || own.strip_suffix(name).is_some_and(|o| o.ends_with('/'));
                let of = |e: &Entry, name: &str| is(&e.subject, name) || is(&e.id, name);
                if let Some(found) = names.iter().find(|n| !dataset.entries.iter().any(|e| of(e, n))) {
                    return Err(unknown(dataset, found));
                }
                Ok(ids(&dataset.select(|e| names.iter().any(|name| of(e, name)))))
            }
        }
    }
}

fn ids(dataset: &Dataset) -> HashSet<String> {
    dataset.entries.iter().map(|e| e.id.clone()).collect()
}

/// What settings are chosen on, and what is judged with them: no subject, and no near-copy, is in both.
///
/// # Errors
/// When a subject is not there or would be on both sides, or one side would have no frame.
pub fn sides(dataset: &Dataset, split: &Split) -> Result<(Dataset, Dataset), EvaluateError> {
    let fold = dataset.split(split)?.into_iter().next();
    let Some(fold) = fold else { return Err(unknown(dataset, &split.to_string())) };
    // A frame that must not be trained on, since its mask contradicts that of a near-copy, is judged all the same.
    let rest = fold.rest(dataset);
    Ok((fold.validation, rest))
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
    fn parts_are_names_numbers_or_what_was_kept() {
        assert_eq!("2, 7,14\r\n".parse(), Ok(Part::Names(["2", "7", "14"].map(str::to_owned).to_vec())));
        assert_eq!("every:6".parse(), Ok(Part::Every(6)));
        assert_eq!("validation".parse(), Ok(Part::Validation));
        for bad in ["", " , ", "every:0", "every:x"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }
}
