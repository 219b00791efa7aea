//! Runs a network once for every line on standard input and answers with the milliseconds that it took, so that a
//! script can time it in turn with other runtimes (`benches/peers`).
//!
//! `cargo run --release --example infer_loop -- MODEL.onnx INPUT.npy THREADS fp32`, or a plan, which has its precision

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, Plan, npy};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, threads, precision] = &arguments[..] else {
        anyhow::bail!("usage: infer_loop MODEL INPUT.npy THREADS PRECISION")
    };
    let input = npy::read(input.as_ref())?;
    let plan = plan(model, &input.shape, threads.parse()?, precision)?;
    let name = plan.inputs().first().context("a network with an input")?.name.clone();
    let engine = Engine::new(plan)?;
    let mut context = engine.context();
    context.bind(&name, &input.shape, &input.data)?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        context.enqueue()?;
        context.synchronize()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:.4}", start.elapsed().as_secs_f64() * 1e3)?;
        out.flush()?;
    }
    Ok(())
}

/// The plan in a file, or that of the network in it.
fn plan(model: &str, shape: &[usize], threads: usize, precision: &str) -> Result<Plan> {
    if Plan::is_plan(model.as_ref()) {
        return Ok(Plan::open(model.as_ref())?.with_threads(threads));
    }
    let network = Network::from_onnx(&std::fs::read(model)?)?;
    let name = network.inputs.first().context("a network with an input")?.name.clone();
    let config = BuilderConfig {
        threads,
        precision: precision.parse().map_err(anyhow::Error::msg)?,
        inputs: [(name, shape.to_vec())].into(),
        ..BuilderConfig::default()
    };
    Ok(Builder::new(config).build(&network)?)
}
