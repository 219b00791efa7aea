//! Splits that no subject, no near-copy and no twin crosses.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use sonoplex::evaluate::dataset::{Dataset, Split};
use sonoplex::evaluate::rle;
use sonoplex::geometry::Size;

use crate::cli::text;
use crate::dataset::{bar, folder, ids, indexed, kaggle, noise, save, says, spec, subjects};
use crate::images::{python, shared};

/// The same picture to an eye.
fn copy(seed: u64) -> Vec<u8> {
    noise(seed).iter().zip(noise(seed + 7000)).map(|(&a, b)| a.saturating_add(b / 64)).collect()
}

/// A frame of the same sweep: alike, and not the same.
fn like(seed: u64) -> Vec<u8> {
    noise(seed).iter().zip(noise(seed + 9000)).map(|(&a, b)| ((u32::from(a) * 3 + u32::from(b)) / 4) as u8).collect()
}

fn split(set: &Dataset, text: &str) -> Vec<sonoplex::evaluate::dataset::Fold> {
    set.split(&text.parse().unwrap()).unwrap()
}

#[track_caller]
fn refuses(set: &Dataset, text: &str, words: &[&str]) {
    says(&set.split(&text.parse().unwrap()).map(|f| f.len()).unwrap_err().to_string(), words);
}

#[test]
fn words_for_a_split() {
    let subjects = Split::Subjects(["2", "7", "14"].map(str::to_owned).to_vec());
    assert_eq!("2, 7,14".parse(), Ok(subjects));
    assert_eq!("every:6".parse(), Ok(Split::Every(6)));
    assert_eq!("folds:5,seed=3".parse(), Ok(Split::Folds { count: 5, seed: 3 }));
    for bad in ["", " , ", "every:", "every:1", "every:-2", "folds:x", "folds:1", "folds:5,seed=", "folds:5,6"] {
        let error = bad.parse::<Split>().unwrap_err();
        assert!(error.contains(&format!("found `{bad}`")), "{error}");
    }
    for text in ["2,7", "every:6", "folds:4,seed=9"] {
        assert_eq!(text.parse::<Split>().unwrap().to_string(), text);
    }
}

#[test]
fn near_copies_are_one_subject_and_leave_training_when_the_other_is_judged() {
    let (_dir, path) = folder();
    indexed(&path, 13);
    save(&path.join("images/0007.png"), &like(56));
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(subjects(&set)[6..8], ["0006", "0006"], "7 is like 6");
    assert_eq!(set.groups().len(), 12);
    let group = &set.groups()[6];
    assert_eq!(group.pictures, 2);
    says(&group.why, &["`0006` and `0007` are near-copies", "correlation 0.9"]);
    let [fold] = &split(&set, "every:6")[..] else { panic!("one fold") };
    assert_eq!(ids(&fold.validation), ["0000", "0006", "0012"]);
    assert_eq!(ids(&fold.training).len(), 9);
    assert_eq!(fold.training.dropped.len(), 1);
    says(&fold.training.dropped[0].why, &["near-copies", "`0006` is for validation"]);
    assert_eq!(fold.training.dropped[0].what, "0007");
    assert_eq!(fold.rest(&set).dropped, fold.training.dropped, "who is held out takes near-copies along by name");
    fold.training.check_apart(&fold.validation).unwrap();
    says(&set.check_apart(&fold.validation).unwrap_err().to_string(), &["near-copy", "`0000`"]);
    refuses(&set, "0007", &["`0007` is a picture of subject `0006`"]);
    refuses(&set.select(|e| e.id != "0000"), "every:100000", &["no picture is left for"]);
}

