//! Training and validation, divided between subjects and never within one.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use super::super::chance::Chance;
use super::likeness::NEAR;
use super::{Dataset, DatasetError, Dropped, Entry};

/// How a data set is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// These subjects are for validation: `2,7,14`.
    Subjects(Vec<String>),
    /// Pictures whose number is a multiple of this one are for validation: `every:6`.
    Every(u64),
    /// So many folds of about the same size, each of which is once for validation: `folds:5`, `folds:5,seed=3`.
    Folds {
        /// Number of folds.
        count: usize,
        /// Chooses which subjects go together.
        seed: u64,
    },
}

/// One way of many to divide a data set.
#[derive(Clone, Debug)]
pub struct Fold {
    /// To train on. Its `dropped` names what contradicts its near-copies, and near-copies of validation pictures.
    pub training: Dataset,
    /// To judge by; nothing is dropped from it.
    pub validation: Dataset,
}

impl Fold {
    /// All of `whole` that is neither judged by nor a near-copy of it: what is trained on, and what training alone leaves out. Its
    /// `dropped` names the near-copies.
    pub fn rest(&self, whole: &Dataset) -> Dataset {
        let kept: HashSet<&str> = self.training.entries.iter().map(|e| e.id.as_str()).collect();
        let doubted =
            |e: &Entry| self.training.dropped.iter().any(|d| d.what == e.id && Some(d.why.as_str()) == e.doubt());
        let mut rest = whole.select(|e| kept.contains(e.id.as_str()) || doubted(e));
        let left: HashSet<&str> = rest.entries.iter().map(|e| e.id.as_str()).collect();
        let copies =
            self.training.dropped.iter().filter(|d| !left.contains(d.what.as_str()) && !whole.dropped.contains(d));
        let copies: Vec<Dropped> = copies.cloned().collect();
        rest.dropped.extend(copies);
        rest
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = "expected subjects (2,7,14), every:N (numbers that N divides) or folds:K, folds:K,seed=N";
        let bad = |_| format!("{advice}, found `{text}`");
        if let Some(number) = text.strip_prefix("every:") {
            let number = number.trim().parse().map_err(|_| bad(()))?;
            return if number > 1 { Ok(Self::Every(number)) } else { Err(bad(())) };
        }
        if let Some(rest) = text.strip_prefix("folds:") {
            let (count, seed) = rest.split_once(",seed=").unwrap_or((rest, "0"));
            let count = count.trim().parse().map_err(|_| bad(()))?;
            let seed = seed.trim().parse().map_err(|_| bad(()))?;
            return if count > 1 { Ok(Self::Folds { count, seed }) } else { Err(bad(())) };
        }
        let subjects: Vec<String> = text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
        if subjects.is_empty() { Err(bad(())) } else { Ok(Self::Subjects(subjects)) }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subjects(subjects) => f.write_str(&subjects.join(",")),
            Self::Every(number) => write!(f, "every:{number}"),
            Self::Folds { count, seed } => write!(f, "folds:{count},seed={seed}"),
        }
    }
}

impl Dataset {
    /// Divides it; one fold, or as many as were asked for.
    ///
    /// # Errors
    /// When a subject is not there, or would be on both sides, or one side would have no picture.
    pub fn split(&self, split: &Split) -> Result<Vec<Fold>, DatasetError> {
        match split {
            Split::Subjects(subjects) => Ok(vec![self.by_subjects(subjects)?]),
            Split::Every(number) => Ok(vec![self.by_number(*number)?]),
            Split::Folds { count, seed } => self.folds(*count, *seed),
        }
    }

    /// Refuses a pair of data sets in which the same is trained on and judged by: a picture, its near-copy, or a patient.
    ///
    /// # Errors
    /// The first that is found, by name.
    pub fn check_apart(&self, validation: &Self) -> Result<(), DatasetError> {
        let advice = "take it out of one of them";
        // Where data sets were joined patient 2 is `folder/2`.
        fn own(e: &Entry) -> (bool, &str) {
            let patient = e.subject.rsplit('/').next().filter(|_| e.patient);
            (e.patient, patient.unwrap_or(&e.subject))
        }
        for entry in validation.entries.iter().filter(|e| e.patient || e.computed()) {
            let twin = self.entries.iter().find(|t| own(t) == own(entry));
            if twin.is_some_and(|t| t.patient || t.computed()) {
                let found = format!("subject `{}` is in `{}` too", entry.subject, validation.name);
                return Err(self.refuse(found, advice));
            }
        }
        for entry in &validation.entries {
            if let Some((twin, correlation)) = self.near_copy(entry) {
                let found = format!(
                    "`{}` is a near-copy (correlation {correlation:.3}) of `{}` in `{}`",
                    twin.id, entry.id, validation.name
                );
                return Err(self.refuse(found, advice));
            }
        }
        Ok(())
    }

