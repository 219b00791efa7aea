//! A run from its start, or from where it stopped, to its model.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData, backend::Backend as Compute};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network as Parsed};
use sonoplex::segmentation::Class;

use crate::augment::Augment;
use crate::data::{Example, random};
use crate::export::{onnx, values};
use crate::gradients::Learn;
use crate::network::Network;
use crate::settings::Settings;
use crate::trainer::{CHECKPOINT, End, Epoch, Material, State, train};
use crate::{curves, material, worst};

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Burn's own arithmetic on the CPU.
    Flex,
    /// LibTorch on the CPU.
    Tch,
    /// A CUDA device.
    Cuda(usize),
}

impl Backend {
    /// The fastest that was built in and needs no device.
    pub const fn best() -> Self {
        if cfg!(feature = "tch") { Self::Tch } else { Self::Flex }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Flex => f.write_str("flex"),
            Self::Tch => f.write_str("tch"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let absent = |feature: &str| {
            Err(format!(
                "this program was built without it: build it with `cargo build --release --features {feature}` in `train`"
            ))
        };
        match text {
            "flex" => Ok(Self::Flex),
            "tch" if !cfg!(feature = "tch") => absent("tch"),
            "tch" => Ok(Self::Tch),
            _ => {
                let index = match text.split_once(':') {
                    Some(("cuda", index)) => index.parse().ok(),
                    _ => (text == "cuda").then_some(0),
                };
                match index {
                    Some(_) if !cfg!(feature = "cuda") => absent("cuda"),
                    Some(index) => Ok(Self::Cuda(index)),
                    None => Err("expected flex, tch or cuda:N".into()),
                }
            }
        }
    }
}

/// Names of the files of a run.
const SETTINGS: &str = "settings.json";
pub(crate) const HISTORY: &str = "history.json";
pub(crate) const MODEL: &str = "model.onnx";
const CURVES: &str = "curves.svg";
const WORST: &str = "worst.png";

/// Starts a run in an empty or new folder.
///
/// # Errors
/// In one sentence.
pub fn start(mut settings: Settings, folder: &Path, backend: Backend) -> anyhow::Result<End> {
    settings.check().map_err(anyhow::Error::msg)?;
    // said in full, so that another default would not change what a run means
    let augment: Augment = settings.augment.parse().map_err(anyhow::Error::msg)?;
    settings.augment = augment.to_string();
    if folder.join(CHECKPOINT).exists() || folder.join(SETTINGS).exists() {
        bail!(
            "cannot begin a run in `{0}`: there is one already; go on with it (`--resume {0}`), or give another `--output`",
            folder.display()
        );
    }
    if let Some(file) = [MODEL, HISTORY, CURVES, WORST].into_iter().find(|file| folder.join(file).exists()) {
        bail!(
            "cannot begin a run in `{}`: it holds `{file}`, which would be replaced; give another `--output`",
            folder.display()
        );
    }
    // what is refused leaves no folder behind
    let material = material::read(&settings)?;
    settings.data_sha256 = material::sha256(&material);
    settings.backend = backend.to_string();
    settings.teacher_sha256 = material.teacher.as_ref().map_or(vec![], |t| t.sha256.clone());
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    put(&folder.join(SETTINGS), &serde_json::to_vec_pretty(&settings)?)?;
    dispatch(&settings, &material, folder, backend)
}

/// Goes on with a run, on what it was started on unless another backend is named.
///
/// # Errors
/// In one sentence.
pub fn resume(folder: &Path, backend: Option<Backend>) -> anyhow::Result<End> {
    let path = folder.join(SETTINGS);
    let text = std::fs::read(&path).with_context(|| {
        format!("cannot go on with `{}`: expected the folder of a run with `{SETTINGS}`", folder.display())
    })?;
    let settings: Settings = serde_json::from_slice(&text)
        .with_context(|| format!("cannot read `{}`: expected the settings of a run of this version", path.display()))?;
    settings.check().map_err(anyhow::Error::msg)?;
    let backend = match (backend, settings.backend.as_str()) {
        (Some(backend), _) => backend,
        // a run of before it was written down
        (None, "") => Backend::best(),
        (None, started) => started.parse().map_err(|e| {
            anyhow::anyhow!(
                "cannot go on with `{}` on `{started}`, where it was started: {e}; or say where with `--backend`, for other \
                 roundings from here on",
                folder.display()
            )
        })?,
    };
    dispatch(&settings, &material::read(&settings)?, folder, backend)
}

fn dispatch(settings: &Settings, material: &Material, folder: &Path, backend: Backend) -> anyhow::Result<End> {
    match backend {
        Backend::Flex => run::<Autodiff<Flex>>(settings, material, folder, &Default::default()),
        #[cfg(feature = "tch")]
        Backend::Tch => run::<Autodiff<burn::backend::LibTorch>>(settings, material, folder, &Default::default()),
        #[cfg(feature = "cuda")]
        Backend::Cuda(index) => run::<Autodiff<burn::backend::Cuda>>(
            settings,
            material,
            folder,
            &burn::backend::cuda::CudaDevice::new(index),
        ),
        #[allow(unreachable_patterns, reason = "with every feature nothing is left")]
        other => bail!("cannot train on `{other}`: this program was built without it"),
    }
}

/// Keeps others out of the folder for as long as it lives, however it ends.
pub(crate) fn lock(folder: &Path) -> anyhow::Result<std::fs::File> {
    let path = folder.join(SETTINGS);
    let file = std::fs::File::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!(
                "cannot use `{}`: another trainer is at work in it; wait until it has ended, or stop it",
                folder.display()
            )
        }
        // where a file system knows no locks, nobody is kept out
        _ => Ok(file),
    }
}

