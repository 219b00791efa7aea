//! A folder of exported networks with the answers of ONNX Runtime, where there is one: `NAME.onnx`, `NAME.input.npy`,
//! `NAME.OUTPUT.npy`.

use std::path::{Path, PathBuf};

use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, npy};

use super::emulation::{Memory, ORDERS, program};
use super::kernels_cuda_net::check_network;

/// Largest difference that is accepted, as a part of the largest answer. ONNX Runtime itself is up to 1e-4 away from
/// double precision in networks of some hundred layers.
const TOLERANCE: f32 = 2e-4;

/// The same for networks that are quantised: one number that is rounded the other way changes all that follow.
const QUANTISED: f32 = 0.4;

/// Compares one model; the error says what differs.
fn compare(model: &Path) -> Result<f32, String> {
    let network = Network::open(model).map_err(|e| e.to_string())?;
    let stem = model.with_extension("");
    let stored =
        |name: &str| npy::read(Path::new(&format!("{}.{name}.npy", stem.display()))).map_err(|e| e.to_string());
    let input = stored("input")?;
    let name = network.inputs[0].name.clone();
    let inputs = [(name.clone(), input.shape.clone())].into();
    let config = BuilderConfig { inputs, threads: 2, ..Default::default() };
    let plan = Builder::new(config).build(&network).map_err(|e| e.to_string())?;
    let engine = Engine::new(plan).map_err(|e| e.to_string())?;
    let mut context = engine.context();
    context.bind(&name, &input.shape, &input.data).map_err(|e| e.to_string())?;
    context.enqueue().map_err(|e| e.to_string())?;
    let mut worst = 0f32;
    for output in engine.outputs() {
        let expected = stored(&output.name)?;
        if expected.shape != output.shape {
            return Err(format!("`{}` is {:?}, expected {:?}", output.name, output.shape, expected.shape));
        }
        let found = context.output(&output.name).map_err(|e| e.to_string())?;
        let largest = expected.data.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = found.iter().zip(&expected.data).map(|(a, b)| (a - b).abs());
        worst = worst.max(difference.fold(0.0, |m, d| if d <= m { m } else { d }) / largest);
    }
    let limit = if stem.to_string_lossy().ends_with("_qdq") { QUANTISED } else { TOLERANCE };
    if worst <= limit { Ok(worst) } else { Err(format!("it differs by {worst} of the largest value")) }
}

#[test]
fn exported_networks_agree_with_onnx_runtime() {
    let Some(folder) = std::env::var_os("SONOPLEX_ZOO") else {
        println!("skipped: no folder of exported networks (SONOPLEX_ZOO)");
        return;
    };
    let models = models(folder.as_ref());
    let mut wrong = Vec::new();
    for model in &models {
        let name = model.file_stem().expect("it has a name").to_string_lossy();
        match compare(model) {
            Ok(worst) => println!("{name}: {worst:e} of the largest value"),
            Err(found) => wrong.push(format!("{name}: {found}")),
        }
    }
    println!("{} networks", models.len());
    assert!(wrong.is_empty(), "{} of {} networks:\n  {}", wrong.len(), models.len(), wrong.join("\n  "));
}

/// The networks of a folder, by name.
fn models(folder: &Path) -> Vec<PathBuf> {
    let mut models: Vec<_> = std::fs::read_dir(folder)
        .expect("it is a folder")
        .map(|e| e.expect("it can be read").path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx") && !p.to_string_lossy().contains("/."))
        .collect();
    models.sort();
    models
}

/// Seconds to minutes a network, by its size.
#[test]
fn exported_networks_agree_with_the_cpu_in_the_emulation_of_a_gpu() {
    let Some(folder) = std::env::var_os("SONOPLEX_ZOO_EMULATED") else {
        println!("skipped: no folder of exported networks (SONOPLEX_ZOO_EMULATED)");
        return;
    };
    if program().is_none() {
        return;
    }
    for model in models(folder.as_ref()) {
        let network = Network::open(&model).expect("a sound model");
        println!("{}", model.display());
        check_network(&mut Memory::in_order(ORDERS[2]), &model.display().to_string(), &network, 0.01);
    }
}
