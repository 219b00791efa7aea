//! The loop: draw, run, be wrong, move; judge every epoch; keep what is needed to go on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use burn::grad_clipping::GradientClippingConfig;
use burn::module::AutodiffModule;
use burn::optim::{AdamConfig, AdamWConfig, Optimizer};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use sonoplex::segmentation::Class;

use crate::augment::Augment;
use crate::average;
use crate::checkpoint::{self, Stored, Trained};
use crate::data::{Batch, Example, Sampler, random};
use crate::gradients::{Learn, Lesson};
use crate::judge::{Verdict, judge};
use crate::loss::Truth;
use crate::network::Network;
use crate::progress::Progress;
use crate::schedule::{PLATEAU, Schedule};
use crate::settings::{Descent, Settings};
use crate::teacher::Teacher;

/// What is trained on, and what is judged by.
pub struct Material {
    /// Names and colours.
    pub classes: Vec<Class>,
    /// Drawn from.
    pub train: Arc<Vec<Example>>,
    /// Looked at after every epoch.
    pub validate: Vec<Example>,
    /// Whom to learn from beside the masks.
    pub teacher: Option<Arc<Teacher>>,
}

/// One line of the history of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Learning rate that it ends with.
    pub rate: f64,
    /// On the frames that validate.
    pub verdict: Verdict,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Steps of an epoch.
    pub epoch_steps: usize,
    /// Epochs done.
    pub history: Vec<Epoch>,
    /// Sum of the losses of the epoch that has begun.
    pub loss: f64,
    /// Epoch (from 1) and score of the best one.
    pub best: Option<(u32, f64)>,
    /// How often a plateau has halved the rate.
    pub halvings: u32,
    /// Epoch of the last halving.
    pub halved: u32,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Done,
    /// No epoch was better for as long as `--patience` says.
    Early,
    /// Somebody asked it to stop.
    Stopped,
}

/// How long a run may lose when it is killed.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Trains until the end or until `stop`, which is asked with the number of steps done; calls `on_epoch` with the mean network after every epoch and whether it is
/// the best, which it stays if `on_epoch` has kept it, as it says.
///
/// # Errors
/// When a checkpoint cannot be written or read, or the loss is not a number any more.
pub fn train<B: Learn>(
    settings: &Settings,
    material: &Material,
    folder: &Path,
    device: &B::Device,
    stop: &dyn Fn(usize) -> bool,
    mut on_epoch: impl FnMut(&State, &Network<B::InnerBackend>, bool) -> anyhow::Result<bool>,
) -> anyhow::Result<(State, Network<B::InnerBackend>, End)> {
    let clip = (settings.clip > 0.0).then_some(GradientClippingConfig::Norm(settings.clip));
    match settings.optimizer {
        Descent::Adam => {
            let optimizer = AdamConfig::new().with_grad_clipping(clip).init();
            Run::<B, _>::start(settings, material, folder, device, optimizer)?.go(stop, &mut on_epoch)
        }
        Descent::Adamw => {
            let optimizer = AdamWConfig::new().with_weight_decay(settings.decay).with_grad_clipping(clip).init();
            Run::<B, _>::start(settings, material, folder, device, optimizer)?.go(stop, &mut on_epoch)
        }
    }
}

struct Run<'a, B: Learn, O> {
    settings: &'a Settings,
    material: &'a Material,
    folder: &'a Path,
    device: &'a B::Device,
    sampler: Sampler,
    augment: Augment,
    epoch_steps: usize,
    state: State,
    /// Taken out while a step moves it.
    trained: Option<Trained<B, O>>,
}

impl<'a, B: Learn, O: Optimizer<Network<B>, B>> Run<'a, B, O> {
    fn start(
        settings: &'a Settings,
        material: &'a Material,
        folder: &'a Path,
        device: &'a B::Device,
        optimizer: O,
    ) -> anyhow::Result<Self> {
        let classes = material.classes.len();
        let graph = settings.architecture.graph(settings.width(), classes, !settings.no_presence);
        let network: Network<B> = Network::new(graph, settings.dropout, settings.precision, settings.seed, device);
        let sampler = Sampler::new(Arc::clone(&material.train), classes, settings.size, settings.seed);
        let batch = usize::from(settings.batch);
        let epoch_steps = settings.epoch_steps.map_or(sampler.epoch_steps(batch), |n| n as usize);
        let mut trained = Trained { mean: network.valid(), network, optimizer };
        let mut state = State { epoch_steps, ..State::default() };
        let path = folder.join(CHECKPOINT);
        if path.exists() {
            let stored = Stored::read(&path)?;
            state = stored.state()?;
            anyhow::ensure!(
                state.epoch_steps == epoch_steps,
                "cannot go on with `{}`: expected the data that it was started with, of {} steps an epoch, found data of {epoch_steps}",
                folder.display(),
                state.epoch_steps
            );
            trained = stored.load(trained, device)?;
        }
        let augment = settings.augment.parse().map_err(anyhow::Error::msg)?;
        let trained = Some(trained);
        Ok(Self { settings, material, folder, device, sampler, augment, epoch_steps, state, trained })
    }

    fn trained(&self) -> &Trained<B, O> {
        self.trained.as_ref().expect("put back after every step")
    }

    fn keep(&self) -> anyhow::Result<()> {
        Ok(checkpoint::save(&self.folder.join(CHECKPOINT), &self.state, self.trained())?)
    }

