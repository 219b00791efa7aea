//! The picture is found in synthetic screens to the pixel, in real ones about where it is, and it stays there.

use std::path::PathBuf;

use sonoplex::geometry::{Rect, Size};
use sonoplex::segmenter::crop::{CropKind, find};
use sonoplex::segmenter::crop_tracker::{CropTracker, overlap};

/// A linear congruential generator: the same screens on every machine.
pub struct Dice(pub u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(n)) as u32
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }
}

struct Screen {
    size: Size,
    gray: Vec<u8>,
}

impl Screen {
    fn new(size: Size, ground: u8) -> Self {
        Self { size, gray: vec![ground; size.area()] }
    }

    fn set(&mut self, x: u32, y: u32, level: u8) {
        if x < self.size.width && y < self.size.height {
            self.gray[(y * self.size.width + x) as usize] = level;
        }
    }

    fn fill(&mut self, r: Rect, level: u8) {
        for y in r.y..r.y + r.height {
            (r.x..r.x + r.width).for_each(|x| self.set(x, y, level));
        }
    }

    /// Speckle that fades with depth, where `inside` says so.
    fn speckle(&mut self, r: Rect, dice: &mut Dice, inside: impl Fn(f32, f32) -> bool) {
        for y in r.y..r.y + r.height {
            for x in r.x..r.x + r.width {
                if inside(x as f32, y as f32) {
                    let depth = (y - r.y) as f32 / r.height as f32;
                    let level = (8 + dice.below(120)) as f32 * (1.0 - 0.9 * depth);
                    self.set(x, y, 3 + level as u8);
                }
            }
        }
    }

    /// Letters of 7 × 11 pixels: vertical and horizontal strokes at random.
    fn letters(&mut self, x: u32, y: u32, count: u32, dice: &mut Dice) {
        for i in 0..count {
            let left = x + 10 * i;
            for stroke in 0..4 {
                if dice.below(3) > 0 {
                    let r = match stroke {
                        0 => Rect { x: left, y, width: 2, height: 11 },
                        1 => Rect { x: left + 5, y, width: 2, height: 11 },
                        2 => Rect { x: left, y, width: 7, height: 2 },
                        _ => Rect { x: left, y: y + 5, width: 7, height: 2 },
                    };
                    self.fill(r, 200);
                }
            }
        }
    }

    /// What surrounds a picture: letters above and on the left, a ruler and a grey bar on the right, a flat header.
    fn chrome(&mut self, r: Rect, dice: &mut Dice, header: bool) {
        let ruler = (r.x + r.width + 14).min(self.size.width - 4);
        for tick in 0..10 {
            self.fill(Rect { x: ruler, y: r.y + tick * r.height / 10, width: 4, height: 2 }, 220);
        }
        for step in 0..100 {
            let bar = Rect { x: self.size.width - 12, y: r.y + step, width: 9, height: 1 };
            self.fill(bar, 255 - 2 * step as u8);
        }
        if header {
            self.fill(Rect { x: 0, y: 0, width: self.size.width, height: 34 }, 60);
        }
        for line in 0..2 {
            self.letters(10 + dice.below(30), 4 + 15 * line, 12, dice);
        }
        for line in 0..8 {
            let count = dice.below(6);
            self.letters(4, 60 + 22 * line, count, dice);
        }
    }
}

fn rect(dice: &mut Dice, size: Size) -> Rect {
    let x = dice.between(90, size.width / 4);
    let y = dice.between(45, 100);
    let width = dice.between(size.width / 2, size.width - x - 60);
    let height = dice.between(size.height / 2, size.height - y - 8);
    Rect { x, y, width, height }
}

fn near(found: Rect, truth: Rect, tolerance: u32) -> bool {
    found.x.abs_diff(truth.x) <= tolerance
        && found.y.abs_diff(truth.y) <= tolerance
        && (found.x + found.width).abs_diff(truth.x + truth.width) <= tolerance
        && (found.y + found.height).abs_diff(truth.y + truth.height) <= tolerance
}

