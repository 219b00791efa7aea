//! A synthetic scene for the tests of the display.

use sonoplex::display::{Banner, Hud, StageBar};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::{Rect, Size, Spacing};
use sonoplex::latency::Moment;
use sonoplex::mask::Mask;
use sonoplex::segmentation::{Class, Finding, Segmentation, State};

pub const SIZE: Size = Size::new(160, 120);

/// Tissue of seeded speckle on a gradient, with a bright fascia and a bright patch at the contour.
pub fn frame() -> Frame {
    let mut seed = 7u32;
    // Grains of 8 by 8 pixels: golden pictures of finer ones would be large files.
    let grains: Vec<i32> = (0..300)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 26) as i32 - 32
        })
        .collect();
    let mut pixels = Vec::new();
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let speckle = grains[(y / 8 * 20 + x / 8) as usize];
            let fascia = if (24..29).contains(&y) { 120 } else { 0 };
            let patch = if (80..120).contains(&x) && (48..88).contains(&y) { 120 } else { 0 };
            pixels.push((70 + speckle + fascia + patch).clamp(0, 255) as u8);
        }
    }
    let mut frame = Frame::new(41, SIZE, PixelFormat::Gray8, pixels);
    frame.spacing = Some(Spacing { x_mm: 0.2, y_mm: 0.2 });
    frame.stamps.set(Moment::Captured, 200_000_000);
    frame
}

fn inside(x: f32, y: f32) -> f32 {
    1.0 - ((x - 84.0) / 26.0).hypot((y - 66.0) / 17.0)
}

/// An ellipse over the edge of the bright patch, found 83 ms before the frame.
pub fn segmentation() -> Segmentation {
    let mut found = Segmentation { frame_id: 41, size: SIZE, crop: SIZE.full(), ..Segmentation::default() };
    found.mask = Mask::empty(SIZE);
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let depth = inside(x as f32, y as f32);
            found.mask.labels[(y * SIZE.width + x) as usize] = u8::from(depth >= 0.0);
            found.probability.push((255.0 / (1.0 + (-depth * 8.0).exp())) as u8);
        }
    }
    let outline = (0..120).map(|i| (i as f32 / 120.0 * std::f32::consts::TAU).sin_cos());
    found.findings.push(Finding {
        state: State::Nerve,
        confidence: 0.87,
        area_px: found.mask.area(1),
        area_mm2: Some(found.mask.area(1) as f64 * 0.04),
        centroid: Some([84.0, 66.0]),
        bounds: Some(Rect { x: 58, y: 49, width: 53, height: 35 }),
        contours: vec![outline.map(|(s, c)| [84.0 + 26.0 * c, 66.0 + 17.0 * s]).collect()],
    });
    found.stamps.set(Moment::Captured, 117_000_000);
    found
}

pub fn classes() -> Vec<Class> {
    vec![Class { name: "nerve".to_owned(), color: [0xf0, 0xa0, 0x10] }]
}

pub fn hud() -> Hud {
    let bar = |name, p50_ms: f64| StageBar { name, now_ms: p50_ms, p50_ms, p99_ms: p50_ms * 1.4 };
    Hud {
        banner: Banner::Nerve,
        probability: Some(0.87),
        uncalibrated: true,
        picture_age_ms: Some(12.3),
        mask_age_ms: Some(45.0),
        stages: vec![bar("preprocess", 1.6), bar("network", 16.4), bar("capture_to_present", 26.0)],
        drops: 7,
        fps: 29.97,
        frame: Some(41),
        frames: Some(412),
        source: "phantom:seed=7".to_owned(),
        model: "nerve-vessel-unet16-256x256.onnx".to_owned(),
        device: "CPU, AVX2".to_owned(),
        despeckle: "off".to_owned(),
        ..Hud::default()
    }
}
