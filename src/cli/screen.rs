//! The pipeline's screen, made of the display's parts: a window, or the composited picture of a headless run.

use std::path::PathBuf;

use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::display::{
    Banner, Canvas, Command, Compositor, Hud, Scene, StageBar, Style, Tile, Window, contact_sheet,
};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::latency::{Nanos, Percentiles, Stage};
use sonoplex::pipeline::{BoxError, Control, Screen, Shown};

/// Pictures of a sheet: between this many and twice as many are kept while the length of a run is unknown.
const TILES: usize = 9;

/// The stages that have a bar.
const BARS: [Stage; 5] = [Stage::Queue, Stage::Preprocess, Stage::Network, Stage::Postprocess, Stage::Composite];

/// A bar of the newest frame's time, with percentiles beside it.
pub fn bar(stage: Stage, now: Option<Nanos>, p: Percentiles) -> StageBar {
    let now_ms = now.unwrap_or(0) as f64 / 1e6;
    StageBar { name: stage.as_str(), now_ms, p50_ms: p.p50 / 1e3, p99_ms: p.p99 / 1e3 }
}

/// What is written beside every picture of a run.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub source: String,
    pub model: String,
    pub device: String,
    pub despeckle: Despeckle,
    pub frames: Option<u64>,
}

impl Labels {
    /// A HUD that says so, and nothing of a frame yet.
    pub fn hud(&self) -> Hud {
        Hud {
            source: self.source.clone(),
            model: self.model.clone(),
            device: self.device.clone(),
            despeckle: self.despeckle.to_string(),
            frames: self.frames,
            uncalibrated: true,
            stages: Vec::with_capacity(BARS.len()),
            notice: String::with_capacity(256),
            ..Hud::default()
        }
    }
}

/// Pictures spread evenly over a run of unknown length: when there are too many, every second goes and the stride
/// doubles.
#[derive(Debug)]
pub struct Sheet {
    path: PathBuf,
    tiles: Vec<(u64, Tile)>,
    stride: u64,
    seen: u64,
}

impl Sheet {
    pub fn new(path: PathBuf) -> Self {
        Self { path, tiles: Vec::new(), stride: 1, seen: 0 }
    }

    fn add(&mut self, canvas: &Canvas, caption: &str) {
        if self.seen.is_multiple_of(self.stride) {
            self.tiles.push((self.seen, Tile { picture: canvas.clone(), caption: caption.to_owned() }));
            if self.tiles.len() > 2 * TILES {
                self.stride *= 2;
                let stride = self.stride;
                self.tiles.retain(|(n, _)| n.is_multiple_of(stride));
            }
        }
        self.seen += 1;
    }

    /// Writes nine pictures (fewer of a shorter run), first and last included.
    pub fn save(&self) -> Result<(), BoxError> {
        let n = self.tiles.len();
        let chosen = n.min(TILES);
        let index = |i: usize| if chosen < 2 { 0 } else { i * (n - 1) / (chosen - 1) };
        let tiles: Vec<Tile> = (0..chosen).map(|i| self.tiles[index(i)].1.clone()).collect();
        contact_sheet(&tiles, 3).save_png(&self.path)?;
        Ok(())
    }
}

/// A window, or none.
pub struct Show {
    compositor: Compositor,
    window: Option<Window>,
    size: Size,
    style: Style,
    hud: Hud,
    hud_on: bool,
    /// As the segmenter has it: both go on to the next one at the same key.
    despeckle: Despeckle,
    notice_number: u64,
    caption: String,
    sheet: Option<Sheet>,
    blank: Frame,
    wanted: Vec<Control>,
    snapshots: u32,
}

impl Show {
    /// A screen of `size`; in `window` where there is one.
    pub fn new(window: Option<Window>, size: Size, labels: &Labels) -> Self {
        let hud = labels.hud();
        Self {
            compositor: Compositor::new(),
            window,
            size,
            style: Style::default(),
            hud,
            hud_on: true,
            despeckle: labels.despeckle,
            notice_number: 0,
            caption: String::new(),
            sheet: None,
            blank: Frame::new(0, Size::new(4, 3), PixelFormat::Gray8, vec![0; 12]),
            wanted: Vec::with_capacity(16),
            snapshots: 0,
        }
    }

