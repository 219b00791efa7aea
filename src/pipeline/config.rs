//! Pipelines as text: every setting of a run in one TOML file, each with its line when it is wrong.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, nearest, sections};
use super::speed::Speed;
use crate::engine::Precision;

/// What a pipeline file says; what it does not say is `None` and left to the command line or its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineConfig {
    /// `[source]`
    pub source: SourceConfig,
    /// `[segmenter]`
    pub segmenter: SegmenterConfig,
    /// `[display]`
    pub display: DisplayConfig,
    /// `[record]`
    pub record: RecordConfig,
    /// `[bench]`
    pub bench: BenchConfig,
}

/// Where frames come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceConfig {
    /// What is opened: a path, `phantom:`, `camera:0`, …
    pub spec: Option<String>,
    /// How fast it is played.
    pub speed: Option<Speed>,
    /// Whether it begins again at its end.
    pub repeat: Option<bool>,
    /// Where it begins.
    pub start: Option<Duration>,
    /// Where it ends.
    pub end: Option<Duration>,
}

/// What looks at them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmenterConfig {
    /// Model file.
    pub model: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda:0`.
    pub device: Option<String>,
    /// Threads of the CPU, 0 for all cores.
    pub threads: Option<usize>,
    /// `fp32`, `bf16`, `bf16-fast` or `int8`.
    pub precision: Option<String>,
    /// Despeckle filter with its parameters.
    pub despeckle: Option<String>,
    /// Threshold of the mask, 0..=1.
    pub threshold: Option<f32>,
    /// `auto`, `full` or a rectangle.
    pub crop: Option<String>,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DisplayConfig {
    /// Whether a window opens.
    pub window: Option<bool>,
    /// `contour`, `fill` or `heat`.
    pub overlay: Option<String>,
    /// Opacity of the overlay, 0..=1.
    pub opacity: Option<f32>,
    /// Matched pairs only.
    pub sync: Option<bool>,
    /// Whether the numbers are shown.
    pub hud: Option<bool>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordConfig {
    /// Folder of the session.
    pub dir: Option<PathBuf>,
    /// Whether an annotated video is written as well.
    pub video: Option<bool>,
}

/// How long it is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BenchConfig {
    /// Frames to measure, after warm-up.
    pub frames: Option<u64>,
    /// First frames that do not count.
    pub warm_up: Option<u64>,
    /// At the pace of the recording, or as fast as possible.
    pub paced: Option<bool>,
}

/// What can be wrong with a pipeline file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the pipeline `{path}`: {cause}")]
    Read {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is no TOML.
    #[error("cannot read `{path}`, line {line}: {found}")]
    Syntax {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser said.
        found: String,
    },
    /// It has a section or a key that there is not.
    #[error("cannot use `{path}`, line {line}: there is no {what} `{found}`; {nearest}")]
    Unknown {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// `section`, or `key` with the section.
        what: String,
        /// What was written.
        found: String,
        /// The nearest that there is.
        nearest: String,
    },
    /// A key has a value that it cannot have.
    #[error("cannot use `{path}`, line {line}: `{key}` expects {expected}, found {found}")]
    Value {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Section and key.
        key: String,
        /// What it expects.
        expected: &'static str,
        /// What was written.
        found: String,
    },
}

impl PipelineConfig {
    /// Reads a pipeline file. Paths in it are relative to the folder that the program is started in.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key or a value that there is not.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let read = |cause| ConfigError::Read { path: path.to_owned(), cause };
        if !fs::metadata(path).map_err(read)?.is_file() {
            return Err(read(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file")));
        }
        let text = fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, path)
    }

    /// Reads the text of a pipeline file; `path` is for messages.
    ///
    /// # Errors
    /// As [`PipelineConfig::open`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let at = |span: Range<usize>| text[..span.start.min(text.len())].matches('\n').count() + 1;
        let document = DeTable::parse(text).map_err(|e| ConfigError::Syntax {
            path: path.to_owned(),
            line: e.span().map_or(1, at),
            found: e.message().lines().collect::<Vec<_>>().join("; "),
        })?;
        let mut config = Self::default();
        for (section, content) in document.get_ref() {
            let unknown = |line, what: &str, found: &str, known: Vec<&str>| ConfigError::Unknown {
                path: path.to_owned(),
                line,
                what: what.to_owned(),
                found: found.to_owned(),
                nearest: nearest(found, &known),
            };
            let name = section.get_ref().as_ref();
            if !sections().any(|s| s == name) {
                return Err(unknown(at(section.span()), "section", name, sections().collect()));
            }
            let wrong = |line, key: String, expected, found: String| ConfigError::Value {
                path: path.to_owned(),
                line,
                key,
                expected,
                found,
            };
            let Some(keys) = content.get_ref().as_table() else {
                let found = describe(content.get_ref());
                return Err(wrong(at(content.span()), name.to_owned(), "a section, written `[NAME]`", found));
            };
            for (key, value) in keys {
                let known = KEYS.iter().find(|k| k.section == name && k.name == key.get_ref().as_ref());
                let Some(known) = known else {
                    let known = KEYS.iter().filter(|k| k.section == name).map(|k| k.name).collect();
                    let what = format!("key in [{name}]");
                    return Err(unknown(at(key.span()), &what, key.get_ref(), known));
                };
                if config.set(name, known.name, value).is_none() {
                    let found = describe(value.get_ref());
                    return Err(wrong(at(value.span()), format!("{name}.{}", known.name), known.expects, found));
                }
                if let (Some(start), Some(end)) = (config.source.start, config.source.end)
                    && end <= start
                {
                    let found = format!("{} after a start of {} s", end.as_secs_f64(), start.as_secs_f64());
                    let key = "source.end".to_owned();
                    return Err(wrong(at(value.span()), key, "seconds after source.start", found));
                }
            }
        }
        Ok(config)
    }

    /// Takes a value over; `None` when it is not what the key expects.
    fn set(&mut self, section: &str, key: &str, value: &Spanned<DeValue<'_>>) -> Option<()> {
        let value = value.get_ref();
        let text = || value.as_str().map(str::to_owned);
        let filled = || text().filter(|t| !t.is_empty());
        let flag = || value.as_bool();
        let seconds = || number(value).and_then(|s| Duration::try_from_secs_f64(s).ok());
        let share = || number(value).filter(|n| (0.0..=1.0).contains(n)).map(|n| n as f32);
        let Self { source, segmenter, display, record, bench } = self;
        match (section, key) {
            ("source", "spec") => source.spec = Some(filled()?),
            ("source", "speed") => source.speed = Some(speed(value)?),
            ("source", "loop") => source.repeat = Some(flag()?),
            ("source", "start") => source.start = Some(seconds()?),
            ("source", "end") => source.end = Some(seconds()?),
            ("segmenter", "model") => segmenter.model = Some(filled()?.into()),
            ("segmenter", "device") => segmenter.device = Some(filled()?),
            ("segmenter", "threads") => segmenter.threads = Some(whole(value)?.try_into().ok()?),
            ("segmenter", "precision") => {
                segmenter.precision = Some(text().filter(|t| t.parse::<Precision>().is_ok())?);
            }
            ("segmenter", "despeckle") => segmenter.despeckle = Some(filled()?),
            ("segmenter", "threshold") => segmenter.threshold = Some(share()?),
            ("segmenter", "crop") => segmenter.crop = Some(filled()?),
            ("display", "window") => display.window = Some(flag()?),
            ("display", "overlay") => {
                display.overlay = Some(text().filter(|t| ["contour", "fill", "heat"].contains(&t.as_str()))?);
            }
            ("display", "opacity") => display.opacity = Some(share()?),
            ("display", "sync") => display.sync = Some(flag()?),
            ("display", "hud") => display.hud = Some(flag()?),
            ("record", "dir") => record.dir = Some(filled()?.into()),
            ("record", "video") => record.video = Some(flag()?),
            ("bench", "frames") => bench.frames = Some(whole(value).filter(|&n| n > 0)?),
            ("bench", "warm_up") => bench.warm_up = Some(whole(value)?),
            ("bench", "paced") => bench.paced = Some(flag()?),
            _ => return None,
        }
        Some(())
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(f) => f.as_str().replace('_', "").parse().ok().filter(|f: &f64| f.is_finite()),
        DeValue::Integer(_) => whole(value).map(|n| n as f64),
        _ => None,
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn speed(value: &DeValue<'_>) -> Option<Speed> {
    match (value.as_str(), number(value)) {
        (Some(text), _) => text.parse().ok(),
        (None, Some(number)) => number.to_string().parse().ok(),
        (None, None) => None,
    }
}

/// For example ``the string `fast` ``.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("the string `{s}`"),
        DeValue::Integer(n) => format!("the number `{}`", n.as_str()),
        DeValue::Float(n) => format!("the number `{}`", n.as_str()),
        DeValue::Boolean(b) => format!("`{b}`"),
        DeValue::Datetime(d) => format!("the date `{d}`"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}
