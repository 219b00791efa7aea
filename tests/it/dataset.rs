//! Data sets as they lie in folders: read as they are, and refused by name where they are not what they seem.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ColorType, save_buffer};
use sonoplex::evaluate::dataset::{Dataset, DatasetError};
use sonoplex::frame::luma;
use sonoplex::segmentation::Class;
use sonoplex::source::{OpenOptions, open};

pub(crate) const WIDTH: u32 = 32;
pub(crate) const HEIGHT: u32 = 24;

/// Grey noise: pictures of two seeds do not resemble each other.
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as u8
    };
    (0..WIDTH * HEIGHT).map(|_| next()).collect()
}

/// Columns `from..to` bright, the rest black.
pub(crate) fn bar(from: u32, to: u32, level: u8) -> Vec<u8> {
    (0..WIDTH * HEIGHT).map(|i| if (from..to).contains(&(i % WIDTH)) { level } else { 0 }).collect()
}

pub(crate) fn save(path: &Path, gray: &[u8]) {
    save_buffer(path, gray, WIDTH, HEIGHT, ColorType::L8).unwrap();
}

/// A folder in the layout of the competition: `S_I.EXT` with `S_I_mask.EXT`, a bar of six columns.
pub(crate) fn kaggle(dir: &Path, ids: &[&str], extension: &str) {
    for (seed, id) in (1..).zip(ids) {
        save(&dir.join(format!("{id}.{extension}")), &noise(seed));
        save(&dir.join(format!("{id}_mask.{extension}")), &bar(seed as u32, seed as u32 + 6, 255));
    }
}

/// `images/` and `masks/` with indexed masks: label 1 left, label 2 beside it.
pub(crate) fn indexed(dir: &Path, count: u64) {
    fs::create_dir_all(dir.join("images")).unwrap();
    fs::create_dir_all(dir.join("masks")).unwrap();
    for seed in 0..count {
        save(&dir.join(format!("images/{seed:04}.png")), &noise(seed + 50));
        let labels: Vec<u8> = bar(2, 8, 1).iter().zip(bar(10, 12, 2)).map(|(a, b)| a + b).collect();
        save(&dir.join(format!("masks/{seed:04}.png")), &labels);
    }
}

pub(crate) fn spec(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
pub(crate) fn refused(spec: &str, words: &[&str]) -> DatasetError {
    let error = Dataset::open(spec).map(|set| set.entries.len()).unwrap_err();
    says(&error.to_string(), words);
    error
}

#[track_caller]
pub(crate) fn says(text: &str, words: &[&str]) {
    assert!(!text.contains('\n'), "more than one line: {text}");
    for word in words {
        assert!(text.contains(word), "should mention `{word}`: {text}");
    }
}

pub(crate) fn ids(set: &Dataset) -> Vec<&str> {
    set.entries.iter().map(|e| e.id.as_str()).collect()
}

pub(crate) fn subjects(set: &Dataset) -> Vec<&str> {
    set.entries.iter().map(|e| e.subject.as_str()).collect()
}

pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set");
    fs::create_dir(&path).unwrap();
    (dir, path)
}

#[test]
fn the_competition_s_layout_names_patients_and_has_one_class() {
    let (_dir, path) = folder();
    kaggle(&path, &["2_1", "10_1", "2_12", "2_3"], "tif");
    fs::write(path.join("notes.md"), "x").unwrap();
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(ids(&set), ["2_1", "2_3", "2_12", "10_1"], "in natural order");
    assert_eq!(subjects(&set), ["2", "2", "2", "10"]);
    assert_eq!(set.classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["nerve"]);
    assert!(set.dropped.is_empty() && set.check().is_ok());
    let sample = set.load(3).unwrap();
    assert_eq!(sample.picture.pixels, noise(2));
    assert_eq!(sample.picture.name, "10_1");
    assert_eq!(sample.truth.labels, bar(2, 8, 1), "255 is class 1");
    assert_eq!(sample.labelled, [true]);
    let split: Vec<u8> = set.groups().iter().map(|g| g.pictures as u8).collect();
    assert_eq!(split, [3, 1]);
}

