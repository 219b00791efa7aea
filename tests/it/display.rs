//! Composed pictures: golden ones, and what must hold for any.
//!
//! `SONOPLEX_BLESS=1 cargo test display` writes the golden pictures anew: look at them before committing.

use std::path::Path;

use image::ImageEncoder as _;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use sonoplex::display::{Banner, Canvas, Compositor, Hud, Overlay, Scene, Style, Tile, contact_sheet};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::{Rect, Size};
use sonoplex::segmentation::{Class, Segmentation, State};

#[path = "display_scene.rs"]
mod scene;
use scene::{SIZE, classes, frame, hud, segmentation};

fn golden(name: &str, canvas: &Canvas) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("SONOPLEX_BLESS").is_some() {
        // Smaller than a snapshot: these are committed.
        let file = std::fs::File::create(&path).expect("the folder of golden pictures can be written");
        let Size { width, height } = canvas.size;
        PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive)
            .write_image(&canvas.to_rgb(), width, height, image::ExtendedColorType::Rgb8)
            .expect("a canvas is a picture");
        return;
    }
    let golden = image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
    assert_eq!((golden.width(), golden.height()), (canvas.size.width, canvas.size.height), "{name}");
    // Rounding of floats may differ between machines by a step or two; anything that one sees differs by much more.
    let wrong = canvas.to_rgb().iter().zip(golden.as_raw()).filter(|(a, b)| a.abs_diff(**b) > 6).count();
    if wrong > 0 {
        let found = std::env::temp_dir().join(format!("sonoplex-found-{name}"));
        canvas.save_png(&found).expect("the temporary folder can be written");
        panic!("{wrong} values differ from tests/golden/{name}; look at {}", found.display());
    }
}

struct Parts {
    frame: Frame,
    found: Segmentation,
    classes: Vec<Class>,
    style: Style,
    hud: Hud,
}

fn parts() -> Parts {
    Parts { frame: frame(), found: segmentation(), classes: classes(), style: Style::default(), hud: hud() }
}

impl Parts {
    fn scene(&self) -> Scene<'_> {
        Scene {
            frame: &self.frame,
            segmentation: Some(&self.found),
            matched: true,
            truth: None,
            classes: &self.classes,
            edges: None,
            style: &self.style,
            hud: Some(&self.hud),
        }
    }

    fn compose(&self, size: Size) -> Canvas {
        Compositor::new().compose(size, &self.scene()).clone()
    }
}

#[test]
fn golden_contour_below_and_beside() {
    let p = parts();
    golden("contour_640x480.png", &p.compose(Size::new(640, 480)));
    golden("contour_1000x560.png", &p.compose(Size::new(1000, 560)));
}

#[test]
fn golden_older_mask_with_truth_and_fill() {
    let mut p = parts();
    p.style.overlay = Overlay::Fill;
    p.hud.banner = Banner::Uncertain;
    p.found.findings[0].state = State::Uncertain;
    let truth = p.found.mask.clone();
    let scene = Scene { matched: false, truth: Some(&truth), ..p.scene() };
    golden("older_fill_640x480.png", Compositor::new().compose(Size::new(640, 480), &scene));
}

#[test]
fn golden_heat_without_spacing_and_frozen() {
    let mut p = parts();
    p.style.overlay = Overlay::Heat;
    p.frame.spacing = None;
    p.found.findings[0].area_mm2 = None;
    p.hud.frozen = true;
    p.hud.recording = true;
    p.hud.notice = "the record queue is full: 12 frames were dropped".to_owned();
    golden("heat_frozen_640x480.png", &p.compose(Size::new(640, 480)));
}

#[test]
fn golden_help_and_every_banner() {
    let mut p = parts();
    p.style.help = true;
    let banners =
        [Banner::Nerve, Banner::NoNerve, Banner::Uncertain, Banner::NoSignal, Banner::Waiting].map(|banner| {
            p.hud.banner = banner;
            let picture = p.compose(Size::new(460, 300));
            Tile { picture, caption: banner.as_str().to_lowercase() }
        });
    golden("banners.png", &contact_sheet(&banners, 2));
}

