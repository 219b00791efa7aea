//! The annotated video of a recording: every frame with its own mask, drawn as on the screen.

use std::path::Path;

use sonoplex::pipeline::Annotate;
use sonoplex::segmentation::Class;

#[cfg(not(feature = "video"))]
pub struct Annotated;

#[cfg(not(feature = "video"))]
impl Annotated {
    /// Without `video` a recording has no annotated mp4; frames and masks are complete.
    pub fn create(path: &Path, _classes: Vec<Class>) -> Option<Box<dyn Annotate>> {
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

    use sonoplex::display::{Compositor, Hud, Scene, Style};
    use sonoplex::frame::Frame;
    use sonoplex::geometry::Size;
    use sonoplex::pipeline::BoxError;
    use sonoplex::record::annotated::AnnotatedVideo;
    use sonoplex::segmentation::Segmentation;

    /// Opens its file with the first frame, whose size it takes.
    pub struct Annotated {
        path: PathBuf,
        classes: Vec<Class>,
        compositor: Compositor,
        video: Option<(AnnotatedVideo, Size)>,
        rgb: Vec<u8>,
        style: Style,
        hud: Hud,
    }

    impl Annotated {
        pub fn create(path: &Path, classes: Vec<Class>) -> Option<Box<dyn Annotate>> {
            Some(Box::new(Self {
                path: path.to_owned(),
                classes,
                compositor: Compositor::new(),
                video: None,
                rgb: Vec::new(),
                style: Style::default(),
                hud: Hud::default(),
            }))
        }
    }

    impl Annotate for Annotated {
        fn write(&mut self, frame: &Frame, segmentation: Option<&Segmentation>) -> Result<(), BoxError> {
            if self.video.is_none() {
                let size = super::super::run::comfortable(Some(frame.size));
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
