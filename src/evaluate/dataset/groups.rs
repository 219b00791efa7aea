//! Subjects that a split may not divide: patients, near-copies, and patients who share frames.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::Dataset;
use super::likeness::{NEAR, Thumbnail, Union, pairs};

/// Pictures that are compared with all behind them before what was found is used.
const ROWS: usize = 128;
/// Pairs of near-copies that are named as the reason of a group.
const TOLD: usize = 3;

/// Two pictures that show the same, by which their subjects are one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Names of the pictures.
    pub pictures: [String; 2],
    /// Their subjects.
    pub subjects: [String; 2],
    /// Correlation (Pearson) of the pictures at 64×64 pixels.
    pub correlation: f32,
}

/// Subjects that stay together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// One, or several that share frames.
    pub subjects: Vec<String>,
    /// Number of pictures.
    pub pictures: usize,
    /// What makes more than one picture or patient a group; empty where there is nothing to say.
    pub why: String,
}

impl Dataset {
    /// What stays together, in the order of its first pictures, and why.
    pub fn groups(&self) -> Vec<Group> {
        let linked = self.links.iter().flat_map(|l| l.subjects.iter().map(String::as_str));
        let (mut number, mut subjects) = (HashMap::new(), Vec::new());
        for subject in self.entries.iter().map(|e| e.subject.as_str()).chain(linked) {
            number.entry(subject).or_insert_with(|| {
                subjects.push((subject, 0));
                subjects.len() - 1
            });
        }
        for entry in &self.entries {
            subjects[number[entry.subject.as_str()]].1 += 1;
        }
        let mut union = Union::new(subjects.len());
        for link in &self.links {
            union.join(number[link.subjects[0].as_str()], number[link.subjects[1].as_str()]);
        }
        let mut groups: BTreeMap<usize, (Group, Vec<String>)> = BTreeMap::new();
        for (i, (subject, pictures)) in subjects.into_iter().enumerate() {
            let (group, _) = groups.entry(union.first(i)).or_default();
            // A subject of which nothing is left still ties the others.
            if pictures > 0 {
                group.subjects.push(subject.to_owned());
                group.pictures += pictures;
            }
        }
        for link in &self.links {
            let [a, b] = &link.pictures;
            let why = format!("`{a}` and `{b}` are near-copies (correlation {:.3})", link.correlation);
            groups.entry(union.first(number[link.subjects[0].as_str()])).or_default().1.push(why);
        }
        let told = groups.into_values().filter(|(group, _)| group.pictures > 0).map(|(mut group, mut why)| {
            let more = why.len().saturating_sub(TOLD);
            why.truncate(TOLD);
            group.why = why.join(", ");
            if more > 0 {
                group.why += &format!(", and {more} more such pairs");
            }
            group
        });
        told.collect()
    }

    /// Finds near-copies among pictures `from..` and between them and those before, and notes what ties subjects together.
    pub(super) fn link(&mut self, from: usize) {
        let seen: Vec<(usize, &Thumbnail)> =
            self.entries.iter().enumerate().filter_map(|(i, e)| Some((i, e.thumbnail.as_deref()?))).collect();
        let thumbnails: Vec<&Thumbnail> = seen.iter().map(|(_, t)| *t).collect();
        let mut number = BTreeMap::new();
        let subjects: Vec<usize> = self
            .entries
            .iter()
            .map(|e| {
                let next = number.len();
                *number.entry(e.subject.clone()).or_insert(next)
            })
            .collect();
        let mut union = Union::new(number.len());
        for link in &self.links {
            if let [Some(a), Some(b)] = link.subjects.each_ref().map(|s| number.get(s)) {
                union.join(*a, *b);
            }
        }
        for start in (0..seen.len()).step_by(ROWS) {
            let rows = start..(start + ROWS).min(seen.len());
            let group: Vec<usize> = seen.iter().map(|&(i, _)| union.first(subjects[i])).collect();
            let apart = |a: usize, b: usize| seen[b].0 >= from && group[a] != group[b];
            let mut found = pairs(&thumbnails, rows, (NEAR, usize::MAX), apart);
            // The strongest first: those that stay say most.
            found.sort_by(|a, b| b.correlation.total_cmp(&a.correlation));
            for pair in found {
                let [a, b] = [seen[pair.first].0, seen[pair.second].0];
                if union.join(subjects[a], subjects[b]) {
                    let [a, b] = [&self.entries[a], &self.entries[b]];
                    self.links.push(Link {
                        pictures: [a.id.clone(), b.id.clone()],
                        subjects: [a.subject.clone(), b.subject.clone()],
                        correlation: pair.correlation,
                    });
                }
            }
        }
    }

    /// Calls what belongs to no known patient after the patient, or else the first picture, of its group.
    pub(super) fn name_groups(&mut self) {
        let patients: HashSet<String> = self.entries.iter().filter(|e| e.patient).map(|e| e.subject.clone()).collect();
        let mut names: HashMap<String, String> = HashMap::new();
        for group in self.groups() {
            let first = group.subjects.iter().find(|s| patients.contains(*s)).unwrap_or(&group.subjects[0]).clone();
            let unnamed = group.subjects.into_iter().filter(|s| !patients.contains(s));
            names.extend(unnamed.map(|s| (s, first.clone())));
        }
        let subjects = self.entries.iter_mut().map(|e| &mut e.subject);
        for subject in subjects.chain(self.links.iter_mut().flat_map(|l| &mut l.subjects)) {
            if let Some(name) = names.get(subject) {
                subject.clone_from(name);
            }
        }
    }
}