#[test]
fn indexed_masks_show_as_many_classes_as_they_have() {
    let (_dir, path) = folder();
    indexed(&path, 3);
    let color: Vec<u8> = (0..WIDTH * HEIGHT * 3).map(|i| (i * 7 % 251) as u8).collect();
    save_buffer(path.join("images/0001.png"), &color, WIDTH, HEIGHT, ColorType::Rgb8).unwrap();
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(set.classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["nerve", "vessel"]);
    assert_eq!(subjects(&set), ["0000", "0001", "0002"], "pictures that resemble none are alone");
    let sample = set.load(1).unwrap();
    assert_eq!(sample.truth.area(2), 2 * HEIGHT as usize);
    let gray: Vec<u8> = color.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect();
    assert_eq!(sample.picture.pixels, gray, "colour becomes luma");
    assert_eq!(ids(&Dataset::open(spec(&path.join("images"))).unwrap()), ids(&set), "its images/ means the same");

    fs::write(path.join("classes.txt"), "Median nerve\r\nArtery\r\n\r\nVein\r\n").unwrap();
    let named = Dataset::open(spec(&path)).unwrap();
    assert_eq!(named.classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Median nerve", "Artery", "Vein"]);
    says(&named.check().unwrap_err().to_string(), &["none of its 3 pictures", "`Vein`"]);
    assert_eq!(Dataset::open(spec(&path.join("images"))).unwrap().classes, named.classes);
    fs::write(path.join("classes.txt"), "nerve").unwrap();
    refused(spec(&path), &["`0000`", "labels up to 1, found 2", "classes.txt"]);
    for (text, word) in
        [("", "no class"), ("a\nA", "twice"), ("nerve, left", "comma"), (&"x\n".repeat(16), "16 classes")]
    {
        fs::write(path.join("classes.txt"), text).unwrap();
        refused(spec(&path), &["classes.txt", word]);
    }
    fs::write(path.join("classes.txt"), "\u{feff}Median nerve\nArtery\nVein\n").unwrap();
    assert_eq!(Dataset::open(spec(&path)).unwrap().classes[0].name, "Median nerve");
    fs::write(path.join("classes.txt"), [0xff, 0xfe]).unwrap();
    refused(spec(&path), &["classes.txt"]);
}

#[test]
fn what_is_broken_is_refused_by_name() {
    let (_dir, path) = folder();
    refused(spec(&path.join("absent")), &["absent", "no such folder"]);
    refused(spec(&path), &["no picture"]);
    save(&path.join("1_1.png"), &noise(1));
    refused(spec(&path), &["it has no masks", "empty:"]);
    kaggle(&path, &["1_1", "1_2"], "png");
    assert_eq!(Dataset::open(spec(&path)).unwrap().entries.len(), 2);
    refused(&format!("empty:{}", path.display()), &["it has masks"]);

    let small = [0; 16 * 12];
    save_buffer(path.join("1_2_mask.png"), &small, 16, 12, ColorType::L8).unwrap();
    refused(spec(&path), &["1_2_mask.png", "32x24", "16x12"]);
    save(&path.join("1_2_mask.png"), &bar(0, 0, 255));

    let whole = fs::read(path.join("1_2.png")).unwrap();
    for cut in [0, 1, 8, 20, 33, whole.len() / 2, whole.len() - 20] {
        fs::write(path.join("1_2.png"), &whole[..cut]).unwrap();
        refused(spec(&path), &["1_2.png"]);
    }
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    fs::write(path.join("1_2.png"), &huge).unwrap();
    refused(spec(&path), &["1_2.png"]);
    fs::write(path.join("1_2.png"), &whole).unwrap();

    save(&path.join("1_1_mask.png"), &bar(0, 0, 255));
    let set = Dataset::open(spec(&path)).unwrap();
    says(&set.check().unwrap_err().to_string(), &["none of its 2 pictures shows the class `nerve`"]);
    save(&path.join("1_1.tif"), &noise(1));
    refused(spec(&path), &["two pictures are called `1_1`"]);
    refused(spec(&path.join("1_1.tif")), &["1_1.tif", "no packed data set"]);
}

#[test]
fn what_has_no_partner_is_dropped_by_name() {
    let (_dir, path) = folder();
    indexed(&path, 3);
    fs::remove_file(path.join("masks/0001.png")).unwrap();
    save(&path.join("masks/0077.png"), &bar(0, 3, 1));
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(ids(&set), ["0000", "0002"]);
    let said: Vec<String> = set.dropped.iter().map(|d| format!("{} {}", d.what, d.why)).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    says(&said[0], &["0001.png", "no mask"]);
    says(&said[1], &["0077.png", "mask of no picture"]);
    fs::remove_file(path.join("masks/0000.png")).unwrap();
    fs::remove_file(path.join("masks/0002.png")).unwrap();
    refused(spec(&path), &["no mask has the name of a picture"]);
}

#[test]
fn phantoms_are_those_of_the_source_for_as_many_seeds_as_are_wanted() {
    let one = "phantom:seed=4,size=96x80,frames=3";
    let set = Dataset::open("phantom:seed=3-5,size=96x80,frames=3").unwrap();
    assert_eq!(set.entries.len(), 9);
    assert_eq!(subjects(&set)[2..4], ["phantom:3", "phantom:4"]);
    let mut source = open(one, &OpenOptions::default()).unwrap();
    for index in 3..6 {
        let (frame, sample) = (source.next().unwrap().unwrap(), set.load(index).unwrap());
        assert_eq!(frame.pixels, sample.picture.pixels);
        assert_eq!(*frame.truth.unwrap(), sample.truth);
        assert_eq!(frame.spacing, sample.spacing);
    }
    let off = Dataset::open("phantom:seed=4,size=96x80,frames=1,nerve=off").unwrap();
    assert!(off.entries[0].may_show(2) && !off.entries[0].may_show(1));
    assert_eq!(off.load(0).unwrap().truth.area(1), 0);
    says(&off.check().unwrap_err().to_string(), &["`nerve`"]);
    refused("phantom:seed=5-3", &["seeds from 5 to 3"]);
    refused("phantom:seed=1-18446744073709551615,frames=300", &["a million"]);
    refused("phantom:sed=1", &["`seed`"]);
    refused("phantom:seed=1-x", &["`seed`"]);
    // Many threads at once, and each gets its own.
    let again = Dataset::open("phantom:seed=3-5,size=96x80,frames=3").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..9).for_each(|i| assert_eq!(set.load(i).unwrap().truth, again.load(i).unwrap().truth)));
        }
    });
}

