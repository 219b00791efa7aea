//! Runs a network once for every line on standard input and answers with the milliseconds that it took, so that a
//! script can time it in turn with other runtimes (`benches/peers`).
//!
//! `cargo run --release --example infer_loop -- MODEL.onnx INPUT.npy THREADS fp32`

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, npy};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, threads, precision] = &arguments[..] else {
        anyhow::bail!("usage: infer_loop MODEL INPUT.npy THREADS PRECISION")
    };
    let network = Network::from_onnx(&std::fs::read(model)?)?;
    let input = npy::read(input.as_ref())?;
    let name = network.inputs.first().context("a network with an input")?.name.clone();
    let config = BuilderConfig {
        threads: threads.parse()?,
        precision: precision.parse().map_err(anyhow::Error::msg)?,
        inputs: [(name.clone(), input.shape.clone())].into(),
        ..BuilderConfig::default()
    };
    let plan = Builder::new(config).build(&network)?;
    drop(network);
    let engine = Engine::new(plan)?;
    let mut context = engine.context();
    context.bind(&name, &input.shape, &input.data)?;
    for line in std::io::stdin().lock().lines() {
        line?;
        if std::env::var_os("PROFILE").is_some() {
            let mut best = vec![std::time::Duration::MAX; engine.plan().steps().len()];
            for _ in 0..20 {
                context.profile()?.into_iter().zip(&mut best).for_each(|(t, b)| *b = t.min(*b));
            }
            for (row, t) in engine.plan().table().iter().zip(&best) {
                let ms = t.as_secs_f64() * 1e3;
                eprintln!(
                    "{:8.3} ms {:7.1} GFLOP/s {:28} {:20} {:?} {}",
                    ms,
                    row.gflop / ms * 1e3,
                    row.op,
                    row.tactic,
                    row.shape,
                    row.name
                );
            }
            eprintln!("{:8.3} ms", best.iter().map(|t| t.as_secs_f64() * 1e3).sum::<f64>());
        }
        let start = Instant::now();
        context.enqueue()?;
        context.synchronize()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:.4}", start.elapsed().as_secs_f64() * 1e3)?;
        out.flush()?;
    }
    Ok(())
}
