//! From a folder of pictures to a model, and what is refused on the way.

use std::path::Path;

use sonoplex::engine::{Builder, BuilderConfig, Engine, Network};
use sonoplex_train::command::{Backend, resume, start};
use sonoplex_train::publish::publish;
use sonoplex_train::settings::Settings;

use crate::data::disc;

fn settings(data: &Path, more: &str) -> Settings {
    let fixed = "--architecture mini-unet --base 4 --size 32x24 --batch 4 --epochs 2 --epoch-steps 2";
    let text = format!("train --data {} {fixed} {more}", data.display());
    crate::parse(&text).expect("settings")
}

fn save(path: &Path, size: [usize; 2], gray: Vec<u8>) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    image::GrayImage::from_raw(size[0] as u32, size[1] as u32, gray).expect("as large").save(path).expect("written");
}

/// Twelve pictures of discs, none like another, and their masks.
pub fn pictures(folder: &Path) {
    for i in 0..12usize {
        let mut example = disc(i, [64, 48], 1.0);
        let noise = |k: usize| (k.wrapping_mul(2_654_435_761).wrapping_add(i * 7_919) >> 7) as u8 % 90;
        example.picture.iter_mut().enumerate().for_each(|(k, v)| *v = v.saturating_sub(noise(k / 5 * 5 * (i + 1))));
        save(&folder.join(format!("images/{}_{i}.png", i / 2)), example.size, example.picture);
        save(
            &folder.join(format!("masks/{}_{i}_mask.png", i / 2)),
            example.size,
            example.truth.iter().map(|t| t * 255).collect(),
        );
    }
}

pub fn refused(settings: Settings, word: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let text = format!("{:#}", start(settings, &run, Backend::Flex).expect_err("refused"));
    assert!(text.contains(word), "{text} does not say `{word}`");
    assert!(!run.exists(), "what is refused leaves nothing behind");
}

