//! Learning from what other models say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::backend::Autodiff;
use sonoplex::engine::Network;
use sonoplex::segmentation::Class;
use sonoplex_train::augment::Augment;
use sonoplex_train::command::{Backend, resume, start};
use sonoplex_train::data::{Batch, Example, Sampler};
use sonoplex_train::export::onnx;
use sonoplex_train::material::read;
use sonoplex_train::settings::Settings;
use sonoplex_train::teacher::Teacher;
use sonoplex_train::trainer::{Material, train};

use crate::data::disc;
use crate::whole::{pictures, refused};

#[cfg(not(feature = "tch"))]
type B = Autodiff<burn::backend::Flex>;
#[cfg(feature = "tch")]
type B = Autodiff<burn::backend::LibTorch>;

const SIZE: [usize; 2] = [32, 24];

fn settings(more: &str) -> Settings {
    let text = format!(
        "train --data x --architecture mini-unet --base 4 --size 32x24 --batch 4 --rate 0.01 --mean 0.9 {more}"
    );
    crate::parse(&text).expect("settings")
}

fn classes() -> Vec<Class> {
    vec![Class { name: "nerve".into(), color: [255, 194, 10] }]
}

/// Discs, or pictures of discs whose masks say that there is none.
fn examples(from: usize, told: bool) -> Vec<Example> {
    let all = (from..from + 12).map(|i| disc(i, SIZE, 1.0));
    all.map(|e| if told { e } else { Example { truth: vec![0; e.truth.len()], ..e } }).collect()
}

/// The Dice of the last epoch, and the model, written into `folder`; stopped after so many steps, and gone on with.
fn run(settings: &Settings, told: bool, folder: &Path, stop_after: Option<usize>) -> (f64, PathBuf) {
    let teacher = Teacher::open(settings, &classes()).expect("a teacher").map(Arc::new);
    let train_on = Arc::new(examples(0, told));
    let material = Material { classes: classes(), train: train_on, validate: examples(12, true), teacher };
    let go = |stop: &dyn Fn(usize) -> bool| {
        train::<B>(settings, &material, folder, &Default::default(), stop, |_, _, best| Ok(best)).expect("it trains")
    };
    if let Some(steps) = stop_after {
        go(&|step| step >= steps);
    }
    let (state, network, _) = go(&|_| false);
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let said = [entry("sonoplex.classes", "nerve"), entry("sonoplex.name", "discs")];
    let path = folder.join("model.onnx");
    std::fs::write(&path, onnx(&network, SIZE, &said).expect("small weights")).expect("written");
    (state.history.last().expect("epochs").verdict.dice_shown[0].expect("a Dice"), path)
}

#[test]
fn what_a_teacher_knows_is_learnt_where_masks_say_nothing() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let (taught, teacher) = run(&settings("--epochs 24"), true, folders[0].path(), None);
    assert!(taught > 0.9, "{taught}");
    let more = format!("--epochs 24 --teacher {}", teacher.display());
    let (learnt, _) = run(&settings(&format!("{more} --teacher-weight 1")), false, folders[1].path(), None);
    assert!(learnt > 0.85, "{learnt} from a teacher alone");
    let (blind, _) = run(&settings(&format!("{more} --teacher-weight 0")), false, folders[2].path(), None);
    assert!(blind < 0.1, "{blind} from masks alone that say there is nothing");
}

#[test]
fn the_truth_is_as_far_between_masks_and_a_teacher_as_it_is_told() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let models = [("1", &folders[0]), ("2", &folders[1])]
        .map(|(seed, folder)| run(&settings(&format!("--epochs 2 --seed {seed}")), true, folder.path(), None).1);
    let sampler = Sampler::new(Arc::new(examples(0, true)), 1, SIZE, 7);
    let batch = |teachers: &[&PathBuf], weight: f32| {
        let named: String = teachers.iter().map(|t| format!("--teacher {} ", t.display())).collect();
        let mut batch = sampler.batch(3, 12, &Augment::default());
        if !teachers.is_empty() {
            let settings = settings(&format!("{named} --teacher-weight {weight}"));
            let teacher = Teacher::open(&settings, &classes()).expect("it fits").expect("one is named");
            teacher.begin().correct(&mut batch, 3, SIZE).expect("it runs");
        }
        batch
    };
    let [one, other] = &models;
    let (mask, a, b) = (batch(&[], 0.0), batch(&[one], 1.0), batch(&[other], 1.0));
    let mixed = batch(&[one, other], 0.4);
    let mut asked = [0; 2];
    for picture in 0..12 {
        let area = SIZE[0] * SIZE[1];
        let of = |batch: &Batch| {
            let map = batch.truth[picture * area..][..area].iter();
            map.chain([&batch.present[picture]]).copied().collect::<Vec<f32>>()
        };
        let between = |teacher: &Batch| {
            let parts = of(&mask).into_iter().zip(of(teacher)).zip(of(&mixed));
            parts.into_iter().all(|((mask, said), mixed)| (0.6 * mask + 0.4 * said - mixed).abs() < 1e-5)
        };
        let who = [between(&a), between(&b)];
        assert!(who[0] != who[1], "picture {picture} is taught by one of them: {who:?}");
        asked[usize::from(who[1])] += 1;
    }
    assert!(asked.iter().all(|n| *n > 0), "both are asked: {asked:?}");
    assert_eq!((&mixed.picture, &mixed.labelled), (&mask.picture, &mask.labelled));
}

