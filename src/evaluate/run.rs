//! Every frame of a data set through the segmenter, as `sonoplex segment` sends it, on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::engine::Device;
use crate::geometry::Size;
use crate::latency::Clock;
use crate::segmentation::Segmentation;
use crate::segmenter::{ModelInfo, Segmenter, SegmenterConfig};

use super::EvaluateError;
use super::counts::Counts;
use super::dataset::{Dataset, Dropped, Sample};
use super::measures::Row;
use super::surface::Surfaces;
use super::sweep::{Grid, Setting, Sweeper, Tally};

/// A model on a data set whose classes are those of the model.
pub struct Run<'a> {
    /// How frames become masks.
    pub config: &'a SegmenterConfig,
    /// Settings of every class instead of the model's own, where they were tuned.
    pub settings: Option<&'a [Setting]>,
    /// What to judge it on.
    pub dataset: &'a Dataset,
    /// Whether other smallest regions are tried too, and not thresholds alone.
    pub areas: bool,
    /// Told after every frame.
    pub progress: &'a (dyn Fn() + Sync),
}

/// All frames, judged.
pub struct Judged {
    /// In the order of the data set.
    pub frames: Vec<FrameRow>,
    /// Frames that could not be read.
    pub skipped: Vec<Dropped>,
    /// What was tried, for each class.
    pub grids: Vec<Grid>,
    /// What ran.
    pub model: ModelInfo,
}

/// One frame, judged.
#[derive(Clone, Debug)]
pub struct FrameRow {
    /// Its place in the data set.
    pub index: usize,
    /// Its name.
    pub id: String,
    /// What may not be divided by a split.
    pub subject: String,
    /// Width and height; masks and numbers are at this size.
    pub size: Size,
    /// One for each class of the model; nothing where the data set does not label it.
    pub classes: Vec<Option<ClassRow>>,
}

/// One class in one frame.
#[derive(Clone, Debug)]
pub struct ClassRow {
    /// What is known of it.
    pub row: Row,
    /// What other settings would have made of it, in the order of the grid.
    pub tallies: Vec<Tally>,
}

impl Run<'_> {
    /// Judges every frame; the same frames give the same answer on any number of threads.
    ///
    /// Frames are independent of each other: the segmenter forgets what it said before each.
    ///
    /// # Errors
    /// When the model cannot be opened, or gives no answer to a frame.
    pub fn judge(&self) -> Result<Judged, EvaluateError> {
        let count = self.dataset.entries.len();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if self.config.threads == 0 { cores } else { self.config.threads };
        // A GPU takes whole frames one after the other. On a CPU a frame on each core is faster than all cores on a frame.
        let workers = if matches!(self.config.device, Device::Cuda(_)) { 1 } else { threads.clamp(1, count.max(1)) };
        let config = SegmenterConfig { threads: (threads / workers).max(1), ..self.config.clone() };
        let first = Judge::open(&config, self.settings, self.areas)?;
        let (grids, model) = (first.grids.clone(), first.segmenter.model().clone());
        let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
        let work = |mut judge: Judge| -> Result<(), EvaluateError> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(());
                }
                let row = match self.dataset.load(index) {
                    Ok(sample) => Ok(self.row(&mut judge, index, &sample).inspect_err(|_| {
                        // Nobody else needs to go on.
                        next.store(count, Ordering::Relaxed);
                    })?),
                    Err(error) => Err(Dropped { what: self.dataset.entries[index].id.clone(), why: error.to_string() }),
                };
                rows.lock().unwrap_or_else(|e| e.into_inner()).push((index, row));
                (self.progress)();
            }
        };
        thread::scope(|scope| {
            let open = || work(Judge::open(&config, self.settings, self.areas)?);
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(open)).collect();
            let own = work(first);
            let all = others.into_iter().map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            all.fold(own, Result::and)
        })?;
        let mut rows = rows.into_inner().unwrap_or_else(|e| e.into_inner());
        rows.sort_unstable_by_key(|(index, _)| *index);
        let (mut frames, mut skipped) = (Vec::with_capacity(rows.len()), Vec::new());
        for (_, row) in rows {
            match row {
                Ok(row) => frames.push(row),
                Err(dropped) => skipped.push(dropped),
            }
        }
        Ok(Judged { frames, skipped, grids, model })
    }

    /// The answer to one frame alone, to be drawn.
    ///
    /// # Errors
    /// As [`Run::judge`].
    pub fn answers(&self) -> Result<Judge, EvaluateError> {
        Judge::open(self.config, self.settings, false)
    }

    fn row(&self, judge: &mut Judge, index: usize, sample: &Sample) -> Result<FrameRow, EvaluateError> {
        let entry = &self.dataset.entries[index];
        let classes = judge.classes(sample)?;
        Ok(FrameRow { index, id: entry.id.clone(), subject: entry.subject.clone(), size: sample.truth.size, classes })
    }
}

