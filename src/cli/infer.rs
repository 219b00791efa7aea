//! `sonoplex infer`: any model that the engine runs, on given tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, Plan, Precision, npy};

use super::args::InferArgs;

pub fn main(args: &InferArgs) -> anyhow::Result<ExitCode> {
    let mut tensors = Vec::new();
    for (name, path) in &args.input {
        let array = npy::read(path)?;
        tensors.push((name.clone(), array));
    }
    let inputs = tensors.iter().map(|(n, t)| (n.clone(), t.shape.clone())).collect::<BTreeMap<_, _>>();
    let engine = Engine::new(plan(args, inputs)?)?;
    let targets = targets(&args.output, &engine)?;

    let mut context = engine.context();
    for (name, array) in &tensors {
        context.bind(name, &array.shape, &array.data)?;
    }
    context.enqueue()?;
    context.synchronize()?;
    for (name, path) in &targets {
        let info = engine.outputs().iter().find(|o| &o.name == name).context("an output that was just found")?;
        npy::write(path, &info.shape, context.output(name)?)?;
        let line = format!("{name} {:?} -> {}\n", info.shape, path.display());
        super::write_text(Path::new("-"), &line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan of the model: read where the file is one, built where it is a network.
fn plan(args: &InferArgs, inputs: BTreeMap<String, Vec<usize>>) -> anyhow::Result<Plan> {
    if Plan::is_plan(&args.model) {
        return Ok(Plan::open(&args.model)?.on(args.device, args.threads, args.precision)?);
    }
    let precision = Precision::on(args.precision, args.device);
    let (device, threads) = (args.device, args.threads);
    let config = BuilderConfig { device, threads, precision, inputs, ..BuilderConfig::default() };
    Ok(Builder::new(config).build(&Network::open(&args.model)?)?)
}

/// Which output goes to which file.
fn targets(wanted: &[String], engine: &Engine) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let names: Vec<&str> = engine.outputs().iter().map(|o| o.name.as_str()).collect();
    let mut targets = Vec::new();
    for text in wanted {
        match text.split_once('=') {
            Some((name, path)) if names.contains(&name) => targets.push((name.to_owned(), path.into())),
            Some((name, _)) => bail!("cannot write the output `{name}`: the model has {names:?}; name one of these"),
            None if names.len() == 1 => targets.push((names[0].to_owned(), text.into())),
            None => bail!("cannot tell which output goes to `{text}`: the model has {names:?}; write NAME={text}"),
        }
    }
    Ok(targets)
}
