//! A pipeline file, read into the types of the stages; what is written on the command line wins over it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sonoplex::display::{Overlay, Style};
use sonoplex::pipeline::config::PipelineConfig;
use sonoplex::pipeline::{RunOptions, Speed};
use sonoplex::segmenter::SegmenterConfig;
use sonoplex::source::Source;

use super::args::OutputArgs;
use super::run::Job;

/// What a pipeline file settles; absent where it says nothing.
#[derive(Debug, Default)]
pub struct Settings {
    pub source: Option<String>,
    pub speed: Option<Speed>,
    pub repeat: bool,
    pub start: Option<Duration>,
    pub end: Option<Duration>,
    pub segmenter: SegmenterConfig,
    window: bool,
    hud: bool,
    sync: bool,
    style: Style,
    record: Option<PathBuf>,
    video: bool,
    pub frames: Option<u64>,
    pub warm_up: Option<u64>,
    pub paced: bool,
    /// Nobody asked for a speed: without a window it is then as fast as possible, with every frame.
    pub unpaced: bool,
}

impl Settings {
    /// Reads a file; without one, everything is as the program has it.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let config = match path {
            Some(path) => PipelineConfig::open(path)?,
            None => PipelineConfig::default(),
        };
        let mut segmenter = SegmenterConfig::default();
        let within = |key: &str| format!("cannot use {key} of `{}`", path.unwrap_or(Path::new("")).display());
        let chosen = config.segmenter;
        segmenter.model = chosen.model.unwrap_or(segmenter.model);
        segmenter.threads = chosen.threads.unwrap_or(segmenter.threads);
        segmenter.threshold = chosen.threshold;
        if let Some(text) = chosen.device {
            segmenter.device = text.parse().with_context(|| within("segmenter.device"))?;
        }
        if let Some(text) = chosen.precision {
            segmenter.precision =
                Some(text.parse().map_err(anyhow::Error::msg).with_context(|| within("segmenter.precision"))?);
        }
        if let Some(text) = chosen.despeckle {
            segmenter.despeckle = text.parse().with_context(|| within("segmenter.despeckle"))?;
        }
        if let Some(text) = chosen.crop {
            segmenter.crop = text.parse().with_context(|| within("segmenter.crop"))?;
        }
        let mut style = Style::default();
        style.opacity = config.display.opacity.unwrap_or(style.opacity);
        style.overlay = match config.display.overlay.as_deref() {
            Some("fill") => Overlay::Fill,
            Some("heat") => Overlay::Heat,
            _ => style.overlay,
        };
        Ok(Self {
            source: config.source.spec,
            speed: config.source.speed,
            repeat: config.source.repeat.unwrap_or(false),
            start: config.source.start,
            end: config.source.end,
            segmenter,
            window: config.display.window.unwrap_or(true),
            hud: config.display.hud.unwrap_or(true),
            sync: config.display.sync.unwrap_or(false),
            style,
            record: config.record.dir,
            video: config.record.video.unwrap_or(true),
            frames: config.bench.frames,
            warm_up: config.bench.warm_up,
            paced: config.bench.paced.unwrap_or(false),
            unpaced: false,
        })
    }

    /// A run of `source` with these settings and those of the command line.
    pub fn job(self, source: Box<dyn Source>, mut options: RunOptions, output: &OutputArgs) -> Job {
        options.sync |= self.sync;
        Job {
            source,
            unpaced: self.unpaced,
            segmenter: self.segmenter,
            start: self.start,
            end: self.end,
            options,
            window: self.window && !output.headless,
            style: self.style,
            hud: self.hud,
            record: output.record.clone().or(self.record),
            annotate: self.video,
            sheet: output.sheet.clone(),
            json: output.report.json.clone(),
        }
    }
}
