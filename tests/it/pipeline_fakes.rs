//! Stages that do what a test tells them: a source, a segmenter, a screen.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::latency::{Clock, Moment};
use sonoplex::mask::Mask;
use sonoplex::pipeline::{BoxError, Control, Outcome, Run, RunOptions, Screen, Segment, Shown, Verifier};
use sonoplex::record::Recorder;
use sonoplex::segmentation::{Class, Finding, Segmentation, State};
use sonoplex::session::Session;
use sonoplex::source::{Source, SourceError, SourceInfo};

pub const SIZE: Size = Size::new(16, 8);

/// Frames of one grey level each: that of their index. Fails, panics or falls silent where it is told to.
pub struct FakeSource {
    pub info: SourceInfo,
    pub frames: u64,
    pub interval: Duration,
    pub fails_at: Option<u64>,
    pub panics_at: Option<u64>,
    pub silent_at: Option<u64>,
    pub seeks: bool,
    /// How long a frame takes to come.
    pub sleeps: Duration,
    /// What it says of the age of its pictures.
    pub age: Option<Duration>,
    pub index: u64,
    pub delivered: u64,
}

impl FakeSource {
    pub fn new(frames: u64) -> Self {
        let info = SourceInfo {
            name: "fake:".to_owned(),
            format: "fake".to_owned(),
            frames: Some(frames),
            truth: classes(),
            ..SourceInfo::default()
        };
        let interval = Duration::from_millis(40);
        Self {
            info,
            frames,
            interval,
            fails_at: None,
            panics_at: None,
            silent_at: None,
            seeks: true,
            sleeps: Duration::ZERO,
            age: None,
            index: 0,
            delivered: 0,
        }
    }

    pub fn live(mut self) -> Self {
        self.info.live = true;
        self
    }

    fn refused(&self, found: &str) -> SourceError {
        SourceError::Device { name: self.info.name.clone(), found: found.to_owned(), advice: "try again".to_owned() }
    }
}

impl Source for FakeSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let i = self.index;
        std::thread::sleep(self.sleeps);
        assert_ne!(self.panics_at, Some(i), "told to panic");
        if self.fails_at == Some(i) {
            return Err(self.refused("told to fail"));
        }
        if self.silent_at == Some(i) {
            std::thread::sleep(Duration::from_secs(3600));
        }
        if i >= self.frames {
            return Ok(None);
        }
        let mut frame = Frame::new(self.delivered, SIZE, PixelFormat::Gray8, vec![i as u8; SIZE.area()]);
        frame.time = self.interval * i as u32;
        frame.age = self.age;
        frame.truth = Some(Arc::new(Mask { size: SIZE, labels: vec![1; SIZE.area()] }));
        self.index += 1;
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        if !self.seeks {
            return Err(self.refused("told not to go back"));
        }
        self.index = index;
        Ok(())
    }
}

pub fn classes() -> Vec<Class> {
    vec![Class { name: "nerve".to_owned(), color: [255, 200, 0] }]
}

/// Finds the nerve in half of the picture; the state depends on the frame before, as hysteresis does.
#[derive(Default)]
pub struct FakeSegmenter {
    pub fails_at: Option<u64>,
    pub panics_at: Option<u64>,
    pub hangs_at: Option<u64>,
    pub takes: Duration,
    /// Waits for this before every frame.
    pub gate: Option<mpsc::Receiver<()>>,
    pub filter: usize,
    pub log: Arc<Mutex<Vec<u64>>>,
    pub buffers: Arc<Mutex<BTreeSet<usize>>>,
    pub last: Option<u8>,
    pub classes: Vec<Class>,
}

pub const FILTERS: [&str; 3] = ["off", "median", "lee"];

impl FakeSegmenter {
    pub fn new() -> Self {
        Self { classes: classes(), ..Self::default() }
    }
}

impl Segment for FakeSegmenter {
    fn segment(&mut self, frame: &Frame, clock: &Clock, out: &mut Segmentation) -> Result<(), BoxError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        std::thread::sleep(self.takes);
        // From then on: that very frame may be dropped.
        let now = |at: Option<u64>| at.is_some_and(|at| frame.id >= at);
        assert!(!now(self.panics_at), "told to panic");
        if now(self.fails_at) {
            return Err("told to fail".into());
        }
        if now(self.hangs_at) {
            std::thread::sleep(Duration::from_secs(3600));
        }
        out.stamps.set(Moment::Preprocessed, clock.now());
        out.stamps.set(Moment::Inferred, clock.now());
        out.size = frame.size;
        out.crop = frame.size.full();
        out.mask.reset(frame.size);
        let level = frame.pixels[0];
        // Differs with what came before, and with the filter.
        let rows = if self.last.is_some_and(|last| last < level) { 4 } else { 2 } + self.filter;
        out.mask.labels[..rows * frame.size.width as usize].fill(1);
        self.last = Some(level);
        out.probability.clear();
        out.probability.resize(frame.size.area(), 200);
        out.findings.resize_with(1, Finding::default);
        out.findings[0].state = State::Nerve;
        out.findings[0].confidence = 0.75;
        out.findings[0].area_px = out.mask.area(1);
        out.stamps.set(Moment::Segmented, clock.now());
        self.buffers.lock().unwrap().insert(out.mask.labels.as_ptr() as usize);
        self.log.lock().unwrap().push(frame.id);
        Ok(())
    }

    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn reset(&mut self) {
        self.last = None;
    }

    fn set_despeckle(&mut self, choice: &str) -> Result<(), BoxError> {
        self.filter = FILTERS.iter().position(|f| *f == choice).ok_or("no such filter")?;
        Ok(())
    }

    fn next_despeckle(&mut self) {
        self.filter = (self.filter + 1) % FILTERS.len();
    }

    fn despeckle(&self) -> String {
        FILTERS[self.filter].to_owned()
    }
}

