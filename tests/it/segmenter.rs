//! The segmenter with networks whose answers can be told beforehand: geometry, thresholds, words, odd frames.

use std::path::Path;

use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::{Rect, Size, Spacing};
use sonoplex::latency::{Clock, Moment};
use sonoplex::segmentation::{Segmentation, State};
use sonoplex::segmenter::contour::enclosed;
use sonoplex::segmenter::{CropChoice, Segmenter, SegmenterConfig};

use super::crop::{Dice, marked_sector};
use super::segmenter_toy::{mirror, mirror_with_presence, write};

fn open(model: &Path, crop: CropChoice) -> Segmenter {
    let config = SegmenterConfig { model: model.to_owned(), crop, threads: 2, ..SegmenterConfig::default() };
    Segmenter::open(&config).unwrap()
}

fn run(segmenter: &mut Segmenter, frame: &Frame) -> Segmentation {
    let mut out = Segmentation::default();
    segmenter.segment(frame, &Clock::manual(), &mut out).unwrap();
    out
}

/// A dark picture with one bright disc.
fn disc(size: Size, center: [f32; 2], radius: f32) -> Frame {
    let level = |i: usize| {
        let (x, y) = ((i % size.width as usize) as f32, (i / size.width as usize) as f32);
        if (x - center[0]).hypot(y - center[1]) <= radius { 250 } else { 30 }
    };
    Frame::new(0, size, PixelFormat::Gray8, (0..size.area()).map(level).collect())
}

#[test]
fn a_mask_goes_back_to_exactly_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    for resize in ["stretch", "letterbox"] {
        for filter in ["area", "bilinear"] {
            let path = write(mirror(1, 96, 128), &[("resize", resize), ("filter", filter)], folder.path());
            for crop in ["500x300+40+60", "300x400+200+10"] {
                let crop: Rect = crop.parse().unwrap();
                let center = [(crop.x + crop.width / 2) as f32 + 31.0, (crop.y + crop.height / 2) as f32 - 17.0];
                let mut frame = disc(Size::new(640, 480), center, 60.0);
                frame.spacing = Some(Spacing { x_mm: 0.1, y_mm: 0.2 });
                let out = run(&mut open(&path, CropChoice::Rect(crop)), &frame);
                let found = &out.findings[0];
                assert_eq!(out.crop, crop);
                let middle = found.centroid.unwrap();
                // Without antialiasing the edge is known no better than a pixel of the network, here 3 to 4 of the frame.
                let tolerance = if filter == "area" { 0.25 } else { 1.0 };
                let near = (0..2).all(|i| (middle[i] - center[i]).abs() < tolerance);
                assert!(near, "{resize} {filter} {crop}: centroid {middle:?}, drawn {center:?}");
                let area = std::f64::consts::PI * 60.0 * 60.0;
                assert!((found.area_px as f64 / area - 1.0).abs() < 0.06, "{} {area}", found.area_px);
                let mm2 = found.area_mm2.unwrap();
                assert!((mm2 - found.area_px as f64 * 0.02).abs() < 1e-6, "{mm2}");
                assert_eq!(found.contours.len(), 1);
                assert_eq!(enclosed(&found.contours[0]), found.area_px as f64);
                assert_eq!(found.area_px, out.mask.area(1));
            }
        }
    }
}

#[test]
fn there_is_no_answer_outside_the_crop() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(mirror(1, 32, 32), &[], folder.path());
    let size = Size::new(50, 40);
    let frame = Frame::new(3, size, PixelFormat::Gray8, vec![255; size.area()]);
    let crop = Rect { x: 10, y: 20, width: 30, height: 10 };
    let out = run(&mut open(&path, CropChoice::Rect(crop)), &frame);
    for y in 0..40 {
        for x in 0..50 {
            let inside = (10..40).contains(&x) && (20..30).contains(&y);
            let i = y * 50 + x;
            assert_eq!((out.mask.labels[i], out.plane(1)[i]), if inside { (1, 255) } else { (0, 0) });
        }
    }
    assert_eq!((out.frame_id, out.size), (3, size));
    assert_eq!(out.findings[0].bounds, Some(crop));
    assert_eq!((out.state(), out.confidence(), out.calibrated), (State::Nerve, 1.0, false));
}

