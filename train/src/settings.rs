//! What is trained, on what, and how: what a run can be repeated from.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Width};
use crate::loss::Loss;
use crate::network::Precision;
use crate::schedule::Schedule;

/// All settings of a run.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A data set: a folder, a packed file, `phantom:…`, or `empty:FOLDER` of pictures without any class; as `0.5*DATASET`,
    /// its pictures are drawn half as often as others. May be given several times.
    #[arg(long = "data", value_name = "DATASET", required_unless_present_any = ["resume", "publish"])]
    pub data: Vec<String>,
    /// What to judge epochs by: subjects as in `2,7,14`, `every:6` (file numbers that 6 divides), `folds:5`, `stored` (what a
    /// packed file says), or `none`.
    #[arg(long, value_name = "SPLIT", default_value = "folds:5")]
    pub validate: String,
    /// Which of the folds of --validate.
    #[arg(long, default_value_t = 0)]
    pub fold: usize,
    /// What is not looked at at all, written like --validate.
    #[arg(long, value_name = "SPLIT", default_value = "none")]
    pub hold_out: String,
    /// A data set that is only trained on and not divided, such as `0.5*empty:FOLDER`. May be given several times.
    #[arg(long, value_name = "DATASET")]
    pub extra: Vec<String>,
    /// Kind of network.
    #[arg(long, value_enum, default_value_t = Architecture::Unet)]
    pub architecture: Architecture,
    /// Channels of the first level.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub base: u16,
    /// How often the size is halved.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=7))]
    pub levels: u8,
    /// The most channels of a level.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub cap: u16,
    /// Size of the picture in the network.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "128x96", value_parser = size)]
    pub size: [usize; 2],
    /// Leave the presence output out.
    #[arg(long)]
    pub no_presence: bool,
    /// Part of the deepest channels that is left out in each step of training.
    #[arg(long, default_value_t = 0.1)]
    pub dropout: f64,
    /// How far factors are rounded while it learns: fp32, or mixed (bf16 in convolutions), which is faster.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub precision: Precision,
    /// How often each picture is drawn, at weight 1.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// Steps of an epoch; as many as the pictures fill unless given.
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..))]
    pub epoch_steps: Option<u32>,
    /// Pictures of a step.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,
    /// What is made small: `bce`, `dice`, `focal:2`, `tversky:0.3:0.7`, and sums such as `bce+0.5*dice`.
    #[arg(long, default_value = "bce+dice")]
    pub loss: Loss,
    /// A model to learn from beside the masks: the truth is moved towards what it says of each picture; of several,
    /// one is asked for each picture, by chance. It must have held out the same. May be given several times.
    #[arg(long, value_name = "MODEL")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teacher: Vec<String>,
    /// How far: 0 is the mask alone, 1 the teachers alone; 0.5 unless given.
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_weight: Option<f32>,
    /// Ask of a picture only those teachers that have not learnt from it: those whose own --validate and --fold kept it. Pictures that
    /// all have learnt from, and those of --extra, keep their masks.
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_fold: bool,
    /// SHA-256 of the files of the teachers that a run was started with.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teacher_sha256: Vec<String>,
    /// SHA-256 of the frames, their masks and their sides of the split that a run was started with.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_sha256: String,
    /// What computed when the run was started: `flex`, `tch`, `cuda:N`.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// How weights are moved.
    #[arg(long, value_enum, default_value_t = Descent::Adamw)]
    pub optimizer: Descent,
    /// Largest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    pub rate: f64,
    /// How the learning rate goes.
    #[arg(long, value_enum, default_value_t = Schedule::OneCycle)]
    pub schedule: Schedule,
    /// Weight decay of AdamW.
    #[arg(long, default_value_t = 0.01)]
    pub decay: f32,
    /// Largest norm of the gradient of a weight tensor; 0 for none.
    #[arg(long, default_value_t = 1.0)]
    pub clip: f32,
    /// Decay of the mean of the weights, which is what is judged and kept; 0 takes the last weights.
    #[arg(long, default_value_t = 0.998)]
    pub mean: f64,
    /// Stop after this many epochs without a better one; 0 never stops.
    #[arg(long, value_name = "EPOCHS", default_value_t = 0)]
    pub patience: u32,
    /// How pictures are changed: `default`, `none`, or a list such as `rotate=10,elastic=0`.
    #[arg(long, default_value = "default")]
    pub augment: String,
    /// Speckle filter in front of the network, as in `sonoplex segment --despeckle`.
    #[arg(long, value_name = "FILTER", default_value = "off")]
    pub despeckle: String,
    /// Where random numbers start.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Name of the model.
    #[arg(long, default_value = "model")]
    pub name: String,
    /// Licence that the model is given.
    #[arg(long)]
    pub license: Option<String>,
    /// Whom to name with it.
    #[arg(long)]
    pub attribution: Option<String>,
}

/// An optimizer.
///
/// # References
/// Adam: Kingma & Ba, ICLR 2015. AdamW: Loshchilov & Hutter, ICLR 2019.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Descent {
    /// Adam.
    Adam,
    /// Adam with the decay of weights apart from the gradient.
    Adamw,
}

impl Settings {
    /// Width and depth of the network.
    pub fn width(&self) -> Width {
        Width { base: self.base.into(), levels: self.levels.into(), cap: self.cap.into() }
    }

    /// What cannot be meant, in one sentence.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn check(&self) -> Result<(), String> {
        let divisor = self.architecture.graph(self.width(), 1, false).divisor;
        if !self.size.iter().all(|s| s.is_multiple_of(divisor)) {
            let [width, height] = self.size;
            let [near, far] = self.size.map(|s| s.next_multiple_of(divisor));
            return Err(format!(
                "cannot train with `--size {width}x{height}`: expected sides that {divisor} divides, since they are halved that often; \
                 take {near}x{far}"
            ));
        }
        let deepest = self.size.iter().map(|s| s / divisor).product::<usize>() * usize::from(self.batch);
        if deepest < 2 {
            return Err("cannot train with `--batch 1` at this size: expected at least two values of each channel on the deepest level, found one; take a larger batch or fewer levels".into());
        }
        let range = |name: &str, value: f64, good: bool, expected: &str| {
            if good { Ok(()) } else { Err(format!("cannot train with `--{name} {value}`: expected {expected}")) }
        };
        range("rate", self.rate, self.rate > 0.0 && self.rate <= 1.0, "more than 0, at most 1")?;
        range("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "0 to less than 1")?;
        range("mean", self.mean, (0.0..1.0).contains(&self.mean), "0 to less than 1")?;
        if let Some(taught) = self.teacher_weight.map(f64::from) {
            range("teacher-weight", taught, (0.0..=1.0).contains(&taught), "0 to 1")?;
            range("teacher-weight", taught, !self.teacher.is_empty(), "a `--teacher` with it")?;
        }
        if self.out_of_fold && self.teacher.is_empty() {
            return Err("cannot train with `--out-of-fold`: expected a `--teacher` with it".into());
        }
        let decay = f64::from(self.decay);
        range("decay", decay, (0.0..=1.0).contains(&decay), "0 to 1")?;
        let clip = f64::from(self.clip);
        range("clip", clip, clip >= 0.0 && clip.is_finite(), "0 or more")
    }
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides
        .filter(|s: &[usize; 2]| s.iter().all(|v| (16..=2048).contains(v)))
        .ok_or_else(|| "expected WIDTHxHEIGHT with sides of 16 to 2048, for example 128x96".to_owned())
}
