//! Pictures with the truth about them, from whatever they lie in.
//!
//! A data set is read through once when it is opened: a broken picture or a mask of another size is refused by name then,
//! and not in the middle of a training.

mod crops;
mod doubt;
mod error;
mod folder;
mod groups;
mod join;
mod likeness;
mod pack;
mod packed;
mod phantom;
mod split;
mod survey;
mod table;

use std::path::Path;
use std::sync::Arc;

use crate::backend::cpu::crop::crop;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Rect, Size, Spacing};
use crate::mask::Mask;
use crate::segmentation::Class;
use crate::source::images::decode;

pub use error::DatasetError;
pub use groups::{Group, Link};
pub use likeness::NEAR;
pub use pack::shrunk;
pub use split::{Fold, Split};

use folder::Folder;
use likeness::Thumbnail;
use pack::{Pack, Role};
use phantom::Phantoms;

/// Pictures in a fixed order, and the classes that their masks show.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What was asked for: a path, `phantom:seed=1`, `empty:FOLDER`.
    pub name: String,
    /// Label 1 of a truth mask is `classes[0]`; none where a data set has only pictures without any of them.
    pub classes: Vec<Class>,
    /// One for each picture.
    pub entries: Vec<Entry>,
    /// What was left out, each with its reason.
    pub dropped: Vec<Dropped>,
    /// What was assumed, one sentence each.
    pub notes: Vec<String>,
    /// What ties subjects together.
    links: Vec<Link>,
    /// How it was split when it was packed, where it was.
    split: Option<String>,
}

/// One picture of a data set.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Unique within the data set: `12_3`, `0042`.
    pub id: String,
    /// What may not be divided by a split: the patient where known, else the first of a group of near-duplicates.
    pub subject: String,
    /// How often it is drawn in training, against one of weight 1.
    pub weight: f32,
    place: Place,
    labels: Arc<Labels>,
    /// Whether it shows a class, for each class of the data set; nothing where that is known only once it is drawn.
    shows: Option<Vec<bool>>,
    /// Whether the subject is a patient that the data set names.
    patient: bool,
    /// What it looks like; nothing where it is computed.
    thumbnail: Option<Arc<Thumbnail>>,
    /// Why its mask is not to be trusted.
    doubt: Option<Arc<str>>,
    /// Its side of a split that was made when it was packed.
    role: Option<Role>,
    /// The part of the picture that is taken; all of it unless said.
    part: Option<Rect>,
}

/// What was left out of a data set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dropped {
    /// A picture or a file.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A picture and the truth about it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Grey, and named after the entry.
    pub picture: Frame,
    /// The class of every pixel of the picture: 0, or one more than the place in [`Dataset::classes`].
    pub truth: Mask,
    /// For each class, whether the data set says where it is: one that it does not label is left out of loss and scores.
    pub labelled: Vec<bool>,
    /// Pixel spacing, where known.
    pub spacing: Option<Spacing>,
}

/// Where picture and mask lie.
#[derive(Clone, Debug)]
enum Place {
    Files(Arc<Folder>, usize),
    Phantom(Arc<Phantoms>, usize),
    Packed(Arc<Pack>, usize),
}

/// What the labels of a mask as it is stored mean in the data set.
#[derive(Clone, Debug)]
struct Labels {
    /// The class of every stored label, background first.
    map: Vec<u8>,
    /// For each class of the data set.
    labelled: Vec<bool>,
    /// The pictures show none of whatever class there is.
    empty: bool,
}

impl Labels {
    /// Stored labels that are those of the data set.
    fn own(classes: usize) -> Arc<Self> {
        Arc::new(Self { map: (0..=classes as u8).collect(), labelled: vec![true; classes], empty: false })
    }

    /// Of pictures without any class.
    fn empty() -> Arc<Self> {
        Arc::new(Self { map: vec![0], labelled: Vec::new(), empty: true })
    }
}

impl Dataset {
    /// Opens a folder of pictures with masks, a file that `sonoplex prepare` wrote, `phantom:…`, `empty:FOLDER`, whose pictures
    /// show none of the classes, or `crops:DATASET`, the parts of its pictures without the first class.
    ///
    /// # Errors
    /// One sentence for whatever cannot be read, or is not what it seems to be.
    pub fn open(spec: &str) -> Result<Self, DatasetError> {
        if spec == "phantom" || spec.starts_with("phantom:") {
            return phantom::open(spec);
        }
        if let Some(dir) = spec.strip_prefix("empty:") {
            return folder::open(spec, Path::new(dir), true);
        }
        if let Some(inner) = spec.strip_prefix("crops:") {
            return crops::open(spec, inner);
        }
        if Path::new(spec).is_file() {
            return packed::open(spec, Path::new(spec));
        }
        folder::open(spec, Path::new(spec), false)
    }