    /// With this look, and with a sheet of pictures where one is wanted.
    pub fn with(mut self, style: Style, hud: bool, sheet: Option<Sheet>) -> Self {
        self.style = style;
        self.hud_on = hud;
        self.sheet = sheet;
        self
    }

    /// The sheet, once the run is over.
    pub fn into_sheet(self) -> Option<Sheet> {
        self.sheet
    }

    fn fill_hud(&mut self, shown: &Shown<'_>) {
        let (hud, status) = (&mut self.hud, shown.status);
        let ms = |nanos: u64| nanos as f64 / 1e6;
        hud.banner = match (status.no_signal, shown.segmentation) {
            (Some(_), _) => Banner::NoSignal,
            (None, Some(s)) => s.state().into(),
            (None, None) => Banner::Waiting,
        };
        hud.frozen = status.frozen;
        hud.probability = shown.segmentation.map(|s| s.confidence());
        hud.uncalibrated = shown.segmentation.is_some_and(|s| !s.calibrated);
        hud.picture_age_ms = status.picture_age.map(ms);
        hud.mask_age_ms = status.mask_age.map(ms);
        hud.drops = status.dropped;
        hud.fps = status.frames_per_second;
        hud.frame = shown.frame.map(|f| f.id);
        hud.recording = status.recording;
        if status.notice_number != self.notice_number {
            self.notice_number = status.notice_number;
            hud.notice.clone_from(&status.notice);
        }
        hud.stages.clear();
        hud.stages.extend(BARS.iter().map(|&stage| {
            let now = if stage == Stage::Composite { Some(status.composite) } else { status.stamps.stage(stage) };
            bar(stage, now, status.percentiles[stage as usize])
        }));
    }

    /// Writes the picture on the screen beside the program, under a name that is free.
    fn snapshot(&mut self) -> Result<(), BoxError> {
        loop {
            let path = PathBuf::from(format!("sonoplex-{:04}.png", self.snapshots));
            self.snapshots += 1;
            if !path.exists() {
                self.compositor.canvas().save_png(&path)?;
                self.hud.notice = format!("wrote {}", path.display());
                return Ok(());
            }
        }
    }
}

/// A caption for a tile of the sheet.
fn caption(frame: &Frame, answer: &str) -> String {
    format!("frame {}, {:.2} s: {answer}", frame.id, frame.time.as_secs_f64())
}

impl Screen for Show {
    fn compose(&mut self, shown: &Shown<'_>) -> Result<(), BoxError> {
        if let Some(window) = &self.window {
            self.size = window.size();
        }
        self.fill_hud(shown);
        let frame = shown.frame.unwrap_or(&self.blank);
        let scene = Scene {
            frame,
            segmentation: shown.segmentation,
            matched: shown.matched,
            truth: frame.truth.as_deref(),
            classes: shown.classes,
            // The compositor finds them itself, in the crop of a smoothed picture.
            edges: None,
            style: &self.style,
            hud: self.hud_on.then_some(&self.hud),
        };
        self.compositor.compose(self.size, &scene);
        if self.sheet.is_some() {
            self.caption = caption(frame, shown.segmentation.map_or("-", |s| s.state().as_str()));
        }
        Ok(())
    }

    fn present(&mut self) -> Result<(), BoxError> {
        if let Some(sheet) = &mut self.sheet {
            sheet.add(self.compositor.canvas(), &self.caption);
        }
        if let Some(window) = &mut self.window {
            window.present(self.compositor.canvas())?;
        }
        Ok(())
    }

    fn is_window(&self) -> bool {
        self.window.is_some()
    }

    fn is_open(&self) -> bool {
        self.window.as_ref().is_none_or(Window::is_open)
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        let mut snapshot = false;
        if let Some(window) = &mut self.window {
            for command in window.commands() {
                let control = match command {
                    Command::Quit => Control::Quit,
                    Command::Freeze => Control::Freeze,
                    Command::Step(by) => Control::Step(by),
                    Command::NextDespeckle => {
                        self.despeckle = self.despeckle.next();
                        self.hud.despeckle = self.despeckle.to_string();
                        Control::NextDespeckle
                    }
                    Command::Record => Control::Record,
                    look => {
                        snapshot |= look == Command::Snapshot;
                        self.style.apply(look);
                        Control::Redraw
                    }
                };
                self.wanted.push(control);
            }
        }
        if snapshot && let Err(error) = self.snapshot() {
            self.hud.notice = error.to_string();
        }
        out.append(&mut self.wanted);
    }
}
