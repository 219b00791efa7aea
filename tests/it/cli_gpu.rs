//! The program with a GPU, on a driver that is emulated (`tests/cuda_driver`): what is told of frames is what the CPU tells.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::emulation::driver;
use super::segmenter_gpu::{bright_and_dark, bright_and_dark_of, write};

const FRAMES: &str = "phantom:seed=3,size=96x80,frames=4";

fn sonoplex(driver: &Path, args: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    let output = command.args(args).env("LD_LIBRARY_PATH", driver).output().expect("it runs");
    let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    (said.into_owned(), output.status.success())
}

/// A device that refuses to start kernels early, or does not let them wait, runs them behind each other; and where that is not
/// even tried, nothing is said.
fn check_early_starts(driver: &Path, model: &[&str], states: &Value) {
    let refused = Some("an emulated error");
    for (mood, way, why) in
        [("refused", "on", refused), ("unsound", "on", Some("they give other bits")), ("unsound", "off", None)]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
        command.args(["replay", FRAMES, "--headless", "--device", "cuda:0", "--json", "-"]).args(model);
        command.env("LD_LIBRARY_PATH", driver).env("EMULATED_EARLY_START", mood).env("SONOPLEX_EARLY_START", way);
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("kernels do not start early on this device"), why.is_some(), "{mood}, {way}: {said}");
        assert!(why.is_none_or(|why| said.contains(why)), "{mood}, {way}: {said}");
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(&found["states"], states, "{mood}, {way}");
    }
}

