//! A folder of pictures and masks: `S_I` beside `S_I_mask`, or `images/` and `masks/` with the same names.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Dataset, DatasetError, Dropped, Entry, Labels, Place, Stored, gray, survey};
use crate::mask::Mask;
use crate::segmentation::Class;
use crate::source::images::{decode, layout, named};

/// Files of a data set.
#[derive(Debug)]
pub(super) struct Folder {
    /// Picture and mask; none where the pictures show nothing.
    files: Vec<(PathBuf, Option<PathBuf>)>,
    /// Bits that 16-bit levels have at least, as [`crate::source::images`] has it.
    bits: u8,
}

/// What is seen of one picture when all are read.
struct Seen {
    bits: u8,
    /// Pixels of label 1, 2, ….
    areas: Vec<usize>,
}

impl Folder {
    /// Reads picture and mask.
    pub fn load(&self, index: usize) -> Result<Stored, DatasetError> {
        let (path, mask) = &self.files[index];
        let picture = decode::picture_of(path, &decode::read(path)?, self.bits)?;
        let size = picture.size;
        let truth = match mask {
            Some(path) => {
                let mask = decode::mask(path)?;
                if mask.size != size {
                    return Err(DatasetError::MaskSize { path: path.clone(), expected: size, found: mask.size });
                }
                mask
            }
            None => Mask::empty(size),
        };
        Ok(Stored { size, gray: gray(picture), truth, spacing: None })
    }

    fn look(&self, index: usize) -> Result<Seen, DatasetError> {
        let path = &self.files[index].0;
        let bits = decode::picture(path)?.bits.unwrap_or(8);
        let stored = self.load(index)?;
        let mut areas = Vec::new();
        for &label in stored.truth.labels.iter().filter(|&&l| l > 0) {
            if areas.len() < usize::from(label) {
                areas.resize(usize::from(label), 0);
            }
            areas[usize::from(label) - 1] += 1;
        }
        Ok(Seen { bits, areas })
    }
}

/// Opens the folder `dir`; with `empty` its pictures show none of the classes, and need no masks.
pub(super) fn open(spec: &str, dir: &Path, empty: bool) -> Result<Dataset, DatasetError> {
    let unfit = |found: &str, advice: &str| DatasetError::Unfit {
        name: spec.to_owned(),
        found: found.to_owned(),
        advice: advice.to_owned(),
    };
    if !dir.is_dir() {
        let found = if dir.exists() { "it is no folder" } else { "there is no such folder" };
        return Err(unfit(found, "give a folder of pictures with masks, `empty:FOLDER` or `phantom:`"));
    }
    let mut layout = layout::folder(dir)?;
    let mut notes = std::mem::take(&mut layout.notes);
    let mut dropped = Vec::new();
    if empty {
        if layout.masks.is_some() {
            return Err(unfit("it has masks", "leave `empty:` out, or take them away"));
        }
    } else {
        let Some(how) = layout.masks.take() else {
            return Err(unfit(
                "it has no masks",
                &format!("where no picture shows a class, write `empty:{}`", dir.display()),
            ));
        };
        notes.push(how);
        layout.pairs.retain(|(picture, mask)| {
            if mask.is_none() {
                dropped.push(Dropped { what: picture.display().to_string(), why: "it has no mask".into() });
            }
            mask.is_some()
        });
        dropped.extend(orphans(dir, &layout.pairs)?);
        if layout.pairs.is_empty() {
            return Err(unfit(
                "no mask has the name of a picture",
                "call the mask of `NAME` `NAME_mask`, or put it into `masks/`",
            ));
        }
    }
    let ids: Vec<String> = layout.pairs.iter().map(|(p, _)| stem(p)).collect();
    let mut once = HashSet::new();
    if let Some(twice) = ids.iter().find(|id| !once.insert(id.as_str())) {
        return Err(unfit(&format!("two pictures are called `{twice}`"), "keep one of them"));
    }
    let mut folder = Folder { files: layout.pairs, bits: 8 };
    let seen = survey::all(folder.files.len(), |i| folder.look(i))?;
    folder.bits = seen.iter().map(|s| s.bits).max().unwrap_or(8);
    let classes = if empty { Vec::new() } else { classes(dir, &seen)? };
    if let Some((id, s)) = ids.iter().zip(&seen).find(|(_, s)| s.areas.len() > classes.len()) {
        return Err(DatasetError::Label { name: id.clone(), found: s.areas.len() as u8, expected: classes.len() });
    }
    let patients: Option<Vec<String>> = ids.iter().map(|id| patient(id)).collect();
    let folder = Arc::new(folder);
    let labels = if empty { Labels::empty() } else { Labels::own(classes.len()) };
    let entries = ids.into_iter().zip(&seen).enumerate().map(|(i, (id, seen))| Entry {
        subject: patients.as_ref().map_or_else(|| id.clone(), |p| p[i].clone()),
        id,
        weight: 1.0,
        place: Place::Files(folder.clone(), i),
        labels: labels.clone(),
        shows: Some((0..classes.len()).map(|c| seen.areas.get(c).is_some_and(|&a| a > 0)).collect()),
    });
    let entries = entries.collect();
    Ok(Dataset { name: spec.to_owned(), classes, entries, dropped, notes })
}

/// The patient of `12_3`, the third picture of patient 12.
fn patient(id: &str) -> Option<String> {
    let (subject, image) = id.split_once('_')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(subject) && number(image)).then(|| subject.to_owned())
}

/// Masks beside the pictures that are those of none.
fn orphans(dir: &Path, pairs: &[(PathBuf, Option<PathBuf>)]) -> Result<Vec<Dropped>, DatasetError> {
    let Some(masks) = pairs.first().and_then(|(_, mask)| mask.as_ref()?.parent().map(Path::to_owned)) else {
        return Ok(Vec::new());
    };
    if masks == dir {
        return Ok(Vec::new());
    }
    let used: HashSet<&Path> = pairs.iter().filter_map(|(_, mask)| mask.as_deref()).collect();
    let io = |cause| DatasetError::Io { path: masks.clone(), cause };
    let mut found = Vec::new();
    for entry in fs::read_dir(&masks).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if !hidden && layout::is_picture(&path) && !used.contains(path.as_path()) {
            found.push(Dropped { what: path.display().to_string(), why: "it is the mask of no picture".into() });
        }
    }
    found.sort_by(|a, b| a.what.cmp(&b.what));
    Ok(found)
}

/// The classes that `classes.txt` names, one a line, or as many as the masks show.
fn classes(dir: &Path, seen: &[Seen]) -> Result<Vec<Class>, DatasetError> {
    let most = seen.iter().map(|s| s.areas.len()).max().unwrap_or(0).max(1);
    let path = dir.join("classes.txt");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(named(most as u8)),
        Err(cause) => return Err(DatasetError::Io { path, cause }),
    };
    let names: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut once = HashSet::new();
    let found = if names.is_empty() {
        "it names no class".to_owned()
    } else if names.len() > 15 {
        format!("it names {} classes", names.len())
    } else if let Some(twice) = names.iter().find(|n| !once.insert(n.to_lowercase())) {
        format!("it names `{twice}` twice")
    } else {
        let classes = named(names.len() as u8).into_iter().zip(names);
        return Ok(classes.map(|(class, name)| Class { name: name.to_owned(), ..class }).collect());
    };
    let advice = "write one name a line, 15 at most, that of label 1 first".to_owned();
    Err(DatasetError::Unfit { name: path.display().to_string(), found, advice })
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