    /// Opens several as one; each may have a weight in front, as in `0.5*phantom:seed=1-20`.
    ///
    /// # Errors
    /// As [`Dataset::open`] and [`Dataset::join`].
    pub fn open_all(specs: &[String]) -> Result<Self, DatasetError> {
        let open = |spec: &String| {
            let weighted = spec.split_once('*').and_then(|(w, rest)| Some((w.trim().parse().ok()?, rest)));
            let (weight, rest) = weighted.filter(|_| !Path::new(spec).exists()).unwrap_or((1.0, spec.as_str()));
            Ok((Self::open(rest)?, weight))
        };
        Self::join(specs.iter().map(open).collect::<Result<_, DatasetError>>()?)
    }

    /// Reads a picture and its truth; many threads may ask at once.
    ///
    /// # Errors
    /// When a file has changed since the data set was opened, and cannot be read any more.
    ///
    /// # Panics
    /// When there is no entry of that index.
    pub fn load(&self, index: usize) -> Result<Sample, DatasetError> {
        let entry = &self.entries[index];
        let stored = match &entry.place {
            Place::Files(folder, index) => folder.load(*index)?,
            Place::Phantom(phantoms, index) => phantoms.load(*index)?,
            Place::Packed(pack, index) => pack.load(*index)?,
        };
        let mut truth = stored.truth;
        for label in &mut truth.labels {
            let map = &entry.labels.map;
            *label = *map.get(usize::from(*label)).ok_or_else(|| DatasetError::Label {
                name: entry.id.clone(),
                found: *label,
                expected: map.len() - 1,
            })?;
        }
        let (mut size, mut gray) = (stored.size, stored.gray);
        if let Some(part) = entry.part {
            let cut = |plane: &[u8]| {
                let mut out = vec![0; part.size().area()];
                crop(plane, (size, PixelFormat::Gray8), part, &[], &mut out);
                out
            };
            (gray, truth) = (cut(&gray), Mask { size: part.size(), labels: cut(&truth.labels) });
            size = part.size();
        }
        let mut picture = Frame::new(index as u64, size, PixelFormat::Gray8, gray);
        picture.name.clone_from(&entry.id);
        picture.spacing = stored.spacing;
        Ok(Sample { picture, truth, labelled: entry.labels.labelled.clone(), spacing: stored.spacing })
    }

    /// The entries that are wanted, in their order.
    pub fn select(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self { entries: self.entries.iter().filter(|e| keep(e)).cloned().collect(), ..self.clone() }
    }
}

impl Dataset {
    /// Refuses what no network can be trained on.
    ///
    /// # Errors
    /// When there is no picture, or a class that no picture shows.
    pub fn check(&self) -> Result<(), DatasetError> {
        let unfit = |found: String, advice: &str| DatasetError::Unfit {
            name: self.name.clone(),
            found,
            advice: advice.to_owned(),
        };
        if self.entries.is_empty() {
            return Err(unfit("it has no picture".into(), "give more"));
        }
        for (number, class) in (1..).zip(&self.classes) {
            if !self.entries.iter().any(|e| e.may_show(number)) {
                let found = format!("none of its {} pictures shows the class `{}`", self.entries.len(), class.name);
                return Err(unfit(
                    found,
                    "mend the masks, name the classes in `classes.txt`, or join a data set that shows it",
                ));
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Whether it is only a part of its picture.
    pub fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// Whether it was computed: then its seed is its subject wherever it lies.
    fn computed(&self) -> bool {
        self.subject.starts_with("phantom:")
    }

    /// Why its mask is not to be trusted: a near-identical picture has one that contradicts it.
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Whether class `class` (from 1) may be seen in it.
    pub fn may_show(&self, class: usize) -> bool {
        self.shows.as_ref().is_none_or(|shows| class.checked_sub(1).and_then(|c| shows.get(c)) == Some(&true))
    }
}

/// A picture and its mask as they are stored.
struct Stored {
    size: Size,
    gray: Vec<u8>,
    truth: Mask,
    spacing: Option<Spacing>,
}

/// The grey levels of a decoded picture.
fn gray(picture: decode::Picture) -> Vec<u8> {
    let frame = Frame::new(0, picture.size, picture.format, picture.pixels);
    match frame.format {
        PixelFormat::Gray8 => frame.pixels,
        _ => {
            let mut gray = vec![0; frame.size.area()];
            frame.write_gray(&mut gray);
            gray
        }
    }
}
