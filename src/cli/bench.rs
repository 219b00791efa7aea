//! `sonoplex bench`: every stage's percentiles over many frames.

use std::process::ExitCode;

use sonoplex::pipeline::{RunOptions, Speed};
use sonoplex::source::{OpenOptions, open};

use super::args::{BenchArgs, OutputArgs};
use super::file::Settings;
use super::run;

/// What is measured on when nothing is given: a phantom of the size of the competition's frames.
const PHANTOM: &str = "phantom:seed=1,size=580x420,frames=100000";

pub fn main(args: BenchArgs) -> anyhow::Result<ExitCode> {
    if args.report.explain {
        return super::explain::bench();
    }
    let mut settings = Settings::read(args.report.pipeline.as_deref())?;
    run::apply(&args.segmenter, &mut settings.segmenter);
    let spec = args.source.or(settings.source.take()).unwrap_or_else(|| PHANTOM.to_owned());
    let source = open(&spec, &OpenOptions { start: settings.start, end: settings.end })?;
    let frames = args.frames.or(settings.frames).unwrap_or(300);
    let warm_up = args.warm_up.or(settings.warm_up).unwrap_or(20);
    let paced = args.paced || settings.paced;
    let options = RunOptions {
        speed: if paced { Speed::Times(1.0) } else { Speed::Max },
        // A short recording is played again and again until there are enough frames.
        repeat: true,
        frames: Some(frames.saturating_add(warm_up)),
        warm_up,
        time_stages: true,
        ..RunOptions::default()
    };
    if args.streams > 1 {
        let json = args.report.json.as_deref();
        return super::streams::go(source, &settings.segmenter, options, (args.streams.into(), json));
    }
    let output = OutputArgs { headless: true, report: args.report, ..OutputArgs::default() };
    run::go(settings.job(source, options, &output))
}
