//! Wires source, segmenter, screen and recorder to the pipeline, and says at the end what became of the frames.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sonoplex::display::{DisplayError, Style, Window};
use sonoplex::geometry::Size;
use sonoplex::pipeline::{self, About, Progress, Recording, Run, RunOptions, Screen, Speed};
use sonoplex::record::Recorder;
use sonoplex::segmentation::Class;
use sonoplex::segmenter::{BUILT_IN, ModelInfo, Segmenter, SegmenterConfig};
use sonoplex::session::Session;
use sonoplex::source::{Source, SourceInfo};

use super::annotate::Annotated;
use super::args::SegmenterArgs;
use super::screen::{Labels, Sheet, Show};
use super::segmenting::Segmenting;

/// Everything that a run needs, after file and command line have been put together.
pub struct Job {
    pub source: Box<dyn Source>,
    /// Whether a run without a window goes as fast as possible.
    pub unpaced: bool,
    pub segmenter: SegmenterConfig,
    /// Where the source begins and ends, for the session.
    pub start: Option<Duration>,
    pub end: Option<Duration>,
    pub options: RunOptions,
    /// Whether a window is wanted.
    pub window: bool,
    pub style: Style,
    /// Whether numbers and words stand beside the picture.
    pub hud: bool,
    pub record: Option<PathBuf>,
    pub annotate: bool,
    pub sheet: Option<PathBuf>,
    pub json: Option<PathBuf>,
}

/// The segmenter's settings from the command line alone.
pub fn segmenter_config(args: &SegmenterArgs) -> anyhow::Result<SegmenterConfig> {
    let mut config = SegmenterConfig::default();
    apply(args, &mut config);
    Ok(config)
}

/// What is written on the command line wins.
pub fn apply(args: &SegmenterArgs, config: &mut SegmenterConfig) {
    if let Some(model) = &args.model {
        config.model = model.clone();
    }
    config.device = args.device.unwrap_or(config.device);
    config.threads = args.threads.unwrap_or(config.threads);
    config.precision = args.precision.or(config.precision);
    config.despeckle = args.despeckle.unwrap_or(config.despeckle);
    config.threshold = args.threshold.or(config.threshold);
    config.crop = args.crop.unwrap_or(config.crop);
}

