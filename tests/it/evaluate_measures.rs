//! Measures against scikit-learn and SimpleITK as they are installed, and against answers of MONAI that are kept.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sonoplex::evaluate::bootstrap::Intervals;
use sonoplex::evaluate::counts::Counts;
use sonoplex::evaluate::measures::{Measure, Measures, Row, ranking};
use sonoplex::evaluate::presence::{Ranking, ece};
use sonoplex::evaluate::surface::{Distances, Surfaces};
use sonoplex::geometry::Size;
use sonoplex::mask::Mask;
use sonoplex::segmentation::State;

/// Numbers below `n`, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// Discs, and a share of single pixels.
    fn mask(&mut self, size: Size, discs: u64, specks: u64) -> Mask {
        let (w, h) = (u64::from(size.width), u64::from(size.height));
        let discs: Vec<[i64; 3]> =
            (0..discs).map(|_| [self.below(w), self.below(h), 1 + self.below(9)].map(|v| v as i64)).collect();
        let mut mask = Mask::empty(size);
        for (i, label) in mask.labels.iter_mut().enumerate() {
            let (x, y) = ((i as u64 % w) as i64, (i as u64 / w) as i64);
            let inside = discs.iter().any(|[cx, cy, r]| (x - cx).pow(2) + (y - cy).pow(2) <= r * r);
            *label = u8::from(inside || specks > 0 && self.below(1000) < specks);
        }
        mask
    }
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{what}: found {found}, expected {expected}");
}

fn same(found: Option<f64>, expected: &Value, what: &str) {
    match (found, expected.as_f64()) {
        (Some(found), Some(expected)) => near(found, expected, what),
        (found, expected) => assert_eq!(found, expected, "{what}"),
    }
}

fn distances(found: Option<Distances>, expected: &Value, what: &str) {
    same(found.map(|d| d.hd95), &expected[0], &format!("{what}, hd95"));
    same(found.map(|d| d.mean), &expected[1], &format!("{what}, mean"));
}

#[test]
fn surfaces_are_those_of_monai() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../golden/surfaces.json")).expect("kept answers");
    assert!(cases.len() > 20);
    let mut surfaces = Surfaces::default();
    for case in cases {
        let number = |key: &str| case[key].as_u64().expect("a number") as u32;
        let size = Size::new(number("width"), number("height"));
        let mask = |key: &str| {
            let hex = case[key].as_str().expect("bits");
            let bytes =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal"));
            let bits = bytes.flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1));
            Mask { size, labels: bits.take(size.area()).collect() }
        };
        let (a, b, what) = (mask("mask"), mask("truth"), format!("{} {size}", case["kind"]));
        let step = [&case["rows_columns_mm"][1], &case["rows_columns_mm"][0]].map(|s| s.as_f64().expect("a number"));
        distances(surfaces.between((&a, 1), (&b, 1), [1.0, 1.0]), &case["px"], &what);
        distances(surfaces.between((&a, 1), (&b, 1), step), &case["mm"], &what);
    }
}

