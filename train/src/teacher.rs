//! Other models that say what each picture shows, to learn from beside its mask: one small network can learn what several large ones
//! have learnt.
//!
//! # References
//! Hinton et al., "Distilling the knowledge in a neural network", 2015.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rand::Rng;
use serde_json::Value;
use sonoplex::engine::{self, Builder, BuilderConfig, Engine, ExecutionContext, Network};
use sonoplex::segmentation::Class;

use crate::command::name_of;
use crate::data::{Batch, random};
use crate::network::Precision;
use crate::settings::Settings;

/// What a run is taught by beside masks.
pub struct Teacher {
    members: Vec<Member>,
    /// Of each example, the members that may be asked; all of them when there is no list.
    asked: Option<Arc<Vec<Vec<usize>>>>,
    weight: f32,
    seed: u64,
    /// SHA-256 of each file.
    pub sha256: Vec<String>,
}

struct Member {
    path: String,
    engine: Engine,
    /// What its run says of itself, of each run when it is several.
    runs: Vec<Value>,
    /// How many frames validated it.
    validated: Option<usize>,
}

/// Part of the truth that is the teacher's unless the settings say another.
const WEIGHT: f32 = 0.5;

impl Teacher {
    /// Opens the models that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// In one sentence: a model of another size, filter, classes or licence, one that may have learnt from what is held out, or another
    /// one than the run was started with.
    pub fn open(settings: &Settings, classes: &[Class]) -> anyhow::Result<Option<Self>> {
        let (mut members, mut sha256) = (vec![], vec![]);
        for path in &settings.teacher {
            let member = || -> anyhow::Result<(Member, String)> {
                // opened from what is hashed, whatever is written meanwhile
                let bytes = std::fs::read(path).context("expected the file of a model")?;
                let network = Network::from_onnx(&bytes)?;
                let runs = fits(settings, classes, Path::new(path), &network)?;
                let engine = engine(settings, classes, &network)?;
                let frames = network.metadata.get("training.frames");
                let validated = frames.and_then(|f| f.strip_suffix(" validated")?.rsplit(' ').next()?.parse().ok());
                Ok((Member { path: path.clone(), engine, runs, validated }, network.sha256))
            };
            let (member, hash) = member().with_context(|| format!("cannot learn from `{path}`"))?;
            members.push(member);
            sha256.push(hash);
        }
        let before = &settings.teacher_sha256;
        if let Some(at) = (0..before.len()).find(|&at| sha256.get(at) != Some(&before[at])) {
            bail!(
                "cannot go on: `{}` is another model than the run was started with, of SHA-256 {}; put that one back, or begin anew",
                settings.teacher[at],
                before[at]
            );
        }
        let weight = settings.teacher_weight.unwrap_or(WEIGHT);
        Ok((!members.is_empty()).then_some(Self { members, asked: None, weight, seed: settings.seed, sha256 }))
    }

    /// Lets each of the examples, which `own` names in their order, be taught only by members that have not learnt from it: those whose
    /// run was validated by it. `validated` says which frames a split and its fold keep. Examples after them are taught by their masks alone.
    ///
    /// # Errors
    /// In one sentence: a member that does not say by what it was validated, or was taught by others; or when nothing is left to teach.
    pub fn leave_out_who_knows(
        &mut self,
        settings: &Settings,
        own: &[&str],
        validated: impl Fn(&str, usize) -> anyhow::Result<HashSet<String>>,
    ) -> anyhow::Result<()> {
        let mut asked = vec![vec![]; own.len()];
        for (at, member) in self.members.iter().enumerate() {
            let kept = member
                .kept(settings, &validated)
                .with_context(|| format!("cannot learn from `{}` with `--out-of-fold`", member.path))?;
            asked.iter_mut().zip(own).filter(|(_, id)| kept.contains(**id)).for_each(|(to, _)| to.push(at));
        }
        let taught = asked.iter().filter(|who| !who.is_empty()).count();
        ensure!(
            taught > 0,
            "cannot learn with `--out-of-fold`: expected teachers that some of the {} frames validated, found that all of these were learnt \
             from or are held out; take those of other folds",
            own.len()
        );
        eprintln!("{taught} of {} frames are taught by who has not learnt from them", own.len());
        self.asked = Some(Arc::new(asked));
        Ok(())
    }

