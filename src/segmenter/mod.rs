//! One frame in, one segmentation out.
//!
//! crop ▸ despeckle ▸ resize ▸ normalise ▸ network ▸ probability back at the size of the frame ▸ threshold ▸ regions ▸
//! decision. What the network takes and gives is its own word ([`spec`]); the picture is cut out of a scanner's screen
//! ([`crop`]), and the mask goes back to exactly where the picture came from.

mod compute;
pub mod contour;
pub mod crop;
pub mod crop_tracker;
pub mod decision;
mod error;
mod findings;
mod model;
mod on_cpu;
mod on_gpu;
mod opening;
mod postprocess;
mod preprocess;
mod screen;
mod sector;
pub mod spec;
mod spec_values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::cpu::despeckle::Despeckle;
use crate::engine::cuda::{Program, Runner};
use crate::engine::{Device, EngineError, ExecutionContext, Plan, Precision};
use crate::frame::Frame;
use crate::geometry::{Rect, Sector, Size};
use crate::latency::{Clock, Moment};
use crate::segmentation::{Class, Segmentation};

use compute::{Compute, Picture};
use crop::{CropFound, CropKind};
use findings::Finder;
use model::Model;

pub use crop_tracker::{CropChoice, CropTracker};
pub use error::SegmenterError;
pub use model::ModelInfo;
pub use opening::{builder, open_network};

/// The model that is part of the program, where a file is expected.
pub const BUILT_IN: &str = "built-in:nerve-vessel";

/// What a segmenter is opened with.
#[derive(Clone, Debug)]
pub struct SegmenterConfig {
    /// The ONNX file, a plan, or [`BUILT_IN`].
    pub model: PathBuf,
    /// Where the network runs.
    pub device: Device,
    /// Threads; 0 is one a core. They change the time, never the result.
    pub threads: usize,
    /// How far factors may be rounded: not at all, or as the plan was built, where nothing is said.
    pub precision: Option<Precision>,
    /// What takes speckle out of the picture before the network sees it.
    pub despeckle: Despeckle,
    /// Probability from which a pixel belongs to a class, instead of the model's own.
    pub threshold: Option<f32>,
    /// Which part of the frame is the picture.
    pub crop: CropChoice,
    /// Tactics of a stored session, to compute the same to the last bit; a plan has its own.
    pub tactics: Option<BTreeMap<String, String>>,
}

impl Default for SegmenterConfig {
    fn default() -> Self {
        Self {
            model: PathBuf::from(BUILT_IN),
            device: Device::Auto,
            threads: 0,
            precision: None,
            despeckle: Despeckle::Off,
            threshold: None,
            crop: CropChoice::Auto,
            tactics: None,
        }
    }
}

/// Finds the classes of a model in frames.
///
/// It remembers where the picture was and what was said last, so frames of one recording go through one segmenter in
/// their order, and [`Segmenter::reset`] stands between recordings, after a seek, and between images that have nothing
/// to do with each other. Its answer depends on nothing else: neither on time nor on the number of threads.
pub struct Segmenter {
    model: Model,
    info: ModelInfo,
    compute: Compute,
    despeckle: Despeckle,
    choice: CropChoice,
    tracker: CropTracker,
    found: Option<CropFound>,
    inside: Inside,
    gray: Vec<u8>,
    finder: Finder,
}

impl Segmenter {
    /// Opens a model and prepares everything that does not depend on the frames.
    ///
    /// # Errors
    /// When the model cannot be read or computed, its description is wrong, or it is no segmenter of pictures.
    pub fn open(config: &SegmenterConfig) -> Result<Self, SegmenterError> {
        let (plan, assumed) = opening::plan(config)?;
        let mut own = Self::from_plan(plan, config)?;
        own.info.notes.extend(assumed);
        Ok(own)
    }

    /// As [`Segmenter::open`], of a plan that stands for the model of `config`.
    ///
    /// # Errors
    /// As there.
    pub fn from_plan(plan: Plan, config: &SegmenterConfig) -> Result<Self, SegmenterError> {
        let (compute, engine) = Compute::new(plan, config)?;
        Self::on(engine.plan(), (compute, engine.device_name()), config)
    }

    /// As [`Segmenter::from_plan`], with what runs the program of that plan given: a test has no GPU.
    ///
    /// # Errors
    /// As there.
    pub fn from_runner(
        plan: &Plan,
        (program, runner): (Arc<Program>, Box<dyn Runner>),
        config: &SegmenterConfig,
    ) -> Result<Self, SegmenterError> {
        Self::on(plan, (Compute::on_runner(program, runner), "given".to_owned()), config)
    }

    fn on(plan: &Plan, on: (Compute, String), config: &SegmenterConfig) -> Result<Self, SegmenterError> {
        let (mut compute, device) = on;
        let (model, info) = Model::new(plan, (&mut compute, device), config)?;
        let finder = Finder::new(model.classes.len());
        Ok(Self {
            model,
            info,
            compute,
            despeckle: config.despeckle,
            choice: config.crop,
            tracker: CropTracker::default(),
            found: None,
            inside: Inside::default(),
            gray: Vec::new(),
            finder,
        })
    }

    /// The same with other thresholds and smallest regions, one of each for every class. How sure it is, and so what it says to be
    /// there, stays as it was.
    ///
    /// # Panics
    /// When there are not as many as classes.
    pub fn with_settings(mut self, thresholds: &[f32], min_area: &[f32]) -> Self {
        self.model.thresholds.copy_from_slice(thresholds);
        self.model.min_area.copy_from_slice(min_area);
        self.info.thresholds.copy_from_slice(thresholds);
        self.info.min_area.copy_from_slice(min_area);
        self
    }

