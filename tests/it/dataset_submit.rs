//! The competition's tables: those that it gives, and those that it takes.

use std::fs;
use std::path::Path;

use image::{ColorType, save_buffer};
use sonoplex::evaluate::dataset::Dataset;
use sonoplex::evaluate::rle;
use sonoplex::evaluate::submission::{self, Row, SIZE};
use sonoplex::mask::Mask;

use crate::cli::{sonoplex, succeeds, text};
use crate::dataset::{HEIGHT, bar, folder, ids, kaggle, noise, says, spec};
use crate::images::shared;
use crate::segmenter_toy::{mirror, write};

/// An ellipse as a naive reader of the rules would write it: pixel by pixel, down the columns.
fn ellipse() -> (Mask, String) {
    let mut mask = Mask::empty(SIZE);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for x in 0..SIZE.width as usize {
        for y in 0..SIZE.height as usize {
            let (dx, dy) = ((x as f64 - 300.0) / 90.0, (y as f64 - 200.0) / 40.0);
            if dx * dx + dy * dy > 1.0 && !(x == 579 && y == 419) {
                continue;
            }
            mask.labels[y * SIZE.width as usize + x] = 1;
            let number = x * SIZE.height as usize + y + 1;
            match runs.last_mut() {
                Some((start, length)) if *start + *length == number => *length += 1,
                _ => runs.push((number, 1)),
            }
        }
    }
    let text: Vec<String> = runs.iter().map(|(s, l)| format!("{s} {l}")).collect();
    (mask, text.join(" "))
}

#[test]
fn masks_and_runs_are_each_other_s() {
    let (mask, runs) = ellipse();
    assert_eq!(rle::encode(&mask, 1), runs);
    assert!(runs.ends_with(" 243600 1"), "the last pixel is the lower right");
    assert_eq!(rle::decode(&runs, SIZE).unwrap(), mask);
}

#[test]
fn tables_are_read_with_either_line_end_and_checked_line_by_line() {
    let (_dir, path) = folder();
    let file = path.join("t.csv");
    let read = |text: &str| {
        fs::write(&file, text).unwrap();
        submission::read(&file)
    };
    let row = |subject, image, pixels: &str| Row { subject, image, pixels: pixels.into() };
    let rows = vec![row(Some(1), 1, "1 2 9 1"), row(Some(1), 2, ""), row(Some(2), 1, "243600 1")];
    for end in ["\n", "\r\n"] {
        let text = ["subject,img,pixels", "1,1,1 2 9 1", "1,2,", "2,1,243600 1", ""].join(end);
        assert_eq!(read(&text).unwrap(), rows);
        assert_eq!(read(&format!("\u{feff}{text}{end}")).unwrap(), rows);
    }
    assert_eq!(read("img,pixels\n3,\n").unwrap(), [row(None, 3, "")]);
    assert_eq!(read("img,pixels\n").unwrap(), []);
    for (text, words) in [
        ("", &["line 1", "expected `subject,img,pixels`"][..]),
        ("img;pixels\n1;\n", &["line 1", "img;pixels"]),
        ("subject,img,pixels\n1,1,\n1,2\n", &["line 3", "3 fields, found 2"]),
        ("subject,img,pixels\r\n1,1,1 2 2 1\r\n", &["line 2", "`2 1`", "begins before"]),
        ("subject,img,pixels\r\n1,1,\r\n\r\n1,2,243600 2\r\n", &["line 4", "leaves"]),
        ("subject,img,pixels\n1,1,5\n", &["line 2", "`5` alone"]),
        ("subject,img,pixels\n1,x,\n", &["line 2", "a number, found `x`"]),
        ("subject,img,pixels\n1,-1,\n", &["line 2", "`-1`"]),
        ("subject,img,pixels\n1,1,nan inf\n", &["line 2", "`nan`"]),
        ("subject,img,pixels\n1,1,\n1,1,1 1\n", &["line 3", "line 2 comes again"]),
        ("subject,img,pixels\n1,1,1 99999999999999999999\n", &["line 2", "pairs"]),
    ] {
        says(&read(text).unwrap_err().to_string(), &[&["t.csv"], words].concat());
    }
    fs::write(&file, b"subject,img,pixels\n\xff\xfe").unwrap();
    says(&submission::read(&file).unwrap_err().to_string(), &["t.csv"]);
    says(&submission::read(&path.join("absent.csv")).unwrap_err().to_string(), &["absent.csv"]);
}

#[test]
fn a_submission_is_in_the_order_of_the_pictures() {
    let row = |image, pixels: &str| Row { subject: None, image, pixels: pixels.into() };
    assert_eq!(submission::write(&[row(10, "3 1"), row(2, "")]), "img,pixels\n2,\n10,3 1\n");
}

#[test]
fn the_table_stands_for_masks_that_are_not_there() {
    let (_dir, path) = folder();
    kaggle(&path, &["1_1", "1_2", "1_3", "2_1"], "png");
    for id in ["1_2", "1_3"] {
        fs::remove_file(path.join(format!("{id}_mask.png"))).unwrap();
    }
    // The left half of the competition's picture.
    let half = format!("1 {}", 290 * 420);
    let table = |rows: &str| fs::write(path.join("train_masks.csv"), format!("subject,img,pixels\r\n{rows}")).unwrap();
    table(&format!("1,1,\r\n1,2,{half}\r\n1,3,\r\n9,9,\r\n"));
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(ids(&set), ["1_1", "1_2", "1_3", "2_1"]);
    assert_eq!(set.load(1).unwrap().truth.labels, bar(0, 16, 1));
    assert_eq!(set.load(2).unwrap().truth.area(1), 0);
    assert_eq!(set.load(0).unwrap().truth.area(1), 6 * HEIGHT as usize, "the mask beside the picture is used");
    let notes = set.notes.join("\n");
    for words in [
        "2 pictures have no mask file",
        "has 4 masks, 3 of them empty; 1 are of no picture",
        "the mask of `1_1` is not empty",
    ] {
        assert!(notes.contains(words), "`{words}`: {notes}");
    }
    fs::remove_file(path.join("1_1_mask.png")).unwrap();
    fs::remove_file(path.join("2_1_mask.png")).unwrap();
    let alone = Dataset::open(spec(&path)).unwrap();
    assert_eq!(ids(&alone), ["1_1", "1_2", "1_3"]);
    assert!(!alone.notes.join("\n").contains("beside the pictures"), "no mask is: {:?}", alone.notes);
    assert!(alone.dropped[0].what.ends_with("2_1.png"));
    table("1,1,5 5 7 1\r\n");
    says(&Dataset::open(spec(&path)).unwrap_err().to_string(), &["train_masks.csv", "line 2", "begins before"]);
}

