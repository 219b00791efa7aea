//! `sonoplex evaluate`: how good a model is on data sets whose truth is known, and what its numbers hide.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sonoplex::evaluate::dataset::{Dataset, Split};
use sonoplex::evaluate::report::{Report, TunedPart};
use sonoplex::evaluate::run::{Judged, Run};
use sonoplex::evaluate::sweep::Setting;
use sonoplex::evaluate::tune::{self, Part};
use sonoplex::evaluate::{EvaluateError, assemble, page, table};
use sonoplex::segmentation::Class;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};

use super::args::SegmenterArgs;

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// ONNX model or plan, or built-in:nerve-vessel.
    #[arg(required_unless_present = "explain", value_name = "MODEL")]
    judged: Option<PathBuf>,
    /// Folders of pictures with masks, packed data sets, phantom:…, empty:FOLDER of pictures without any class, or crops:DATASET of
    /// what is free of the first class.
    #[arg(required_unless_present = "explain", value_name = "DATASET")]
    datasets: Vec<String>,
    /// Judge on these subjects or frames alone: names with commas between them, @FILE with a name a line, every:N, or
    /// validation, which is what a packed file keeps for it.
    #[arg(long, value_name = "LIST")]
    only: Option<String>,
    /// Leave these subjects or frames out.
    #[arg(long, value_name = "LIST")]
    except: Option<String>,
    /// Choose threshold and smallest region on these subjects (2,7,14), on every:N, or on the first of folds:K, and judge
    /// on the others.
    #[arg(long, value_name = "SPLIT", conflicts_with = "threshold")]
    tune: Option<Split>,
    /// Write the report as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots and the best, median and worst frames.
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,
    /// Define every number of the report, and stop.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    segmenter: SegmenterArgs,
}

pub fn main(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    if args.explain {
        return super::explain::evaluate();
    }
    if args.segmenter.model.is_some() {
        bail!(
            "cannot judge two models at once: expected the model before the data sets, found --model too; leave it out"
        );
    }
    let model = args.judged.clone().unwrap_or_default();
    for spec in args.datasets.iter().map(String::as_str).chain(model.to_str()) {
        let read = super::targets::read_by(spec);
        super::targets::check_files(read, &[("--json", args.json.as_deref()), ("--report", args.report.as_deref())])?;
    }
    let mut config = super::run::segmenter_config(&args.segmenter)?;
    config.model = model;
    // The model first: it is read faster than a data set.
    let classes = Segmenter::open(&config)?.classes().to_vec();
    let dataset = dataset(args, &config, &classes)?;

    let (dataset, tuned) = match &args.tune {
        Some(split) => {
            let (tuning, judged) = tune::sides(&dataset, split)?;
            (judged, Some(tune(&config, &tuning, &classes)?))
        }
        None => (dataset, None),
    };
    let settings = tuned.as_ref().map(|(_, settings)| settings.as_slice());
    let advice = "give data with masks, and leave frames over with --only and --except";
    let bar = progress(dataset.entries.len());
    let told = || bar.inc(1);
    let run = Run { config: &config, settings, dataset: &dataset, areas: tuned.is_some(), progress: &told };
    let start = Instant::now();
    let judged = judge(&run, "to judge on", advice)?;
    let time = start.elapsed();
    bar.finish_and_clear();
    let tuned = tuned.as_ref().map(|(tuning, _)| beside(tuning, &judged, &classes));
    let report = assemble::report((&judged, time), &dataset, &config, tuned);
    for skipped in &report.dataset.skipped {
        super::say(format_args!("sonoplex: left out `{}`: {}", skipped.what, skipped.why));
    }
    write(args, &report, &run, &judged)?;
    Ok(if report.dataset.skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(args: &EvaluateArgs, report: &Report, run: &Run, judged: &Judged) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        super::write_json(path, report)?;
    }
    // The table would spoil what else is written there.
    if ![&args.json, &args.report].iter().any(|path| path.as_deref() == Some(Path::new("-"))) {
        super::write_text(Path::new("-"), &table::table(report))?;
    }
    if let Some(path) = &args.report {
        super::write_text(path, &page::html(report, &page::pictures::draw(run, judged)?))?;
    }
    Ok(())
}