#[test]
fn patients_that_share_frames_stay_together() {
    let (_dir, path) = folder();
    kaggle(&path, &["1_1", "1_2", "2_1", "2_2", "3_1", "10_1"], "png");
    save(&path.join("3_1.png"), &copy(2));
    let set = Dataset::open(spec(&path)).unwrap();
    assert_eq!(subjects(&set)[4..], ["3", "10"], "a patient keeps the name");
    let groups = set.groups();
    assert_eq!(groups[0].subjects, ["1", "3"]);
    says(&groups[0].why, &["`1_2` and `3_1`"]);
    refuses(&set, "1", &["subject `1` without `3`", "two folds", "`1_2`"]);
    refuses(&set, "3,2", &["subject `3` without `1`"]);
    refuses(&set, "4", &["no subject `4`", "1, 2, 3, 10"]);
    refuses(&set, "1,2,3,10", &["no picture is left for training"]);
    refuses(&set, "every:2", &["same patient"]);
    let fold = &split(&set, "10,2")[0];
    assert_eq!(ids(&fold.validation), ["2_1", "2_2", "10_1"]);
    assert_eq!(ids(&fold.training), ["1_1", "1_2", "3_1"]);
    // A frame that is gone takes nothing from what ties the two.
    let less = set.select(|e| e.id != "1_2");
    refuses(&less, "1", &["subject `1` without `3`"]);

    let joined = Dataset::join(vec![(set.clone(), 1.0), (set.clone(), 1.0)]).unwrap();
    refuses(&joined, "10", &["`set/10` or `set#2/10`"]);
    refuses(&joined, "set/10", &["without `set#2/10`", "two folds"]);
    assert_eq!(split(&joined, "set/10,set#2/10")[0].validation.entries.len(), 2);

    // Another frame of a patient is the same patient under any folder.
    let more = path.with_file_name("more");
    fs::create_dir(&more).unwrap();
    kaggle(&more, &["11_1", "2_9"], "png");
    let frame = Dataset::open(spec(&more)).unwrap();
    let joined = Dataset::join(vec![(frame, 1.0), (Dataset::open("phantom:seed=1").unwrap(), 1.0)]).unwrap();
    let judged = set.select(|e| e.subject == "2");
    says(&joined.check_apart(&judged).unwrap_err().to_string(), &["subject `2`", "take it out of one of them"]);
    joined.select(|e| e.subject != "more/2").check_apart(&judged).unwrap();
}

#[test]
fn folds_hold_every_group_once_and_are_the_same_again() {
    let (_dir, path) = folder();
    let names: Vec<String> = (0..24).map(|i| format!("{}_{i}", i % 7)).collect();
    kaggle(&path, &names.iter().map(String::as_str).collect::<Vec<_>>(), "png");
    let set = Dataset::open(spec(&path)).unwrap();
    let folds = split(&set, "folds:3,seed=5");
    let mut seen = HashSet::new();
    for fold in &folds {
        assert_eq!(fold.training.entries.len() + fold.validation.entries.len(), 24);
        let judged: HashSet<&str> = subjects(&fold.validation).into_iter().collect();
        assert!(subjects(&fold.training).iter().all(|s| !judged.contains(s)));
        assert!((6..=10).contains(&fold.validation.entries.len()), "{}", fold.validation.entries.len());
        fold.training.check_apart(&fold.validation).unwrap();
        judged.into_iter().for_each(|s| assert!(seen.insert(s), "`{s}` is judged twice"));
    }
    assert_eq!(seen.len(), 7);
    let again = |text: &str| split(&set, text).iter().map(|f| ids(&f.validation).join(" ")).collect::<Vec<_>>();
    assert_eq!(again("folds:3,seed=5"), again("folds:3,seed=5"));
    assert_ne!(again("folds:3,seed=5"), again("folds:3,seed=6"));
    refuses(&set, "folds:8", &["7 groups", "8 folds"]);
    // What the command line refuses, a caller may ask for all the same.
    for (nothing, word) in [(0, "0 folds"), (1, "1 folds")] {
        let error = set.split(&Split::Folds { count: nothing, seed: 0 }).map(|f| f.len()).unwrap_err();
        says(&error.to_string(), &[word]);
    }
    let error = set.split(&Split::Every(0)).map(|f| f.len()).unwrap_err();
    says(&error.to_string(), &["no picture is left for validation"]);
}