#[test]
fn a_join_has_all_classes_and_says_which_are_labelled() {
    let (_dir, path) = folder();
    let [a, b, c] = ["nerves", "both", "muscle"].map(|name| path.join(name));
    for dir in [&a, &b, &c] {
        fs::create_dir(dir).unwrap();
    }
    kaggle(&a, &["1_1", "2_1"], "png");
    indexed(&b, 2);
    save(&c.join("m1.png"), &noise(900));
    let empty = Dataset::open(&format!("empty:{}", c.display())).unwrap();
    assert!(empty.classes.is_empty() && empty.load(0).unwrap().labelled.is_empty());
    let open = |p: &Path| Dataset::open(spec(p)).unwrap();
    let phantom = Dataset::open("phantom:seed=1,size=64x64,frames=1").unwrap();
    let joined = Dataset::join(vec![(open(&a), 1.0), (open(&b), 0.5), (empty.clone(), 2.0), (phantom, 1.0)]).unwrap();
    assert_eq!(ids(&joined), ["nerves/1_1", "nerves/2_1", "both/0000", "both/0001", "muscle/m1", "phantom:1/0"]);
    assert_eq!(joined.entries.iter().map(|e| e.weight).collect::<Vec<_>>(), [1.0, 1.0, 0.5, 0.5, 2.0, 1.0]);
    let labelled: Vec<Vec<bool>> = (0..6).map(|i| joined.load(i).unwrap().labelled).collect();
    assert_eq!(labelled[0], [true, false], "vessels are there, and nobody says where");
    assert_eq!(labelled[2], [true, true]);
    assert_eq!(labelled[4], [true, true], "none of whatever class there is");
    assert!(joined.load(4).unwrap().truth.labels.iter().all(|&l| l == 0));

    let class = |name: &str| Class { name: name.into(), color: [1, 2, 3] };
    let turned = joined.aligned(&[class("Vessel"), class("bone"), class("NERVE")]);
    let sample = turned.load(2).unwrap();
    assert_eq!((sample.truth.area(1), sample.truth.area(2)), (2 * HEIGHT as usize, 0));
    assert_eq!((sample.truth.area(3), sample.labelled), (6 * HEIGHT as usize, vec![true, false, true]));
    assert!(turned.entries[2].may_show(3) && !turned.entries[2].may_show(2) && !turned.entries[0].may_show(1));
    assert_eq!(turned.load(4).unwrap().labelled, [true; 3]);
    let only = joined.aligned(&[class("nerve")]);
    assert!(only.load(2).unwrap().truth.labels.iter().all(|&l| l < 2), "another class is background");

    let twice = Dataset::join(vec![(open(&a), 1.0), (open(&a), 1.0)]).unwrap();
    assert_eq!(ids(&twice)[2], "nerves#2/1_1");
    assert_eq!(twice.groups().len(), 2, "the same pictures are found again");
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        says(&Dataset::join(vec![(open(&a), bad)]).unwrap_err().to_string(), &["weight"]);
    }
    assert!(Dataset::join(Vec::new()).is_err());
}

#[test]
fn crops_are_free_of_the_first_class_and_keep_the_others() {
    let temp = tempfile::tempdir().unwrap();
    for folder in ["images", "masks"] {
        fs::create_dir(temp.path().join(folder)).unwrap();
    }
    let put = |id: &str, picture: &[u8], mask: &[u8]| {
        save(&temp.path().join(format!("images/{id}.png")), picture);
        save(&temp.path().join(format!("masks/{id}.png")), mask);
    };
    // nerve in columns 4 to 9, a vessel in columns 20 to 22; all light is to the right
    let mask: Vec<u8> = bar(4, 10, 1).iter().zip(bar(20, 23, 2)).map(|(a, b)| a + b).collect();
    put("6", &bar(10, 32, 90), &mask);
    put("7", &noise(7), &bar(0, 32, 1));
    put("8", &noise(8), &bar(0, 0, 1));
    let name = format!("crops:{}", temp.path().display());
    let set = Dataset::open(&name).unwrap();
    assert_eq!(set.entries.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["6", "8"]);
    assert_eq!(set.dropped[0].what, "7");
    let right = set.load(0).unwrap();
    assert_eq!((right.picture.size.width, right.picture.size.height), (32 - 10, HEIGHT));
    assert!(right.picture.pixels.iter().all(|v| *v == 90));
    assert_eq!((right.truth.area(1), right.truth.area(2)), (0, 3 * HEIGHT as usize));
    assert!(!set.entries[0].may_show(1) && set.entries[0].may_show(2) && set.entries[0].is_part());
    // what shows no nerve is taken whole
    assert_eq!(set.load(1).unwrap().picture.pixels, noise(8));
}
