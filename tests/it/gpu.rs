//! The kernels on a real device; without one these say so and pass, unless `SONOPLEX_GPU` asks for it.

use sonoplex::backend::cpu::Pool;
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::gpu::{Gpu, GpuError};
use sonoplex::backend::cuda::launch::Region;
use sonoplex::geometry::Size;

use super::naive::Random;

/// The first device with so much memory; none, with a printed line, where there is none.
fn gpu(bytes: u64) -> Option<Gpu> {
    match Gpu::open(0, bytes) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(std::env::var_os("SONOPLEX_GPU").is_none(), "{error}");
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn filters_agree_with_their_cpu_twins_on_the_device() {
    const ROOM: u64 = 16 << 20;
    let Some(mut gpu) = gpu(ROOM) else { return };
    println!("{:?}", gpu.about());
    let (mut random, pool) = (Random(51), Pool::new(0));
    let nlms = (0..=4).map(|patch| Despeckle::Nlm { patch, search: 5, strength: 15.0 });
    let more = [Despeckle::Median { radius: 15 }, Despeckle::Frost { radius: 7, damping: 1.0 }];
    for size in [Size::new(1, 1), Size::new(37, 23), Size::new(580, 420), Size::new(1023, 769)] {
        let (area, picture) = (size.area() as u64, random.bytes(size.area()));
        let (src, dst) = (Region { offset: 0, bytes: area }, Region { offset: 1 << 20, bytes: area });
        for filter in Despeckle::ALL.into_iter().skip(1).chain(nlms.clone()).chain(more) {
            let scratch = Region { offset: 2 << 20, bytes: scratch_bytes(&filter, size) };
            let mut expected = vec![0; picture.len()];
            filter.run(&pool, size, &picture, &mut expected, &mut Scratch::default());
            let launches = launches(&filter, size, src, dst, scratch);
            gpu.upload(src, &picture).expect("an upload");
            gpu.enqueue(&launches).expect("a launch");
            let mut found = vec![0; picture.len()];
            gpu.download(dst, &mut found).unwrap_or_else(|e| panic!("{filter} {size}: {e}"));
            let apart = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            assert!(apart <= 1, "{filter} {size}: {apart} grey levels");
            // Recorded, the same bits.
            gpu.upload(dst, &vec![7; picture.len()]).expect("an upload");
            let graph = gpu.record(&launches).expect("a graph");
            graph.run().expect("a launch");
            let mut again = vec![0; picture.len()];
            gpu.download(dst, &mut again).expect("a download");
            assert!(again == found, "{filter} {size}: another result from a graph");
        }
    }
}

#[test]
fn a_device_that_is_not_there_is_a_sentence() {
    let Err(error) = Gpu::open(1000, 1) else { panic!("nobody has so many") };
    match error {
        GpuError::NoDriver => assert_eq!(error.to_string(), "no NVIDIA driver was found (libcuda is missing)"),
        GpuError::NoDevice { index, .. } => assert_eq!(index, 1000),
        // A driver without any device may say so in its own way.
        GpuError::Driver { .. } => println!("{error}"),
        GpuError::TooOld { .. } => panic!("{error}"),
    }
}