/// What a screen was asked to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub frame: Option<u64>,
    pub level: Option<u8>,
    pub mask_of: Option<u64>,
    pub matched: bool,
    pub frozen: bool,
    pub no_signal: bool,
    pub stuck: bool,
    pub recording: bool,
    pub notice: String,
}

type Script = Box<dyn FnMut(&[Drawn]) -> Vec<Control>>;

/// Notes what it was asked to draw; a script looks at that and answers with keys.
pub struct FakeScreen {
    pub window: bool,
    pub drawn: Vec<Drawn>,
    pub script: Script,
    pub closes_after: Option<usize>,
    pub fails_after: Option<usize>,
    pub takes: Duration,
}

impl FakeScreen {
    pub fn new(window: bool) -> Self {
        Self {
            window,
            drawn: Vec::new(),
            script: Box::new(|_| Vec::new()),
            closes_after: None,
            fails_after: None,
            takes: Duration::ZERO,
        }
    }
}

impl Screen for FakeScreen {
    fn compose(&mut self, shown: &Shown<'_>) -> Result<(), BoxError> {
        self.drawn.push(Drawn {
            frame: shown.frame.map(|f| f.id),
            level: shown.frame.map(|f| f.pixels[0]),
            mask_of: shown.segmentation.map(|s| s.frame_id),
            matched: shown.matched,
            frozen: shown.status.frozen,
            no_signal: shown.status.no_signal.is_some(),
            stuck: shown.status.segmenter_stuck.is_some(),
            recording: shown.status.recording,
            notice: shown.status.notice.clone(),
        });
        std::thread::sleep(self.takes);
        Ok(())
    }

    fn present(&mut self) -> Result<(), BoxError> {
        if self.fails_after.is_some_and(|n| self.drawn.len() > n) {
            return Err("told to fail".into());
        }
        Ok(())
    }

    fn is_window(&self) -> bool {
        self.window
    }

    fn is_open(&self) -> bool {
        self.closes_after.is_none_or(|n| self.drawn.len() <= n)
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        out.extend((self.script)(&self.drawn));
    }
}

/// A run of the given stages with nothing else.
pub fn run_of<'a>(source: FakeSource, segmenter: FakeSegmenter, options: RunOptions) -> Run<'a> {
    Run {
        source: Box::new(source),
        segmenter: Box::new(segmenter),
        screen: None,
        recording: None,
        open_recording: None,
        progress: None,
        about: Default::default(),
        options,
    }
}

/// Runs with a stop after a minute, so that a fault is a failed test and not a test that hangs.
pub fn run(run: Run<'_>) -> Outcome {
    let stop = Arc::clone(&run.options.stop);
    let (done, waits) = mpsc::channel::<()>();
    let late = Arc::new(AtomicBool::new(false));
    let watch = std::thread::spawn({
        let late = Arc::clone(&late);
        move || {
            if waits.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
                late.store(true, Ordering::SeqCst);
                stop.store(true, Ordering::SeqCst);
            }
        }
    });
    let outcome = sonoplex::pipeline::run(run);
    drop(done);
    watch.join().unwrap();
    assert!(!late.load(Ordering::SeqCst), "the run did not end by itself: {outcome:?}");
    outcome
}

pub fn session() -> Session {
    let model_sha256 = "m".to_owned();
    Session {
        classes: classes(),
        model_sha256,
        plan_sha256: "p".to_owned(),
        device: "d".to_owned(),
        ..Session::default()
    }
}

pub fn recording(dir: &std::path::Path) -> sonoplex::pipeline::Recording {
    sonoplex::pipeline::Recording { recorder: Recorder::create(dir, session()).unwrap(), annotate: None }
}

/// A fresh segmenter of the kind that the fake sessions were made with.
pub fn verifier() -> Verifier {
    let Session { model_sha256, plan_sha256, device, .. } = session();
    let segmenter = Box::new(FakeSegmenter::new());
    Verifier { segmenter, model_sha256, plan_sha256, device, settings: Default::default() }
}