#[test]
fn what_stands_beside_a_sector_is_never_called_nerve() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = [("thresholds", "0.1"), ("uncertain", "0.05..0.1")];
    // The probability of a pixel is its brightness, and the mark is the brightest thing there is.
    let model = write(mirror(1, 150, 200), &metadata, folder.path());
    let size = Size::new(800, 600);
    let mut segmenter = open(&model, CropChoice::Auto);
    let mut out = Segmentation::default();
    for seed in 0..3 {
        let (gray, _) = marked_sector(size, &mut Dice(seed));
        let frame = Frame::new(seed, size, PixelFormat::Gray8, gray);
        segmenter.segment(&frame, &Clock::manual(), &mut out).unwrap();
        let sector = out.sector.expect("a sector");
        let pixels = (0..size.area() as u32).map(|i| (i as usize, sector.contains(i % 800, i / 800)));
        assert!(pixels.filter(|p| !p.1).all(|(i, _)| out.mask.labels[i] == 0 && out.plane(1)[i] == 0));
        assert!(out.mask.area(1) > 10_000, "the tissue itself is bright enough");
    }
}

#[test]
fn words_follow_the_confidence_and_nothing_is_drawn_that_is_not_said() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = [("uncertain", "0.6..0.9"), ("thresholds", "0.3"), ("hysteresis", "0.1")];
    let path = write(mirror(1, 32, 32), &metadata, folder.path());
    let mut segmenter = open(&path, CropChoice::Full);
    let size = Size::new(32, 32);
    let mut say = |level: u8| {
        let out = run(&mut segmenter, &Frame::new(0, size, PixelFormat::Gray8, vec![level; size.area()]));
        assert!((out.confidence() - f32::from(level) / 255.0).abs() < 1e-5);
        let drawn = out.mask.area(1) > 0;
        assert_eq!(drawn, out.state() != State::NoNerve);
        assert_eq!(drawn, !out.findings[0].contours.is_empty());
        out.state().as_str()
    };
    let series = [(100, "no_nerve"), (160, "no_nerve"), (180, "uncertain"), (235, "nerve"), (210, "nerve")];
    for (level, word) in series.into_iter().chain([(200, "uncertain"), (150, "no_nerve")]) {
        assert_eq!(say(level), word, "{level}");
    }
}

#[test]
fn of_two_classes_the_more_probable_one_that_reaches_its_threshold_wins() {
    let folder = tempfile::tempdir().unwrap();
    // Channel 1 sees level / 255, channel 2 sees 1 − level / 255, channel 3 next to nothing.
    let path =
        write(mirror(3, 16, 16), &[("mean", "0,1,0"), ("std", "1,-1,9"), ("thresholds", "0.5,0.9,1")], folder.path());
    let mut segmenter = open(&path, CropChoice::Full);
    let names: Vec<&str> = segmenter.classes().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["nerve", "class_2", "class_3"]);
    let size = Size::new(16, 16);
    for (level, class) in [(255, 1), (140, 1), (100, 0), (10, 2), (0, 2)] {
        let out = run(&mut segmenter, &Frame::new(0, size, PixelFormat::Gray8, vec![level; 256]));
        segmenter.reset();
        assert_eq!(out.mask.labels, vec![class; 256], "level {level}");
        assert_eq!(out.findings.len(), 3);
    }
}