#[test]
fn submit_writes_what_the_segmenter_finds() {
    let (dir, path) = folder();
    let out = dir.path().join("s.csv");
    // The network gives its input back, so that what is bright is the nerve.
    let model = write(mirror(1, 420, 580), &[], dir.path());
    let (mut mask, _) = ellipse();
    *mask.labels.last_mut().unwrap() = 0; // a region of one pixel is taken out
    let bright = |labels: &[u8]| labels.iter().map(|&l| if l == 1 { 250 } else { 30 }).collect::<Vec<u8>>();
    save_buffer(path.join("10.tif"), &bright(&mask.labels), 580, 420, ColorType::L8).unwrap();
    save_buffer(path.join("scan_2.tif"), &bright(&Mask::empty(SIZE).labels), 580, 420, ColorType::L8).unwrap();
    let half: Vec<u8> = (0..290 * 210).map(|i| u8::from(i % 290 >= 145)).collect();
    save_buffer(path.join("9.png"), &bright(&half), 290, 210, ColorType::L8).unwrap();
    let args = ["submit", spec(&model), spec(&path), "--out", spec(&out)];
    succeeds(&args);
    let rows = submission::read(&out).unwrap();
    assert_eq!(rows.iter().map(|r| r.image).collect::<Vec<_>>(), [2, 9, 10]);
    assert_eq!(rows[0].pixels, "");
    assert_eq!(rows[1].pixels, format!("{} {}", 290 * 420 + 1, 290 * 420), "the right half, twice as large");
    assert_eq!(rows[2].mask().unwrap(), mask, "at the size of the frame it is the mask itself");

    let fails = |args: &[&str], words: &[&str]| {
        let run = sonoplex(args);
        let said = text(&run.stderr);
        assert!(!run.status.success() && !said.contains("panicked"), "{args:?}: {said}");
        assert!(words.iter().all(|w| said.contains(w)), "{args:?}: {said}");
    };
    let before = fs::read(&out).unwrap();
    kaggle(&path, &["x_2"], "png");
    // names are looked at before anything is opened
    fails(&["submit", "absent.onnx", spec(&path), "--out", spec(&out)], &["x_2.png", "scan_2.tif", "the number 2 too"]);
    fs::rename(path.join("x_2.png"), path.join("x.png")).unwrap();
    fs::remove_file(path.join("x_2_mask.png")).unwrap();
    fails(&args, &["x.png", "by its number"]);
    fs::rename(path.join("x.png"), path.join("3.png")).unwrap();
    fs::write(path.join("3.png"), &noise(1)[..100]).unwrap();
    fails(&args, &["3.png"]);
    fails(&["submit", spec(&model), "absent", "--out", spec(&out)], &["absent", "no folder"]);
    fails(&["submit", spec(&model), spec(&path), "--out", spec(&path.join("s.csv"))], &["lies in"]);
    assert_eq!(fs::read(&out).unwrap(), before, "a run that fails writes nothing");
}

#[test]
fn every_mask_of_the_competition_makes_the_round_trip() {
    let path = shared().join("data/kaggle_bp/train_masks.csv");
    if !path.is_file() {
        return println!("skipped: {} is not there", path.display());
    }
    let rows = submission::read(&path).unwrap();
    assert_eq!(rows.len(), 4555);
    // One of seven: all of them take a minute without optimisation.
    for row in rows.iter().step_by(7) {
        assert_eq!(rle::encode(&row.mask().unwrap(), 1), row.pixels, "{:?} {}", row.subject, row.image);
    }
    agrees_with_the_masks_beside(&path, &rows);
}

/// The same masks lie beside the pictures at another size.
fn agrees_with_the_masks_beside(path: &Path, rows: &[Row]) {
    let masks = path.with_file_name("masks");
    let mut compared = 0;
    for row in rows.iter().step_by(41) {
        let file = masks.join(format!("{}_{}_mask.png", row.subject.unwrap(), row.image));
        if !file.is_file() {
            continue;
        }
        let small = sonoplex::source::images::decode::mask(&file).unwrap();
        let large = row.mask().unwrap();
        let at = |x: u32, y: u32| {
            let (from, to) = (small.size, SIZE);
            let of = |v: u32, from: u32, to: u32| ((f64::from(v) + 0.5) * f64::from(from) / f64::from(to)) as usize;
            small.labels[of(y, from.height, to.height) * from.width as usize + of(x, from.width, to.width)]
        };
        let grown = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
        let grown = Mask { size: SIZE, labels: grown.map(|(x, y)| at(x, y)).collect() };
        let dice = grown.dice(&large, 1);
        assert!(dice > 0.95, "{}: the masks agree at {dice:.3} only", file.display());
        compared += 1;
    }
    assert!(compared > 20, "{compared} masks were compared");
}
