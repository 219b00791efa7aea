//! The annotated video of a recording: every frame with its own mask, drawn as on the screen.

use std::path::Path;

use sonoplex::pipeline::Annotate;
use sonoplex::segmentation::Class;

use super::screen::Labels;

#[cfg(not(feature = "video"))]
pub struct Annotated;

#[cfg(not(feature = "video"))]
impl Annotated {
    /// Without `video` a recording has no annotated mp4; frames and masks are complete.
    pub fn create(path: &Path, _classes: Vec<Class>, _labels: &Labels) -> Option<Box<dyn Annotate>> {
        tracing::warn!("no `{}`: this build is without `video`", path.display());
        None
    }
}

#[cfg(feature = "video")]
pub use with_video::Annotated;

#[cfg(feature = "video")]
mod with_video {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;

    use sonoplex::display::{Compositor, Hud, Scene, Style};
    use sonoplex::frame::Frame;
    use sonoplex::geometry::Size;
    use sonoplex::latency::{LatencyRecorder, Moment, Stage};
    use sonoplex::pipeline::BoxError;
    use sonoplex::record::annotated::AnnotatedVideo;
    use sonoplex::segmentation::Segmentation;

    use crate::cli::run::comfortable;
    use crate::cli::screen::bar;

    /// Stages that are over when a frame is recorded.
    const TIMED: [Stage; 4] = [Stage::Queue, Stage::Preprocess, Stage::Network, Stage::Postprocess];

    /// Opens its file with the first frame, whose size it takes.
    pub struct Annotated {
        path: PathBuf,
        classes: Vec<Class>,
        compositor: Compositor,
        video: Option<(AnnotatedVideo, Size)>,
        rgb: Vec<u8>,
        style: Style,
        hud: Hud,
        latency: LatencyRecorder,
        last: Option<Duration>,
    }

    impl Annotated {
        pub fn create(path: &Path, classes: Vec<Class>, labels: &Labels) -> Option<Box<dyn Annotate>> {
            Some(Box::new(Self {
                path: path.to_owned(),
                classes,
                compositor: Compositor::new(),
                video: None,
                rgb: Vec::new(),
                style: Style::default(),
                hud: labels.hud(),
                latency: LatencyRecorder::new(0),
                last: None,
            }))
        }
    }

    impl Annotated {
        /// How old the answer was when it came, and how long every stage of this frame took.
        fn fill_times(&mut self, frame: &Frame, segmentation: Option<&Segmentation>) {
            self.hud.stages.clear();
            let stamps = segmentation.map(|s| s.stamps).unwrap_or_default();
            let age = stamps.between(Moment::Captured, Moment::Segmented).map(|n| n as f64 / 1e6);
            (self.hud.picture_age_ms, self.hud.mask_age_ms) = (age, age);
            for stage in TIMED {
                if let Some(nanos) = stamps.stage(stage) {
                    self.latency.record(stage, nanos);
                }
                self.hud.stages.push(bar(stage, stamps.stage(stage), self.latency.percentiles(stage)));
            }
            // The rate of the video itself, since nothing else is shown here.
            if let Some(step) = self.last.and_then(|last| frame.time.checked_sub(last)).filter(|s| !s.is_zero()) {
                self.hud.fps = 1.0 / step.as_secs_f64();
            }
            self.last = Some(frame.time);
        }
    }

    impl Annotate for Annotated {
        fn write(&mut self, frame: &Frame, segmentation: Option<&Segmentation>) -> Result<(), BoxError> {
            self.fill_times(frame, segmentation);
            if self.video.is_none() {
                let size = comfortable(Some(frame.size));
                self.video = Some((AnnotatedVideo::create(&self.path, size)?, size));
            }
            let Some((video, size)) = &mut self.video else { return Ok(()) };
            self.hud.banner = segmentation.map_or_else(Default::default, |s| s.state().into());
            self.hud.probability = segmentation.map(Segmentation::confidence);
            self.hud.uncalibrated = segmentation.is_some_and(|s| !s.calibrated);
            self.hud.frame = Some(frame.id);
            let scene = Scene {
                frame,
                segmentation,
                matched: true,
                truth: frame.truth.as_deref(),
                classes: &self.classes,
                edges: None,
                style: &self.style,
                hud: Some(&self.hud),
            };
            self.compositor.compose(*size, &scene).write_rgb(&mut self.rgb);
            Ok(video.write(&self.rgb, *size, frame.time)?)
        }

        fn finish(&mut self) -> Result<(), BoxError> {
            match self.video.take() {
                Some((video, _)) => Ok(video.finish()?),
                None => Ok(()),
            }
        }
    }
}
