//! What the CUDA kernels take on the device that is there: `cargo bench --bench cuda [-- RESULT.json]`.
//!
//! Each filter is recorded as a graph and timed between two events on the device, 200 runs to warm up, then 2,000. Nothing is
//! copied. Without a device it says so and fails.

use anyhow::Context;
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::gpu::Gpu;
use sonoplex::backend::cuda::launch::Region;
use sonoplex::geometry::Size;

/// The picture of the bars.
const SIZE: Size = Size::new(580, 420);
const WARM_UP: usize = 200;
const RUNS: usize = 2000;

fn main() -> anyhow::Result<()> {
    let mut gpu = Gpu::open(0, 8 << 20)?;
    let about = gpu.about().clone();
    println!(
        "{}, compute capability {}, driver {}, kernels for {}",
        about.name, about.capability, about.driver, about.target
    );
    let area = SIZE.area() as u64;
    let (src, dst) = (Region { offset: 0, bytes: area }, Region { offset: 1 << 20, bytes: area });
    // Speckle on blocks, the same on every run: some filters take longer on some pictures.
    let mut state = 1u64;
    let picture: Vec<u8> = (0..area)
        .map(|i| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let block = i % 580 / 60 * 40 + i / 580 / 50 * 30;
            ((block % 200) as u8) / 4 * 3 + (state >> 58) as u8
        })
        .collect();
    gpu.upload(src, &picture)?;
    let mut rows = Vec::new();
    println!("{:<60} {:>9} {:>9} {:>9}", "filter, microseconds", "p50", "p99", "max");
    for filter in Despeckle::ALL.into_iter().skip(1) {
        let scratch = Region { offset: 2 << 20, bytes: scratch_bytes(&filter, SIZE) };
        let graph = gpu.record(&launches(&filter, SIZE, src, dst, scratch))?;
        gpu.time(&graph, WARM_UP)?;
        let mut times = gpu.time(&graph, RUNS)?;
        times.sort_by(f32::total_cmp);
        let [p50, p99, max] = [RUNS / 2, RUNS * 99 / 100, RUNS - 1].map(|i| 1e3 * times[i]);
        println!("{:<60} {p50:>9.1} {p99:>9.1} {max:>9.1}", filter.to_string());
        rows.push(serde_json::json!({ "filter": filter.to_string(), "p50_us": p50, "p99_us": p99, "max_us": max }));
    }
    // Cargo adds `--bench`.
    if let Some(path) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        let result = serde_json::json!({ "device": about, "size": [580, 420], "runs": RUNS, "despeckle": rows });
        std::fs::write(&path, format!("{result:#}\n")).with_context(|| format!("cannot write `{path}`"))?;
    }
    Ok(())
}
