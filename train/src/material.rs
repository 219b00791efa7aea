//! From the names of data sets to what a run is trained on and judged by.

use std::sync::Arc;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::evaluate::dataset::{Dataset, Dropped, Entry, Fold, Split};

use crate::data::load;
use crate::settings::Settings;
use crate::teacher::Teacher;
use crate::trainer::Material;

/// Reads, divides and keeps in memory what the settings name; says on standard error what was left out.
///
/// # Errors
/// In one sentence, whatever is broken, missing, on both sides of the split, or empty.
pub fn read(settings: &Settings) -> anyhow::Result<Material> {
    let all = open(&settings.data)?;
    if all.classes.is_empty() {
        bail!(
            "cannot train on `{}`: expected masks with a class, found pictures without any; give some with `--data`",
            all.name
        );
    }
    all.check()?;
    if settings.data.len() > 1 && all.has_sides() {
        bail!(
            "cannot join `{}`: one of them has a split of its own, which says nothing of the others; give it alone, or pack it again without one",
            all.name
        );
    }
    let classes = all.classes.clone();
    let mut held = None;
    let mut rest = all;
    if settings.hold_out != "none" {
        let fold = divide(&rest, &settings.hold_out, 0).context("cannot hold out frames")?;
        (rest, held) = (fold.rest(&rest), Some(fold.validation));
    }
    let mut validation = None;
    let mut training = rest.clone();
    if settings.validate == "none" {
        trust(&mut training);
    } else {
        let fold = divide(&rest, &settings.validate, settings.fold).context("cannot choose frames to validate")?;
        (training, validation) = (fold.training, Some(fold.validation));
    }
    tell(&training.dropped);
    let mut teacher = Teacher::open(settings, &classes)?;
    if let Some(teacher) = teacher.as_mut().filter(|_| settings.out_of_fold) {
        // in the order of examples; what is extra follows them, and was learnt from by every teacher
        let own: Vec<&str> = training.entries.iter().map(|e| e.id.as_str()).collect();
        teacher.leave_out_who_knows(settings, &own, |validate, fold| {
            Ok(divide(&rest, validate, fold)?.validation.entries.into_iter().map(|e| e.id).collect())
        })?;
    }
    if !settings.extra.is_empty() {
        let mut extra = open(&settings.extra)?.aligned(&classes);
        trust(&mut extra);
        for apart in held.iter().chain(&validation) {
            extra.check_apart(apart)?;
        }
        training = Dataset::join(vec![(training, 1.0), (extra, 1.0)])?.aligned(&classes);
    }
    for (i, class) in classes.iter().enumerate() {
        for (part, set) in [("train on", Some(&training)), ("validate", validation.as_ref())] {
            if set.is_some_and(|set| !set.entries.iter().any(|e| e.may_show(i + 1))) {
                bail!(
                    "cannot train: expected frames that show `{}`, found none to {part}; divide otherwise",
                    class.name
                );
            }
        }
    }
    let despeckle: Despeckle = settings.despeckle.parse().map_err(|e| anyhow::anyhow!("{e}"))?;
    let train = Arc::new(load(&training, settings.size, &despeckle)?);
    let validate = validation.map_or(Ok(vec![]), |set| load(&set, settings.size, &despeckle))?;
    let names: Vec<&str> = classes.iter().map(|c| c.name.as_str()).collect();
    eprintln!("{} frames to train on, {} to validate; classes: {}", train.len(), validate.len(), names.join(", "));
    let before = &settings.data_sha256;
    let material = Material { classes, train, validate, teacher: teacher.map(Arc::new) };
    if !before.is_empty() && *before != sha256(&material) {
        bail!(
            "cannot go on: pictures, masks or their sides of the split are not those that the run was started with; put them back, or begin anew"
        );
    }
    Ok(material)
}

/// Of everything that is read, at the size of the network: another picture, mask, name or side gives another.
pub fn sha256(material: &Material) -> String {
    let mut sha = Sha256::new();
    for (side, examples) in [("train", &material.train[..]), ("validate", &material.validate)] {
        for example in examples {
            let labelled: Vec<u8> = example.labelled.iter().map(|&known| known.into()).collect();
            let parts = [side.as_bytes(), example.id.as_bytes(), &example.picture, &example.truth, &labelled];
            for part in parts {
                sha.update((part.len() as u64).to_le_bytes());
                sha.update(part);
            }
            sha.update(example.weight.to_le_bytes());
        }
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Leaves out the frames whose masks contradict those of near-copies.
fn trust(set: &mut Dataset) {
    let doubt = |e: &Entry| Some(Dropped { what: e.id.clone(), why: e.doubt()?.to_owned() });
    set.dropped.extend(set.entries.iter().filter_map(doubt));
    set.entries.retain(|e| e.doubt().is_none());
}

/// Several data sets as one, and what they note.
fn open(specs: &[String]) -> anyhow::Result<Dataset> {
    let set = Dataset::open_all(specs)?;
    if set.entries.iter().any(|e| e.is_part()) {
        // a part does not resemble its picture, so nothing would tell that it is of one that is held out
        bail!("cannot train on `{}`: `crops:` is for judging; give the pictures themselves", specs.join(" + "));
    }
    set.notes.iter().for_each(|note| eprintln!("{note}"));
    Ok(set)
}

/// One fold of the split that `text` names.
fn divide(set: &Dataset, text: &str, fold: usize) -> anyhow::Result<Fold> {
    if text == "stored" {
        let stored = set.stored_split();
        return Ok(stored.context("expected a packed file with a split in it, found none; name subjects instead")?.1);
    }
    if let Some((split, _)) = set.stored_split() {
        bail!("`{}` has a split of its own, {split}: take `stored`, or pack it again without one", set.name);
    }
    let split: Split = text.parse().map_err(anyhow::Error::msg)?;
    let folds = set.split(&split)?;
    let count = folds.len();
    folds.into_iter().nth(fold).with_context(|| format!("expected a fold of `{text}` below {count}, found {fold}"))
}

/// Names a few of what was left out, and how many there are.
fn tell(dropped: &[Dropped]) {
    for one in dropped.iter().take(8) {
        eprintln!("left out: {}: {}", one.what, one.why);
    }
    if dropped.len() > 8 {
        eprintln!("left out: {} more", dropped.len() - 8);
    }
}
