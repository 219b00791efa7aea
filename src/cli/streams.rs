//! `sonoplex bench --streams N`: several pipelines at once, and what each of them takes.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use sonoplex::frame::Frame;
use sonoplex::latency::Stage;
use sonoplex::pipeline::{self, Outcome, Report, Run, RunOptions};
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{Source, SourceError, SourceInfo};

use super::run::{about, stop_flag};
use super::segmenting::Segmenting;

/// Frames that are held in memory, so that reading takes no time from the streams.
const HELD: u64 = 64;

/// Frames in memory.
struct Held {
    info: SourceInfo,
    frames: Arc<[Frame]>,
    /// Which comes next, and its id.
    next: usize,
    id: u64,
}

impl Source for Held {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(frame) = self.frames.get(self.next) else { return Ok(None) };
        let frame = Frame { id: self.id, ..frame.clone() };
        (self.next, self.id) = (self.next + 1, self.id + 1);
        Ok(Some(frame))
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        self.next = usize::try_from(index).unwrap_or(usize::MAX);
        Ok(())
    }
}

/// Runs the pipelines to their ends; prints the table, writes JSON.
pub fn go(
    mut source: Box<dyn Source>,
    config: &SegmenterConfig,
    mut options: RunOptions,
    (streams, json): (usize, Option<&Path>),
) -> anyhow::Result<ExitCode> {
    super::targets::check_files(&source.info().name, &[("--json", json)])?;
    if source.info().live {
        bail!("cannot share `{}` between streams: it is a device; give a recording or a phantom", source.info().name);
    }
    options.stop = stop_flag()?;
    // Alone on the device they would not be.
    options.time_stages = false;
    let mut config = config.clone();
    if config.threads == 0 {
        // All cores together.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        config.threads = (cores / streams).max(1);
    }
    let mut frames = Vec::new();
    while (frames.len() as u64) < HELD.min(options.frames.unwrap_or(HELD))
        && let Some(frame) = source.next()?
    {
        frames.push(frame);
    }
    let (info, frames): (_, Arc<[Frame]>) = (source.info().clone(), frames.into());
    if frames.is_empty() {
        bail!("cannot measure on `{}`: it has no frames", info.name);
    }
    let segmenters = (0..streams).map(|_| Segmenter::open(&config)).collect::<Result<Vec<_>, _>>()?;
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let start = |segmenter: Segmenter| {
            let held = Held { info: info.clone(), frames: frames.clone(), next: 0, id: 0 };
            let (about, options) = (about(segmenter.model()), options.clone());
            let segmenter = Box::new(Segmenting::new(segmenter, config.despeckle));
            scope.spawn(move || {
                pipeline::run(Run {
                    source: Box::new(held),
                    segmenter,
                    screen: None,
                    recording: None,
                    open_recording: None,
                    progress: None,
                    about,
                    options,
                })
            })
        };
        // All are started before the first is waited for.
        let running: Vec<_> = segmenters.into_iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().expect("a run reports its panics")).collect()
    });
    let reports: Vec<Report> = outcomes.iter().map(|outcome| outcome.report.clone()).collect();
    if json != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &table(&reports, frames.len(), config.threads))?;
    }
    if let Some(path) = json {
        super::write_text(path, &(serde_json::to_string_pretty(&reports)? + "\n"))?;
    }
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        Some(error) => bail!(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn table(reports: &[Report], held: usize, threads: usize) -> String {
    let first = &reports[0];
    let threads = match threads {
        _ if !first.device.starts_with("cpu") => String::new(),
        1 => ", 1 thread each".to_owned(),
        more => format!(", {more} threads each"),
    };
    let together: f64 = reports.iter().map(|r| r.segmented_per_second).sum();
    let mut text = format!(
        "source   {} ({}), its first {held} frames held in memory\nmodel    {} on {}\nstreams  {} at once{threads}, {together:.1} frames/s together\n\n",
        first.source,
        first.format,
        first.model,
        first.device,
        reports.len()
    );
    text += &format!(
        "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}\n",
        "segment, ms", "p50", "p95", "p99", "p99.9", "max", "frames", "frames/s"
    );
    for (i, report) in reports.iter().enumerate() {
        let p = report.latency_us.get(Stage::Segment.as_str()).copied().unwrap_or_default();
        text += &format!("stream {:<13}", i + 1);
        for us in [p.p50, p.p95, p.p99, p.p999, p.max] {
            text += &format!("{:>10.3}", us / 1000.0);
        }
        text += &format!("{:>9}{:>10.1}\n", p.count, report.segmented_per_second);
    }
    text
}