fn run<B: Learn>(settings: &Settings, material: &Material, folder: &Path, device: &B::Device) -> anyhow::Result<End> {
    let _lock = lock(folder)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // a second run in one process keeps the first handler, which is right for tests
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    let (state, _, end) =
        train::<B>(settings, material, folder, device, &|_| stop.load(Ordering::Relaxed), |state, network, best| {
            let kept = best && write_model(settings, material, state, network, &folder.join(MODEL), device)?;
            if kept && !material.validate.is_empty() {
                worst::sheet(&folder.join(WORST), network, &material.validate, settings.size, device)?;
            }
            // behind the model: who counts its epochs must find the model of the last one
            put(&folder.join(HISTORY), &serde_json::to_vec_pretty(&state.history)?)?;
            curves::draw(&folder.join(CURVES), &state.history, &material.classes)?;
            Ok(kept)
        })?;
    let at = folder.display();
    match end {
        End::Stopped => eprintln!("stopped after step {}; go on with `sonoplex train --resume {at}`", state.step),
        End::Early => eprintln!("no better epoch in {} epochs: stopped", settings.patience),
        End::Done => eprintln!("all {} epochs are done", settings.epochs),
    }
    let model = folder.join(MODEL);
    if let Some((epoch, _)) = state.best.filter(|_| !model.exists()) {
        bail!("`{}`, the model of epoch {epoch}, is not there any more: put it back, or train again", model.display());
    }
    match state.best {
        Some((epoch, score)) if !material.validate.is_empty() => eprintln!("best epoch {epoch}: score {score:.4}"),
        Some((epoch, _)) => eprintln!("the model is that of epoch {epoch}"),
        None if end == End::Stopped => return Ok(end),
        None => bail!(
            "no model of `{at}` was kept, since the engine did not compute what the trainer did; train again with a smaller `--rate` than {}",
            settings.rate
        ),
    }
    let look = if material.validate.is_empty() { String::new() } else { format!("{at}/{WORST} and ") };
    eprintln!("look at {look}{at}/{CURVES}; judge with `sonoplex evaluate {} DATASET`", model.display());
    if settings.despeckle != "off" {
        eprintln!("it was trained behind a filter: run it with `--despeckle {}`", settings.despeckle);
    }
    Ok(end)
}

/// The largest difference of probability between trainer and engine that is let pass: weights are rounded to 11 bits between.
pub(crate) const CLOSE: f32 = 0.02;

/// Writes the model and runs it once in the engine that will run it; returns whether it was kept.
fn write_model<B: Compute>(
    settings: &Settings,
    material: &Material,
    state: &State,
    network: &Network<B>,
    path: &Path,
    device: &B::Device,
) -> anyhow::Result<bool> {
    let bytes = onnx(network, settings.size, &metadata(settings, material, state))?;
    let fresh = path.with_extension("new.onnx");
    put(&fresh, &bytes)?;
    let judged = if material.validate.is_empty() { &material.train[..] } else { &material.validate[..] };
    settle(&fresh, path, compare(network, &fresh, judged, settings.size, device)?)
}

/// Lets a fresh model take the place of the last one, or leaves both and says so: a later epoch may be closer, and hours of work do not
/// end here. Returns whether it took the place.
fn settle(fresh: &Path, path: &Path, off: f32) -> anyhow::Result<bool> {
    if off < CLOSE {
        std::fs::rename(fresh, path).with_context(|| format!("cannot write `{}`", path.display()))?;
        return Ok(true);
    }
    eprintln!(
        "not kept: expected probabilities within {CLOSE} of the trainer's in the engine, found {off}; it is left in `{}`",
        fresh.display()
    );
    Ok(false)
}

