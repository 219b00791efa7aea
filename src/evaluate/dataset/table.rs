//! `train_masks.csv`, where it lies beside the competition's pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::DatasetError;
use crate::evaluate::submission;

/// Runs of every picture that a table has.
pub(super) struct Table {
    path: PathBuf,
    runs: HashMap<(u64, u64), String>,
}

impl Table {
    /// Reads and checks the table in the folder or in the one around it, where there is one that names patients.
    pub fn find(dir: &Path) -> Result<Option<Self>, DatasetError> {
        let around = dir.parent().unwrap_or(dir);
        let Some(path) = [dir, around].map(|d| d.join("train_masks.csv")).into_iter().find(|p| p.is_file()) else {
            return Ok(None);
        };
        let rows = submission::read(&path)?;
        let runs = rows.into_iter().filter_map(|row| Some(((row.subject?, row.image), row.pixels))).collect();
        Ok(Some(Self { path, runs }))
    }

    /// Runs of the picture `12_3`.
    pub fn runs(&self, id: &str) -> Option<&str> {
        let (subject, image) = id.split_once('_')?;
        self.runs.get(&(subject.parse().ok()?, image.parse().ok()?)).map(String::as_str)
    }

    /// What it says beside the masks that are there: `empty` tells of each picture whether the mask beside it is, if there is one.
    pub fn notes(&self, empty: &[(&str, Option<bool>)]) -> Vec<String> {
        let path = self.path.display();
        let known = empty.iter().filter(|(id, _)| self.runs(id).is_some()).count();
        let none = self.runs.values().filter(|runs| runs.is_empty()).count();
        let (rows, other) = (self.runs.len(), self.runs.len() - known);
        let mut notes =
            vec![format!("`{path}` has {rows} masks, {none} of them empty; {other} are of no picture here")];
        let beside = empty.iter().filter_map(|(id, empty)| Some((*id, (*empty)?)));
        let differs = |(id, empty): &(&str, bool)| self.runs(id).is_some_and(|runs| runs.is_empty() != *empty);
        let differing: Vec<_> = beside.filter(differs).collect();
        if let [(id, empty), rest @ ..] = &differing[..] {
            let (here, there) = if *empty { ("empty", "not") } else { ("not empty", "so") };
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more differ", rest.len()) };
            notes.push(format!("the mask of `{id}` is {here}, that in `{path}` is {there}{more}; the masks beside the pictures are used"));
        }
        notes
    }
}
