//! `sonoplex replay`: a recording with the nerve found in every frame; or proof that a session's masks come out again.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use sonoplex::pipeline::verify::{Verifier, verify};
use sonoplex::pipeline::{RunOptions, Speed};
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::session::Session;
use sonoplex::source::{OpenOptions, open};

use super::args::ReplayArgs;
use super::file::Settings;
use super::run;
use super::segmenting::Segmenting;

pub fn main(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    if args.output.report.explain {
        return super::explain::replay();
    }
    let mut settings = Settings::read(args.output.report.pipeline.as_deref())?;
    let spec = args.recording.clone().or(settings.source.take());
    let spec = spec.context("cannot replay: neither the command line nor the pipeline file names a recording")?;
    if args.verify {
        return prove(&args, Path::new(&spec));
    }
    run::apply(&args.segmenter, &mut settings.segmenter);
    settings.start = args.start.or(settings.start);
    settings.end = args.end.or(settings.end);
    let source = open(&spec, &OpenOptions { start: settings.start, end: settings.end })?;
    let speed = args.speed.or(settings.speed);
    settings.unpaced = speed.is_none();
    let options = RunOptions {
        speed: speed.unwrap_or(Speed::Times(1.0)),
        repeat: args.looped || settings.repeat,
        sync: args.output.sync,
        // The first frames fill caches and buffers; of a short recording most are kept all the same.
        warm_up: source.info().frames.map_or(10, |n| (n / 4).min(10)),
        ..RunOptions::default()
    };
    run::go(settings.job(source, options, &args.output))
}

/// Computes the masks of a session again with what the session says it was made with.
fn prove(args: &ReplayArgs, dir: &Path) -> anyhow::Result<ExitCode> {
    super::targets::check_files(&dir.to_string_lossy(), &[("--json", args.output.report.json.as_deref())])?;
    let report = verify(dir, |session: &Session| {
        let config = stored(args, session)?;
        let segmenter = Segmenter::open(&config)?;
        let model = segmenter.model().clone();
        let settings = run::settings(&config, &model);
        let segmenter = Box::new(Segmenting::new(segmenter, config.despeckle));
        let (model_sha256, plan_sha256, device) = (model.sha256, model.plan_sha256, model.device);
        Ok(Verifier { segmenter, model_sha256, plan_sha256, device, settings })
    })?;
    if args.output.report.json.as_deref() != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &format!("{report}\n"))?;
    }
    if let Some(path) = &args.output.report.json {
        super::write_json(path, &report)?;
    }
    Ok(ExitCode::from(report.verdict.exit_code() as u8))
}

/// The segmenter that a session was recorded with; what is written on the command line wins.
fn stored(args: &ReplayArgs, session: &Session) -> anyhow::Result<SegmenterConfig> {
    let setting = |key: &str| session.settings.get(key).map(String::as_str);
    let mut config = SegmenterConfig { model: session.model.clone().into(), ..SegmenterConfig::default() };
    if let Some(text) = setting("despeckle") {
        config.despeckle = text.parse()?;
    }
    if let Some(text) = setting("crop") {
        config.crop = text.parse()?;
    }
    if let Some(text) = setting("threshold").filter(|t| *t != "model") {
        config.threshold = Some(text.parse().with_context(|| format!("cannot read the session's threshold `{text}`"))?);
    }
    if let Some(text) = setting("precision") {
        config.precision = Some(text.parse().map_err(anyhow::Error::msg)?);
    }
    run::apply(&args.segmenter, &mut config);
    // A tactic is one of a CPU or of a GPU.
    let of_gpus = |device: &str| device.starts_with("cuda");
    if of_gpus(&session.device) == of_gpus(&config.device.to_string()) {
        config.tactics = Some(session.tactics.clone());
    }
    Ok(config)
}
