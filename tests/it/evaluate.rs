//! `sonoplex evaluate` with a network whose answers can be told beforehand: what it reports, and what it refuses.

use std::path::{Path, PathBuf};

use image::GrayImage;
use serde_json::Value;

use crate::cli::{path, sonoplex, succeeds, text};
use crate::cli_explain::{all_explained, explained};
use crate::segmenter_toy::{logarithm, mirror, mirror_with_logarithm, mirror_with_presence, write};

const SIDE: u32 = 64;

/// A folder of pictures and masks.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["images", "masks"] {
            std::fs::create_dir(dir.path().join(name)).expect("a folder");
        }
        Self(dir)
    }

    fn path(&self) -> &str {
        path(self.0.path())
    }

    /// A picture with a bright square where the mirror will find it, and a truth with another; faint noise, so that no two
    /// pictures are alike.
    fn add(&self, name: &str, side: u32, bright: Option<[u32; 3]>, truth: Option<[u32; 3]>, noise: u32) {
        let within = |square: Option<[u32; 3]>, x: u32, y: u32| {
            square.is_some_and(|[left, top, n]| (left..left + n).contains(&x) && (top..top + n).contains(&y))
        };
        let seed: u32 = name.bytes().fold(7, |s, b| s.wrapping_mul(31).wrapping_add(b.into()));
        let level = |x: u32, y: u32| {
            let hash = (seed ^ (y * 977 + x)).wrapping_mul(2_654_435_761);
            image::Luma([if within(bright, x, y) { 255 } else { ((hash >> 16) % (noise + 1)) as u8 }])
        };
        let file = |folder: &str| self.0.path().join(folder).join(format!("{name}.png"));
        GrayImage::from_fn(side, side, level).save(file("images")).expect("a picture");
        let label = |x, y| image::Luma([if within(truth, x, y) { 255 } else { 0 }]);
        GrayImage::from_fn(side, side, label).save(file("masks")).expect("a mask");
    }
}

fn model(folder: &Path, more: &[(&str, &str)]) -> PathBuf {
    let own = [("classes", "nerve"), ("output", "probability"), ("min_area", "0"), ("uncertain", "0.2..0.6")];
    let side = i64::from(SIDE);
    write(mirror(1, side, side), &[&own[..], more].concat(), folder)
}

/// Seven frames of four subjects: right, half right, missed, rightly silent, wrongly loud, right, and a single pixel.
fn seven() -> Data {
    let data = Data::new();
    data.add("1_1", SIDE, Some([5, 5, 20]), Some([5, 5, 20]), 20);
    data.add("1_2", SIDE, Some([20, 30, 20]), Some([30, 30, 20]), 20);
    data.add("2_1", SIDE, None, Some([40, 8, 20]), 20);
    data.add("2_2", SIDE, None, None, 10);
    data.add("3_1", SIDE, Some([40, 40, 20]), None, 20);
    data.add("3_2", SIDE, Some([30, 12, 20]), Some([30, 12, 20]), 20);
    data.add("4_1", SIDE, Some([50, 33, 1]), Some([50, 33, 1]), 20);
    data
}

fn report(args: &[&str]) -> Value {
    let said = succeeds(&[&["evaluate"], args, &["--crop", "full", "--json", "-"]].concat());
    assert!(!said.contains("NaN"), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// One sentence, exit code 1.
#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let out = sonoplex(&[&["evaluate"], args].concat());
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
    assert!(!said.contains("panicked") && said.lines().count() == 1, "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?} should mention `{word}`: {said}");
    }
}