#[test]
fn a_presence_output_and_the_map_decide_and_that_is_called_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = [("presence", "there"), ("mask", "maps"), ("output", "probability"), ("min_area", "0")];
    let path = write(mirror_with_presence(64), &metadata, folder.path());
    let size = Size::new(64, 64);
    let mut pixels = vec![10; size.area()];
    pixels[64 * 20 + 30] = 255;
    let frame = Frame::new(0, size, PixelFormat::Gray8, pixels);
    let out = run(&mut open(&path, CropChoice::Full), &frame);
    assert!(out.calibrated);
    assert_eq!((out.confidence(), out.state(), out.findings[0].area_px), (1.0, State::Nerve, 1));
    // what is said is there and not seen as large as a region has to be is not there: one bright pixel of the 41 of a hundredth
    let metadata = [&metadata[..3], &[("min_area", "0.01")]].concat();
    let out = run(&mut open(&write(mirror_with_presence(64), &metadata, folder.path()), CropChoice::Full), &frame);
    let seen = (1.0 + 40.0 * 10.0 / 255.0) / 41.0;
    assert!((out.confidence() - seen).abs() < 0.01 && out.state() == State::NoNerve, "{}", out.confidence());
    let wrong = [("presence", "nowhere")];
    let path = write(mirror(1, 8, 8), &wrong, folder.path());
    let error = Segmenter::open(&SegmenterConfig { model: path, ..Default::default() }).err().unwrap().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn sizes_change_from_frame_to_frame_and_odd_ones_have_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    for resize in ["stretch", "letterbox"] {
        let path = write(mirror(1, 32, 48), &[("resize", resize)], folder.path());
        let mut segmenter = open(&path, CropChoice::Auto);
        let mut out = Segmentation::default();
        for (id, (w, h)) in
            [(1, 1), (640, 480), (1, 500), (500, 1), (2, 3), (31, 64), (640, 480)].into_iter().enumerate()
        {
            let size = Size::new(w, h);
            let frame = Frame::new(id as u64, size, PixelFormat::Gray8, vec![255; size.area()]);
            segmenter.segment(&frame, &clock, &mut out).unwrap();
            assert_eq!((out.size, out.mask.labels.len(), out.probability.len()), (size, size.area(), size.area()));
            assert_eq!((out.frame_id, out.mask.area(1)), (id as u64, size.area()), "{size} {resize}");
        }
        let none = Frame::new(9, Size::new(0, 5), PixelFormat::Gray8, Vec::new());
        let error = segmenter.segment(&none, &clock, &mut out).unwrap_err().to_string();
        assert_eq!(error, "cannot segment frame 9: expected at least one pixel, found 0x5");
    }
    let path = write(mirror(1, 32, 48), &[], folder.path());
    let mut segmenter = open(&path, CropChoice::Rect("20x20+0+0".parse().unwrap()));
    let small = Frame::new(2, Size::new(10, 10), PixelFormat::Gray8, vec![0; 100]);
    let error = segmenter.segment(&small, &clock, &mut Segmentation::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot crop frame 2 to `20x20+0+0`: the frame is 10x10; give a rectangle inside it, `auto` or `full`"
    );
}

#[test]
fn colour_frames_are_grey_to_the_network_and_every_stage_is_stamped() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(mirror(1, 64, 64), &[], folder.path());
    let mut segmenter = open(&path, CropChoice::Full);
    let gray = disc(Size::new(90, 70), [40.0, 30.0], 12.0);
    let rgb: Vec<u8> = gray.pixels.iter().flat_map(|&p| [p; 3]).collect();
    let mut colour = Frame::new(0, gray.size, PixelFormat::Rgb8, rgb);
    colour.stamps.set(Moment::Captured, 5);
    let a = run(&mut segmenter, &gray);
    let mut b = Segmentation::default();
    b.stamps.set(Moment::Dequeued, 7);
    segmenter.segment(&colour, &Clock::manual(), &mut b).unwrap();
    assert_eq!((&a.mask, &a.probability), (&b.mask, &b.probability));
    assert_eq!((b.stamps.get(Moment::Captured), b.stamps.get(Moment::Dequeued)), (Some(5), Some(7)));
    for moment in [Moment::Preprocessed, Moment::Inferred, Moment::Segmented] {
        assert!(b.stamps.get(moment).is_some(), "{moment:?}");
    }
}

#[test]
fn the_answer_depends_on_neither_threads_nor_earlier_use_of_the_buffers() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/nerve-vessel.onnx");
    let frame = disc(Size::new(320, 240), [150.0, 100.0], 50.0);
    let answer = |threads: usize| {
        let config = SegmenterConfig { model: model.clone(), threads, ..SegmenterConfig::default() };
        let mut segmenter = Segmenter::open(&config).unwrap();
        let mut out = Segmentation::default();
        let clock = Clock::manual();
        segmenter.segment(&disc(Size::new(400, 100), [9.0, 9.0], 40.0), &clock, &mut out).unwrap();
        segmenter.reset();
        segmenter.segment(&frame, &clock, &mut out).unwrap();
        (out.mask, out.probability, out.findings)
    };
    let one = answer(1);
    assert_eq!(one, answer(3));
}