#[test]
fn the_hud_never_touches_the_picture_and_o_takes_all_off() {
    let mut p = parts();
    p.style.overlay_on = false;
    let mut other = parts();
    other.style.overlay_on = false;
    other.hud = Hud { banner: Banner::NoSignal, notice: "word ".repeat(200), ..Hud::default() };
    other.style.help = true;
    for size in [(640, 480), (800, 600), (1280, 800), (256, 186), (500, 900)] {
        let size = Size::new(size.0, size.1);
        let (a, b) = (p.compose(size), other.compose(size));
        // Whatever the HUD says, the rows and columns that show the frame are the same.
        let bare = Compositor::new().compose(size, &Scene { segmentation: None, ..p.scene() }).clone();
        let lit = |c: &Canvas, x: u32, y: u32| c.pixels[(y * size.width + x) as usize];
        let picture: Vec<_> = (0..size.height)
            .flat_map(|y| (0..size.width).map(move |x| (x, y)))
            .filter(|&(x, y)| {
                let [r, g, b] = [16, 8, 0].map(|s| lit(&bare, x, y) >> s & 255);
                r == g && g == b
            })
            .collect();
        assert!(picture.len() > size.area() / 5, "{size}");
        let same = picture.iter().filter(|&&(x, y)| lit(&a, x, y) == lit(&b, x, y)).count();
        // Grey letters of the HUD are few beside the grey pixels of the picture.
        assert!(same * 100 >= picture.len() * 97, "{size}: {same} of {}", picture.len());
    }
}

#[test]
fn the_contour_is_seen_on_bright_and_on_dark_tissue() {
    let p = parts();
    let canvas = Compositor::new().compose(Size::new(640, 504), &Scene { hud: None, ..p.scene() }).clone();
    // Without numbers the picture is 640 x 480 at the top: four canvas pixels for one of the frame.
    let at = |x: f32, y: f32| canvas.pixels[(y * 4.0 + 1.5) as usize * 640 + (x * 4.0 + 1.5) as usize];
    let luma = |p: u32| (77 * (p >> 16 & 255) + 150 * (p >> 8 & 255) + 29 * (p & 255)) >> 8;
    for (x, y) in [(110.0, 66.0), (58.0, 66.0), (84.0, 83.0)] {
        let out = |t: f32| luma(at(84.0 + (x - 84.0) * t, 66.0 + (y - 66.0) * t));
        let line = (0..20).map(|i| out(0.99 + i as f32 * 0.001)).max().unwrap();
        let beside = (0..40).map(|i| out(1.01 + i as f32 * 0.001)).min().unwrap();
        assert!(line > beside + 60, "line {line}, halo {beside} at {x} {y}");
    }
}

#[test]
fn edges_follow_the_patch_and_stay_inside_the_crop() {
    let mut p = parts();
    p.style = Style { edges: true, overlay_on: false, ..Style::default() };
    p.found.crop = Rect { x: 40, y: 40, width: 60, height: 60 };
    let size = Size::new(640, 504);
    let with = Compositor::new().compose(size, &Scene { hud: None, ..p.scene() }).clone();
    p.style.edges = false;
    let without = Compositor::new().compose(size, &Scene { hud: None, ..p.scene() }).clone();
    let changed = |x: u32, y: u32| {
        let i = (y * 4 * 640 + x * 4) as usize;
        (0..8).any(|d| with.pixels[i + d * 641] != without.pixels[i + d * 641])
    };
    // The patch begins at column 80, row 48; the fascia at row 24 lies outside of the crop.
    assert!((50..85).all(|y| (78..82).any(|x| changed(x, y))), "the left side of the patch");
    let outside = (0..118).flat_map(|y| (0..156).map(move |x| (x, y))).filter(|&(x, y)| changed(x, y));
    assert!(outside.clone().count() > 50);
    assert!(outside.into_iter().all(|(x, y)| (36..104).contains(&x) && (36..104).contains(&y)));
}

