//! Computed pictures: the only ones whose truth is exact, and of which there are as many as are wanted.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Dataset, DatasetError, Entry, Labels, Place, Stored};
use crate::mask::Mask;
use crate::source::Source;
use crate::source::phantom::{Phantom, PhantomOptions};

/// Phantoms that are kept laid out: one for each thread that usually asks.
const KEPT: usize = 4;
/// The most pictures that one text may ask for.
const MOST: u64 = 1_000_000;

/// Phantoms that differ in their seed alone.
#[derive(Debug)]
pub(super) struct Phantoms {
    first: PhantomOptions,
    idle: Mutex<Vec<Phantom>>,
}

impl Phantoms {
    /// Draws picture `index`, counted through all seeds.
    pub fn load(&self, index: usize) -> Result<Stored, DatasetError> {
        let (seed, frame) = (index as u64 / self.first.frames, index as u64 % self.first.frames);
        let options = PhantomOptions { seed: self.first.seed + seed, ..self.first.clone() };
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut idle = idle();
            let at = idle.iter().position(|p| *p.options() == options);
            at.map(|at| idle.swap_remove(at))
        };
        let mut phantom = known.unwrap_or_else(|| Phantom::new(options));
        phantom.seek(frame)?;
        let drawn = phantom.next()?.expect("a frame below the number of frames");
        let mut idle = idle();
        if idle.len() >= KEPT {
            idle.remove(0);
        }
        idle.push(phantom);
        let truth = drawn.truth.map_or_else(|| Mask::empty(drawn.size), Arc::unwrap_or_clone);
        Ok(Stored { size: drawn.size, gray: drawn.pixels, truth, spacing: drawn.spacing })
    }
}

/// Opens `phantom:seed=7,frames=40`, or `phantom:seed=1-20,frames=4` for as many seeds, each a subject.
pub(super) fn open(spec: &str) -> Result<Dataset, DatasetError> {
    let (one, seeds) = seeds(spec);
    let options: PhantomOptions = one.parse()?;
    let last = seeds.unwrap_or(options.seed);
    let unfit =
        |found: String, advice: &str| DatasetError::Unfit { name: spec.to_owned(), found, advice: advice.into() };
    if last < options.seed {
        return Err(unfit(format!("seeds from {} to {last} are none", options.seed), "write the smaller one first"));
    }
    let count = (last - options.seed).saturating_add(1).saturating_mul(options.frames);
    if count > MOST {
        return Err(unfit(format!("it asks for {count} pictures"), "ask for a million at most"));
    }
    let classes = Phantom::new(options.clone()).info().truth.clone();
    let labels = Labels::own(classes.len());
    let shows: Vec<bool> = classes.iter().map(|c| options.nerve || c.name != "nerve").collect();
    let nerve = if options.nerve { "" } else { "-off" };
    let phantoms = Arc::new(Phantoms { first: options, idle: Mutex::default() });
    let entries = (0..count as usize).map(|i| {
        let (seed, frame) = (phantoms.first.seed + i as u64 / phantoms.first.frames, i as u64 % phantoms.first.frames);
        Entry {
            id: format!("phantom:{seed}{nerve}/{frame}"),
            subject: format!("phantom:{seed}"),
            weight: 1.0,
            place: Place::Phantom(phantoms.clone(), i),
            labels: labels.clone(),
            shows: Some(shows.clone()),
            patient: false,
            thumbnail: None,
            doubt: None,
            role: None,
            part: None,
        }
    });
    let entries = entries.collect();
    let notes = vec!["computed, not measured: no patient".to_owned()];
    Ok(Dataset { name: spec.to_owned(), classes, entries, dropped: Vec::new(), notes, links: Vec::new(), split: None })
}

/// The text with the first seed alone, and the last seed where it has a range of them.
fn seeds(spec: &str) -> (String, Option<u64>) {
    let mut last = None;
    let pairs: Vec<&str> = spec
        .split(',')
        .map(|pair| match pair.rsplit_once('-') {
            Some((first, end)) if first.trim_start_matches("phantom:").trim().starts_with("seed") => {
                last = end.trim().parse().ok();
                if last.is_some() { first } else { pair }
            }
            _ => pair,
        })
        .collect();
    (pairs.join(","), last)
}