#[test]
fn a_plan_of_bytes_is_built_and_run_on_a_gpu() {
    let Some(driver) = driver() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let metadata = [("classes", "nerve"), ("output", "logits"), ("thresholds", "0.4")];
    let model = write(&bright_and_dark_of(16, 1, 1, 20.0), &metadata, folder.path());
    let [plan, of_cpu] = ["gpu.plan", "cpu.plan"].map(|name| folder.path().join(name).display().to_string());
    let model = model.to_str().expect("UTF-8");
    let run = |args: &[&str]| {
        let (said, succeeded) = sonoplex(&driver, args);
        assert!(succeeded, "{args:?}: {said}");
        serde_json::from_str::<Value>(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    };
    let bytes = ["--precision", "int8", "--calibrate", FRAMES, "--no-timing", "--json", "-"];
    let built = run(&[&["build", model, "-o", &plan, "--device", "cuda:0"], &bytes[..]].concat());
    assert_eq!((&built["device"], &built["precision"]), (&"cuda:0".into(), &"int8".into()));
    assert_eq!((&built["absent"], &built["calibration"]["device"]), (&Value::Null, &"cuda:0".into()));
    assert!(built["median_ms"].as_f64() > Some(0.0), "{built}");
    assert!(built["calibration"]["classes"][0]["dice"].as_f64() > Some(0.99), "{built}");

    let inspected = run(&["inspect", &plan, "--json", "-"]);
    assert_eq!((&inspected["device"], &inspected["problem"]), (&"gpu".into(), &Value::Null));
    let report = |args: &[&str]| run(&[&["replay", FRAMES, "--headless", "--json", "-"], args].concat());
    let gpu = report(&["--model", &plan, "--device", "cuda:0"]);
    let cpu = report(&["--model", model]);
    assert_eq!(gpu["states"], cpu["states"]);
    let [a, b] = [&cpu, &gpu].map(|report| report["dice"]["nerve"].as_f64().expect("a number"));
    assert!((a - b).abs() < 0.01 && a > 0.0, "{a} {b}");

    // With tactics that were timed, which are kept; the second time nothing is timed.
    let cache = folder.path().join("cache");
    let timed = || {
        let args = ["build", model, "-o", &plan, "--device", "cuda:0", "--json", "-"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
        let output = command.args(args).env("LD_LIBRARY_PATH", &driver).env("SONOPLEX_CACHE", &cache).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["sha256"].clone()
    };
    let first = timed();
    let kept = std::fs::read_to_string(cache.join("tactics-gpu.json")).expect("times");
    let times: Value = serde_json::from_str(&kept).expect("JSON");
    assert!(times["machine"].as_str().is_some_and(|m| m.contains("emulated, driver 12040")), "{kept}");
    assert!(times["times"].as_object().is_some_and(|layers| !layers.is_empty()), "{kept}");
    let tactics = run(&["inspect", &plan, "--json", "-"])["plan"].to_string();
    assert!(tactics.contains("64x64") || tactics.contains("128x32"), "{tactics}");
    assert_eq!(timed(), first);
    assert_eq!(std::fs::read_to_string(cache.join("tactics-gpu.json")).expect("times"), kept);
    let gpu = report(&["--model", &plan, "--device", "cuda:0"]);
    assert_eq!(gpu["states"], cpu["states"]);

    check_early_starts(&driver, &["--model", &plan], &cpu["states"]);

    // Each where it belongs.
    run(&[&["build", model, "-o", &of_cpu], &bytes[..]].concat());
    for (args, words) in [
        (&["--model", &plan][..], "give `--device cuda:0`"),
        (&["--model", &of_cpu, "--device", "cuda:0"], "--device cuda:0`"),
    ] {
        let (said, succeeded) = sonoplex(&driver, &[&["replay", FRAMES, "--headless"], args].concat());
        assert!(!succeeded && said.contains("it was built for") && said.contains(words), "{said}");
    }
}

#[test]
fn a_gpu_gives_what_the_processor_gives_frame_after_frame() {
    let Some(driver) = driver() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // What it gives is found out on one thread, with a trial, and the frames run on another.
    let metadata = [("classes", "nerve"), ("thresholds", "0.4")];
    let model = write(&bright_and_dark(1, 1, 20.0), &metadata, folder.path());
    let model = model.to_str().expect("UTF-8");
    let report = |more: &[&str]| {
        let args = ["--model", model, "--despeckle", "srad:iterations=2", "--json", "-"];
        let (said, succeeded) = sonoplex(&driver, &[&more[..1], &[FRAMES][..], &args[..], &more[1..]].concat());
        assert!(succeeded, "{more:?}: {said}");
        serde_json::from_str::<Value>(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    };
    let (cpu, gpu) = (report(&["replay", "--headless"]), report(&["replay", "--headless", "--device", "cuda:0"]));
    assert_eq!(
        (&gpu["device"], &gpu["frames"]["segmented"]),
        (&"cuda sm_90, emulated, driver 12040".into(), &4.into())
    );
    assert_eq!(gpu["states"], cpu["states"]);
    let [a, b] = [&cpu, &gpu].map(|report| report["dice"]["nerve"].as_f64().expect("a number"));
    assert!((a - b).abs() < 0.01 && a > 0.0, "{a} {b}");

    check_early_starts(&driver, &["--model", model], &cpu["states"]);

    let bench = report(&["bench", "--device", "cuda:0", "--frames", "5", "--warm-up", "1"]);
    let stages: Vec<&String> = bench["device_us"].as_object().expect("stages").keys().collect();
    assert_eq!(stages, ["crop", "d2h", "despeckle", "h2d", "mask", "network", "regions", "resize"]);
    let streams = ["bench", FRAMES, "-v", "--device", "cuda:0", "--frames", "5", "--warm-up", "1", "--streams", "3"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    command.args(streams).args(["--model", model, "--json", "-"]).env("LD_LIBRARY_PATH", &driver);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&output.stdout).expect("a list").len(), 3);
    // How kernels start is found out once for all of them.
    assert_eq!(said.matches("with kernels that start early").count(), 1, "{said}");

    let (said, succeeded) = sonoplex(&driver, &["replay", FRAMES, "--headless", "--device", "cuda:7"]);
    assert!(
        !succeeded && said.contains("found 1 device(s), and none with number 7") && said.contains("--device cpu"),
        "{said}"
    );
    // What the driver's compiler objects to is passed on, in the one sentence.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    command.args(["replay", FRAMES, "--headless", "--device", "cuda:0"]).env("LD_LIBRARY_PATH", &driver);
    let output =
        command.env("EMULATED_OBJECTION", "ptxas 75;\n  fatal   : Unsupported .version").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.trim_end().lines().count() == 1, "{said}");
    assert!(
        said.contains("load the kernels for compute_90") && said.contains("ptxas 75; fatal : Unsupported"),
        "{said}"
    );
}