#[test]
fn a_linear_picture_is_found_to_the_pixel() {
    let sizes = [Size::new(640, 480), Size::new(800, 600), Size::new(1280, 720), Size::new(1024, 768)];
    for seed in 0..24 {
        let mut dice = Dice(seed);
        let size = sizes[seed as usize % sizes.len()];
        let truth = rect(&mut dice, size);
        let mut screen = Screen::new(size, [0, 1, 12][seed as usize % 3]);
        screen.speckle(truth, &mut dice, |_, _| true);
        for p in &mut screen.gray {
            *p = (*p).max([0, 1, 12][seed as usize % 3]);
        }
        screen.chrome(truth, &mut dice, seed % 2 == 0);
        let found = find(&screen.gray, size);
        assert_eq!(found.kind, CropKind::Linear, "seed {seed}: {found:?} for {truth}");
        // Over a ground of 12 the depth of the picture is no brighter than the ground.
        let found_enough = if seed % 3 == 2 { overlap(found.rect, truth) > 0.85 } else { near(found.rect, truth, 2) };
        assert!(found_enough, "seed {seed}, {size}: found {}, drawn {truth}", found.rect);
    }
}

#[test]
fn a_sector_is_found_with_its_tips() {
    for seed in 100..116 {
        let mut dice = Dice(seed);
        let size = Size::new(800, 600);
        let (cx, cy) = (dice.between(380, 420) as f32, dice.between(0, 40) as f32);
        let (near_r, far_r) = (dice.between(60, 120) as f32, dice.between(420, 500) as f32);
        let half = dice.between(30, 36) as f32 / 57.3;
        let inside = |x: f32, y: f32| {
            let (dx, dy) = (x - cx, y - cy);
            (near_r..far_r).contains(&dx.hypot(dy)) && dx.atan2(dy).abs() < half
        };
        let whole = size.full();
        let mut screen = Screen::new(size, 0);
        screen.speckle(whole, &mut dice, inside);
        let lit: Vec<(u32, u32)> = (0..size.area() as u32)
            .map(|i| (i % size.width, i / size.width))
            .filter(|&(x, y)| inside(x as f32, y as f32))
            .collect();
        let (x0, x1) = (lit.iter().map(|p| p.0).min().unwrap(), lit.iter().map(|p| p.0).max().unwrap());
        let (y0, y1) = (lit.iter().map(|p| p.1).min().unwrap(), lit.iter().map(|p| p.1).max().unwrap());
        let truth = Rect { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
        for line in 0..6 {
            let count = dice.below(7);
            screen.letters(4, 60 + 22 * line, count, &mut dice);
        }
        for tick in 0..10 {
            screen.fill(Rect { x: 780, y: 60 + tick * 50, width: 6, height: 2 }, 220);
        }
        let found = find(&screen.gray, size);
        assert_eq!(found.kind, CropKind::Curved, "seed {seed}: {found:?} for {truth}");
        assert!(near(found.rect, truth, 12), "seed {seed}: found {}, drawn {truth}", found.rect);
        let sector = found.sector.unwrap_or_else(|| panic!("seed {seed}: no sector in {found:?}"));
        let lost = lit.iter().filter(|&&(x, y)| !sector.contains(x, y)).count();
        assert!(lost * 1000 < lit.len(), "seed {seed}: {lost} of {} pixels cut off by the {sector}", lit.len());
        let all = (0..size.area() as u32).filter(|i| sector.contains(i % size.width, i / size.width)).count();
        assert!(all * 100 < lit.len() * 108, "seed {seed}: {all} pixels in the {sector}, {} drawn", lit.len());
    }
}

/// A convex probe's picture, dark on one side and below, with a bright mark close beside its upper left tip.
pub fn marked_sector(size: Size, dice: &mut Dice) -> (Vec<u8>, [u32; 2]) {
    let inside = |x: f32, y: f32| {
        let (dx, dy) = (x - 400.0, y + 80.0);
        let dark = dx > 60.0 && dy > 300.0 || dy > 480.0;
        (150.0..600.0).contains(&dx.hypot(dy)) && (dx / dy).abs() < 0.7 && !dark
    };
    let mut screen = Screen::new(size, 0);
    screen.speckle(size.full(), dice, inside);
    // The left edge is at column 324 in the row of the mark.
    let mark = [290, 50];
    for y in mark[1] - 14..mark[1] + 14 {
        for x in mark[0] - 14..mark[0] + 14 {
            if (x as f32 - mark[0] as f32).hypot(y as f32 - mark[1] as f32) < 13.0 {
                let level = 150 + dice.below(100);
                screen.set(x, y, level as u8);
            }
        }
    }
    screen.letters(4, 60, 7, dice);
    screen.letters(4, 90, 7, dice);
    screen.letters(660, 90, 7, dice);
    (screen.gray, mark)
}

#[test]
fn a_mark_beside_a_sector_is_no_part_of_it() {
    let size = Size::new(800, 600);
    for seed in 0..8 {
        let (gray, [x, y]) = marked_sector(size, &mut Dice(seed));
        let found = find(&gray, size);
        let sector = found.sector.unwrap_or_else(|| panic!("seed {seed}: no sector in {found:?}"));
        assert_eq!(found, find(&gray, size), "the same twice");
        assert!(!sector.contains(x, y) && !sector.contains(x + 12, y), "seed {seed}: {sector}");
        for [x, y] in [[400, 75], [330, 50], [470, 50], [250, 300], [520, 300], [400, 400]] {
            assert!(sector.contains(x, y), "seed {seed}: {x},{y} is not in the {sector}");
        }
    }
}

#[test]
fn a_frame_without_a_screen_stays_whole() {
    let mut dice = Dice(7);
    let size = Size::new(256, 186);
    let mut screen = Screen::new(size, 0);
    screen.speckle(size.full(), &mut dice, |_, _| true);
    assert_eq!(find(&screen.gray, size).rect, size.full());
    // Black margins alone are no screen: data sets pad their pictures.
    let size = Size::new(534, 512);
    let mut screen = Screen::new(size, 0);
    screen.speckle(Rect { x: 0, y: 60, width: 534, height: 330 }, &mut dice, |_, _| true);
    let found = find(&screen.gray, size);
    assert_eq!((found.rect, found.kind), (size.full(), CropKind::None));
}

#[test]
fn odd_frames_have_an_answer() {
    for (w, h) in [(1, 1), (1, 1000), (31, 31), (32, 32), (33, 500), (500, 33)] {
        let size = Size::new(w, h);
        for level in [0, 1, 128, 255] {
            let found = find(&vec![level; size.area()], size);
            assert_eq!(found.rect, size.full(), "{size} of {level}");
        }
        let mut dice = Dice(u64::from(w * h));
        let noise: Vec<u8> = (0..size.area()).map(|_| (dice.below(4) * dice.below(60)) as u8).collect();
        assert!(find(&noise, size).rect.fits(size), "{size}");
    }
}

#[test]
fn the_crop_holds_still_and_follows_a_new_layout() {
    let size = Size::new(640, 480);
    let frame = |rect: Rect, seed: u64| {
        let mut dice = Dice(seed);
        let mut screen = Screen::new(size, 0);
        screen.speckle(rect, &mut dice, |_, _| true);
        screen.chrome(rect, &mut Dice(1), false);
        screen.gray
    };
    let before = Rect { x: 110, y: 60, width: 420, height: 380 };
    let after = Rect { x: 170, y: 60, width: 300, height: 400 };
    let black = vec![0; size.area()];
    let mut tracker = CropTracker::default();
    assert!(!tracker.update(&black, size).certain);
    for seed in 0..40 {
        let found = tracker.update(&frame(before, seed), size);
        assert!(seed == 0 || near(found.rect, before, 2), "frame {seed}: {}", found.rect);
    }
    let held = tracker.update(&frame(before, 99), size).rect;
    for seed in 0..100 {
        let gray = if seed % 3 == 0 { black.clone() } else { frame(before, 200 + seed) };
        assert_eq!(tracker.update(&gray, size).rect, held, "it moved at frame {seed}");
    }
    let mut changes = Vec::new();
    let mut last = held;
    for seed in 0..160 {
        let now = tracker.update(&frame(after, 400 + seed), size).rect;
        if now != last {
            changes.push(now);
            last = now;
        }
    }
    assert_eq!(changes.len(), 1, "one step, at once: {changes:?}");
    assert!(near(last, after, 2), "{last}");
}

fn shared() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    std::env::var_os("SONOPLEX_SHARED").map_or_else(beside, PathBuf::from)
}