#[test]
fn every_number_is_the_one_that_can_be_told_beforehand() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let report = report(&[path(&toy), data.path()]);
    let nerve = &report["classes"]["nerve"];
    // Dice of the frames: 1, 0.5, 0, 1, 0, 1, 0; a single pixel is drawn on nobody's word.
    for (key, expected) in [("dice_mean", 0.5), ("dice_competition", 0.5), ("dice_nonempty", 0.5)] {
        assert_eq!(nerve[key].as_f64(), Some(expected), "{key}");
    }
    let (tp, found, truth) = (1000.0, 1600.0, 1601.0);
    let near = |key: &str, expected: f64| {
        let value = nerve[key].as_f64().unwrap_or_else(|| panic!("{key}: {nerve}"));
        assert!((value - expected).abs() < 1e-12, "{key}: {value}, expected {expected}");
    };
    near("dice_pooled", 2.0 * tp / (found + truth));
    near("iou", tp / (found + truth - tp));
    near("precision", tp / found);
    near("recall", tp / truth);
    near("accuracy", 1.0 - (found + truth - 2.0 * tp) / (7.0 * 64.0 * 64.0));
    let frames = &nerve["frames"];
    for (key, count) in [("all", 7), ("with_class", 5), ("surfaces_compared", 3), ("mask_empty_truth_not", 2)] {
        assert_eq!(frames[key], count, "{key}");
    }
    assert_eq!((&frames["truth_empty_mask_not"], &frames["both_empty"]), (&1.into(), &1.into()));
    // Two of three are 0; the third is 10 columns off, and its 95th percentile too.
    near("hd95_px", 10.0 / 3.0);
    assert!(nerve["hd95_mm"].is_null() && nerve["why"]["hd95_mm"].is_string(), "{nerve}");
    let presence = &report["presence"];
    assert_eq!((presence["auc"].as_f64(), presence["fpr"].as_f64()), (Some(0.65), Some(0.5)), "{presence}");
    assert_eq!((presence["tpr"].as_f64(), presence["fpr_pixels"].as_f64()), (Some(0.6), Some(0.5)));
    assert!(presence["ece"].as_f64() > Some(0.0));
    assert_eq!(presence["auc"], nerve["presence"]["auc"]);
    let empty = &report["reference"]["all_empty"]["classes"]["nerve"];
    assert_eq!((empty["dice_mean"].as_f64(), empty["auc"].as_f64()), (Some(2.0 / 7.0), Some(0.5)));
    assert_eq!(report["reference"]["experts_dice"].as_f64(), Some(0.48));
    assert_eq!(report["subjects"]["1"]["classes"]["nerve"]["dice_mean"].as_f64(), Some(0.75));
    let interval = &nerve["ci95"]["dice_mean"];
    assert!(interval[0].as_f64() < Some(0.5) && interval[1].as_f64() > Some(0.5), "{interval}");
    let ids: Vec<&str> = report["frames"].as_array().expect("frames").iter().filter_map(|f| f["id"].as_str()).collect();
    assert_eq!(ids, ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "4_1"]);
    assert_eq!(report["frames"][1]["dice"].as_f64(), Some(0.5));
    assert_eq!(report["model"]["sha256"].as_str().map(str::len), Some(64));
    let shipped = nerve["curve"]["points"].as_array().expect("points").iter().find(|p| p["shipped"] == true);
    assert_eq!(shipped.expect("the shipped threshold")["dice_mean"], nerve["dice_mean"]);
    all_explained(&report, &explained("evaluate", "--json"), "evaluate");
}

#[test]
fn threads_change_no_number() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let of = |threads: &str| {
        let mut report = report(&[path(&toy), data.path(), "--threads", threads]);
        (report["date"], report["seconds"]) = (Value::Null, Value::Null);
        report
    };
    assert_eq!(of("1"), of("3"));
}

