//! The table of the steps of a plan, with what each of them takes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;
use sonoplex::engine::describe::StepRow;
use sonoplex::engine::{Engine, EngineError, Plan};

/// Runs are profiled for so long, but for [`RUNS`] at most and [`FEWEST`] at least.
const LONG: Duration = Duration::from_millis(800);
const RUNS: usize = 50;
const FEWEST: usize = 5;

/// A step and its share of a run.
#[derive(Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub step: StepRow,
    /// Absent where nothing was measured.
    #[serde(flatten)]
    pub measured: Option<Measured>,
}

/// What a step takes on this machine.
#[derive(Clone, Copy, Serialize)]
pub struct Measured {
    pub median_ms: f64,
    pub gflops: f64,
    pub share: f64,
}

/// The rows of `plan`, profiled where it is to be `measured`.
///
/// # Errors
/// When the plan cannot run here.
pub fn rows(plan: &Plan, measured: bool) -> Result<Vec<Row>, EngineError> {
    let steps = plan.table();
    if !measured {
        return Ok(steps.into_iter().map(|step| Row { step, measured: None }).collect());
    }
    let mut context = Engine::new(plan.clone())?.context();
    context.bind_noise();
    context.enqueue()?;
    let mut times = vec![Vec::new(); steps.len()];
    let start = Instant::now();
    while times.iter().any(|t| t.len() < FEWEST || t.len() < RUNS && start.elapsed() < LONG) {
        times.iter_mut().zip(context.profile()?).for_each(|(times, time)| times.push(time));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let total: f64 = medians.iter().sum();
    let row = |(step, median_ms): (StepRow, f64)| {
        let gflops = step.gflop / median_ms * 1e3;
        Row { step, measured: Some(Measured { median_ms, gflops, share: median_ms / total }) }
    };
    Ok(steps.into_iter().zip(medians).map(row).collect())
}

/// For people.
pub fn table(t: &mut String, rows: &[Row]) -> std::fmt::Result {
    write!(t, "\n{:<34} {:<28} {:>18} {:>9}", "step", "operation", "output", "GFLOP")?;
    let any = rows.iter().any(|row| row.measured.is_some());
    if any {
        write!(t, " {:>8} {:>8} {:>6}", "ms", "GFLOP/s", "share")?;
    }
    writeln!(t, "  tactic")?;
    for Row { step: s, measured } in rows {
        let shape = format!("{:?}", s.shape);
        write!(t, "{:<34} {:<28} {:>18} {:>9.4}", s.name, s.op, shape, s.gflop)?;
        if let Some(m) = measured {
            write!(t, " {:>8.3} {:>8.1} {:>5.1}%", m.median_ms, m.gflops, 100.0 * m.share)?;
        }
        writeln!(t, "  {}", s.tactic)?;
    }
    if any {
        let gflop: f64 = rows.iter().map(|row| row.step.gflop).sum();
        let ms: f64 = rows.iter().filter_map(|row| row.measured).map(|m| m.median_ms).sum();
        let rate = gflop / ms * 1e3;
        writeln!(t, "{:<34} {:<28} {:>18} {gflop:>9.4} {ms:>8.3} {rate:>8.1} {:>5.1}%", "all", "", "", 100.0)?;
    }
    Ok(())
}
