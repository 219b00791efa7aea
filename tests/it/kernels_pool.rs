//! The thread pool, and the operators that need no Python: pooling, transposed convolution, broadcasting, resizing.

use std::sync::atomic::{AtomicUsize, Ordering};

use sonoplex::backend::cpu::elementwise::{Arithmetic, broadcast, broadcast_shape};
use sonoplex::backend::cpu::max_pool::average_pool_padded;
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, ResizeTensor};
use sonoplex::backend::cpu::{
    Activation, ConvTranspose, ConvTransposeShape, Isa, Pool, PoolShape, average_pool, max_pool,
};

use super::naive::{self, Random, assert_close, pools};

#[test]
fn every_index_runs_once_however_often_the_pool_is_used() {
    for pool in pools() {
        let runs: Vec<AtomicUsize> = (0..97).map(|_| AtomicUsize::new(0)).collect();
        for round in 1..=500 {
            pool.run(round % 98, &|i| {
                runs[i].fetch_add(1, Ordering::Relaxed);
            });
        }
        for (i, runs) in runs.iter().enumerate() {
            let expected = (1..=500).filter(|round| round % 98 > i).count();
            assert_eq!(runs.load(Ordering::Relaxed), expected, "index {i} on {} threads", pool.threads());
        }
    }
}

#[test]
fn a_pool_serves_two_callers_and_tasks_that_use_it_themselves() {
    let (pool, sum) = (Pool::new(3), AtomicUsize::new(0));
    let add = |n| {
        sum.fetch_add(n, Ordering::Relaxed);
    };
    let call = || {
        for _ in 0..200 {
            pool.run(4, &|_| pool.run(5, &|_| add(1)));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(call);
        scope.spawn(call);
    });
    assert_eq!(sum.load(Ordering::Relaxed), 2 * 200 * 4 * 5);
}

#[test]
fn a_task_that_panics_is_reported_and_the_pool_goes_on() {
    let pool = Pool::new(2);
    let run = std::panic::AssertUnwindSafe(|| pool.run(8, &|i| assert!(i != 3, "the panic that this test expects")));
    assert!(std::panic::catch_unwind(run).is_err());
    let sum = AtomicUsize::new(0);
    pool.run(8, &|i| {
        sum.fetch_add(i, Ordering::Relaxed);
    });
    assert_eq!(sum.load(Ordering::Relaxed), 28);
}

