//! Nerve-free parts of pictures with a nerve: the same scanner, the same patient, and nothing to find.
//!
//! Frames of another anatomy or another scanner are told apart by what has nothing to do with nerves; these are not.

use super::{Dataset, DatasetError, Dropped, Sample, survey};
use crate::geometry::{Rect, Size};

/// Opens `crops:DATASET`: of each picture, the part beside, above or below its first class.
pub(super) fn open(spec: &str, inner: &str) -> Result<Dataset, DatasetError> {
    let mut set = Dataset::open(inner)?;
    let looked = survey::all(set.entries.len(), |index| -> Result<_, DatasetError> {
        let sample = set.load(index)?;
        let part = free(&sample);
        let seen = |class: u8| {
            let Rect { x, y, width, height } = part.unwrap_or_default();
            let rows = (y..y + height).map(|row| (row * sample.truth.size.width + x) as usize);
            rows.into_iter().any(|at| sample.truth.labels[at..at + width as usize].contains(&class))
        };
        Ok((part, (1..=set.classes.len() as u8).map(seen).collect::<Vec<bool>>()))
    });
    let looked = looked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut entries = Vec::new();
    for (mut entry, (part, shows)) in set.entries.drain(..).zip(looked) {
        if part.is_none() {
            let why = "no part of a quarter of its sides is free of the first class".to_owned();
            set.dropped.push(Dropped { what: entry.id, why });
            continue;
        }
        (entry.part, entry.shows, entry.thumbnail, entry.doubt) = (part, Some(shows), None, None);
        entries.push(entry);
    }
    set.entries = entries;
    spec.clone_into(&mut set.name);
    set.notes.push("parts of pictures that are free of their first class: for judging, not for training".into());
    Ok(set)
}

/// The largest part without class 1 that is as wide or as high as the picture: the one that holds most light, so that it is
/// not the black border; nothing where none has a quarter of both sides.
fn free(sample: &Sample) -> Option<Rect> {
    let Size { width, height } = sample.truth.size;
    let at = |i: usize| [i as u32 % width, i as u32 / width];
    let found = sample.truth.labels.iter().enumerate().filter(|(_, l)| **l == 1).map(|(i, _)| at(i));
    let (low, high) = found.fold(([width, height], [0, 0]), |(low, high), [x, y]| {
        ([low[0].min(x), low[1].min(y)], [high[0].max(x + 1), high[1].max(y + 1)])
    });
    if high == [0, 0] {
        return Some(sample.truth.size.full());
    }
    let parts = [
        Rect { x: 0, y: 0, width: low[0], height },
        Rect { x: high[0], y: 0, width: width - high[0], height },
        Rect { x: 0, y: 0, width, height: low[1] },
        Rect { x: 0, y: high[1], width, height: height - high[1] },
    ];
    let light = |r: &Rect| {
        let rows = (r.y..r.y + r.height).map(|row| (row * width + r.x) as usize);
        rows.map(|at| sample.picture.pixels[at..at + r.width as usize].iter().map(|v| u64::from(*v)).sum::<u64>())
            .sum::<u64>()
    };
    parts.into_iter().filter(|r| r.width * 4 >= width && r.height * 4 >= height).max_by_key(light)
}
