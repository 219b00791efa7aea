//! Every CUDA kernel against its CPU twin, on the host; and whether that would find a mistake.

use sonoplex::backend::cpu::Pool;
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::launch::{Arg, Region};
use sonoplex::geometry::Size;

use super::emulation::{Call, Memory, ORDERS, program};
use super::naive::Random;

/// Pictures that filters have trouble with: speckle on blocks, black, white, single bright pixels, noise.
fn pictures(random: &mut Random, size: Size) -> Vec<Vec<u8>> {
    let area = size.area();
    let noise = random.bytes(area);
    let level = |i: usize| ((i % size.width as usize / 9 * 50 + i / size.width as usize / 7 * 70) % 200) as u8;
    let speckle = (0..area).map(|i| level(i) / 4 * 3 + noise[i] / 4).collect();
    let outliers = (0..area).map(|i| if i % 37 == 5 { 255 } else { 3 }).collect();
    vec![speckle, vec![0; area], vec![255; area], outliers, noise]
}

/// What a filter makes of a picture on the host's CUDA, its threads in this order.
fn emulated(filter: &Despeckle, size: Size, picture: &[u8], order: u32) -> Vec<u8> {
    let mut memory = Memory::default();
    let (src, dst) = (memory.upload(picture), memory.allocate(picture.len() as u64));
    let scratch = memory.allocate(scratch_bytes(filter, size));
    memory.run(&launches(filter, size, src, dst, scratch), order).unwrap_or_else(|e| panic!("{filter} {size}: {e}"));
    assert_eq!(memory.download(src), picture, "{filter} changes what it reads");
    memory.download(dst).to_vec()
}

fn filters() -> Vec<Despeckle> {
    let mut filters: Vec<Despeckle> = Despeckle::ALL.into_iter().skip(1).collect();
    filters.extend([
        Despeckle::Median { radius: 0 },
        Despeckle::Median { radius: 4 },
        Despeckle::Median { radius: 15 },
        Despeckle::Bilateral { radius: 0, range: 20.0, space: 1.0 },
        Despeckle::Bilateral { radius: 15, range: 60.0, space: 8.0 },
        Despeckle::Lee { radius: 0, noise: 0.2 },
        Despeckle::Lee { radius: 15, noise: 0.5 },
        Despeckle::Kuan { radius: 1, noise: 0.0 },
        Despeckle::Kuan { radius: 15, noise: 0.1 },
        Despeckle::Frost { radius: 0, damping: 1.0 },
        Despeckle::Frost { radius: 15, damping: 0.2 },
        Despeckle::Frost { radius: 3, damping: 100.0 },
        Despeckle::Srad { iterations: 0, step: 0.5, speckle: 0.5, dynamic_range: 60.0 },
        Despeckle::Srad { iterations: 3, step: 1.0, speckle: 0.2, dynamic_range: 40.0 },
    ]);
    filters.extend((0..=4).map(|patch| Despeckle::Nlm { patch, search: patch % 4, strength: 15.0 }));
    filters
}

#[test]
fn filters_agree_with_their_cpu_twins_in_any_order_of_threads() {
    if program().is_none() {
        return;
    }
    let (mut random, pool) = (Random(41), Pool::new(2));
    for size in [Size::new(1, 1), Size::new(1, 70), Size::new(33, 9), Size::new(67, 41)] {
        for filter in filters() {
            // Non-local means with its default window reads 21609 pixels for each; one picture of one size is enough.
            let heavy = matches!(filter, Despeckle::Nlm { search: 10.., .. });
            for (i, picture) in pictures(&mut random, size).iter().enumerate() {
                if heavy && (i > 0 || size.area() > 1000) {
                    continue;
                }
                let mut expected = vec![0; picture.len()];
                filter.run(&pool, size, picture, &mut expected, &mut Scratch::default());
                let found = emulated(&filter, size, picture, ORDERS[i % 3]);
                let apart = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                let allowed = u8::from(!matches!(filter, Despeckle::Median { .. }));
                assert!(apart <= allowed, "{filter} {size}, picture {i}: {apart} grey levels");
                // The same bits in another order.
                if i == 0 {
                    assert_eq!(emulated(&filter, size, picture, ORDERS[1]), found, "{filter} {size}");
                }
            }
        }
    }
}

#[test]
fn an_empty_picture_and_no_filter_launch_nothing() {
    let nothing = Region { offset: 0, bytes: 0 };
    for filter in Despeckle::ALL {
        assert_eq!(launches(&filter, Size::new(0, 7), nothing, nothing, nothing), []);
    }
    let some = Region { offset: 64, bytes: 12 };
    assert_eq!(launches(&Despeckle::Off, Size::new(4, 3), some, some, nothing), []);
}

/// Runs one of `tests/emulation/planted.cu` on blocks of 64 threads: its output, or what was said.
fn planted(kernel: &'static str, blocks: u32, bytes: u64, extra: &[Arg], order: u32) -> Result<Vec<u8>, String> {
    let mut memory = Memory::default();
    let out = memory.allocate(bytes);
    let args = [Arg::Region(out)].into_iter().chain(extra.iter().copied()).collect();
    memory.run([Call { kernel, grid: [blocks, 1, 1], block: [64, 1, 1], args }], order)?;
    Ok(memory.download(out).to_vec())
}

#[test]
fn planted_mistakes_are_found() {
    if program().is_none() {
        return;
    }
    let said = |result: Result<Vec<u8>, String>, words: &str| {
        let message = result.expect_err(words);
        assert!(message.contains(words), "{message}");
    };
    for order in ORDERS {
        let sound: Vec<u8> = (0..64).map(|i| (i + 1) % 64).collect();
        assert_eq!(planted("planted_nothing", 1, 64, &[], order), Ok(sound.clone()));
        said(planted("planted_write_behind", 1, 4 * 63, &[Arg::U32(63)], order), "heap-buffer-overflow");
        said(planted("planted_shared_behind", 1, 64, &[], order), "insufficient space for an object");
        said(planted("planted_half_a_barrier", 1, 64, &[], order), "32 of 64 threads of a block wait");
        said(planted("planted_two_barriers", 1, 64, &[], order), "at two barriers at once");
        // A missing barrier shows in the result, in every order.
        assert_ne!(planted("planted_no_barrier", 1, 64, &[], order), Ok(sound));
        assert_ne!(planted("planted_not_set", 1, 64, &[], order), Ok(vec![1; 64]));
        assert_ne!(planted("planted_left_over", 2, 128, &[], order), Ok((0..64).chain(0..64).collect()));
    }
}

#[test]
fn launches_that_do_not_fit_their_kernel_are_refused() {
    if program().is_none() {
        return;
    }
    let said = |kernel: &'static str, extra: &[Arg], words: &str| {
        let message = planted(kernel, 1, 256, extra, 0).expect_err(words);
        assert!(message.contains(words), "{message}");
    };
    said("planted_none", &[], "there is no kernel `planted_none`");
    said("planted_nothing", &[Arg::U32(1)], "takes 1 arguments, not 2");
    said("planted_write_behind", &[Arg::F32(1.0)], "is of another kind");
    let mut memory = Memory::default();
    let region = memory.allocate(256).part(2, 250);
    let args = vec![Arg::Region(region), Arg::U32(3)];
    let odd = Call { kernel: "planted_write_behind", grid: [1; 3], block: [4, 1, 1], args };
    assert!(memory.run([odd], 0).expect_err("a float at an odd place").contains("does not lie where its type may"));
}
