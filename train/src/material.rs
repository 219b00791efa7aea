//! From the names of data sets to what a run is trained on and judged by.

use std::sync::Arc;

use anyhow::{Context, bail};
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::evaluate::dataset::{Dataset, Dropped, Split};

use crate::data::load;
use crate::settings::Settings;
use crate::trainer::Material;

/// Reads, divides and keeps in memory what the settings name; says on standard error what was left out.
///
/// # Errors
/// In one sentence, whatever is broken, missing, on both sides of the split, or empty.
pub fn read(settings: &Settings) -> anyhow::Result<Material> {
    let all = open(&settings.data)?;
    all.check()?;
    let classes = all.classes.clone();
    let mut training = divide(all, &settings.hold_out, 0).context("cannot hold out frames")?.0;
    let mut validation = None;
    if settings.validate == "none" {
        for entry in &training.entries {
            training.dropped.extend(entry.doubt().map(|why| Dropped { what: entry.id.clone(), why: why.to_owned() }));
        }
        training.entries.retain(|e| e.doubt().is_none());
    } else {
        let (train, validate) =
            divide(training, &settings.validate, settings.fold).context("cannot choose frames to validate")?;
        (training, validation) = (train, Some(validate));
    }
    tell(&training.dropped);
    if !settings.extra.is_empty() {
        let extra = open(&settings.extra)?.aligned(&classes);
        if let Some(validation) = &validation {
            extra.check_apart(validation)?;
        }
        training = Dataset::join(vec![(training, 1.0), (extra, 1.0)])?.aligned(&classes);
    }
    for (i, class) in classes.iter().enumerate() {
        if !training.entries.iter().any(|e| e.may_show(i + 1)) {
            bail!("cannot train: expected frames that show `{}`, found none to train on; divide otherwise", class.name);
        }
    }
    let despeckle: Despeckle = settings.despeckle.parse().map_err(|e| anyhow::anyhow!("{e}"))?;
    let train = Arc::new(load(&training, settings.size, &despeckle)?);
    let validate = validation.map_or(Ok(vec![]), |set| load(&set, settings.size, &despeckle))?;
    let classes: Vec<String> = classes.into_iter().map(|c| c.name).collect();
    eprintln!("{} frames to train on, {} to validate; classes: {}", train.len(), validate.len(), classes.join(", "));
    Ok(Material { classes, train, validate })
}

/// Several data sets as one, and what they note.
fn open(specs: &[String]) -> anyhow::Result<Dataset> {
    let set = Dataset::open_all(specs)?;
    set.notes.iter().for_each(|note| eprintln!("{note}"));
    Ok(set)
}

/// The part that is trained on and the other one, as `text` says.
fn divide(set: Dataset, text: &str, fold: usize) -> anyhow::Result<(Dataset, Dataset)> {
    if text == "none" {
        let nothing = set.select(|_| false);
        return Ok((set, nothing));
    }
    let split: Split = text.parse().map_err(anyhow::Error::msg)?;
    let folds = set.split(&split)?;
    let count = folds.len();
    let Some(fold) = folds.into_iter().nth(fold) else {
        bail!("cannot take fold {fold} of `{text}`: expected a number below {count}");
    };
    Ok((fold.training, fold.validation))
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