#[test]
fn a_taught_run_that_was_stopped_ends_with_the_same_bits() {
    let folders = [(); 4].map(|()| tempfile::tempdir().expect("a folder"));
    let [one, other] =
        [1, 2].map(|seed| run(&settings(&format!("--epochs 1 --seed {seed}")), true, folders[seed - 1].path(), None).1);
    for precision in ["fp32", "mixed"] {
        let teachers = format!("--teacher {} --teacher {}", one.display(), other.display());
        let settings = settings(&format!("--epochs 2 --precision {precision} {teachers}"));
        let models = [(2, None), (3, Some(4))].map(|(folder, stop)| {
            let folder = folders[folder].path();
            let _ = std::fs::remove_file(folder.join("checkpoint.bin"));
            std::fs::read(run(&settings, true, folder, stop).1).expect("a model")
        });
        assert!(models[0] == models[1], "{precision}");
    }
}

#[test]
fn a_model_tells_whom_it_learnt_from_and_unfit_teachers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("discs");
    pictures(&data);
    let student = |more: &str| {
        let fixed = "--architecture mini-unet --base 4 --batch 4 --epochs 1 --epoch-steps 1";
        crate::parse(&format!("train --data {} {fixed} {more}", data.display())).expect("settings")
    };
    let made = folder.path().join("teacher");
    let terms = "--license MIT --attribution Anna";
    start(student(&format!("--size 32x24 --hold-out 5 {terms} --name old")), &made, Backend::Flex).expect("it trains");
    let model = made.join("model.onnx");
    let teacher = format!("--teacher {}", model.display());
    let fits = format!("--size 32x24 --hold-out 5 --license MIT --attribution Anna,Ben --name new {teacher}");
    refused(student(&fits.replace("32x24", "32x32")), "32x32");
    refused(student(&fits.replace("MIT", "CC0")), "--license \"MIT\"");
    refused(student(&fits.replace("Anna", "Eva")), "\"Anna\"");
    refused(student(&fits.replace("--hold-out 5", "--hold-out 4")), "held out 5");
    let others = folder.path().join("others");
    pictures(&others);
    refused(Settings { data: vec![others.display().to_string()], ..student(&fits) }, "held out 5");
    refused(student(&format!("{fits} --despeckle median")), "--despeckle off");
    refused(student(&format!("{fits} --teacher-weight 2")), "teacher-weight");
    refused(student("--size 32x24 --teacher /nowhere/model.onnx"), "/nowhere/model.onnx");
    // a model that does not say what it has seen, and one of other classes
    let silent = tempfile::tempdir().expect("a folder");
    let (_, silent) = run(&settings("--epochs 1"), true, silent.path(), None);
    refused(student(&format!("--size 32x24 --hold-out 5 --teacher {}", silent.display())), "does not say");
    let both = [classes(), vec![Class { name: "vessel".into(), color: [0; 3] }]].concat();
    let text = Teacher::open(&student(&fits), &both).err().expect("refused");
    assert!(format!("{text:#}").contains("nerve,vessel"), "{text:#}");

    let own = folder.path().join("student");
    start(student(&fits), &own, Backend::Flex).expect("it trains");
    let said = Network::open(&own.join("model.onnx")).expect("a model").metadata["training.settings"].clone();
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&told["teacher"][0], told["teacher_sha256"][0].as_str().map(str::len)),
        (&"model.onnx".into(), Some(64))
    );
    assert!(!said.contains(folder.path().to_str().expect("text")), "it does not tell where files lay: {said}");
    // published with others, it still tells
    let published = folder.path().join("published.onnx");
    sonoplex_train::publish::publish(std::slice::from_ref(&own), &[], &published).expect("it is done");
    assert_eq!(Network::open(&published).expect("a model").metadata["training.settings"], said);
    // goes on with the same teacher alone
    resume(&own, None).expect("it is done");
    let mut other = std::fs::read(&model).expect("a model");
    let at = other.len() / 2;
    other[at] ^= 1;
    std::fs::write(&model, other).expect("written");
    let text = format!("{:#}", resume(&own, None).expect_err("refused"));
    assert!(text.contains("another model"), "{text}");
}