#[test]
fn scores_are_those_of_scikit_learn_and_simpleitk() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SONOPLEX_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !python.exists() {
        return println!("skipped: no Python at {}; `make test` installs it, or set SONOPLEX_PYTHON", python.display());
    }
    let (folder, mut chance) = (tempfile::tempdir().expect("a folder"), Chance(5));
    let mut pairs = Vec::new();
    // Empty masks and truths, single pixels, one row, all of the picture.
    for (i, [a, b]) in [[0, 0], [0, 2], [3, 0], [1, 1], [4, 3], [2, 2], [9, 9], [60, 2]].into_iter().enumerate() {
        for (width, height, specks) in [(53, 41, 0), (31, 1, 0), (40, 60, 7), (2, 2, 300)] {
            let size = Size::new(width, height);
            let specks = if a == 0 { 0 } else { specks };
            let (mask, truth) = (chance.mask(size, a, specks), chance.mask(size, b, specks / 2));
            let spacing = [0.07 + i as f64 * 0.03, 0.31 - i as f64 * 0.02];
            pairs.push((mask, truth, spacing));
        }
    }
    // Few levels, so that there are equals; 0 and 1 among them.
    let frames: Vec<(f32, bool, u64)> = (0..400)
        .map(|_| {
            let there = chance.below(3) > 0;
            let level = chance.below(33) + if there { chance.below(32) } else { 0 };
            (level as f32 / 64.0, there, chance.below(4))
        })
        .collect();
    let write = |name: String, mask: &Mask| {
        std::fs::write(folder.path().join(&name), &mask.labels).expect("a mask");
        name
    };
    let listed: Vec<Value> = pairs
        .iter()
        .enumerate()
        .map(|(i, (mask, truth, spacing))| {
            let files = [write(format!("{i}.mask"), mask), write(format!("{i}.truth"), truth)];
            let Size { width, height } = mask.size;
            json!({ "mask": files[0], "truth": files[1], "width": width, "height": height, "spacing": spacing })
        })
        .collect();
    let presence = json!({
        "confidence": frames.iter().map(|f| f.0).collect::<Vec<_>>(),
        "there": frames.iter().map(|f| u8::from(f.1)).collect::<Vec<_>>(),
        "weight": frames.iter().map(|f| f.2).collect::<Vec<_>>(),
    });
    let cases = json!({ "pairs": listed, "presence": presence });
    std::fs::write(folder.path().join("cases.json"), cases.to_string()).expect("the list of cases");
    let run = Command::new(python).arg(root.join("tests/oracles/evaluate.py")).arg(folder.path()).output();
    let run = run.expect("Python starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let answer: Value = serde_json::from_slice(&run.stdout).expect("JSON");

    let (mut surfaces, mut rows) = (Surfaces::default(), Vec::new());
    for (i, ((mask, truth, step), expected)) in
        pairs.iter().zip(answer["pairs"].as_array().expect("a list")).enumerate()
    {
        let counts = Counts::of((mask, 1), (truth, 1));
        let what = |name: &str| format!("pair {i} of {}: {name}", mask.size);
        overlap(counts, expected, what);
        let px = surfaces.between((mask, 1), (truth, 1), [1.0, 1.0]);
        let mm = surfaces.between((mask, 1), (truth, 1), *step);
        distances(px, &expected["px"], &what("px"));
        distances(mm, &expected["mm"], &what("mm"));
        rows.push(Row { counts, px, mm, confidence: 0.5, state: State::Nerve });
    }
    let mut pooled = Counts::default();
    rows.iter().for_each(|r| pooled += r.counts);
    overlap(pooled, &answer["pooled"], |name| format!("pooled: {name}"));
    all_rows(&rows, &answer);

    let ranking = Ranking::new(frames.iter().map(|f| (f.0, f.1)));
    let expected = &answer["presence"];
    same(ranking.auc(|_| 1), &expected["auc"], "AUC");
    same(ranking.auc(|i| frames[i].2), &expected["weighted"], "AUC of frames that count several times");
    same(ece(&ranking.bins(|_| 1)), &expected["ece"], "ECE");
    // scikit-learn keeps the corners alone: every one of them is a point of ours.
    for corner in expected["roc"].as_array().expect("a list") {
        let at = [0, 1].map(|i| corner[i].as_f64().expect("a number"));
        let found = ranking.roc().iter().any(|p| (p.fpr - at[0]).abs() < 1e-9 && (p.tpr - at[1]).abs() < 1e-9);
        assert!(found, "the ROC curve has no point {at:?}");
    }
}

fn overlap(counts: Counts, expected: &Value, what: impl Fn(&str) -> String) {
    let found = [
        ("accuracy", counts.accuracy()),
        ("precision", counts.precision()),
        ("recall", counts.recall()),
        ("specificity", counts.specificity()),
        ("iou", Some(counts.iou())),
        ("dice", Some(counts.dice())),
    ];
    found.into_iter().for_each(|(name, value)| same(value, &expected[name], &what(name)));
}

