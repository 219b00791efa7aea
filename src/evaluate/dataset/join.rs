//! Several data sets as one, and one in the words of another.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::{Dataset, DatasetError, Entry, Labels};
use crate::segmentation::Class;

/// Classes that a data set may have.
pub(super) const MOST_CLASSES: usize = 15;

impl Dataset {
    /// The same pictures with these classes, for example those of a model. Classes are the same when their names are; what
    /// the data set shows of others becomes background, and what it does not know is not labelled.
    pub fn aligned(&self, classes: &[Class]) -> Self {
        let place = |class: &Class| classes.iter().position(|c| same(c, class));
        let places: Vec<Option<usize>> = self.classes.iter().map(place).collect();
        let label = |own: u8| match own {
            0 => 0,
            own => places[usize::from(own) - 1].map_or(0, |place| place as u8 + 1),
        };
        // Entries share what they have; one is made for each that there is.
        let mut made: BTreeMap<usize, Arc<Labels>> = BTreeMap::new();
        let mut moved = |old: &Arc<Labels>| {
            let new = made.entry(Arc::as_ptr(old) as usize).or_insert_with(|| {
                let mut labelled = vec![old.empty; classes.len()];
                for (known, place) in old.labelled.iter().zip(&places) {
                    place.iter().for_each(|&p| labelled[p] = *known);
                }
                Arc::new(Labels { map: old.map.iter().map(|&l| label(l)).collect(), labelled, empty: old.empty })
            });
            new.clone()
        };
        let entries = self.entries.iter().map(|entry| {
            let shows = entry.shows.as_ref().map(|own| {
                let mut shows = vec![false; classes.len()];
                for (shown, place) in own.iter().zip(&places) {
                    place.iter().for_each(|&p| shows[p] = *shown);
                }
                shows
            });
            Entry { labels: moved(&entry.labels), shows, ..entry.clone() }
        });
        Self { classes: classes.to_vec(), entries: entries.collect(), ..self.clone() }
    }

    /// Several data sets as one, each with a weight by which those of its entries are multiplied.
    ///
    /// It has the classes of all of them; names of pictures and subjects begin with that of their folder.
    ///
    /// # Errors
    /// When there is none, a weight is no number above 0, or there are more than 15 classes.
    pub fn join(sets: Vec<(Self, f32)>) -> Result<Self, DatasetError> {
        let name = sets.iter().map(|(set, _)| set.name.as_str()).collect::<Vec<_>>().join(" + ");
        let unfit =
            |found: String, advice: &str| DatasetError::Unfit { name: name.clone(), found, advice: advice.into() };
        let mut classes: Vec<Class> = Vec::new();
        for (set, weight) in &sets {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(unfit(format!("the weight of `{}` is {weight}", set.name), "give a number above 0"));
            }
            for class in &set.classes {
                if !classes.iter().any(|c| same(c, class)) {
                    classes.push(class.clone());
                }
            }
        }
        if classes.len() > MOST_CLASSES {
            return Err(unfit(format!("it has {} classes", classes.len()), "join data sets of 15 classes at most"));
        }
        let (mut prefixes, several) = (HashSet::new(), sets.len() > 1);
        let mut joined: Option<Self> = None;
        for (set, weight) in sets {
            let prefix = several.then(|| free(&mut prefixes, short(&set.name)));
            let mut set = set.aligned(&classes);
            for entry in &mut set.entries {
                entry.weight *= weight;
                // A phantom is known by its seed wherever it comes from.
                if let (Some(prefix), false) = (&prefix, entry.computed()) {
                    entry.id = format!("{prefix}/{}", entry.id);
                    entry.subject = format!("{prefix}/{}", entry.subject);
                }
            }
            for name in set.links.iter_mut().flat_map(|l| l.pictures.iter_mut().chain(&mut l.subjects)) {
                if let Some(prefix) = &prefix {
                    *name = format!("{prefix}/{name}");
                }
            }
            match &mut joined {
                None => joined = Some(set),
                Some(all) => {
                    let before = all.entries.len();
                    all.entries.append(&mut set.entries);
                    all.links.append(&mut set.links);
                    all.dropped.append(&mut set.dropped);
                    all.notes.append(&mut set.notes);
                    all.link(before);
                }
            }
        }
        let mut joined = joined.ok_or_else(|| unfit("there is none".into(), "give one at least"))?;
        let mut ids = HashSet::new();
        for entry in &mut joined.entries {
            entry.id = free(&mut ids, entry.id.clone());
        }
        Ok(Self { name, ..joined })
    }
}

fn same(a: &Class, b: &Class) -> bool {
    a.name.to_lowercase() == b.name.to_lowercase()
}

/// The last part of a path.
fn short(name: &str) -> String {
    let path = Path::new(name.trim_start_matches("empty:"));
    path.file_stem().map_or_else(|| name.to_owned(), |n| n.to_string_lossy().into_owned())
}

/// `wanted`, or with a number behind it where it is taken.
fn free(taken: &mut HashSet<String>, wanted: String) -> String {
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}#{number}");
        number += 1;
    }
    name
}