    fn go(
        mut self,
        stop: &dyn Fn(usize) -> bool,
        on_epoch: &mut impl FnMut(&State, &Network<B::InnerBackend>, bool) -> anyhow::Result<bool>,
    ) -> anyhow::Result<(State, Network<B::InnerBackend>, End)> {
        let steps = self.epoch_steps * self.settings.epochs as usize;
        let batch = usize::from(self.settings.batch);
        let progress = Progress::new(steps, self.state.step, self.epoch_steps, &self.material.classes);
        self.state.history.iter().for_each(|e| progress.epoch(e, self.state.best));
        // pictures are changed on a thread of their own while the network learns from those before
        let (send, receive) = crossbeam_channel::bounded(2);
        let (sampler, augment, first) = (self.sampler.clone(), self.augment.clone(), self.state.step);
        let (mut lessons, size) = (self.material.teacher.as_ref().map(|t| t.begin()), self.settings.size);
        let mut draw = move |step| -> anyhow::Result<Batch> {
            let mut drawn = sampler.batch(step, batch, &augment);
            lessons.as_mut().map_or(Ok(()), |lessons| lessons.correct(&mut drawn, step, size))?;
            Ok(drawn)
        };
        let painter =
            std::thread::spawn(move || (first..steps).take_while(|&step| send.send(draw(step)).is_ok()).count());
        let mut kept = Instant::now();
        let mut end = if self.out_of_patience() { End::Early } else { End::Done };
        while self.state.step < steps && end == End::Done {
            if stop(self.state.step) {
                end = End::Stopped;
                break;
            }
            let drawn = receive.recv().context("the thread that draws pictures has ended")??;
            let loss = self.step(drawn, steps)?;
            progress.step(self.state.step, loss);
            if self.state.step.is_multiple_of(self.epoch_steps) {
                self.end_epoch(&progress, on_epoch, steps)?;
                if self.out_of_patience() {
                    end = End::Early;
                }
            }
            if kept.elapsed() > KEEP_EVERY {
                self.keep()?;
                kept = Instant::now();
            }
        }
        self.keep()?;
        drop(receive);
        painter.join().map_err(|_| anyhow::anyhow!("the thread that draws pictures has failed"))?;
        progress.finish();
        let mean = self.trained().mean.clone();
        Ok((self.state, mean, end))
    }

    fn rate(&self, steps: usize) -> f64 {
        self.settings.rate * self.settings.schedule.factor(self.state.step, steps, self.state.halvings)
    }

    /// One step; returns its loss.
    fn step(&mut self, batch: Batch, steps: usize) -> anyhow::Result<f64> {
        let [width, height] = self.settings.size;
        let (count, classes) = (usize::from(self.settings.batch), self.material.classes.len());
        let tensor4 = |data: Vec<f32>, c: usize| {
            Tensor::<B, 4>::from_data(TensorData::new(data, [count, c, height, width]), self.device)
        };
        let tensor2 = |data: Vec<f32>| Tensor::<B, 2>::from_data(TensorData::new(data, [count, classes]), self.device);
        let truth = Truth {
            maps: tensor4(batch.truth, classes),
            present: tensor2(batch.present),
            labelled: tensor2(batch.labelled),
        };
        let noise = rand::RngCore::next_u64(&mut random([self.settings.seed, 3, self.state.step as u64, 0]));
        let Trained { network, mut optimizer, mean } = self.trained.take().expect("put back after every step");
        let lesson = Lesson { picture: tensor4(batch.picture, 1), truth: &truth, loss: &self.settings.loss, noise };
        let (loss, gradients) = B::gradients(&network, lesson);
        anyhow::ensure!(
            loss.is_finite(),
            "cannot go on: expected a loss that is a number, found {loss} in step {}; train again with a smaller `--rate` than {}",
            self.state.step + 1,
            self.settings.rate
        );
        let rate = self.rate(steps);
        let network = optimizer.step(rate, network, gradients);
        let mean = average::update(mean, &network.valid(), average::decay(self.settings.mean, self.state.step));
        self.trained = Some(Trained { network, optimizer, mean });
        self.state.step += 1;
        self.state.loss += loss;
        Ok(loss)
    }

    fn end_epoch(
        &mut self,
        progress: &Progress,
        on_epoch: &mut impl FnMut(&State, &Network<B::InnerBackend>, bool) -> anyhow::Result<bool>,
        steps: usize,
    ) -> anyhow::Result<()> {
        let verdict = judge(&self.trained().mean, &self.material.validate, self.settings.size, self.device, |_| ());
        let epoch = (self.state.step / self.epoch_steps) as u32;
        let score = verdict.score();
        let (loss, rate) = (self.state.loss / self.epoch_steps as f64, self.rate(steps));
        self.state.loss = 0.0;
        // without frames to judge by, the last epoch is the best
        let best = match (score, self.state.best) {
            (Some(score), Some((_, best))) => score > best,
            _ => true,
        };
        self.state.history.push(Epoch { epoch, loss, rate, verdict });
        // in this order: whoever is killed between the two does the end of the epoch again
        if on_epoch(&self.state, &self.trained().mean, best)? {
            self.state.best = Some((epoch, score.unwrap_or(0.0)));
        }
        let since = epoch - self.state.best.map_or(0, |(at, _)| at).max(self.state.halved);
        if self.settings.schedule == Schedule::Plateau && since >= PLATEAU {
            (self.state.halvings, self.state.halved) = (self.state.halvings + 1, epoch);
        }
        progress.epoch(self.state.history.last().expect("pushed just now"), self.state.best);
        self.keep()
    }

    fn out_of_patience(&self) -> bool {
        let done = self.state.history.len() as u32;
        self.settings.patience > 0 && self.state.best.is_some_and(|(at, _)| done - at >= self.settings.patience)
    }
}

/// The file in the folder of a run that it goes on from.
pub const CHECKPOINT: &str = "checkpoint.bin";
