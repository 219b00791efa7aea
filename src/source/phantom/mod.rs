//! A moving ultrasound that is computed: the source of the demo, the tests and the benches.
//!
//! ```text
//! anatomy ▸ tissue (scatterers, once) ▸ motion (where they are now) ▸ beam (what the scanner shows) ▸ screen
//! ```
//!
//! Scatterers belong to the tissue: speckle moves with it, and changes as the probe tilts out of the plane. The mask
//! of every frame is exact: a pixel belongs to a nerve when the tissue at its centre does. The same options give the
//! same bytes on every machine (see `math`), frame by frame, in any order.

mod anatomy;
mod beam;
mod math;
mod motion;
mod options;
mod screen;
mod tissue;

use std::sync::Arc;
use std::time::Duration;

pub use options::PhantomOptions;

use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Rect, Spacing};
use crate::mask::Mask;
use crate::segmentation::Class;
use crate::source::{Source, SourceError, SourceInfo};

use anatomy::{Anatomy, Blob, DEPTH_MM};
use beam::Beam;
use motion::Motion;
use tissue::Tissue;

/// The phantom that a text such as `phantom:seed=7,size=640x480` describes.
///
/// # Errors
/// `Options` for an unknown key (with the nearest known one) and for a value out of range.
pub fn open(spec: &str) -> Result<Box<dyn Source>, SourceError> {
    let mut phantom = Phantom::new(spec.parse()?);
    phantom.info.name = spec.to_owned();
    Ok(Box::new(phantom))
}

/// A seeded ultrasound phantom of the neck or arm: skin, fat, muscles, fascia, vessels, nerves, bone.
///
/// # Units
/// The picture is 40 mm deep; pixels are square.
#[derive(Clone, Debug)]
pub struct Phantom {
    options: PhantomOptions,
    info: SourceInfo,
    /// Where the picture lies on the screen; all of it without one.
    picture: Rect,
    backdrop: Option<Vec<u8>>,
    anatomy: Anatomy,
    tissue: Tissue,
    motion: Motion,
    beam: Beam,
    drawn: Vec<u8>,
    position: u64,
    delivered: u64,
}

impl Phantom {
    /// Lays the tissue out; frames are then drawn as they are asked for.
    pub fn new(options: PhantomOptions) -> Self {
        let picture = if options.screen { screen::picture(options.size) } else { options.size.full() };
        let pitch = DEPTH_MM / picture.height as f32;
        let width_mm = picture.width as f32 * pitch;
        let anatomy = Anatomy::new(options.seed, width_mm, options.nerve);
        let tissue = Tissue::new(options.seed, &anatomy, width_mm, pitch, beam::rim(pitch));
        let artery = &anatomy.vessels[0];
        let motion = Motion::new(options.seed, artery.center, artery.axes[0]);
        let beam = Beam::new(options.seed, picture.width as usize, picture.height as usize, pitch);
        let mm = f64::from(DEPTH_MM) / f64::from(picture.height);
        let class = |name: &str, color| Class { name: name.into(), color };
        let info = SourceInfo {
            name: options.to_string(),
            format: "phantom".into(),
            size: Some(options.size),
            frames: Some(options.frames),
            rate_hz: Some(options.fps),
            spacing: Some(Spacing { x_mm: mm, y_mm: mm }),
            truth: vec![class("nerve", [255, 194, 10]), class("vessel", [12, 123, 220])],
            notes: vec!["computed, not measured: no patient".into()],
            ..SourceInfo::default()
        };
        let backdrop = options.screen.then(|| screen::backdrop(options.size, picture, options.fps));
        let drawn = vec![0; picture.size().area()];
        Self { options, info, picture, backdrop, anatomy, tissue, motion, beam, drawn, position: 0, delivered: 0 }
    }

    /// What describes it.
    pub fn options(&self) -> &PhantomOptions {
        &self.options
    }

    /// Where the ultrasound picture lies in the frame: all of it, unless there is a screen around it.
    pub fn picture(&self) -> Rect {
        self.picture
    }

    /// Draws frame `index`.
    fn draw(&mut self, index: u64) -> (Vec<u8>, Mask) {
        let pose = self.motion.at(index as f64 / self.options.fps);
        let size = self.options.size;
        let (stride, corner) = (size.width as usize, [self.picture.x as usize, self.picture.y as usize]);
        let mut mask = Mask::empty(size);
        let nerves = self.anatomy.nerves.iter().map(|n| (&n.outline, 1));
        let shapes: Vec<(&Blob, u8)> = nerves.chain(self.anatomy.vessels.iter().map(|v| (v, 2))).collect();
        let label = |row: usize, xs: &[f32], ys: &[f32]| {
            let out = &mut mask.labels[(corner[1] + row) * stride + corner[0]..][..xs.len()];
            for &(shape, class) in &shapes {
                // tissue moves by less than 2 mm within a row, so the row's middle tells whether it can meet the shape
                if (ys[ys.len() / 2] - shape.center[1]).abs() > shape.reach() + 2.0 {
                    continue;
                }
                for ((out, &x), &y) in out.iter_mut().zip(xs).zip(ys) {
                    if shape.level(x, y) < 1.0 {
                        *out = class;
                    }
                }
            }
        };
        self.beam.draw(&self.tissue, &pose, index, &mut self.drawn, label);
        let Some(backdrop) = &self.backdrop else { return (self.drawn.clone(), mask) };
        let mut pixels = backdrop.clone();
        for (row, line) in self.drawn.chunks_exact(self.picture.width as usize).enumerate() {
            pixels[(corner[1] + row) * stride + corner[0]..][..line.len()].copy_from_slice(line);
        }
        (pixels, mask)
    }
}

impl Source for Phantom {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.position >= self.options.frames {
            return Ok(None);
        }
        let (pixels, mask) = self.draw(self.position);
        let mut frame = Frame::new(self.delivered, self.options.size, PixelFormat::Gray8, pixels);
        frame.time = Duration::from_nanos((self.position as f64 * 1e9 / self.options.fps).round() as u64);
        frame.spacing = self.info.spacing;
        frame.truth = Some(Arc::new(mask));
        self.position += 1;
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        self.position = index.min(self.options.frames);
        Ok(())
    }
}