#[test]
fn contradicting_masks_leave_training_and_stay_in_validation() {
    let (_dir, path) = folder();
    kaggle(&path, &["1_1", "1_2", "1_3", "1_4", "2_1", "3_1", "3_2"], "png");
    // 1_2, 1_3 and 1_4 show what 1_1 shows; three masks agree, that of 1_4 does not.
    for id in ["1_2", "1_3", "1_4"] {
        save(&path.join(format!("{id}.png")), &copy(1));
        save(&path.join(format!("{id}_mask.png")), &bar(1, 7, 255));
    }
    save(&path.join("1_4_mask.png"), &bar(20, 26, 255));
    // Two that contradict each other, and nobody knows which is right.
    save(&path.join("3_2.png"), &copy(6));
    save(&path.join("3_2_mask.png"), &bar(0, 0, 255));
    let set = Dataset::open(spec(&path)).unwrap();
    let doubted: Vec<&str> = set.entries.iter().filter(|e| e.doubt().is_some()).map(|e| e.id.as_str()).collect();
    assert_eq!(doubted, ["1_4", "3_1", "3_2"]);
    let fold = &split(&set, "2")[0];
    assert_eq!(ids(&fold.training), ["1_1", "1_2", "1_3"]);
    let dropped: Vec<&str> = fold.training.dropped.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(dropped, ["1_4", "3_1", "3_2"]);
    says(&fold.training.dropped[1].why, &["`3_2`", "contradict (Dice 0.00)"]);
    let fold = &split(&set, "1")[0];
    assert_eq!(ids(&fold.validation).len(), 4);
    assert!(fold.validation.dropped.is_empty());
}

#[test]
fn pictures_of_one_level_resemble_nothing() {
    let (_dir, path) = folder();
    indexed(&path, 4);
    for name in ["0001", "0002"] {
        save(&path.join(format!("images/{name}.png")), &[40; 32 * 24]);
    }
    assert_eq!(Dataset::open(spec(&path)).unwrap().groups().len(), 4);
}

/// The packed file is read by a program that knows its description alone.
#[test]
fn packed_files_groups_and_runs_are_those_that_numpy_and_pillow_have() {
    let Some(python) = python() else { return println!("skipped: no Python with NumPy (set SONOPLEX_PYTHON)") };
    let (dir, path) = folder();
    indexed(&path, 12);
    let data = shared().join("data/usgra_seg");
    if data.is_dir() {
        // Three of these are near-copies of others.
        for name in ["0021", "0028", "0043", "0077", "0104", "0120", "0236"] {
            for folder in ["images", "masks"] {
                let file = format!("{folder}/{name}.png");
                fs::copy(data.join(&file), path.join(&file)).unwrap();
            }
        }
    } else {
        println!("skipped: the frames of {} are not there", data.display());
    }
    save(&path.join("images/0009.png"), &like(51));
    save(&path.join("images/0005.png"), &like(51));
    save(&path.join("images/0002.png"), &like(60));
    let set = Dataset::open(spec(&path)).unwrap();
    let [whole, sized, table] = ["whole", "sized", "table"].map(|name| dir.path().join(name));
    fs::write(&whole, set.prepare(None, None).unwrap().0).unwrap();
    fs::write(&sized, set.prepare(Some(Size::new(40, 30)), None).unwrap().0).unwrap();
    let rows: Vec<String> = (0..set.entries.len()).map(|i| rle::encode(&set.load(i).unwrap().truth, 1)).collect();
    fs::write(&table, rows.join("\n")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/dataset.py");
    let out = Command::new(python).arg(script).args([&path, &whole, &sized, &table]).output().unwrap();
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(out.status.success(), "{said}");
    let groups = set.groups().len();
    assert!(said.contains(&format!("{groups} groups of {}", rows.len())), "{said}");
    assert_eq!(groups, if data.is_dir() { 13 } else { 9 });
}

#[test]
fn the_twins_and_near_copies_of_the_shared_data_are_found_by_content() {
    let data = shared().join("data");
    if !data.join("kaggle_bp/images").is_dir() {
        return println!("skipped: the frames of {} are not there", data.display());
    }
    // Some subjects alone: all of them take a minute without optimisation.
    let (_dir, path) = folder();
    for (folder, suffix) in [("images", ""), ("masks", "_mask")] {
        fs::create_dir(path.join(folder)).unwrap();
        for file in fs::read_dir(data.join("kaggle_bp").join(folder)).unwrap().map(|e| e.unwrap().path()) {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let (subject, image) = name.trim_end_matches(suffix).split_once('_').unwrap();
            let image: u32 = image.parse().unwrap();
            if ["15", "17", "18", "21", "22"].contains(&subject) && image.is_multiple_of(2) {
                fs::copy(&file, path.join(folder).join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let set = Dataset::open(spec(&path)).unwrap();
    let groups: Vec<String> = set.groups().iter().map(|g| g.subjects.join("+")).collect();
    assert_eq!(groups, ["15", "17+18", "21+22"]);
}