/// Every setting that changes a mask, as the session keeps them.
pub fn settings(config: &SegmenterConfig, model: &ModelInfo) -> BTreeMap<String, String> {
    let threshold = config.threshold.map_or("model".to_owned(), |t| t.to_string());
    [
        ("despeckle", config.despeckle.to_string()),
        ("threshold", threshold),
        ("crop", config.crop.to_string()),
        ("precision", model.precision.to_string()),
        // What the model's description came to, so that a changed description is noticed.
        ("description", format!("thresholds {:?}, decisions {:?}", model.thresholds, model.decisions)),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into()
}

/// Every other setting of a run, and the versions of what took part: no mask depends on them.
fn course(
    options: &RunOptions,
    start: Option<Duration>,
    end: Option<Duration>,
    threads: usize,
) -> impl Iterator<Item = (String, String)> {
    let seconds = |t: Option<Duration>| t.map_or("none".to_owned(), |t| t.as_secs_f64().to_string());
    #[cfg(feature = "video")]
    let gstreamer = {
        let (major, minor, micro, _) = gstreamer::version();
        format!("{major}.{minor}.{micro}")
    };
    #[cfg(not(feature = "video"))]
    let gstreamer = "none".to_owned();
    [
        ("speed", options.speed.to_string()),
        ("loop", options.repeat.to_string()),
        ("start", seconds(start)),
        ("end", seconds(end)),
        ("threads", threads.to_string()),
        ("gstreamer", gstreamer),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
}

/// Set by Ctrl-C (and SIGTERM); a second one ends the program at once.
pub fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Runs a job to its end; prints the table, writes JSON and sheet.
pub fn go(job: Job) -> anyhow::Result<ExitCode> {
    let Job { source, unpaced, segmenter: config, start, end, mut options, .. } = job;
    let Job { window, style, hud, record, annotate, sheet, json, .. } = job;
    super::targets::check_files(&source.info().name, &[("--json", json.as_deref()), ("--sheet", sheet.as_deref())])?;
    options.stop = stop_flag()?;
    let segmenter = Segmenter::open(&config)?;
    let model = segmenter.model().clone();
    let classes = segmenter.classes().to_vec();
    let info = source.info().clone();
    for note in info.notes.iter().chain(&model.notes) {
        tracing::info!("{note}");
    }

    let labels = Labels {
        // A path is longer than the panel; its last part says it.
        source: Path::new(&info.name).file_name().map_or(info.name.clone(), |n| n.to_string_lossy().into_owned()),
        model: model.name.clone(),
        device: model.device.clone(),
        despeckle: config.despeckle,
        // A recording that is repeated goes on counting.
        frames: info.frames.filter(|_| !options.repeat),
    };
    let mut show = screen(window, &labels, &info)?.with(style, hud, sheet.map(Sheet::new));
    let windowed = show.is_window();
    if unpaced && !windowed {
        options.speed = Speed::Max;
    }
    // A single picture stays until the window is closed.
    options.repeat |= windowed && info.frames == Some(1);
    let mut new_session = session(&info, &model, &classes, &config);
    new_session.settings.extend(course(&options, start, end, config.threads));
    let start = |dir: &Path| -> anyhow::Result<Recording> {
        recording(dir, new_session.clone(), &info, annotate.then_some(&labels))
    };
    let recording = record.as_deref().map(start).transpose()?;
    options.record = recording.is_some();

    let bar = (!windowed).then(|| progress_bar(&info)).flatten();
    let mut tell = |p: &Progress| {
        if let Some(bar) = &bar {
            bar.set_position(p.frames.captured);
        }
    };
    let open_recording =
        windowed.then(|| later_recordings(new_session.clone(), info.clone(), annotate.then(|| labels.clone())));
    let outcome = pipeline::run(Run {
        source,
        segmenter: Box::new(Segmenting::new(segmenter, config.despeckle)),
        screen: Some(&mut show),
        recording,
        open_recording,
        progress: Some(&mut tell),
        about: about(&model),
        options,
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match &json {
        // The table would spoil a JSON stream.
        Some(path) if path == Path::new("-") => {}
        _ => super::write_text(Path::new("-"), &format!("{}\n", outcome.report))?,
    }
    if let Some(path) = &json {
        super::write_text(path, &outcome.report.to_json())?;
    }
    // The run's own error comes first; whatever else fails, the report is out.
    let drawn = show.into_sheet().map_or(Ok(()), |sheet| sheet.save());
    if let Some(error) = outcome.error {
        bail!(error);
    }
    drawn.map_err(|error| anyhow::anyhow!(error))?;
    Ok(ExitCode::SUCCESS)
}

/// What a report says of model and device.
pub fn about(model: &ModelInfo) -> About {
    About {
        model: model.name.clone(),
        model_sha256: model.sha256.clone(),
        plan_sha256: model.plan_sha256.clone(),
        device: model.device.clone(),
    }
}

/// A window where one is wanted and can be had, else the composited picture of a headless run.
fn screen(window: bool, labels: &Labels, info: &SourceInfo) -> anyhow::Result<Show> {
    let size = comfortable(info.size);
    if window {
        match Window::open(&format!("Sonoplex – {}", info.name), size) {
            Ok(window) => return Ok(Show::new(Some(window), size, labels)),
            Err(error @ (DisplayError::NoDisplay | DisplayError::FeatureMissing)) => {
                super::say(format_args!("sonoplex: {error}; going on headless"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Show::new(None, size, labels))
}

/// A canvas with room for the frame and for the panel beside it.
pub fn comfortable(frame: Option<Size>) -> Size {
    let frame = frame.unwrap_or(Size::new(640, 480));
    let times = (600.0 / f64::from(frame.height.max(1))).clamp(0.25, 3.0);
    let scaled = |v: u32| (f64::from(v) * times).round() as u32;
    Size::new((scaled(frame.width) + 280).clamp(640, 1600), scaled(frame.height).clamp(480, 1000) + 40)
}

fn session(info: &SourceInfo, model: &ModelInfo, classes: &[Class], config: &SegmenterConfig) -> Session {
    Session {
        source: info.name.clone(),
        // Absolute, so that the session can be proven from any folder.
        model: match model.path.to_str() {
            Some(BUILT_IN) => BUILT_IN.to_owned(),
            _ => std::path::absolute(&model.path).unwrap_or(model.path.clone()).display().to_string(),
        },
        model_sha256: model.sha256.clone(),
        plan_sha256: model.plan_sha256.clone(),
        tactics: model.tactics.clone(),
        device: model.device.clone(),
        classes: classes.to_vec(),
        settings: settings(config, model),
        notes: info.notes.clone(),
        ..Session::default()
    }
}

fn recording(dir: &Path, session: Session, info: &SourceInfo, annotate: Option<&Labels>) -> anyhow::Result<Recording> {
    let classes = session.classes.clone();
    let mut recorder = Recorder::create(dir, session)?;
    recorder.set_truth(&info.truth);
    let annotate = annotate.and_then(|labels| Annotated::create(&dir.join("annotated.mp4"), classes, labels));
    Ok(Recording { recorder, annotate })
}

/// Recordings that the user starts by a key go into folders of their own, beside each other.
fn later_recordings(session: Session, info: SourceInfo, annotate: Option<Labels>) -> pipeline::OpenRecording {
    let mut number = 0;
    Box::new(move || {
        let dir = loop {
            let dir = PathBuf::from(format!("sonoplex-session-{number:03}"));
            number += 1;
            if !dir.exists() {
                break dir;
            }
        };
        recording(&dir, session.clone(), &info, annotate.as_ref()).map_err(|e| e.to_string().into())
    })
}

fn progress_bar(info: &SourceInfo) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = info.frames.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let text = if info.frames.is_some() {
        "{bar:40} {pos}/{len} frames  {per_sec}  {eta} left"
    } else {
        "{spinner} {pos} frames  {per_sec}"
    };
    bar.set_style(ProgressStyle::with_template(text).expect("a constant template"));
    Some(bar)
}