#[test]
fn the_table_and_the_page_say_what_the_number_hides() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let page = folder.path().join("page.html");
    let said = succeeds(&["evaluate", path(&toy), data.path(), "--crop", "full", "--report", path(&page)]);
    for word in ["Dice", "0.500", "an empty answer", "0.286", "0.48", "not tuned" /* of the page */, "Research"] {
        let page = std::fs::read_to_string(&page).expect("a page");
        assert!(said.contains(word) || page.contains(word), "{word}: {said}");
    }
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("href="), "it needs nothing else");
    assert_eq!(page.matches("data:image/png;base64,").count(), 6, "every frame that shows something, once");
    for word in ["<svg", "prefers-color-scheme", "@media print", "worst frames", "Mann–Whitney"] {
        assert!(page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<figure").count(), page.matches("</figure>").count());
}

#[test]
fn a_smallest_region_that_is_tuned_leaves_the_decisions_as_they_are() {
    let (data, folder) = (Data::new(), tempfile::tempdir().expect("a folder"));
    data.add("1_1", SIDE, Some([5, 5, 20]), Some([5, 5, 20]), 20);
    data.add("1_2", SIDE, Some([40, 30, 8]), None, 20);
    data.add("2_1", SIDE, Some([30, 12, 3]), Some([30, 12, 3]), 20);
    data.add("2_2", SIDE, None, None, 10);
    let more = [("presence", "there"), ("mask", "maps"), ("output", "probability"), ("min_area", "0")];
    let settings = [&more[..], &[("classes", "nerve"), ("uncertain", "0.2..0.6")]].concat();
    let toy = write(mirror_with_presence(i64::from(SIDE)), &settings, folder.path());
    let report = report(&[path(&toy), data.path(), "--tune", "1"]);
    let class = &report["tuned"]["classes"][0];
    assert!((class["chosen"]["min_area"].as_f64().unwrap() - 0.02).abs() < 1e-6, "{class}");
    // Nine bright pixels are there, whatever is drawn of them: 82, which the chosen region has, would be none.
    assert_eq!(class["shipped_dice_mean"].as_f64(), Some(1.0), "{class}");
    assert_eq!(report["classes"]["nerve"]["dice_mean"].as_f64(), Some(0.5));
    assert_eq!(report["presence"]["auc"].as_f64(), Some(1.0));
}

#[test]
fn settings_are_chosen_on_some_subjects_and_judged_on_the_others() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    // Shipped far too high: nothing reaches it but white.
    let toy = model(folder.path(), &[("thresholds", "1")]);
    let report = report(&[path(&toy), data.path(), "--tune", "2,3"]);
    let tuned = &report["tuned"];
    assert_eq!((&tuned["subjects"], &tuned["frames"]), (&serde_json::json!(["2", "3"]), &4.into()));
    let subjects: Vec<&String> = report["subjects"].as_object().expect("subjects").keys().collect();
    assert_eq!(subjects, ["1", "4"]);
    let class = &tuned["classes"][0];
    assert!(class["dice_mean_tuning"].as_f64() >= class["shipped_dice_mean_tuning"].as_f64(), "{class}");
    // The greatest region that is wrong is as large as the one that is right: nothing separates them.
    assert_eq!(report["classes"]["nerve"]["frames"]["all"], 3);
    all_explained(&report, &explained("evaluate", "--json"), "evaluate --tune");
    let fold = succeeds(&["evaluate", path(&toy), data.path(), "--crop", "full", "--tune", "folds:2"]);
    assert!(fold.contains("2 subjects") && fold.contains("on the others"), "{fold}");
    refused(&[path(&toy), data.path(), "--tune", "1,2,3,4"], &["no picture is left"]);
    refused(&[path(&toy), data.path(), "--tune", "1,77"], &["no subject `77`"]);
    refused(&[path(&toy), data.path(), "--only", "1,77"], &["77", "expected subjects"]);
    refused(&[path(&toy), data.path(), "--only", "validation"], &["validation"]);
}

#[test]
fn a_list_in_a_file_may_come_from_windows() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "1_1\r\n3\r\n\r\n").expect("a list");
    let list = format!("@{}", path(&list));
    let some = report(&[path(&toy), data.path(), "--only", &list]);
    assert_eq!(some["dataset"]["frames"], 3);
    assert_eq!(report(&[path(&toy), data.path(), "--except", &list])["dataset"]["frames"], 4);
}

#[test]
fn what_a_packed_file_keeps_for_validation_is_judged_alone() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let packed = folder.path().join("seven.sonopack");
    succeeds(&["prepare", data.path(), "--validate", "1,4", "--out", path(&packed)]);
    let kept = report(&[path(&toy), path(&packed), "--only", "validation"]);
    let whole = report(&[path(&toy), data.path(), "--only", "1,4"]);
    assert_eq!(kept["dataset"]["frames"], 3);
    assert_eq!(kept["classes"]["nerve"]["dice_mean"], whole["classes"]["nerve"]["dice_mean"]);
}