    fn by_subjects(&self, wanted: &[String]) -> Result<Fold, DatasetError> {
        let subjects: Vec<&str> = {
            let mut once = HashSet::new();
            self.entries.iter().map(|e| e.subject.as_str()).filter(|s| once.insert(*s)).collect()
        };
        let mut chosen = HashSet::new();
        for name in wanted {
            let inner = format!("/{name}");
            let fits: Vec<&str> = match subjects.iter().find(|s| *s == name) {
                Some(exact) => vec![*exact],
                None => subjects.iter().copied().filter(|s| s.ends_with(&inner)).collect(),
            };
            match fits[..] {
                [one] => chosen.insert(one),
                [] => {
                    let shown = subjects.iter().take(8).copied().collect::<Vec<_>>().join(", ");
                    let more = if subjects.len() > 8 { ", …" } else { "" };
                    if let Some(entry) = self.entries.iter().find(|e| e.id == *name) {
                        let found = format!("`{name}` is a picture of subject `{}`", entry.subject);
                        return Err(self.refuse(found, "give the subject"));
                    }
                    let found = format!("there is no subject `{name}` among its {} ({shown}{more})", subjects.len());
                    return Err(self.refuse(found, "give subjects that it has"));
                }
                [a, b, ..] => {
                    let found = format!("subject `{name}` may be `{a}` or `{b}`");
                    return Err(self.refuse(found, "write the whole name"));
                }
            };
        }
        for group in self.groups() {
            let (inside, outside): (Vec<&String>, Vec<&String>) =
                group.subjects.iter().partition(|s| chosen.contains(s.as_str()));
            if let ([inside, ..], [outside, ..]) = (&inside[..], &outside[..]) {
                let found = format!("subject `{inside}` without `{outside}` would be in two folds: {}", group.why);
                return Err(self.refuse(found, &format!("give `{outside}` too, or neither")));
            }
        }
        self.fold(&|e| chosen.contains(e.subject.as_str()), Vec::new())
    }

    fn by_number(&self, number: u64) -> Result<Fold, DatasetError> {
        let judged = |e: &Entry| self::number(e).is_some_and(|n| n.checked_rem(number) == Some(0));
        let groups = self.groups();
        let numbered = (0..).zip(&groups).flat_map(|(n, g)| g.subjects.iter().map(move |s| (s.as_str(), n)));
        let group: HashMap<&str, usize> = numbered.collect();
        let mut first: HashMap<usize, &Entry> = HashMap::new();
        for entry in self.entries.iter().filter(|e| judged(e)) {
            first.entry(group[entry.subject.as_str()]).or_insert(entry);
        }
        let mut copies = Vec::new();
        for entry in self.entries.iter().filter(|e| !judged(e)) {
            let of = group[entry.subject.as_str()];
            let Some(other) = first.get(&of) else { continue };
            if entry.patient && other.patient {
                let found = format!("`{}` and `{}` are of the same patient or of twins", entry.id, other.id);
                return Err(self.refuse(found, "give the subjects that are for validation"));
            }
            let why = format!("{}, and `{}` is for validation", groups[of].why, other.id);
            copies.push(Dropped { what: entry.id.clone(), why });
        }
        self.fold(&judged, copies)
    }

    fn folds(&self, count: usize, seed: u64) -> Result<Vec<Fold>, DatasetError> {
        let mut groups = self.groups();
        if count < 2 {
            return Err(self.refuse(format!("{count} folds divide nothing"), "ask for two at least"));
        }
        if groups.len() < count {
            let found = format!("it has {} groups of subjects for {count} folds", groups.len());
            return Err(self.refuse(found, "ask for fewer folds"));
        }
        // Every order has the same chance (Fisher and Yates), then the largest first, each to the fold that has least.
        let mut chance = Chance(seed);
        for i in (1..groups.len()).rev() {
            groups.swap(i, (chance.bits() % (i as u64 + 1)) as usize);
        }
        groups.sort_by_key(|g| std::cmp::Reverse(g.pictures));
        let mut folds: Vec<(usize, HashSet<String>)> = vec![(0, HashSet::new()); count];
        for group in groups {
            let least = folds.iter_mut().min_by_key(|f| f.0).expect("two folds at least");
            least.0 += group.pictures;
            least.1.extend(group.subjects);
        }
        folds.iter().map(|(_, subjects)| self.fold(&|e| subjects.contains(&e.subject), Vec::new())).collect()
    }

    /// `judged` for validation; of the rest, what is not in `copies` and not in doubt for training.
    fn fold(&self, judged: &dyn Fn(&Entry) -> bool, copies: Vec<Dropped>) -> Result<Fold, DatasetError> {
        let validation = Self { dropped: Vec::new(), ..self.select(judged) };
        let mut training = self.select(|e| !judged(e));
        let out: HashSet<String> = copies.iter().map(|d| d.what.clone()).collect();
        training.dropped.extend(copies);
        training.entries.retain(|entry| {
            if let Some(doubt) = entry.doubt().filter(|_| !out.contains(&entry.id)) {
                training.dropped.push(Dropped { what: entry.id.clone(), why: doubt.to_owned() });
                return false;
            }
            !out.contains(&entry.id)
        });
        for (side, set) in [("training", &training), ("validation", &validation)] {
            if set.entries.is_empty() {
                return Err(self.refuse(format!("no picture is left for {side}"), "divide it otherwise"));
            }
        }
        Ok(Fold { training, validation })
    }

    /// The first picture that is a near-copy of `entry`, and how much it resembles it.
    fn near_copy(&self, entry: &Entry) -> Option<(&Entry, f32)> {
        let own = entry.thumbnail.as_deref()?;
        self.entries.iter().find_map(|e| Some((e, own.above(e.thumbnail.as_deref()?, NEAR)?)))
    }

    fn refuse(&self, found: String, advice: &str) -> DatasetError {
        DatasetError::Split { name: self.name.clone(), found, advice: advice.to_owned() }
    }
}

/// The last number in a name: 42 of `0042`, of `scan_42` and of `scan_42_left`; nothing for what is computed.
fn number(entry: &Entry) -> Option<u64> {
    if entry.computed() {
        return None;
    }
    let digits = entry.id.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok()
}