/// Means over frames, from the frames as the others have them.
fn all_rows(rows: &[Row], answer: &Value) {
    let rows: Vec<&Row> = rows.iter().collect();
    let measures = Measures::of(&rows, &ranking(&rows), |_| 1);
    let of = |pick: &dyn Fn(&Value) -> Option<f64>| {
        let values: Vec<f64> = answer["pairs"].as_array().expect("a list").iter().filter_map(pick).collect();
        json!(values.iter().sum::<f64>() / values.len() as f64)
    };
    let expected = [
        (Measure::DiceMean, of(&|p| p["dice"].as_f64())),
        (Measure::DiceCompetition, of(&|p| p["dice"].as_f64())),
        // Where nothing is there, scikit-learn has no recall.
        (Measure::DiceNonempty, of(&|p| p["recall"].as_f64().and(p["dice"].as_f64()))),
        (Measure::DicePooled, answer["pooled"]["dice"].clone()),
        (Measure::Iou, answer["pooled"]["iou"].clone()),
        (Measure::IouMean, of(&|p| p["iou"].as_f64())),
        (Measure::Hd95Px, of(&|p| p["px"][0].as_f64())),
        (Measure::Hd95Mm, of(&|p| p["mm"][0].as_f64())),
        (Measure::MsdPx, of(&|p| p["px"][1].as_f64())),
        (Measure::MsdMm, of(&|p| p["mm"][1].as_f64())),
    ];
    expected.iter().for_each(|(measure, expected)| same(measures.get(*measure), expected, measure.name()));
}

fn row(truth: u64, found: u64, both: u64, confidence: f32) -> Row {
    let counts = Counts { both, found: found - both, missed: truth - both, neither: 1000 };
    let state = if confidence >= 0.8 { State::Nerve } else { State::NoNerve };
    Row { counts, px: None, mm: None, confidence, state }
}

#[test]
fn intervals_come_from_subjects_and_not_from_frames() {
    // Ten frames of each subject, all alike: frames drawn one by one would be far too sure.
    let (mut rows, mut subject) = (Vec::new(), Vec::new());
    for s in 0..6 {
        for _ in 0..10 {
            rows.push(row(100, 100, 30 + 10 * s, 0.9));
            subject.push(s as usize);
        }
    }
    let rows: Vec<&Row> = rows.iter().collect();
    let ranks = ranking(&rows);
    let intervals = Intervals::of(&rows, &ranks, (&subject, 6)).expect("six subjects");
    let [low, high] = intervals.get(Measure::DiceMean).expect("an interval");
    // Subjects at 0.3 to 0.8: the standard error of the mean of six is 0.07.
    assert!((0.38..0.46).contains(&low) && (0.64..0.72).contains(&high), "{low} to {high}");
    assert_eq!(intervals.get(Measure::Auc), None, "every frame has it");
    assert_eq!(Intervals::of(&rows, &ranks, (&subject, 6)), Some(intervals), "the same frames, the same intervals");
    assert_eq!(Intervals::of(&rows[..20], &ranking(&rows[..20]), (&subject[..20], 2)), None);
}

#[test]
fn nothing_is_said_of_what_is_not_there() {
    let none = Measures::of(&[], &ranking(&[]), |_| 1);
    assert!(Measure::ALL.iter().all(|m| none.get(*m).is_none()));
    let empty = [row(0, 0, 0, 0.1), row(0, 50, 0, 0.9)];
    let empty: Vec<&Row> = empty.iter().collect();
    let found = Measures::of(&empty, &ranking(&empty), |_| 1);
    let get = |m| found.get(m);
    assert_eq!((get(Measure::DiceMean), get(Measure::DiceNonempty)), (Some(0.5), None));
    assert_eq!((get(Measure::Fpr), get(Measure::FprPixels), get(Measure::Tpr)), (Some(0.5), Some(0.5), None));
    assert_eq!((get(Measure::Auc), get(Measure::Hd95Px), get(Measure::Recall)), (None, None, None));
    let silent: Vec<Row> = empty.iter().map(|r| r.of_nothing()).collect();
    let silent: Vec<&Row> = silent.iter().collect();
    let silent = Measures::of(&silent, &ranking(&silent), |_| 1);
    assert_eq!((silent.get(Measure::DiceMean), silent.get(Measure::Fpr)), (Some(1.0), Some(0.0)));
}
