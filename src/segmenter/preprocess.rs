//! From a frame to the input of the network: crop ▸ despeckle ▸ resize ▸ normalise.

use crate::backend::cpu::crop::crop;
use crate::backend::cpu::despeckle::{Despeckle, Scratch};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::frame::PixelFormat;
use crate::geometry::{Rect, Size};

use super::spec::Fit;

/// Where the picture lies in the input of the network: all of it, or what a letterbox leaves.
///
/// The scale of a letterbox is that of the tighter side, the sides are rounded to whole pixels, and the picture is
/// in the middle, half a pixel up and left where that cannot be.
pub fn placed(fit: Fit, picture: Size, network: Size) -> Rect {
    if fit == Fit::Stretch {
        return network.full();
    }
    let by = |side: u32, of: u32| f64::from(side) / f64::from(of);
    let scale = by(network.width, picture.width).min(by(network.height, picture.height));
    let side = |p: u32, n: u32| ((f64::from(p) * scale).round() as u32).clamp(1, n);
    let (width, height) = (side(picture.width, network.width), side(picture.height, network.height));
    Rect { x: (network.width - width) / 2, y: (network.height - height) / 2, width, height }
}

/// Buffers and tables on the way in, kept from frame to frame.
#[derive(Default)]
pub struct Preprocessor {
    cut: Vec<u8>,
    clean: Vec<u8>,
    small: Vec<f32>,
    scratch: Scratch,
    resampler: Option<(Size, Size, Resampler)>,
}

/// How a picture becomes the input of a network.
pub struct Input<'a> {
    /// Where in the input it lies.
    pub placed: Rect,
    /// Size of the input.
    pub size: Size,
    /// The resampling filter.
    pub filter: Filter,
    /// Factor and addend that make an input value of a grey level, for each channel.
    pub scale: &'a [[f32; 2]],
}

impl Preprocessor {
    /// Writes the part `rect` of a grey frame into `tensor`, black where `inside` is 0.
    ///
    /// # Shapes
    /// `inside` is `rect.height × rect.width`, or empty; `gray` is `frame.height × frame.width`, `tensor` `channels × input.height × input.width`.
    pub fn run(
        &mut self,
        pool: &Pool,
        (gray, frame): (&[u8], Size),
        (rect, inside): (Rect, &[u8]),
        despeckle: &Despeckle,
        input: &Input,
        tensor: &mut [f32],
    ) {
        self.cut.resize(rect.size().area(), 0);
        crop(gray, (frame, PixelFormat::Gray8), rect, inside, &mut self.cut);
        let picture = if *despeckle == Despeckle::Off {
            &self.cut
        } else {
            self.clean.resize(self.cut.len(), 0);
            despeckle.run(pool, rect.size(), &self.cut, &mut self.clean, &mut self.scratch);
            &self.clean
        };
        let (from, to) = (rect.size(), input.placed.size());
        let resampler = match &self.resampler {
            Some((f, t, _)) if (*f, *t) == (from, to) => &self.resampler.as_ref().expect("just matched").2,
            _ => &self.resampler.insert((from, to, Resampler::new(from, to, input.filter))).2,
        };
        self.small.resize(to.area(), 0.0);
        resampler.resize_u8_to_f32(pool, picture, from.width as usize, &mut self.small);
        let (width, area) = (input.size.width as usize, input.size.area());
        for (channel, &[factor, addend]) in tensor.chunks_exact_mut(area).zip(input.scale) {
            if input.placed.size() != input.size {
                channel.fill(addend);
            }
            let rows = channel.chunks_exact_mut(width).skip(input.placed.y as usize);
            for (out, row) in rows.zip(self.small.chunks_exact(to.width as usize)) {
                let out = &mut out[input.placed.x as usize..][..to.width as usize];
                out.iter_mut().zip(row).for_each(|(o, v)| *o = v * factor + addend);
            }
        }
    }
}