/// What the model says of itself, so that whoever runs it needs nothing else.
fn metadata(settings: &Settings, material: &Material, state: &State) -> Vec<(String, String)> {
    let list = |of: &dyn Fn(&Class) -> String| material.classes.iter().map(of).collect::<Vec<_>>().join(",");
    let named = Settings {
        data: settings.data.iter().map(|d| name_of(d)).collect(),
        extra: settings.extra.iter().map(|d| name_of(d)).collect(),
        teacher: settings.teacher.iter().map(|d| name_of(d)).collect(),
        ..settings.clone()
    };
    let mut entries = vec![
        ("sonoplex.name", settings.name.clone()),
        ("sonoplex.resize", "stretch".into()),
        ("sonoplex.filter", "area".into()),
        ("sonoplex.scale", "unit".into()),
        ("sonoplex.mask", "logits".into()),
        ("sonoplex.output", "logits".into()),
        ("sonoplex.activation", "sigmoid".into()),
        ("sonoplex.classes", list(&|c| c.name.clone())),
        ("sonoplex.colors", list(&|c| c.color.iter().fold("#".to_owned(), |text, v| text + &format!("{v:02X}")))),
        ("sonoplex.thresholds", "0.5".into()),
        ("sonoplex.uncertain", "0.5..0.8".into()),
        ("sonoplex.hysteresis", "0.05".into()),
        ("sonoplex.min_area", "0.0005".into()),
        ("sonoplex.presence", if settings.no_presence { "none" } else { "presence" }.into()),
        ("training.settings", serde_json::to_string(&named).expect("plain values")),
        ("training.frames", format!("{} trained on, {} validated", material.train.len(), material.validate.len())),
    ];
    let texts = [("sonoplex.license", &settings.license), ("sonoplex.attribution", &settings.attribution)];
    entries.extend(texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    if let Some(Epoch { epoch, verdict, .. }) = state.history.last() {
        let verdict = serde_json::to_string(verdict).expect("plain values");
        entries.push(("training.metrics", format!("{{\"epoch\":{epoch},\"network_size\":{verdict}}}")));
    }
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A data set without the folders that it lies in, which are of no concern to whoever gets the model.
pub(crate) fn name_of(spec: &str) -> String {
    let (before, path) = spec.rsplit_once([':', '*']).filter(|_| !spec.contains("phantom:")).unwrap_or(("", spec));
    let name = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path);
    format!("{}{name}", &spec[..(before.len() + usize::from(!before.is_empty()))])
}

/// The largest difference of probability between the trainer's network and the written model in our engine.
///
/// # Errors
/// When the engine refuses the model.
pub fn compare<B: Compute>(
    network: &Network<B>,
    model: &Path,
    examples: &[Example],
    [width, height]: [usize; 2],
    device: &B::Device,
) -> anyhow::Result<f32> {
    let plan = Builder::new(BuilderConfig::default()).build(&Parsed::open(model)?)?;
    let engine = Engine::new(plan)?;
    let mut context = engine.context();
    let mut most = 0.0f32;
    for example in examples.iter().take(8) {
        let mut picture = vec![0.0; width * height];
        let classes = network.graph().channels(network.graph().logits);
        let mut truth = vec![0.0; width * height * classes];
        Augment::default().apply(example, [width, height], &mut random([0; 4]), &mut picture, &mut truth);
        context.bind("image", &[1, 1, height, width], &picture)?;
        let input = Tensor::from_data(TensorData::new(picture, [1, 1, height, width]), device);
        let own = network.forward(input, None);
        context.enqueue()?;
        context.synchronize()?;
        most = most.max(apart(&values(own.logits), context.output("logits")?));
        if let Some(presence) = own.presence {
            most = most.max(apart(&values(presence), context.output("presence")?));
        }
    }
    Ok(most)
}

/// The largest difference of probability between two answers before the sigmoid; infinite where one is not a number.
pub(crate) fn apart(one: &[f32], other: &[f32]) -> f32 {
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let off = one.iter().zip(other).map(|(a, b)| (sigmoid(*a) - sigmoid(*b)).abs());
    off.fold(0.0, |most, off| if off.is_nan() { f32::INFINITY } else { most.max(off) })
}

pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    sonoplex::write::whole(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_the_engine_computes_otherwise_takes_no_place_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let [model, new] = [MODEL, "model.new.onnx"].map(|name| folder.path().join(name));
        std::fs::write(&model, "old").expect("written");
        for off in [CLOSE, 0.2, f32::INFINITY, f32::NAN] {
            std::fs::write(&new, "new").expect("written");
            assert!(!settle(&new, &model, off).expect("the run goes on"));
            assert_eq!(std::fs::read_to_string(&model).expect("there"), "old", "{off}");
            assert!(new.exists());
        }
        assert!(settle(&new, &model, 0.01).expect("written"));
        assert_eq!(std::fs::read_to_string(&model).expect("there"), "new");
        assert!(!new.exists());
    }

    #[test]
    fn a_model_does_not_tell_where_its_data_lay() {
        for (spec, name) in [
            ("/home/anna/nerves/", "nerves"),
            ("0.25*empty:/data/muscle", "0.25*empty:muscle"),
            ("0.5*/data/a.sonopack", "0.5*a.sonopack"),
            ("phantom:seed=1-20,frames=2", "phantom:seed=1-20,frames=2"),
            ("0.5*phantom:seed=1", "0.5*phantom:seed=1"),
            ("C:\\data\\nerves", "C:nerves"),
            ("nerves", "nerves"),
        ] {
            assert_eq!(name_of(spec), name);
        }
    }
}