#[test]
fn a_class_that_only_some_data_sets_label_is_judged_on_these() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let other = Data::new();
    other.add("9_1", SIDE, Some([5, 5, 20]), Some([5, 5, 20]), 20);
    std::fs::write(other.0.path().join("classes.txt"), "vessel\r\n").expect("the classes");
    let joined = report(&[path(&toy), data.path(), other.path()]);
    assert_eq!((&joined["dataset"]["frames"], &joined["classes"]["nerve"]["frames"]["all"]), (&8.into(), &7.into()));
    let notes = joined["dataset"]["notes"].to_string();
    assert!(notes.contains("does not know vessel"), "{notes}");
    // Pictures of nothing are without every class of the model.
    let silent = tempfile::tempdir().expect("a folder");
    GrayImage::new(SIDE, SIDE).save(silent.path().join("a.png")).expect("a picture");
    let silent = report(&[path(&toy), &format!("empty:{}", path(silent.path()))]);
    assert_eq!(silent["presence"]["fpr"].as_f64(), Some(0.0));
}

#[test]
fn frames_without_the_class_and_frames_of_any_size_are_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let toy = model(folder.path(), &[]);
    let silent = Data::new();
    for i in 1..5 {
        silent.add(&format!("{i}_1"), SIDE, None, None, 20);
    }
    let silent = report(&[path(&toy), silent.path()]);
    let nerve = &silent["classes"]["nerve"];
    assert_eq!((nerve["dice_mean"].as_f64(), silent["presence"]["fpr"].as_f64()), (Some(1.0), Some(0.0)));
    for key in ["dice_nonempty", "hd95_px", "recall", "precision"] {
        assert!(nerve[key].is_null() && nerve["why"][key].is_string(), "{key}: {nerve}");
    }
    assert!(silent["presence"]["auc"].is_null() && silent["presence"]["why"]["auc"].is_string());

    let mixed = Data::new();
    mixed.add("1_1", SIDE, Some([5, 5, 20]), Some([5, 5, 20]), 20);
    mixed.add("1_2", 3 * SIDE, Some([90, 100, 60]), Some([90, 100, 60]), 20);
    mixed.add("2_1", 1, Some([0, 0, 1]), Some([0, 0, 1]), 0);
    let mixed = report(&[path(&toy), mixed.path()]);
    assert_eq!(mixed["frames"][1]["width"], 192);
    assert!(mixed["classes"]["nerve"]["dice_mean"].as_f64() > Some(0.98), "{}", mixed["classes"]["nerve"]);
    assert!(mixed["classes"]["nerve"]["ci95"]["why"].is_string(), "two subjects say nothing of others");
}

#[test]
fn what_cannot_be_judged_is_said_in_one_sentence() {
    let (data, folder) = (seven(), tempfile::tempdir().expect("a folder"));
    let toy = model(folder.path(), &[]);
    let other = tempfile::tempdir().expect("a folder");
    let vessel = write(mirror(1, 64, 64), &[("classes", "vessel"), ("output", "probability")], other.path());
    refused(&[path(&vessel), data.path()], &["vessel", "nerve", "name the classes alike"]);
    refused(&[path(&toy), path(&other.path().join("absent"))], &["absent"]);
    refused(&[path(&other.path().join("absent.onnx")), data.path()], &["absent.onnx"]);
    refused(&[path(&toy), data.path(), "--model", path(&toy)], &["--model"]);
    let inside = data.0.path().join("report.json");
    refused(&[path(&toy), data.path(), "--json", path(&inside)], &["--json"]);
    assert!(!inside.exists());
    // Dark pixels are below 0 for this one: it has no answer to any frame but a white one.
    let broken = tempfile::tempdir().expect("a folder");
    let metadata = [("classes", "nerve"), ("output", "probability"), ("mean", "0.5"), ("std", "1")];
    let broken = write(logarithm(64), &metadata, broken.path());
    refused(&[path(&broken), data.path(), "--crop", "full", "--threads", "1"], &["1_1", "not a number"]);
    // The same of a presence alone, whose maps are as they should be.
    let metadata = [&metadata[..], &[("presence", "there"), ("mask", "maps")]].concat();
    let folder = tempfile::tempdir().expect("a folder");
    let broken = write(mirror_with_logarithm(64), &metadata, folder.path());
    refused(&[path(&broken), data.path(), "--crop", "full", "--threads", "1"], &["1_1", "not a number"]);
    let empty = Data::new();
    refused(&[path(&toy), empty.path()], &["no picture"]);
}