    /// One that is at work: for the thread that draws pictures.
    pub fn begin(&self) -> Lessons {
        let members = self.members.iter().map(|m| m.engine.context()).collect();
        Lessons { members, asked: self.asked.clone(), weight: self.weight, seed: self.seed }
    }
}

impl Member {
    /// The frames that its run was validated by.
    fn kept(
        &self,
        settings: &Settings,
        validated: impl Fn(&str, usize) -> anyhow::Result<HashSet<String>>,
    ) -> anyhow::Result<HashSet<String>> {
        let [run] = &self.runs[..] else {
            bail!("expected the model of one run, found one of {}; take those of its runs", self.runs.len());
        };
        ensure!(
            run["teacher"].is_null(),
            "others taught it, which may have learnt from the same; take one that masks alone have taught"
        );
        let data: Vec<String> = settings.data.iter().map(|d| name_of(d)).collect();
        ensure!(
            run["data"] == Value::from(data.clone()) && run["hold_out"] == *settings.hold_out,
            "expected a model of the same `--data` and `--hold-out`, {} and {}, found {} and {}: it was divided otherwise",
            data.join(" + "),
            settings.hold_out,
            run["data"],
            run["hold_out"]
        );
        let fold = run["fold"].as_u64().unwrap_or_default() as usize;
        let kept = match run["validate"].as_str() {
            None | Some("none") => HashSet::new(),
            Some(split) => validated(split, fold)?,
        };
        let count = self.validated.unwrap_or_default();
        ensure!(
            kept.len() == count,
            "expected the data that it learnt from, where {count} frames validated it, found {} for that: the data have changed since",
            kept.len()
        );
        Ok(kept)
    }
}

/// Whether its word can be taken: it speaks of the same, its terms are kept, and it has not seen what is held out. Returns what its runs
/// say of themselves.
fn fits(settings: &Settings, classes: &[Class], path: &Path, network: &Network) -> anyhow::Result<Vec<Value>> {
    let said = |key: &str| network.metadata.get(key).map(String::as_str);
    let names: Vec<&str> = classes.iter().map(|c| c.name.as_str()).collect();
    let (own, found) = (names.join(","), said("sonoplex.classes").unwrap_or("none"));
    ensure!(own == found, "expected a model with the classes of the data, {own}, found {found}");
    let license = said("sonoplex.license").unwrap_or_default();
    if !license.is_empty() && settings.license.as_deref() != Some(license) {
        bail!("what learns from it is bound by its licence: give `--license \"{license}\"`");
    }
    let named = said("sonoplex.attribution").unwrap_or_default();
    if !settings.attribution.as_ref().is_some_and(|own| own.contains(named)) && !named.is_empty() {
        bail!("what learns from it names whom it names: give an `--attribution` with \"{named}\" in it");
    }
    let told = said("training.settings").and_then(|text| serde_json::from_str::<Value>(text).ok());
    // of one run, or of each of several
    let runs = match told {
        Some(Value::Array(runs)) => runs,
        told => told.into_iter().collect(),
    };
    let hold_out = &settings.hold_out;
    ensure!(
        hold_out == "none" || !runs.is_empty(),
        "it does not say what it learnt from, so what `--hold-out {hold_out}` keeps back may be among it; take a model of `sonoplex train`"
    );
    let data: Vec<String> = settings.data.iter().map(|d| name_of(d)).collect();
    let own = Value::from(data.clone());
    let again = |run: &Value| {
        let mut extra = run["extra"].as_array().into_iter().flatten().filter_map(Value::as_str);
        extra.any(|extra| data.iter().any(|data| plain(data) == plain(extra)))
    };
    for run in &runs {
        let [held, filter] = ["hold_out", "despeckle"].map(|key| run[key].as_str().unwrap_or_default());
        ensure!(
            hold_out == "none" || (held == hold_out && run["data"] == own && !again(run)),
            "it may have learnt from what `--hold-out {hold_out}` keeps back of {}: it held out {held} of {}; take one that held out the same",
            data.join(" + "),
            run["data"]
        );
        ensure!(
            filter == settings.despeckle,
            "it was trained with `--despeckle {filter}`: give the same, found `{}`",
            settings.despeckle
        );
    }
    let same = |run: &Value| {
        run["validate"] == *settings.validate
            && run["fold"] == settings.fold
            && run["hold_out"] == *settings.hold_out
            && run["data"] == own
            && !again(run)
    };
    if settings.validate != "none" && (runs.is_empty() || !runs.iter().all(same)) {
        eprintln!(
            "`{}` may have learnt from the frames that validate, so what is found there flatters; `--validate none` trains on all of them",
            path.display()
        );
    }
    Ok(runs)
}