#[test]
fn scenes_that_do_not_fit_together_are_drawn_without_a_mask() {
    let mut p = parts();
    let bare =
        Compositor::new().compose(Size::new(320, 240), &Scene { segmentation: None, hud: None, ..p.scene() }).clone();
    p.found.size = Size::new(10, 10);
    let wrong = Compositor::new().compose(Size::new(320, 240), &Scene { hud: None, ..p.scene() }).clone();
    assert!(bare == wrong, "a mask of another size has no place");
    p.found = Segmentation::default();
    for size in [Size::new(0, 0), Size::new(1, 1), Size::new(3, 500), Size::new(700, 2), Size::new(170, 130)] {
        let canvas = p.compose(size);
        assert_eq!(canvas.pixels.len(), size.area());
    }
    p.frame = Frame::new(0, Size::new(1, 1), PixelFormat::Rgb8, vec![1, 2, 3]);
    p.compose(Size::new(640, 480));
}

#[test]
fn an_overlay_is_the_frame_pixel_for_pixel_with_the_answer_below() {
    let mut p = parts();
    let mut compositor = Compositor::new();
    let overlay = compositor.overlay(&p.frame, &p.found, &p.classes).clone();
    golden("overlay_160x120.png", &overlay);
    let at = |c: &Canvas, x: u32, y: u32| c.pixels[(y * c.size.width + x) as usize];
    let gray = |x: u32, y: u32| p.frame.rgb(x, y).into_iter().fold(0, |p, v| p << 8 | u32::from(v));
    for (x, y) in (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y))) {
        // The contour, and its label above.
        let far = x.abs_diff(84) > 44 || y > 100;
        assert!(!far || at(&overlay, x, y) == gray(x, y), "{x} {y}");
    }
    assert_ne!(at(&overlay, 110, 66), gray(110, 66));
    let below = |c: &Canvas| c.pixels[(SIZE.height * c.size.width) as usize..].to_vec();
    for state in [State::NoNerve, State::Uncertain] {
        p.found.findings[0].state = state;
        assert_ne!(below(&overlay), below(compositor.overlay(&p.frame, &p.found, &p.classes)), "{state:?}");
    }
    p.frame = Frame::new(0, Size::new(1, 1), PixelFormat::Gray8, vec![9]);
    let tiny = compositor.overlay(&p.frame, &Segmentation::default(), &p.classes);
    assert!(tiny.size.width >= 200, "room for the words");
    let error = tiny.save_png(Path::new("/no/such/folder/a.png")).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the picture `/no/such/folder/a.png`"), "{error}");
}

/// Sizes of a window, from the smallest in which everything that must be seen can be read.
const SMALL: [(u32, u32); 6] = [(200, 150), (240, 180), (320, 240), (439, 299), (440, 300), (200, 700)];

#[test]
fn state_age_and_research_line_are_there_at_any_size_frozen_and_with_help() {
    let mut shown = Vec::new();
    for (w, h) in SMALL.into_iter().chain([(640, 480), (1000, 560)]) {
        for (frozen, help) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut p = parts();
            (p.hud.frozen, p.style.help) = (frozen, help);
            let size = Size::new(w, h);
            let base = p.compose(size);
            let differs = |p: &Parts, what: &str| {
                let now = p.compose(size);
                let changed = base.pixels.iter().zip(&now.pixels).filter(|(a, b)| a != b).count();
                assert!(changed > 12, "{what} at {size}, frozen {frozen}, help {help}: {changed} pixels");
            };
            p.hud.picture_age_ms = Some(88.0);
            differs(&p, "the age of the picture");
            p.hud.picture_age_ms = Some(12.3);
            p.hud.banner = Banner::NoNerve;
            differs(&p, "what was found");
            p.hud.banner = Banner::NoSignal;
            differs(&p, "no signal");
            if w <= 320 {
                let caption =
                    format!("{size}{}{}", if frozen { ", frozen" } else { "" }, if help { ", help" } else { "" });
                shown.push(Tile { picture: base, caption });
            }
        }
    }
    shown.retain(|t| t.picture.size.height <= 240);
    golden("small_windows.png", &contact_sheet(&shown, 4));
}
