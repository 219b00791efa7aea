//! A data set made one file, and read from it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::likeness::Thumbnail;
use super::pack::{self, Role};
use super::{Dataset, DatasetError, Entry, Fold, Labels, Place, Split, survey};
use crate::geometry::Size;

impl Dataset {
    /// The bytes of one file with every picture, at `size` where one is given, and what is in it: where it is split, without
    /// what the training drops.
    ///
    /// Pictures are resized as the segmenter does, all of the picture with the area filter; a pixel of a mask gets the label
    /// that covers most of it.
    ///
    /// # Errors
    /// When nothing can be trained on it, it cannot be split so, the split has several folds, or a picture cannot be read any
    /// more.
    pub fn prepare(&self, size: Option<Size>, split: Option<&Split>) -> Result<(Vec<u8>, Self), DatasetError> {
        self.check()?;
        let Some(split) = split else {
            let mut set = self.clone();
            return Ok((set.pack(size)?, set));
        };
        let folds = self.split(split)?;
        let [fold] = &folds[..] else {
            return Err(DatasetError::Split {
                name: self.name.clone(),
                found: format!("`{split}` has {} folds, and one file holds one", folds.len()),
                advice: "name subjects, or pack it without a split, which can then be made of the file".into(),
            });
        };
        fold.training.check()?;
        let ids = |set: &Self| set.entries.iter().map(|e| e.id.clone()).collect::<HashSet<String>>();
        let (training, validation) = (ids(&fold.training), ids(&fold.validation));
        let mut set = self.select(|e| training.contains(&e.id) || validation.contains(&e.id));
        set.dropped.clone_from(&fold.training.dropped);
        set.split = Some(split.to_string());
        for entry in &mut set.entries {
            entry.role = Some(if validation.contains(&entry.id) { Role::Validation } else { Role::Training });
        }
        Ok((set.pack(size)?, set))
    }

    /// The split that a packed file was made with, where it was, and what it is.
    pub fn stored_split(&self) -> Option<(&str, Fold)> {
        let side = |role| self.select(|e| e.role == Some(role));
        let validation = Self { dropped: Vec::new(), ..side(Role::Validation) };
        Some((self.split.as_deref()?, Fold { training: side(Role::Training), validation }))
    }

    /// Whether a stored split says of any picture which side it is on; of others that were joined it says nothing.
    pub fn has_sides(&self) -> bool {
        self.entries.iter().any(|e| e.role.is_some())
    }
}

/// Opens a packed file.
pub(super) fn open(spec: &str, path: &Path) -> Result<Dataset, DatasetError> {
    let (header, pack) = pack::read(spec, path)?;
    let classes = header.classes.len();
    let seen = survey::all(header.entries.len(), |i| -> Result<_, DatasetError> {
        let stored = pack.load(i)?;
        let shows: Vec<bool> = (1..=classes).map(|class| stored.truth.labels.contains(&(class as u8))).collect();
        Ok((Thumbnail::new(&stored.gray, stored.size), shows))
    });
    let pack = Arc::new(pack);
    let mut labels: BTreeMap<(Vec<bool>, bool), Arc<Labels>> = BTreeMap::new();
    let mut entries = Vec::new();
    for (i, (item, seen)) in header.entries.into_iter().zip(seen).enumerate() {
        let (thumbnail, shows) = seen?;
        let known = labels.entry((item.labelled, item.empty)).or_insert_with_key(|(labelled, empty)| {
            let map = (0..=classes as u8).collect();
            Arc::new(Labels { map, labelled: labelled.clone(), empty: *empty })
        });
        entries.push(Entry {
            thumbnail: (!item.subject.starts_with("phantom:")).then(|| Arc::new(thumbnail)),
            id: item.id,
            subject: item.subject,
            weight: item.weight,
            place: Place::Packed(pack.clone(), i),
            labels: known.clone(),
            shows: Some(shows),
            patient: item.patient,
            doubt: item.doubt.map(Arc::from),
            role: item.role,
            part: None,
        });
    }
    Ok(Dataset {
        name: spec.to_owned(),
        classes: header.classes,
        entries,
        dropped: header.dropped,
        notes: header.notes,
        links: header.links,
        split: header.split,
    })
}