/// The data sets as one, in the classes of the model.
fn dataset(args: &EvaluateArgs, config: &SegmenterConfig, classes: &[Class]) -> anyhow::Result<Dataset> {
    let mut all = Dataset::open_all(&args.datasets)?;
    let names = |classes: &[Class]| classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    let has = |list: &[Class], class: &Class| list.iter().any(|c| c.name.eq_ignore_ascii_case(&class.name));
    if !all.classes.is_empty() && !all.classes.iter().any(|c| has(classes, c)) {
        let (model, dataset) = (config.model.display().to_string(), all.name);
        let (expected, found) = (names(classes), names(&all.classes));
        return Err(EvaluateError::Classes { model, dataset, expected, found }.into());
    }
    let left =
        |own: &[Class], other: &[Class]| names(&own.iter().filter(|c| !has(other, c)).cloned().collect::<Vec<_>>());
    let (unknown, unlabelled) = (left(&all.classes, classes), left(classes, &all.classes));
    if !unknown.is_empty() {
        all.notes.push(format!("the model does not know {unknown}: background here"));
    }
    if !unlabelled.is_empty() && !all.classes.is_empty() {
        all.notes.push(format!("the data set does not label {unlabelled}: left out where it may be there"));
    }
    let mut all = all.aligned(classes);
    for (list, keep) in [(&args.only, true), (&args.except, false)] {
        if let Some(list) = list {
            let chosen = part(list)?.of(&all)?;
            all = all.select(|entry| chosen.contains(&entry.id) == keep);
            all.name += &format!(", {} {list}", if keep { "only" } else { "without" });
        }
    }
    let doubtful = all.entries.iter().filter(|e| e.doubt().is_some()).count();
    if doubtful > 0 {
        all.notes
            .push(format!("{doubtful} frames have masks that contradict those of near-copies: judged all the same"));
    }
    Ok(all)
}

fn part(list: &str) -> anyhow::Result<Part> {
    let text = match list.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read the names in `{file}`"))?,
        None => list.to_owned(),
    };
    text.parse().map_err(|e| anyhow::anyhow!("cannot choose frames by `{list}`: {e}"))
}

/// Judges, and refuses a report about nothing.
fn judge(run: &Run, wanted: &'static str, advice: &'static str) -> anyhow::Result<Judged> {
    let none = || EvaluateError::NoFrames {
        model: run.config.model.display().to_string(),
        dataset: run.dataset.name.clone(),
        wanted,
        advice,
    };
    if run.dataset.entries.is_empty() {
        return Err(none().into());
    }
    let judged = run.judge()?;
    if assemble::scored(&judged, &run.dataset.classes).is_empty() {
        for skipped in &judged.skipped {
            super::say(format_args!("left out `{}`: {}", skipped.what, skipped.why));
        }
        return Err(none().into());
    }
    Ok(judged)
}

/// The best settings on the frames that they may be chosen on.
fn tune(config: &SegmenterConfig, dataset: &Dataset, classes: &[Class]) -> anyhow::Result<(TunedPart, Vec<Setting>)> {
    let bar = progress(dataset.entries.len());
    let told = || bar.inc(1);
    let run = Run { config, settings: None, dataset, areas: true, progress: &told };
    let judged = judge(&run, "to tune on", "name subjects whose frames have masks")?;
    bar.finish_and_clear();
    let names: Vec<String> = classes.iter().map(|c| c.name.clone()).collect();
    let (settings, choices) = tune::choose(&judged, &names);
    let part = TunedPart { subjects: tune::subjects(dataset), frames: judged.frames.len(), classes: choices };
    Ok((part, settings))
}

/// What was chosen, beside what the shipped setting would have scored on the judged frames.
fn beside(tuning: &TunedPart, judged: &Judged, classes: &[Class]) -> TunedPart {
    let mut part = tuning.clone();
    for choice in &mut part.classes {
        let class = classes.iter().position(|c| c.name == choice.class);
        let means = class.and_then(|i| Some((tune::dice_means(judged, i)?, judged.grids[i].shipped)));
        choice.shipped_dice_mean = means.map(|(means, shipped)| means[shipped]);
    }
    part
}

fn progress(frames: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(frames as u64), ProgressDrawTarget::stderr());
    let text = "{bar:40} {pos}/{len} frames  {per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(text).expect("a constant template"));
    bar
}
