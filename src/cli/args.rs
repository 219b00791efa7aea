//! What can be written on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::engine::{Device, Precision, Threshold};
use sonoplex::pipeline::Speed;
use sonoplex::segmenter::CropChoice;

use super::args_data::{PrepareArgs, SubmitArgs};
use super::evaluate::EvaluateArgs;

/// Finds nerves in live ultrasound. Research use only: not a medical device.
#[derive(Parser, Debug)]
#[command(name = "sonoplex", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Say more on standard error (-v: what is assumed, -vv: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Play a recording with the nerve found in every frame.
    Replay(ReplayArgs),
    /// Show a device with the nerve found in its newest frame; without SOURCE, list the devices.
    Live(LiveArgs),
    /// Segment images or folders: mask, overlay and one JSON line each.
    Segment(SegmentArgs),
    /// Measure every stage over many frames.
    Bench(BenchArgs),
    /// Say what a model or a recording is.
    Inspect(InspectArgs),
    /// Say whether a model will run, and what will be fused.
    Check(CheckArgs),
    /// Run a model on given tensors.
    Infer(InferArgs),
    /// Make a plan of a model, and say what its precision costs and gains.
    Build(BuildArgs),
    /// Judge a model on data whose truth is known: by class, by subject, with intervals.
    #[command(mut_arg("model", |model| model.hide(true)))]
    Evaluate(Box<EvaluateArgs>),
    /// Pack data sets into one file for training and judging, and say what was dropped.
    Prepare(PrepareArgs),
    /// Write the masks of test pictures as the table of the Kaggle nerve competition.
    Submit(SubmitArgs),
    /// Train a model on frames and masks (runs `sonoplex-train`; `sonoplex train --help` says how).
    #[command(disable_help_flag = true)]
    Train {
        /// What `sonoplex-train` takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

/// How frames become masks; shared by all commands that segment.
#[derive(Args, Debug, Clone, Default)]
pub struct SegmenterArgs {
    /// ONNX model or plan; without it the built-in `nerve-vessel`.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Processor: auto, cpu or cuda:N.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
    /// Threads of the CPU engine; 0 takes all cores.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How far the factors of the network may be rounded: fp32, bf16, bf16-fast, or int8 where the model was quantised; a
    /// plan has its own, and a GPU computes in fp16 or int8.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Speckle filter: off, median, bilateral, lee, kuan, frost, nlm, srad; with settings as in `srad:iterations=10`.
    #[arg(long, value_name = "FILTER")]
    pub despeckle: Option<Despeckle>,
    /// Probability from which a pixel belongs to a class, 0 to 1.
    #[arg(long, value_name = "P", value_parser = probability)]
    pub threshold: Option<f32>,
    /// The ultrasound picture in the scanner's screen: auto, full or WIDTHxHEIGHT+X+Y.
    #[arg(long, value_name = "CROP")]
    pub crop: Option<CropChoice>,
}

/// What a run is told and what it tells; shared by all commands that report.
#[derive(Args, Debug, Clone, Default)]
pub struct ReportArgs {
    /// Write the report as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Define every number of the report, and stop.
    #[arg(long)]
    pub explain: bool,
    /// Take settings from this file; what is written here wins.
    #[arg(long, value_name = "TOML")]
    pub pipeline: Option<PathBuf>,
}

/// How a run is shown, kept and reported; shared by replay and live.
#[derive(Args, Debug, Clone, Default)]
pub struct OutputArgs {
    /// Without a window.
    #[arg(long)]
    pub headless: bool,
    /// Show only frames with their own mask, rather than the newest frame.
    #[arg(long)]
    pub sync: bool,
    /// Keep frames, masks and timings in this new folder.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Write a sheet of pictures spread over the run.
    #[arg(long, value_name = "PNG")]
    pub sheet: Option<PathBuf>,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Video, DICOM, MetaImage, image, folder, recorded session, or phantom:.
    #[arg(required_unless_present_any = ["pipeline", "explain"])]
    pub recording: Option<String>,
    /// Times real time: 1, 0.5, …, or max for as fast as possible.
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<Speed>,
    /// Start again at the end.
    #[arg(long = "loop")]
    pub looped: bool,
    /// Skip what is before this time: seconds or M:S.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start: Option<Duration>,
    /// Stop at this time: seconds or M:S.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub end: Option<Duration>,
    /// RECORDING is a recorded session: compute its masks again and compare them, and its rows, bit for bit.
    #[arg(long, conflicts_with_all = ["record", "looped", "speed", "start", "end", "sheet", "pipeline"])]
    pub verify: bool,
    #[command(flatten)]
    pub segmenter: SegmenterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct LiveArgs {
    /// camera:N, v4l2:/dev/videoN, gst:'GRAPH', rtsp://… or phantom:.
    pub source: Option<String>,
    /// Stop after this many frames.
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    #[command(flatten)]
    pub segmenter: SegmenterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct SegmentArgs {
    /// Images, folders, or anything that replay takes.
    #[arg(required_unless_present = "explain")]
    pub inputs: Vec<String>,
    /// Where masks and overlays go.
    #[arg(short, long, value_name = "DIR", default_value = "segmented")]
    pub output: PathBuf,
    /// Write the JSON lines here; - is standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub json: PathBuf,
    /// Define every field of a JSON line, and stop.
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub segmenter: SegmenterArgs,
}

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure on; a phantom without it.
    pub source: Option<String>,
    /// Frames to measure, after warm-up.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// Frames before the measurement.
    #[arg(long, value_name = "N")]
    pub warm_up: Option<u64>,
    /// At the rate of the recording, rather than as fast as possible.
    #[arg(long)]
    pub paced: bool,
    /// So many pipelines at once, each over the same first frames, which are read before; nothing is drawn.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub streams: u16,
    #[command(flatten)]
    pub report: ReportArgs,
    #[command(flatten)]
    pub segmenter: SegmenterArgs,
}

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A model (.onnx), a plan or a recording.
    #[arg(required_unless_present = "explain")]
    file: Option<String>,
    /// Of a model: the fused steps, their tactics and what they take.
    #[arg(long)]
    pub plan: bool,
    /// Do not measure what steps take.
    #[arg(long)]
    pub no_timing: bool,
    /// Threads to measure on; 0 takes all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Fix a dynamic input shape: NAME=1x1x256x256.
    #[arg(long, value_name = "NAME=SHAPE", value_parser = shape)]
    pub input: Vec<(String, Vec<usize>)>,
    /// Write it as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Define every field of the JSON, and stop.
    #[arg(long)]
    pub explain: bool,
}

impl InspectArgs {
    /// What is inspected; empty with `--explain` alone.
    pub fn file(&self) -> &str {
        self.file.as_deref().unwrap_or_default()
    }
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// ONNX model.
    #[arg(required_unless_present = "explain")]
    pub model: Option<String>,
    /// Fix a dynamic input shape: NAME=1x1x256x256.
    #[arg(long, value_name = "NAME=SHAPE", value_parser = shape)]
    pub input: Vec<(String, Vec<usize>)>,
    /// Write it as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Define every field of the JSON, and stop.
    #[arg(long)]
    pub explain: bool,
}

#[derive(Args, Debug)]
pub struct InferArgs {
    /// ONNX model or plan.
    pub model: PathBuf,
    /// Input tensor: NAME=x.npy.
    #[arg(long, value_name = "NAME=NPY", required = true, value_parser = named_path)]
    pub input: Vec<(String, PathBuf)>,
    /// Output tensor: y.npy for a single output, or NAME=y.npy.
    #[arg(long, value_name = "[NAME=]NPY", required = true)]
    pub output: Vec<String>,
    /// Processor: auto, cpu or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Device,
    /// Threads of the CPU engine; 0 takes all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// How far the factors of the network may be rounded: fp32, bf16, bf16-fast, or int8 where the model was quantised; a
    /// plan has its own, and a GPU computes in fp16 or int8.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
}

#[derive(Args, Debug)]
pub struct BuildArgs {
    /// ONNX model.
    #[arg(required_unless_present = "explain")]
    pub model: Option<String>,
    /// Where the plan goes.
    #[arg(short, long, value_name = "PLAN", required_unless_present = "explain")]
    pub output: Option<PathBuf>,
    /// What it is for: cpu, or cuda:N, which need not be there; then it runs on any NVIDIA GPU.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
    /// How far the factors of the network may be rounded: fp32, bf16, bf16-fast or int8; for a GPU fp16 or int8. The first of
    /// them unless given.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Fix a dynamic input shape: NAME=1x1x256x256.
    #[arg(long, value_name = "NAME=SHAPE", value_parser = shape)]
    pub input: Vec<(String, Vec<usize>)>,
    /// Take the tactics that are probably fastest instead of timing them.
    #[arg(long)]
    pub no_timing: bool,
    /// Threads to measure on; 0 takes all cores. A plan runs on any number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Compare its masks with those of fp32 on a folder of pictures or a recording; int8 takes the ranges of its tensors
    /// from there too.
    #[arg(long, value_name = "DIR")]
    pub calibrate: Option<String>,
    /// Where int8 ends the range of a tensor: max, percentile (99.99) or entropy.
    #[arg(long, value_name = "THRESHOLD", default_value = "percentile")]
    pub range: Threshold,
    /// Lowest Dice against fp32 that int8 may have: layers that cost most stay in bf16 until it has.
    #[arg(long, value_name = "DICE", default_value_t = 0.99, value_parser = probability)]
    pub budget: f32,
    /// Frames that are looked at, spread evenly.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: u64,
    /// Write it as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Define every field of the JSON, and stop.
    #[arg(long)]
    pub explain: bool,
}

pub fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let advice = || "expected seconds (12.5) or minutes:seconds (1:02.5)".to_owned();
    let (minutes, seconds) = text.split_once(':').unwrap_or(("0", text));
    let minutes: u32 = minutes.parse().map_err(|_| advice())?;
    let seconds: f64 = seconds.parse().ok().filter(|s| *s >= 0.0).ok_or_else(advice)?;
    Duration::try_from_secs_f64(f64::from(minutes) * 60.0 + seconds).map_err(|_| advice())
}

fn shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let advice = "expected NAME=1x1x256x256";
    let (name, dims) = text.split_once('=').ok_or(advice)?;
    let dims: Result<Vec<usize>, _> = dims.split('x').map(str::parse).collect();
    Ok((name.to_owned(), dims.map_err(|_| advice)?))
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=FILE.npy")?;
    Ok((name.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_probabilities_and_shapes() {
        assert_eq!(time("1:02.5"), Ok(Duration::from_millis(62_500)));
        for bad in ["-1", "a:b", "", "1:", "5:-3"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(probability("1.1").is_err() && probability("nan").is_err());
        assert_eq!(shape("x=1x2"), Ok(("x".to_owned(), vec![1, 2])));
    }
}