#[test]
fn out_of_fold_a_picture_is_taught_by_who_has_not_learnt_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("discs");
    pictures(&data);
    let settings = |more: &str| {
        let fixed = "--architecture mini-unet --base 4 --batch 8 --epochs 1 --epoch-steps 1 --size 32x24 --hold-out 5 --augment none";
        crate::parse(&format!("train --data {} {fixed} {more}", data.display())).expect("settings")
    };
    let split = |fold: usize| settings(&format!("--validate folds:2 --fold {fold} --seed {fold}"));
    let make = |settings: Settings, name: &str| {
        start(settings, &folder.path().join(name), Backend::Flex).expect("it trains");
        format!("--teacher {} ", folder.path().join(name).join("model.onnx").display())
    };
    let teachers = [make(split(0), "0"), make(split(1), "1")];
    let student = |more: &str| settings(&format!("--validate none --extra phantom:seed=1-3,frames=1,nerve=off {more}"));
    let batches = |more: &str| {
        let settings = student(more);
        let material = read(&settings).expect("it fits");
        let sampler = Sampler::new(Arc::clone(&material.train), 1, SIZE, 7);
        let mut lessons = material.teacher.as_ref().map(|t| t.begin());
        let drawn = (0..4).map(|step| {
            let mut batch = sampler.batch(step, 8, &Augment::default());
            lessons.as_mut().map_or(Ok(()), |l| l.correct(&mut batch, step, SIZE)).expect("it runs");
            batch
        });
        (drawn.collect::<Vec<_>>(), material.train)
    };
    let alone = |teacher: &str| batches(&format!("{teacher} --teacher-weight 1")).0;
    let (masks, examples) = batches("");
    let said = teachers.each_ref().map(|teacher| alone(teacher));
    let both = alone(&format!("{} --out-of-fold", teachers.concat()));
    let first = alone(&format!("{} --out-of-fold", teachers[0]));
    let kept: Vec<String> = read(&split(0)).expect("frames").validate.into_iter().map(|e| e.id).collect();
    let mut seen = [0; 3];
    for (step, picture) in (0..4).flat_map(|step| (0..8).map(move |picture| (step, picture))) {
        let of = |batches: &[Batch]| {
            let (batch, area) = (&batches[step], SIZE[0] * SIZE[1]);
            (batch.truth[picture * area..][..area].to_vec(), batch.present[picture])
        };
        let id = &examples[masks[step].examples[picture]].id;
        let who = match () {
            () if id.contains("phantom") => 2,
            () => usize::from(!kept.iter().any(|kept| id.ends_with(&format!("/{kept}")))),
        };
        let expected = [of(&said[0]), of(&said[1]), of(&masks)];
        assert!(expected[0] != expected[1] && expected[1] != expected[2], "{id}");
        assert!(of(&both) == expected[who], "{id}, of {who}");
        assert!(of(&first) == expected[if who == 0 { 0 } else { 2 }], "{id}, of the first alone");
        seen[who] += 1;
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");

    let taught = make(student(&format!("{} --out-of-fold", teachers.concat())), "taught");
    let told =
        Network::open(&folder.path().join("taught/model.onnx")).expect("a model").metadata["training.settings"].clone();
    assert!(told.contains("\"out_of_fold\":true"), "{told}");
    refused(student(&format!("{taught} --out-of-fold")), "others taught it");
    refused(student("--out-of-fold"), "a `--teacher` with it");
    let out_of_fold = student(&format!("{} --out-of-fold", teachers.concat()));
    refused(Settings { hold_out: "none".into(), ..out_of_fold.clone() }, "same `--data`");
    let all = make(settings("--validate none"), "all");
    refused(student(&format!("{all} --out-of-fold")), "of other folds");
    refused(
        Settings { validate: "folds:2".into(), ..student(&format!("{} --out-of-fold", teachers[0])) },
        "of other folds",
    );
    let published = folder.path().join("published.onnx");
    let runs = ["0", "1"].map(|run| folder.path().join(run));
    sonoplex_train::publish::publish(&runs, &[], &published).expect("they fit");
    refused(student(&format!("--teacher {} --out-of-fold", published.display())), "one of 2");
    // other frames fall into other folds
    for file in ["images/0_0.png", "images/0_1.png", "masks/0_0_mask.png", "masks/0_1_mask.png"] {
        std::fs::remove_file(data.join(file)).expect("it was there");
    }
    refused(out_of_fold, "changed since");
}