#[test]
fn a_folder_becomes_a_model_that_describes_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, run) = (folder.path().join("discs"), folder.path().join("run"));
    pictures(&data);
    let settings = settings(&data, "--validate 1,3 --hold-out 5 --name discs --license MIT --loss bce+0.5*dice");
    start(settings.clone(), &run, Backend::Flex).expect("it trains");
    for file in ["settings.json", "checkpoint.bin", "history.json", "curves.svg", "worst.png", "model.onnx"] {
        assert!(run.join(file).metadata().expect(file).len() > 100, "{file}");
    }
    let network = Network::open(&run.join("model.onnx")).expect("a model");
    let said = |key: &str| network.metadata.get(key).unwrap_or_else(|| panic!("no {key}")).clone();
    assert_eq!(said("sonoplex.classes"), "nerve");
    assert_eq!(said("sonoplex.presence"), "presence");
    assert_eq!([said("sonoplex.uncertain"), said("sonoplex.min_area")], ["0.5..0.8", "0.0005"]);
    assert_eq!(said("sonoplex.license"), "MIT");
    assert!(said("sonoplex.colors").starts_with('#'));
    assert_eq!(said("training.frames"), "6 trained on, 4 validated");
    assert!(said("training.settings").contains("bce+0.5*dice"));
    assert!(said("training.metrics").contains("dice_shown"));
    // a run that is done goes on to nothing, and another one does not write over it
    let model = std::fs::read(run.join("model.onnx")).expect("a model");
    resume(&run, None).expect("it is done");
    let text = format!("{:#}", start(settings.clone(), &run, Backend::Flex).expect_err("refused"));
    assert!(text.contains("--resume"), "{text}");
    // nor does it with another mask of as many, or without its model
    let mask = data.join("masks/0_0_mask.png");
    let kept = std::fs::read(&mask).expect("a mask");
    save(&mask, [64, 48], vec![255; 64 * 48]);
    let again = || format!("{:#}", resume(&run, None).expect_err("refused"));
    assert!(again().contains("not those that the run was started with"));
    std::fs::write(&mask, kept).expect("put back");
    std::fs::remove_file(run.join("model.onnx")).expect("it was there");
    assert!(again().contains("is not there any more"));
    std::fs::write(run.join("model.onnx"), &model).expect("put back");
    resume(&run, None).expect("all is as it was");
    // it goes on where it was started, which the program may be unable to do
    let settings_of = || std::fs::read_to_string(run.join("settings.json")).expect("settings");
    assert!(settings_of().contains(r#""backend": "flex""#), "{}", settings_of());
    std::fs::write(run.join("settings.json"), settings_of().replace(r#""flex""#, r#""abacus""#)).expect("written");
    assert!(again().contains("on `abacus`, where it was started") && again().contains("--backend"), "{}", again());
    resume(&run, Some(Backend::Flex)).expect("elsewhere, if one says so");
    // nor is what else is there replaced
    for file in ["settings.json", "checkpoint.bin"] {
        std::fs::remove_file(run.join(file)).expect("it was there");
    }
    let text = format!("{:#}", start(settings, &run, Backend::Flex).expect_err("refused"));
    assert!(text.contains("it holds `model.onnx`"), "{text}");
    assert!(std::fs::read(run.join("model.onnx")).expect("a model") == model);
}

#[test]
fn what_is_broken_is_refused_by_name_before_the_first_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = |name: &str| {
        let data = folder.path().join(name);
        pictures(&data);
        data
    };
    let broken = data("broken");
    std::fs::write(broken.join("images/2_4.png"), b"\x89PNG\r\n\x1a\nno more").expect("written");
    refused(settings(&broken, ""), "2_4");
    let other = data("other");
    save(&other.join("masks/3_7_mask.png"), [60, 48], vec![255; 60 * 48]);
    refused(settings(&other, ""), "3_7");
    let empty = data("empty");
    for i in 0..12 {
        save(&empty.join(format!("masks/{}_{i}_mask.png", i / 2)), [64, 48], vec![0; 64 * 48]);
    }
    refused(settings(&empty, ""), "nerve");
    let good = data("good");
    refused(settings(&good, "--validate 9"), "9");
    refused(settings(&good, "--fold 7"), "folds:5");
    refused(settings(&good, "--augment turn=3"), "turn=3");
    refused(settings(&good, "--despeckle nothing"), "nothing");
    refused(settings(&good, "--validate stored"), "packed");
    refused(settings(&good, &format!("--extra crops:{}", good.display())), "crops:");
    refused(settings(Path::new("/nowhere/at/all"), ""), "/nowhere/at/all");
    let bare = folder.path().join("bare");
    std::fs::create_dir(&bare).expect("made");
    std::fs::copy(good.join("images/2_4.png"), bare.join("2_4.png")).expect("copied");
    refused(settings(Path::new(&format!("empty:{}", bare.display())), ""), "without any");
}

#[test]
fn what_is_held_out_or_validates_is_not_trained_on_through_another_door() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("discs");
    pictures(&data);
    for split in ["--hold-out 2 --validate none", "--validate 2"] {
        refused(settings(&data, &format!("{split} --extra {}", data.display())), "2");
        // a copy under another name
        let copies = folder.path().join("copies");
        let name = if split.contains("none") { "a.png" } else { "b.png" };
        std::fs::create_dir_all(&copies).expect("made");
        std::fs::copy(data.join("images/2_4.png"), copies.join(name)).expect("copied");
        refused(settings(&data, &format!("{split} --extra empty:{}", copies.display())), "2_4");
    }
}

#[test]
fn runs_are_published_as_one_model_that_answers_with_their_mean() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, model) = (folder.path().join("discs"), folder.path().join("both.onnx"));
    pictures(&data);
    let run = |name: &str, more: &str| {
        let run = folder.path().join(name);
        start(settings(&data, &format!("--name discs {more}")), &run, Backend::Flex).expect("it trains");
        run
    };
    let one = run("one", "--validate folds:3 --hold-out 5 --seed 1");
    let other = run("other", "--validate folds:3 --fold 1 --hold-out 5 --seed 2");
    let set = [("uncertain".to_owned(), "0.3..0.9".to_owned())];
    publish(&[one.clone(), other.clone()], &set, &model).expect("they fit");

    let said = |path: &Path| {
        let plan =
            Builder::new(BuilderConfig::default()).build(&Network::open(path).expect("a model")).expect("a plan");
        let mut context = Engine::new(plan).expect("an engine").context();
        let picture: Vec<f32> = (0..32 * 24).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        context.bind("image", &[1, 1, 24, 32], &picture).expect("its shape");
        context.enqueue().and_then(|()| context.synchronize()).expect("it runs");
        ["logits", "presence"].map(|name| context.output(name).expect("it is there").to_vec())
    };
    let [a, b, both] = [&one.join("model.onnx"), &other.join("model.onnx"), &model].map(|path| said(path));
    for output in 0..2 {
        for ((a, b), both) in a[output].iter().zip(&b[output]).zip(&both[output]) {
            assert!(((a + b) / 2.0 - both).abs() < 1e-4, "{a} and {b} gave {both}");
        }
    }
    assert!(a[0].iter().zip(&b[0]).any(|(a, b)| (a - b).abs() > 1e-3), "two runs say the same");
    let published = Network::open(&model).expect("a model").metadata;
    assert_eq!(published["sonoplex.uncertain"], "0.3..0.9");
    let lists = ["settings", "frames", "metrics"].map(|key| &published[&format!("training.{key}")]);
    for list in lists {
        let list: Vec<serde_json::Value> = serde_json::from_str(list).expect("a list");
        assert_eq!(list.len(), 2);
    }
    // one alone is its own model
    publish(std::slice::from_ref(&one), &[], &model).expect("it fits");
    assert_eq!(said(&model), a);

    let before = std::fs::read(&model).expect("a model");
    let refused = |runs: &[std::path::PathBuf], set: &[(String, String)], word: &str| {
        let text = format!("{:#}", publish(runs, set, &model).expect_err("refused"));
        assert!(text.contains(word), "{text} does not say `{word}`");
        assert!(std::fs::read(&model).expect("a model") == before, "what is refused changes nothing");
        let files = std::fs::read_dir(folder.path())
            .expect("a folder")
            .filter(|e| e.as_ref().is_ok_and(|e| e.path().is_file()));
        assert_eq!(files.count(), 1, "nothing is left behind");
    };
    let nonsense = [("uncertain".to_owned(), "0.9..0.3".to_owned())];
    refused(std::slice::from_ref(&one), &nonsense, "uncertain");
    refused(&[one.clone(), folder.path().join("none")], &[], "none");
    refused(&[one.clone(), one.clone()], &[], "twice");
    refused(&[one.clone(), other.join("../one")], &[], "twice");
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).expect("made");
    for file in ["settings.json", "history.json", "model.onnx"] {
        std::fs::copy(one.join(file), copy.join(file)).expect("copied");
    }
    refused(&[one.clone(), copy.clone()], &[], "are the same");
    std::fs::write(copy.join("history.json"), "[{}]").expect("written");
    refused(std::slice::from_ref(&copy), &[], "1 of 2 epochs");
    let own = one.join("model.onnx");
    let text = format!("{:#}", publish(&[one.clone(), other.clone()], &[], &own).expect_err("refused"));
    assert!(text.contains("model of the run") && said(&own) == a, "{text}");
    let leaked = run("leaked", "--validate folds:3 --hold-out 4 --seed 1");
    refused(&[one.clone(), leaked], &[], "--hold-out");
    let free = run("free", "--validate folds:3 --hold-out 5 --license MIT");
    refused(&[one.clone(), free], &[], "sonoplex.license");
    let bare = run("bare", "--validate folds:3 --hold-out 5 --no-presence");
    refused(&[one, bare], &[], "sonoplex.presence");
}
