//! Every CUDA kernel against its CPU twin, on the host; and whether that would find a mistake.

use std::path::Path;
use std::sync::Arc;

use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::backend::cuda::despeckle::launches;
use sonoplex::backend::cuda::launch::{Arg, Region};
use sonoplex::engine::cuda::Program;
use sonoplex::engine::{Calibration, Calibrator, Precision, Threshold};
use sonoplex::geometry::Size;
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig, builder, open_network};
use sonoplex::source::{OpenOptions, open};

use super::emulation::{Call, Emulated, Memory, ORDERS, program};
use super::engine_plan::{each_lie, plans_for_a_gpu};
use super::kernels_cuda::{
    Machine, check_components, check_crops, check_filter, check_masks, check_resizes, filtered, filters, pictures,
};
use super::kernels_cuda_conv::{check_convs, check_ends};
use super::kernels_cuda_floats::check_floats;
use super::kernels_cuda_int8::{check_codes, check_int8};
use super::kernels_cuda_net::check_networks;
use super::kernels_cuda_net_int8::check_int8_networks;
use super::kernels_cuda_pool::check_pooling;
use super::kernels_cuda_values::{check_averages, check_elementwise, check_normalizations, check_reductions};
use super::naive::Random;
use super::segmenter_gpu::{check_frames, check_hard_frames};

#[test]
fn filters_agree_with_their_cpu_twins_in_any_order_of_threads() {
    if program().is_none() {
        return;
    }
    let mut random = Random(41);
    for size in [Size::new(1, 1), Size::new(1, 70), Size::new(33, 9), Size::new(67, 41)] {
        for filter in filters() {
            // Non-local means with its default window reads 21609 pixels for each; one picture of one size is enough.
            let heavy = matches!(filter, Despeckle::Nlm { search: 10.., .. });
            for (i, picture) in pictures(&mut random, size).iter().enumerate() {
                if heavy && (i > 0 || size.area() > 1000) {
                    continue;
                }
                check_filter(&mut Memory::in_order(ORDERS[i % 3]), &filter, size, picture);
                // The same bits in another order.
                if i == 0 {
                    let [a, b] = [0, 1].map(|i| filtered(&mut Memory::in_order(ORDERS[i]), &filter, size, picture));
                    assert_eq!(a, b, "{filter} {size}");
                }
            }
        }
    }
}

#[test]
fn what_is_around_convolutions_agrees_with_its_cpu_twins_in_any_order_of_threads() {
    if program().is_none() {
        return;
    }
    for order in ORDERS {
        check_crops(&mut Memory::in_order(order));
        check_masks(&mut Memory::in_order(order));
        check_resizes(&mut Memory::in_order(order));
        check_elementwise(&mut Memory::in_order(order));
        check_reductions(&mut Memory::in_order(order));
        check_floats(&mut Memory::in_order(order));
        check_normalizations(&mut Memory::in_order(order));
        check_averages(&mut Memory::in_order(order));
        check_components(&mut Memory::in_order(order));
    }
}

#[test]
fn convolutions_agree_with_naive_ones_in_any_order_of_threads_and_copies() {
    if program().is_none() {
        return;
    }
    let written = ORDERS.map(|order| {
        check_ends(&mut Memory::in_order(order));
        check_int8(&mut Memory::in_order(order));
        check_pooling(&mut Memory::in_order(order));
        check_codes(&mut Memory::in_order(order));
        check_convs(&mut Memory::in_order(order))
    });
    assert!(written[1..].iter().all(|other| *other == written[0]), "other bits in another order");
}

#[test]
fn networks_agree_with_the_engine_of_the_cpu_in_any_order_of_threads_and_copies() {
    if program().is_none() {
        return;
    }
    for order in ORDERS {
        check_networks(&mut Memory::in_order(order));
    }
}

#[test]
fn networks_of_bytes_agree_with_the_engine_of_the_cpu_in_any_order_of_threads_and_copies() {
    if program().is_none() {
        return;
    }
    for order in ORDERS {
        check_int8_networks(&mut Memory::in_order(order));
    }
}

/// A plan may say of itself what it likes: what becomes a program stays in its own memory and comes to an end.
#[test]
fn plans_that_lie_touch_no_memory_but_their_own() {
    if program().is_none() {
        return;
    }
    for (plan, _) in plans_for_a_gpu() {
        let (mut ran, mut others) = (0, 0);
        let sound = Program::apart(&plan).expect("it has kernels");
        each_lie(&plan.to_bytes(), |read| {
            // What changes no launch and no table, as a name, would run as the sound plan does.
            let Some(program) = read.ok().and_then(|plan| Program::apart(&plan).ok()) else { return };
            if (&program.launches, &program.constants) == (&sound.launches, &sound.constants) {
                return;
            }
            // Every fifth is enough to see that.
            if others % 5 == 0 {
                let mut memory = Memory::in_order(ORDERS[ran % 3]);
                memory.load(&program.recording());
                memory.run(&program.launches).unwrap_or_else(|e| panic!("{e}"));
                ran += 1;
            }
            others += 1;
        });
        assert!(ran > 2, "{ran} of {others}");
    }
}

/// Segmenters whose graphs run in the emulation, every tensor with memory of its own.
fn open_emulated(config: &SegmenterConfig, order: u32) -> Segmenter {
    open_rounded(config, None, order)
}

