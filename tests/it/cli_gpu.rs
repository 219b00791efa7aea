//! The program with a GPU, on a driver that is emulated (`tests/cuda_driver`): what is told of frames is what the CPU tells.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::emulation::driver;
use super::segmenter_gpu::{bright_and_dark, write};

const FRAMES: &str = "phantom:seed=3,size=96x80,frames=4";

fn sonoplex(driver: &Path, args: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonoplex"));
    let output = command.args(args).env("LD_LIBRARY_PATH", driver).output().expect("it runs");
    let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    (said.into_owned(), output.status.success())
}

#[test]
fn a_gpu_gives_what_the_processor_gives_frame_after_frame() {
    let Some(driver) = driver() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let metadata = [("classes", "nerve"), ("output", "logits"), ("thresholds", "0.4")];
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

    let bench = report(&["bench", "--device", "cuda:0", "--frames", "5", "--warm-up", "1"]);
    let stages: Vec<&String> = bench["device_us"].as_object().expect("stages").keys().collect();
    assert_eq!(stages, ["crop", "d2h", "despeckle", "h2d", "mask", "network", "regions", "resize"]);
    let streams = report(&["bench", "--device", "cuda:0", "--frames", "5", "--warm-up", "1", "--streams", "3"]);
    assert_eq!(streams.as_array().expect("a list").len(), 3);

    let (said, succeeded) = sonoplex(&driver, &["replay", FRAMES, "--headless", "--device", "cuda:7"]);
    assert!(
        !succeeded && said.contains("found 1 device(s), and none with number 7") && said.contains("--device cpu"),
        "{said}"
    );
}