/// A segmenter and what measures its answers.
pub struct Judge {
    segmenter: Segmenter,
    /// As shipped, which other settings are tried against.
    thresholds: Vec<f32>,
    grids: Vec<Grid>,
    clock: Clock,
    answer: Segmentation,
    surfaces: Surfaces,
    sweeper: Sweeper,
}

impl Judge {
    fn open(config: &SegmenterConfig, settings: Option<&[Setting]>, areas: bool) -> Result<Self, EvaluateError> {
        let mut segmenter = Segmenter::open(config)?;
        let info = segmenter.model();
        let shipped = info.thresholds.iter().zip(&info.min_area);
        let grids =
            shipped.map(|(&threshold, &min_area)| Grid::around(Setting { threshold, min_area }, areas)).collect();
        let thresholds = info.thresholds.clone();
        if let Some(settings) = settings {
            let each = |of: fn(&Setting) -> f32| settings.iter().map(of).collect::<Vec<_>>();
            segmenter = segmenter.with_settings(&each(|s| s.threshold), &each(|s| s.min_area));
        }
        Ok(Self {
            thresholds,
            grids,
            segmenter,
            clock: Clock::monotonic(),
            answer: Segmentation::default(),
            surfaces: Surfaces::default(),
            sweeper: Sweeper::default(),
        })
    }

    /// What the segmenter says of a picture, with nothing remembered.
    ///
    /// # Errors
    /// When it refuses.
    pub fn answer(&mut self, sample: &Sample) -> Result<&Segmentation, EvaluateError> {
        self.segmenter.reset();
        self.segmenter
            .segment(&sample.picture, &self.clock, &mut self.answer)
            .map_err(|source| EvaluateError::Frame { frame: sample.picture.name.clone(), source: Box::new(source) })?;
        Ok(&self.answer)
    }

    fn classes(&mut self, sample: &Sample) -> Result<Vec<Option<ClassRow>>, EvaluateError> {
        self.answer(sample)?;
        let (mask, truth) = (&self.answer.mask, &sample.truth);
        let spacing = sample.spacing.filter(|s| s.is_plausible());
        let rows = (1u8..).zip(&self.answer.findings).zip(&self.grids).enumerate();
        Ok(rows
            .map(|(i, ((class, finding), grid))| {
                if !sample.labelled.get(i).copied().unwrap_or(false) {
                    return None;
                }
                let (found, wanted) = ((mask, class), (truth, class));
                let px = self.surfaces.between(found, wanted, [1.0, 1.0]);
                let mm = spacing.and_then(|s| self.surfaces.between(found, wanted, [s.x_mm, s.y_mm]));
                let counts = Counts::of(found, wanted);
                let row = Row { counts, px, mm, confidence: finding.confidence, state: finding.state };
                let tallies = self.sweeper.run(grid, (&self.answer, class, &self.thresholds), wanted);
                Some(ClassRow { row, tallies })
            })
            .collect())
    }
}