#[test]
fn pooling_agrees_with_the_reference_on_random_shapes() {
    let (mut random, pools) = (Random(11), pools());
    let mut shapes: Vec<PoolShape> = (0..80)
        .map(|i| {
            let c = random.conv();
            let (pads, ceil_mode) = (c.pads, i % 2 == 0);
            PoolShape {
                channels: c.in_channels,
                in_size: c.in_size,
                kernel: c.kernel,
                stride: c.stride,
                pads,
                dilation: c.dilation,
                ceil_mode,
            }
        })
        .filter(|s| s.check().is_ok())
        .collect();
    for in_size in [[2, 2], [7, 9], [64, 48]] {
        let (kernel, stride, pads, dilation) = ([2; 2], [2; 2], [0; 4], [1; 2]);
        shapes.push(PoolShape { channels: 3, in_size, kernel, stride, pads, dilation, ceil_mode: false });
        shapes.push(PoolShape { channels: 3, in_size, kernel, stride, pads, dilation, ceil_mode: true });
    }
    assert!(shapes.len() > 30, "enough possible shapes");
    for s in shapes {
        let ([h, w], x) = (s.out_size(), random.floats(s.in_len()));
        let windows: Vec<Vec<f32>> = (0..s.channels)
            .flat_map(|c| (0..h).flat_map(move |y| (0..w).map(move |x| (c, y, x))))
            .map(|(c, at_y, at_x)| naive::window(&s, &x, c, at_y, at_x))
            .collect();
        let largest: Vec<f32> = windows.iter().map(|w| w.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
        let average: Vec<f32> = windows.iter().map(|w| w.iter().sum::<f32>() / w.len().max(1) as f32).collect();
        let mut out = vec![f32::NAN; s.out_len()];
        for pool in &pools {
            max_pool(pool, &s, &x, &mut out);
            assert_eq!(out, largest, "largest {s:?}");
            average_pool(pool, &s, &x, &mut out);
            assert_close(&out, &average, 1e-5, &format!("average {s:?}"));
        }
    }
}

#[test]
fn padding_counts_as_zeros_where_that_is_asked_for() {
    let (kernel, stride, dilation) = ([2; 2], [2; 2], [1; 2]);
    let s = PoolShape { channels: 1, in_size: [1, 3], kernel, stride, pads: [1, 1, 0, 0], dilation, ceil_mode: false };
    let mut out = [0.0; 2];
    average_pool_padded(&Pool::new(1), &s, &[4.0, 8.0, 16.0], &mut out);
    assert_eq!(out, [1.0, 6.0]);
    average_pool(&Pool::new(1), &s, &[4.0, 8.0, 16.0], &mut out);
    assert_eq!(out, [4.0, 12.0]);
}

#[test]
fn impossible_poolings_are_refused_in_words() {
    let good = PoolShape {
        channels: 1,
        in_size: [4, 4],
        kernel: [2; 2],
        stride: [2; 2],
        pads: [0; 4],
        dilation: [1; 2],
        ceil_mode: false,
    };
    for (shape, said) in [
        (PoolShape { stride: [0, 1], ..good.clone() }, "at least 1"),
        (PoolShape { pads: [2, 0, 0, 0], ..good.clone() }, "pads smaller than the window"),
        (PoolShape { kernel: [5, 5], ..good.clone() }, "a window that fits"),
        (PoolShape { dilation: [usize::MAX; 2], ..good.clone() }, "a window that fits"),
    ] {
        let message = shape.check().unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn transposed_convolution_agrees_with_the_reference_and_does_not_depend_on_threads() {
    let (mut random, pools) = (Random(12), pools());
    for i in 0..60 {
        let c = random.conv();
        let tiling = i % 2 == 0;
        let s = ConvTransposeShape {
            in_channels: c.in_channels,
            out_channels: c.out_channels,
            groups: c.groups,
            in_size: c.in_size.map(|n| n.min(19)),
            kernel: c.kernel,
            stride: if tiling { c.kernel } else { c.stride },
            pads: if tiling { [0; 4] } else { c.pads },
            dilation: if tiling { [1; 2] } else { c.dilation },
            output_padding: [0; 2],
        };
        if s.check().is_err() {
            continue;
        }
        let (x, w) = (random.floats(s.in_len()), random.floats(s.weights_len()));
        let b = random.floats(s.out_channels);
        let mut expected = naive::conv_transpose(&s, &x, &w, &b);
        expected.iter_mut().for_each(|e| *e = e.max(0.0));
        let tactics = ConvTranspose::tactics(&s, Isa::detect());
        assert_eq!(tactics.len() > 1, s.groups == 1);
        for tactic in tactics {
            let conv = ConvTranspose::new(s.clone(), &tactic, &w, &b).unwrap();
            let results = pools.each_ref().map(|pool| {
                let (mut out, mut scratch) = (vec![f32::NAN; s.out_len()], vec![f32::NAN; conv.scratch_len()]);
                conv.run(pool, &x, Activation::Relu, &mut out, &mut scratch);
                out
            });
            assert_close(&results[0], &expected, 2e-4, &format!("{tactic} {s:?}"));
            assert!(results.iter().all(|r| *r == results[0]), "{tactic} depends on the number of threads");
        }
    }
}

#[test]
fn shapes_are_broadcast_as_numpy_does_or_refused() {
    assert_eq!(broadcast_shape(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
    assert_eq!(broadcast_shape(&[], &[0, 2]).unwrap(), [0, 2]);
    for (a, b) in [(&[2, 3][..], &[3, 2][..]), (&[1; 9], &[1])] {
        let message = broadcast_shape(a, b).unwrap_err().to_string();
        assert!(message.contains("equal or 1"), "{message}");
    }
    let mut out = [0.0; 6];
    broadcast(Arithmetic::Sub, &[1.0, 2.0], &[2, 1], &[10.0, 20.0, 30.0], &[3], &mut out, &[2, 3]);
    assert_eq!(out, [-9.0, -19.0, -29.0, -8.0, -18.0, -28.0]);
}

#[test]
fn a_scale_that_the_network_gives_is_used_rather_than_the_ratio_of_sizes() {
    let shape = ResizeShape {
        planes: 1,
        in_size: [1, 3],
        out_size: [1, 4],
        scales: Some([1.0, 1.5]),
        coordinates: Coordinates::Asymmetric,
        interpolation: Interpolation::Linear,
    };
    let mut out = [0.0; 4];
    ResizeTensor::new(shape.clone()).unwrap().run(&Pool::new(1), &[0.0, 3.0, 6.0], &mut out);
    assert_close(&out, &[0.0, 2.0, 4.0, 6.0], 1e-6, "scale 1.5");
    let bad = ResizeTensor::new(ResizeShape { scales: Some([1.0, -1.0]), ..shape }).unwrap_err().to_string();
    assert!(bad.contains("positive scales"), "{bad}");
}
