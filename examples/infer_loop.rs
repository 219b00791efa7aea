//! Runs a plan once for every line on standard input and answers with the milliseconds that it took, so that a
//! script can time it in turn with other runtimes (`benches/peers`).
//!
//! `cargo run --release --example infer_loop -- FILE.plan INPUT.npy THREADS`

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result};
use sonoplex::engine::{Engine, Plan, npy};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, input, threads] = &arguments[..] else { anyhow::bail!("usage: infer_loop PLAN INPUT.npy THREADS") };
    let input = npy::read(input.as_ref())?;
    let plan = Plan::open(plan.as_ref())?.with_threads(threads.parse()?);
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