fn gray(path: &std::path::Path) -> (Vec<u8>, Size) {
    let picture = image::open(path).unwrap().into_luma8();
    let size = Size::new(picture.width(), picture.height());
    (picture.into_raw(), size)
}

#[test]
fn data_sets_are_left_whole_and_screens_among_them_are_cut() {
    let data = shared().join("data");
    if !data.is_dir() {
        println!("skipped: no {}", data.display());
        return;
    }
    for (folder, every) in [("usgra_seg/images", 6), ("kaggle_bp/images", 60), ("no_nerve", 12)] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(data.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "png")).step_by(every) {
            let (gray, size) = gray(file);
            let found = find(&gray, size);
            if file.to_string_lossy().contains("dataset2") {
                let truth = Rect { x: 37, y: 38, width: 406, height: 296 };
                assert!(near(found.rect, truth, 3), "{}: {}", file.display(), found.rect);
            } else if found.rect != size.full() {
                // A few frames keep the scanner's orientation mark beside the picture.
                assert!(overlap(found.rect, size.full()) > 0.6, "{}: {}", file.display(), found.rect);
            }
        }
    }
}

/// What a person sees in the recordings: file, frame, picture, tolerance in pixels, shape.
const RECORDINGS: [(&str, &str, &str, u32, CropKind); 8] = [
    ("aifa_bp_20210816_131218_0003.mp4", "0", "536x425+192+78", 3, CropKind::Linear),
    ("aifa_bp_20210816_131218_0003.mp4", "40", "536x425+192+78", 3, CropKind::Linear),
    ("BoneUltrasound_L14.igs.mha", "0", "467x616+176+0", 3, CropKind::Linear),
    ("BoneUltrasound_L14.igs.mha", "10", "467x616+176+0", 3, CropKind::Linear),
    ("US1_RLE.dcm", "0", "613x229+10+108", 3, CropKind::Linear),
    ("US1_J2KR.dcm", "0", "613x229+10+108", 3, CropKind::Linear),
    ("examples_palette.dcm", "0", "581x284+170+66", 6, CropKind::Curved),
    // Its tips are darker than the JPEG noise: they follow from edges and arc.
    ("examples_ybr_color.dcm", "0", "256x188+40+16", 8, CropKind::Curved),
];

