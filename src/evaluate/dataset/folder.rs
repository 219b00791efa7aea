//! A folder of pictures and masks: `S_I` beside `S_I_mask`, or `images/` and `masks/` with the same names.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::doubt::{Runs, doubts};
use super::likeness::Thumbnail;
use super::pack::shrunk;
use super::table::Table;
use super::{Dataset, DatasetError, Dropped, Entry, Labels, Place, Stored, gray, survey};
use crate::evaluate::{rle, submission};
use crate::mask::Mask;
use crate::segmentation::Class;
use crate::source::SourceError;
use crate::source::images::{decode, layout, named};

/// Files of a data set.
#[derive(Debug)]
pub(super) struct Folder {
    files: Vec<(PathBuf, Truth)>,
    /// Bits that 16-bit levels have at least, as [`crate::source::images`] has it.
    bits: u8,
}

/// Where the mask of a picture is.
#[derive(Debug)]
enum Truth {
    File(PathBuf),
    /// In the competition's run lengths, and at its size.
    Runs(String),
    /// The picture shows nothing.
    Nothing,
}

/// What is seen of one picture when all are read.
struct Seen {
    bits: u8,
    runs: Runs,
    thumbnail: Thumbnail,
}

impl Folder {
    /// Reads picture and mask.
    pub fn load(&self, index: usize) -> Result<Stored, DatasetError> {
        Ok(self.read(index)?.0)
    }

    /// The same, with the bits of 16-bit levels.
    fn read(&self, index: usize) -> Result<(Stored, Option<u8>), DatasetError> {
        let (path, mask) = &self.files[index];
        let picture = decode::only(path, self.bits)?;
        let (size, bits) = (picture.size, picture.bits);
        let truth = match mask {
            Truth::File(path) => {
                let mask = decode::mask(path)?;
                if mask.size != size {
                    return Err(DatasetError::MaskSize { path: path.clone(), expected: size, found: mask.size });
                }
                mask
            }
            Truth::Runs(runs) => {
                let mask = rle::decode(runs, submission::SIZE).expect("the table was checked when it was read");
                if mask.size == size { mask } else { shrunk(&mask, size) }
            }
            Truth::Nothing => Mask::empty(size),
        };
        Ok((Stored { size, gray: gray(picture), truth, spacing: None }, bits))
    }

