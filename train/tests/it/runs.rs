//! Whole runs, small: they learn, they stop and go on, and what they write is whole.

use std::path::Path;
use std::sync::Arc;

use burn::backend::Autodiff;
use sonoplex::segmentation::Class;
use sonoplex_train::export::onnx;
use sonoplex_train::settings::Settings;
use sonoplex_train::trainer::{CHECKPOINT, End, Material, State, train};

use crate::data::disc;

#[cfg(not(feature = "tch"))]
type B = Autodiff<burn::backend::Flex>;
/// The trainer's default where it is built in.
#[cfg(feature = "tch")]
type B = Autodiff<burn::backend::LibTorch>;

fn settings(more: &str) -> Settings {
    let text = format!("train --data x --architecture mini-unet --base 4 --size 32x24 --batch 4 {more}");
    crate::parse(&text).expect("settings")
}

fn material() -> Material {
    let train = Arc::new((0..12).map(|i| disc(i, [32, 24], 1.0)).collect());
    Material {
        classes: vec![Class { name: "nerve".into(), color: [255, 194, 10] }],
        train,
        validate: (12..16).map(|i| disc(i, [32, 24], 1.0)).collect(),
        teacher: None,
    }
}

/// Runs until the end, or until so many steps are done; returns the state and the model.
fn run(settings: &Settings, folder: &Path, stop_after: Option<usize>) -> (State, Vec<u8>, End) {
    let stop = |step| stop_after.is_some_and(|n| step >= n);
    let (state, network, end) =
        train::<B>(settings, &material(), folder, &Default::default(), &stop, |_, _, best| Ok(best))
            .expect("it trains");
    (state, onnx(&network, settings.size, &[]).expect("weights are small"), end)
}

#[test]
fn it_learns_what_can_be_learnt() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, _, end) = run(
        &settings("--epochs 24 --rate 0.01 --mean 0.9 --augment rotate=5,scale=0.1,shift=0.1"),
        folder.path(),
        None,
    );
    assert_eq!(end, End::Done);
    let last = state.history.last().expect("epochs").verdict.dice_shown[0].expect("a Dice");
    assert!(last > 0.9, "a bright disc is found: Dice {last}");
    assert!(state.history[0].loss > 2.0 * state.history[23].loss);
}

#[test]
fn mixed_precision_learns_what_fp32_learns_and_is_not_the_same() {
    let run = |more: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, ..) = run(&settings(&format!("--epochs 4 --rate 0.01 --mean 0.5 {more}")), folder.path(), None);
        state.history.last().expect("epochs").loss
    };
    let (exact, mixed) = (run(""), run("--precision mixed"));
    assert!(exact != mixed && (exact - mixed).abs() < 0.1 * exact, "{exact} and {mixed}");
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    for more in ["--epochs 3 --precision mixed", "--epochs 3 --optimizer adam --schedule cosine --dropout 0.5"] {
        let settings = settings(more);
        let (state, model, _) = run(&settings, whole.path(), None);
        // in the middle of an epoch of three steps, and at the end of one
        for after in [2, 4, 6] {
            let (stopped, _, end) = run(&settings, parts.path(), Some(after));
            assert_eq!((end, stopped.step), (End::Stopped, after));
        }
        let (resumed, same, end) = run(&settings, parts.path(), None);
        assert_eq!(end, End::Done);
        assert_eq!(resumed.history, state.history);
        assert!(same == model, "the model is the same to the last bit");
        for folder in [&whole, &parts] {
            std::fs::remove_file(folder.path().join(CHECKPOINT)).expect("it was kept");
        }
    }
}

#[test]
fn a_checkpoint_that_is_not_whole_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings("--epochs 1");
    run(&settings, folder.path(), None);
    let path = folder.path().join(CHECKPOINT);
    let good = std::fs::read(&path).expect("kept");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("a file");
        let done =
            train::<B>(&settings, &material(), folder.path(), &Default::default(), &|_| false, |_, _, best| Ok(best));
        let text = format!("{:#}", done.expect_err("refused"));
        assert!(text.contains("checkpoint.bin") && text.contains("expected"), "{text}");
        assert_eq!(std::fs::read(&path).expect("there"), bytes);
    };
    refused(b"");
    refused(&good[..20]);
    refused(&good[..good.len() - 1]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    refused(&flipped);
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&settings("--epochs 1"), folder.path(), None);
    let other = Settings { base: 8, ..settings("--epochs 1") };
    let done = train::<B>(&other, &material(), folder.path(), &Default::default(), &|_| false, |_, _, best| Ok(best));
    assert!(format!("{:#}", done.expect_err("refused")).contains("another network"));
}

#[test]
fn a_run_does_not_go_on_with_other_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings("--epochs 2");
    run(&settings, folder.path(), Some(2));
    let mut other = material();
    Arc::make_mut(&mut other.train).truncate(5);
    let done = train::<B>(&settings, &other, folder.path(), &Default::default(), &|_| false, |_, _, best| Ok(best));
    assert!(format!("{:#}", done.expect_err("refused")).contains("3 steps an epoch"));
}

#[test]
fn patience_ends_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, _, end) = run(&settings("--epochs 50 --rate 0.0000001 --mean 0 --patience 2"), folder.path(), None);
    assert_eq!(end, End::Early);
    assert!(state.history.len() < 20, "{} epochs", state.history.len());
}

#[test]
fn without_frames_to_judge_by_the_last_epoch_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let material = Material { validate: vec![], ..material() };
    let mut best = vec![];
    let (state, network, _) =
        train::<B>(&settings("--epochs 2"), &material, folder.path(), &Default::default(), &|_| false, |_, _, is| {
            best.push(is);
            Ok(is)
        })
        .expect("it trains");
    assert_eq!(best, [true, true]);
    assert_eq!(state.best.map(|(epoch, _)| epoch), Some(2));
    let weights: Vec<f32> = network.convs.iter().flat_map(|c| sonoplex_train::export::values(c.weight.val())).collect();
    assert!(weights.iter().all(|w| w.is_finite()));
}

#[test]
fn an_epoch_that_is_not_kept_is_not_the_best() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings("--epochs 5 --rate 0.01 --mean 0");
    let mut asked = vec![];
    let (state, ..) =
        train::<B>(&settings, &material(), folder.path(), &Default::default(), &|_| false, |state, _, best| {
            asked.push(best);
            Ok(best && state.history.len() == 2)
        })
        .expect("it trains");
    assert!(state.best.is_none_or(|(epoch, _)| epoch == 2), "{:?}", state.best);
    // the first is better than none, and so is the second as long as none was kept
    assert_eq!(asked[..2], [true, true]);
}

#[test]
fn settings_that_cannot_be_meant_are_refused_by_name() {
    for (more, name) in [
        ("--rate 0", "rate"),
        ("--dropout 1", "dropout"),
        ("--mean 1", "mean"),
        ("--clip -1", "clip"),
        ("--teacher-weight 0.3", "--teacher`"),
    ] {
        let more = more.replace("--clip -1", "--clip=-1");
        let text = settings(&more).check().expect_err("refused");
        assert!(text.contains(name) && text.contains("expected"), "{text}");
    }
    let text = Settings { size: [30, 24], ..settings("") }.check().expect_err("refused");
    assert!(text.contains("30x24") && text.contains("32x24"), "{text}");
    let text = "train --data x --size 8x96";
    assert!(crate::parse(text).is_err());
}