    /// Classes of the model, class 1 first.
    pub fn classes(&self) -> &[Class] {
        &self.model.classes
    }

    /// What is run, what was read and what was assumed.
    pub fn model(&self) -> &ModelInfo {
        &self.info
    }

    /// Its network with what the last frame put in, to run it once more and look inside.
    ///
    /// # Errors
    /// On a GPU, where it is part of a graph.
    pub fn context_mut(&mut self) -> Result<&mut ExecutionContext, EngineError> {
        self.compute.context()
    }

    /// What the network said of the last frame, before any decision.
    ///
    /// # Errors
    /// As [`Segmenter::context_mut`].
    pub fn raw_output(&mut self) -> Result<&[f32], EngineError> {
        self.compute.context()?.output(&self.model.mask)
    }

    /// On a GPU the stages of the last frame by name, and the median of so many runs of each alone on the device, in
    /// microseconds; nothing on the CPU, whose stages are stamped.
    ///
    /// # Errors
    /// When the device fails.
    pub fn time_stages(&mut self, runs: usize) -> Result<Vec<(&'static str, f32)>, EngineError> {
        match &mut self.compute {
            Compute::Cpu(_) => Ok(Vec::new()),
            Compute::Gpu(own) => own.time_stages(runs),
        }
    }

    /// Where the picture was in the last frame, and how that was known.
    pub fn crop(&self) -> Option<CropFound> {
        self.found
    }

    /// What takes speckle out, from the next frame on.
    pub fn set_despeckle(&mut self, despeckle: Despeckle) {
        self.despeckle = despeckle;
    }

    /// Forgets crop and decisions.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.finder.reset();
        self.found = None;
    }

    /// Segments one frame, whose size may differ from the one before.
    ///
    /// Every field of `out` is filled. The stamps are those of the frame and `Preprocessed`, `Inferred` and `Segmented`;
    /// a `Dequeued` that `out` already has is kept. Allocates only when a size or a crop is new, or more or longer
    /// outlines come than ever before.
    ///
    /// # Errors
    /// When the frame has no pixels, a given crop lies outside it, or the device fails.
    pub fn segment(&mut self, frame: &Frame, clock: &Clock, out: &mut Segmentation) -> Result<(), SegmenterError> {
        let size = frame.size;
        if size.area() == 0 {
            return Err(SegmenterError::Empty { id: frame.id, size });
        }
        let dequeued = out.stamps.get(Moment::Dequeued);
        out.stamps = frame.stamps;
        if let Some(time) = dequeued {
            out.stamps.set(Moment::Dequeued, time);
        }
        out.frame_id = frame.id;
        out.size = size;

        // A GPU makes grey of colours itself.
        let unread = self.choice != CropChoice::Auto && matches!(self.compute, Compute::Gpu(_));
        let gray = if unread { &[] } else { frame.gray(&mut self.gray) };
        let found = match self.choice {
            CropChoice::Auto => self.tracker.update(gray, size),
            CropChoice::Full => given(size.full()),
            CropChoice::Rect(rect) if rect.fits(size) => given(rect),
            CropChoice::Rect(rect) => return Err(SegmenterError::Crop { id: frame.id, rect, size }),
        };
        self.found = Some(found);
        out.crop = found.rect;
        out.sector = found.sector;
        self.inside.update(found);

        let model = &self.model;
        let placed = preprocess::placed(model.fit, found.rect.size(), model.size);
        let (inside, despeckle) = (self.inside.mask.as_slice(), self.despeckle);
        let picture = Picture { frame, gray, crop: found, inside, despeckle, placed };
        let answer = self.compute.run(model, &picture, clock, out)?;
        // What compares with no threshold would be called absent.
        if answer.presence.is_some_and(|values| values.iter().any(|v| v.is_nan())) {
            return Err(SegmenterError::NotANumber { id: frame.id });
        }
        self.finder.run(model, &answer, frame.spacing, out);
        out.stamps.set(Moment::Segmented, clock.now());
        Ok(())
    }
}

/// The pixels of a crop that are picture: 255 inside the sector, 0 outside; empty where all of them are.
#[derive(Default)]
struct Inside {
    of: Option<(Rect, Sector)>,
    mask: Vec<u8>,
}

impl Inside {
    fn update(&mut self, found: CropFound) {
        let of = found.sector.map(|sector| (found.rect, sector));
        if of == self.of {
            return;
        }
        self.of = of;
        self.mask.clear();
        if let Some((r, sector)) = of {
            let row = |y| (r.x..r.x + r.width).map(move |x| if sector.contains(x, y) { 255 } else { 0 });
            self.mask.extend((r.y..r.y + r.height).flat_map(row));
        }
    }
}

fn given(rect: Rect) -> CropFound {
    CropFound { rect, sector: None, kind: CropKind::None, certain: true, note: "given" }
}

/// A rectangle of the input in a map of another size, at least one pixel.
fn scaled(rect: Rect, input: Size, map: Size) -> Rect {
    let along = |at: u32, side: u32, from: u32, to: u32| {
        let by = f64::from(to) / f64::from(from);
        let first = ((f64::from(at) * by).round() as u32).min(to - 1);
        (first, ((f64::from(side) * by).round() as u32).clamp(1, to - first))
    };
    let (x, width) = along(rect.x, rect.width, input.width, map.width);
    let (y, height) = along(rect.y, rect.height, input.height, map.height);
    Rect { x, y, width, height }
}