/// A data set without its weight.
fn plain(spec: &str) -> &str {
    spec.rsplit_once('*').map_or(spec, |(_, name)| name)
}

fn engine(settings: &Settings, classes: &[Class], network: &Network) -> anyhow::Result<Engine> {
    // one thread: the network that learns has the others
    let precision =
        if settings.precision == Precision::Mixed { engine::Precision::Bf16 } else { engine::Precision::Fp32 };
    let plan = Builder::new(BuilderConfig { threads: 1, precision, ..BuilderConfig::default() }).build(network)?;
    let engine = Engine::new(plan)?;
    let ([width, height], count) = (settings.size, classes.len());
    let wanted = [("logits", vec![1, count, height, width]), ("presence", vec![1, count])];
    let fits = matches!(engine.inputs(), [input] if input.name == "image" && input.shape == [1, 1, height, width])
        && engine.outputs().iter().all(|o| wanted.iter().any(|(name, shape)| *name == o.name && *shape == o.shape))
        && engine.outputs().iter().any(|o| o.name == "logits");
    ensure!(fits, "expected a model that `sonoplex train --size {width}x{height}` has made; train one of that size");
    Ok(engine)
}

/// Teachers at work.
pub struct Lessons {
    members: Vec<ExecutionContext>,
    asked: Option<Arc<Vec<Vec<usize>>>>,
    weight: f32,
    seed: u64,
}

impl Lessons {
    /// Moves the truth of the batch of a step towards what the members say of its pictures: of each picture one of them, drawn by
    /// chance among those that may be asked. Presence is left to the masks where a member has none; classes that a data set does not label stay so.
    ///
    /// # Errors
    /// When the engine fails, or a member says what is not a number.
    pub fn correct(&mut self, batch: &mut Batch, step: usize, [width, height]: [usize; 2]) -> anyhow::Result<()> {
        let (area, weight) = (width * height, self.weight);
        let count = batch.picture.len() / area;
        let all: Vec<usize> = (0..self.members.len()).collect();
        let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
        for (at, picture) in batch.picture.chunks_exact(area).enumerate() {
            let may = match &self.asked {
                None => &all[..],
                Some(asked) => asked.get(batch.examples[at]).map_or(&[][..], Vec::as_slice),
            };
            if may.is_empty() {
                continue;
            }
            let drawn = may[random([self.seed, 4, step as u64, at as u64]).random_range(0..may.len())];
            let member = &mut self.members[drawn];
            member.bind("image", &[1, 1, height, width], picture)?;
            member.enqueue()?;
            member.synchronize()?;
            let (maps, presence) = (member.output("logits")?, member.output("presence").unwrap_or_default());
            for (said, to) in [(maps, &mut batch.truth), (presence, &mut batch.present)] {
                ensure!(
                    said.iter().all(|v| v.is_finite()),
                    "teacher {} says what is not a number; leave it out",
                    drawn + 1
                );
                let each = to.len() / count;
                let to = to[at * each..(at + 1) * each].iter_mut();
                to.zip(said).for_each(|(to, said)| *to += weight * (sigmoid(*said) - *to));
            }
        }
        Ok(())
    }
}