/// The same, of bytes where ranges are known.
fn open_rounded(config: &SegmenterConfig, calibration: Option<Calibration>, order: u32) -> Segmenter {
    let network = open_network(&config.model).expect("a sound model");
    let builder = builder(config, &network).expect("a description");
    let precision = if calibration.is_some() { Precision::Int8 } else { Precision::Fp16 };
    let plan = builder.rounding(precision, calibration).build_for_gpu(&network).expect("supported");
    let program = Program::apart(&plan).expect("it has kernels");
    let runner = Box::new(Emulated::in_order(order));
    Segmenter::from_runner(&plan, (Arc::new(program), runner), config).expect("it opens")
}

#[test]
fn whole_frames_agree_with_the_segmenter_of_the_cpu_in_any_order_of_threads_and_copies() {
    if program().is_none() {
        return;
    }
    for order in ORDERS {
        check_frames(&mut |config| open_emulated(config, order));
    }
    check_hard_frames(&mut |config| open_emulated(config, ORDERS[2]));
}

/// Minutes a frame, for `make nightly`: without SONOPLEX_NIGHTLY it says so and passes.
#[test]
fn masks_of_the_model_of_the_program_are_those_of_the_cpu() {
    if std::env::var_os("SONOPLEX_NIGHTLY").is_none() {
        println!("skipped: takes minutes, and SONOPLEX_NIGHTLY is not set");
        return;
    }
    if program().is_none() {
        return;
    }
    let mut frames = vec![("phantom:seed=3,size=580x420,frames=1".to_owned(), "srad:iterations=10")];
    if let Some(shared) = std::env::var_os("SONOPLEX_SHARED") {
        let picture = Path::new(&shared).join("data/usgra_seg/images/0010.png");
        frames.push((picture.display().to_string(), "off"));
    } else {
        println!("skipped: no real frame, since SONOPLEX_SHARED is not set");
    }
    for (spec, despeckle) in frames {
        let despeckle = despeckle.parse().expect("a filter");
        let config = SegmenterConfig { despeckle, ..SegmenterConfig::default() };
        let frame = open(&spec, &OpenOptions::default()).expect("a source").next().expect("sound").expect("a frame");
        let (mut expected, mut found) = (Segmentation::default(), Segmentation::default());
        let (clock, mut calibrator) = (Clock::manual(), Calibrator::default());
        let mut segmenter = Segmenter::open(&config).expect("a model");
        segmenter.segment(&frame, &clock, &mut expected).expect("a mask");
        calibrator.observe(segmenter.context_mut().expect("a processor's")).expect("a run");
        let ranges = calibrator.calibration(Threshold::Percentile);
        for (calibration, least) in [(None, 0.999), (Some(ranges), 0.995)] {
            let precision = if calibration.is_some() { Precision::Int8 } else { Precision::Fp16 };
            open_rounded(&config, calibration, ORDERS[0]).segment(&frame, &clock, &mut found).expect("a mask");
            for class in [1, 2] {
                let (dice, area) = (found.mask.dice(&expected.mask, class), expected.mask.area(class));
                println!("{spec}, {precision}, class {class}: Dice {dice:.5} of {area} pixels");
                assert!(dice >= least, "{spec}, {precision}, class {class}: Dice {dice}");
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
    let mut memory = Memory::in_order(order);
    let out = memory.allocate(bytes);
    let args = [Arg::Region(out)].into_iter().chain(extra.iter().copied()).collect();
    memory.call(&[Call { kernel, grid: [blocks, 1, 1], block: [64, 1, 1], args }])?;
    Ok(memory.download(out))
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
fn planted_mistakes_with_copies_and_warps_are_found() {
    if program().is_none() {
        return;
    }
    // In the first order copies arrive as late as they may, in the second at once; each shows other mistakes.
    let [late, early, _] = ORDERS;
    let copied = |kernel, order| planted(kernel, 1, 1024, &[], order);
    let rubbish_and_one = Ok(vec![0xa6; 1024]);
    for order in ORDERS {
        assert_eq!(copied("planted_waits", order), rubbish_and_one);
    }
    // What is in shared memory before is the same rubbish: without the copy nothing changes but by one.
    let set = |kernel: &'static str, order| {
        let mut memory = Memory::in_order(order);
        let out = memory.upload(&[3; 1024]);
        let args = vec![Arg::Region(out)];
        memory.call(&[Call { kernel, grid: [1; 3], block: [64, 1, 1], args }]).expect("it runs");
        memory.download(out)
    };
    assert_eq!(set("planted_waits", late), [4; 1024]);
    assert_ne!(set("planted_no_wait", late), [4; 1024]);
    assert_ne!(set("planted_early", late), [4; 1024]);
    assert_ne!(set("planted_over", early), [1; 1024]);
    // One warp runs ahead, so that what another writes is not there yet.
    let others: Vec<u8> = (0..64).map(|i| (i + 32) % 64).collect();
    for order in [late, early] {
        assert_ne!(planted("planted_meeting", 1, 64, &[], order), Ok(others.clone()));
    }
    let message = planted("planted_half_a_warp", 1, 256, &[], 0).expect_err("half a warp");
    assert!(message.contains("16 threads of a warp meet"), "{message}");
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
    let mut memory = Memory::in_order(0);
    let region = memory.allocate(256).part(2, 250);
    let args = vec![Arg::Region(region), Arg::U32(3)];
    let odd = Call { kernel: "planted_write_behind", grid: [1; 3], block: [4, 1, 1], args };
    assert!(memory.call(&[odd]).expect_err("a float at an odd place").contains("does not lie where its type may"));
}