/// Pixels of the recordings that belong to the picture, and marks beside it that do not.
const INSIDE: [(&str, [u32; 2]); 5] = [
    ("examples_palette.dcm", [370, 75]),
    ("examples_palette.dcm", [550, 75]),
    ("examples_palette.dcm", [460, 340]),
    ("examples_ybr_color.dcm", [60, 155]),
    ("examples_ybr_color.dcm", [280, 150]),
];
const OUTSIDE: [(&str, [u32; 2]); 4] = [
    ("examples_palette.dcm", [321, 72]),
    ("examples_palette.dcm", [331, 72]),
    ("examples_palette.dcm", [460, 80]),
    ("examples_ybr_color.dcm", [191, 20]),
];

#[test]
fn the_picture_is_found_in_real_screens() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SONOPLEX_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let folder = shared().join("data/recordings");
    if !python.exists() || !folder.is_dir() {
        println!("skipped: no {} or no {}", python.display(), folder.display());
        return;
    }
    for (file, index, truth, tolerance, kind) in RECORDINGS {
        let script = root.join("tests/oracles/segmenter_frame.py");
        let run = std::process::Command::new(&python).arg(script).arg(folder.join(file)).arg(index).output().unwrap();
        assert!(run.status.success(), "{file}: {}", String::from_utf8_lossy(&run.stderr));
        let header = String::from_utf8_lossy(&run.stdout[..20]).replace('\n', " ");
        let sides: Vec<u32> = header.split(' ').skip(1).take(2).map(|n| n.parse().unwrap()).collect();
        let size = Size::new(sides[0], sides[1]);
        let found = find(&run.stdout[run.stdout.len() - size.area()..], size);
        assert_eq!(found.kind, kind, "{file}: {found:?}");
        assert_eq!(found.sector.is_some(), kind == CropKind::Curved, "{file}: {found:?}");
        for (points, expected) in [(&INSIDE[..], true), (&OUTSIDE[..], false)] {
            for (_, [x, y]) in points.iter().filter(|(of, _)| *of == file) {
                let inside = found.sector.is_some_and(|s| s.contains(*x, *y));
                assert_eq!(inside, expected, "{file}: {x},{y} and {found:?}");
            }
        }
        assert!(
            near(found.rect, truth.parse().unwrap(), tolerance),
            "{file} {index}: found {}, seen {truth}",
            found.rect
        );
    }
}