    fn look(&self, index: usize) -> Result<Seen, DatasetError> {
        let (stored, bits) = self.read(index)?;
        let thumbnail = Thumbnail::new(&stored.gray, stored.size);
        Ok(Seen { bits: bits.unwrap_or(8), runs: Runs::new(&stored.truth), thumbnail })
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
        return Err(unfit(found, "give a folder of pictures with masks, a packed file, `empty:FOLDER` or `phantom:`"));
    }
    let dir = &layout::named(dir);
    let layout = layout::folder(dir).map_err(|error| match error {
        SourceError::Unknown { found, .. } => unfit(&format!("it is {found}"), "give a folder with pictures"),
        error => error.into(),
    })?;
    let (mut notes, mut dropped, mut files) = (layout.notes, Vec::new(), Vec::new());
    let mut table = None;
    if empty {
        if layout.masks.is_some() {
            return Err(unfit("it has masks", "leave `empty:` out, or take them away"));
        }
        files.extend(layout.pairs.into_iter().map(|(picture, _)| (picture, Truth::Nothing)));
    } else {
        if layout.pairs.iter().any(|(picture, _)| patient(&stem(picture)).is_some()) {
            table = Table::find(dir)?;
        }
        if layout.masks.is_none() && table.is_none() {
            let advice = format!("where no picture shows a class, write `empty:{}`", dir.display());
            return Err(unfit("it has no masks", &advice));
        }
        notes.extend(layout.masks);
        let (orphans, mut from_table) = (orphans(dir, &layout.pairs)?, 0);
        for (picture, mask) in layout.pairs {
            let runs = || table.as_ref()?.runs(&stem(&picture)).map(str::to_owned);
            match (mask, runs()) {
                (Some(mask), _) => files.push((picture, Truth::File(mask))),
                (None, Some(runs)) => {
                    from_table += 1;
                    files.push((picture, Truth::Runs(runs)));
                }
                (None, None) => {
                    dropped.push(Dropped { what: picture.display().to_string(), why: "it has no mask".into() });
                }
            }
        }
        dropped.extend(orphans);
        if from_table > 0 {
            notes.push(format!("{from_table} pictures have no mask file: theirs is that of `train_masks.csv`"));
        }
        if files.is_empty() {
            let advice = "call the mask of `NAME` `NAME_mask`, or put it into `masks/`";
            return Err(unfit("no mask has the name of a picture", advice));
        }
    }
    let ids: Vec<String> = files.iter().map(|(p, _)| stem(p)).collect();
    let mut once = HashSet::new();
    if let Some(twice) = ids.iter().find(|id| !once.insert(id.as_str())) {
        return Err(unfit(&format!("two pictures are called `{twice}`"), "keep one of them"));
    }
    let mut folder = Folder { files, bits: 8 };
    let seen = survey::all(folder.files.len(), |i| folder.look(i));
    let seen = seen.into_iter().collect::<Result<Vec<Seen>, _>>()?;
    folder.bits = seen.iter().map(|s| s.bits).max().unwrap_or(8);
    let areas: Vec<Vec<usize>> = seen.iter().map(|s| s.runs.areas()).collect();
    let most = areas.iter().map(Vec::len).max().unwrap_or(0);
    let classes = if empty { Vec::new() } else { classes(dir, most.max(1))? };
    if let Some(at) = areas.iter().position(|a| a.len() > classes.len()) {
        return Err(DatasetError::Label {
            name: ids[at].clone(),
            found: areas[at].len() as u8,
            expected: classes.len(),
        });
    }
    let pictures: Vec<_> = seen.iter().map(|s| (&s.thumbnail, &s.runs)).collect();
    let doubts = doubts(&ids, &pictures, classes.len());
    if let Some(table) = &table {
        let beside = |(i, (_, truth)): (usize, &(PathBuf, Truth))| {
            let own = matches!(truth, Truth::File(_)).then(|| areas[i].is_empty());
            (ids[i].as_str(), own)
        };
        notes.extend(table.notes(&folder.files.iter().enumerate().map(beside).collect::<Vec<_>>()));
    }
    let folder = Arc::new(folder);
    let labels = if empty { Labels::empty() } else { Labels::own(classes.len()) };
    let mut entries = Vec::new();
    for (i, ((id, seen), doubt)) in ids.into_iter().zip(seen).zip(doubts).enumerate() {
        entries.push(Entry {
            subject: patient(&id).unwrap_or_else(|| id.clone()),
            patient: patient(&id).is_some(),
            id,
            weight: 1.0,
            place: Place::Files(folder.clone(), i),
            labels: labels.clone(),
            shows: Some((0..classes.len()).map(|c| areas[i].get(c).is_some_and(|&a| a > 0)).collect()),
            thumbnail: Some(Arc::new(seen.thumbnail)),
            doubt: doubt.map(Arc::from),
            role: None,
            part: None,
        });
    }
    let mut set = Dataset { name: spec.to_owned(), classes, entries, dropped, notes, links: Vec::new(), split: None };
    set.link(0);
    set.name_groups();
    Ok(set)
}

/// The patient of `12_3`, the third picture of patient 12.
fn patient(id: &str) -> Option<String> {
    let (subject, image) = id.split_once('_')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(subject) && number(image)).then(|| subject.to_owned())
}

/// Masks beside the pictures that are those of none.
fn orphans(dir: &Path, pairs: &[(PathBuf, Option<PathBuf>)]) -> Result<Vec<Dropped>, DatasetError> {
    let Some(masks) = pairs.iter().find_map(|(_, mask)| mask.as_ref()?.parent().map(Path::to_owned)) else {
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

/// The classes that `classes.txt` names, one a line, or `most`, which is as many as the masks show.
fn classes(dir: &Path, most: usize) -> Result<Vec<Class>, DatasetError> {
    // `images/` means the folder around it.
    let around = dir.parent().filter(|_| dir.file_name().is_some_and(|name| name == "images"));
    let path = [Some(dir), around].into_iter().flatten().map(|d| d.join("classes.txt")).find(|p| p.exists());
    let path = path.unwrap_or_else(|| dir.join("classes.txt"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(named(most as u8)),
        Err(cause) => return Err(DatasetError::Io { path, cause }),
    };
    let text = text.trim_start_matches('\u{feff}');
    let names: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut once = HashSet::new();
    let found = if names.is_empty() {
        "it names no class".to_owned()
    } else if names.len() > 15 {
        format!("it names {} classes", names.len())
    } else if let Some(list) = names.iter().find(|n| n.contains(',')) {
        // A model says its classes with commas between them.
        format!("the name `{list}` has a comma")
    } else if let Some(twice) = names.iter().find(|n| !once.insert(n.to_lowercase())) {
        format!("it names `{twice}` twice")
    } else {
        let classes = named(names.len() as u8).into_iter().zip(names);
        return Ok(classes.map(|(class, name)| Class { name: name.to_owned(), ..class }).collect());
    };
    let advice = "write one name without commas a line, 15 at most, that of label 1 first".to_owned();
    Err(DatasetError::Unfit { name: path.display().to_string(), found, advice })
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
