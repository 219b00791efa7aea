//! Operations on whole tensors against references of a few lines, on any number of threads.

use sonoplex::backend::cpu::elementwise::{affine, log_softmax};
use sonoplex::backend::cpu::matmul::MatMul;
use sonoplex::backend::cpu::normalize::Normalize;
use sonoplex::backend::cpu::quantize::Quantize;
use sonoplex::backend::cpu::reduce::{ArgExtreme, Reduce, Reduction};
use sonoplex::backend::cpu::resize_axis::{AxisFilter, AxisTable, ResizeAxis};
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Rounding};
use sonoplex::backend::cpu::select::select;
use sonoplex::backend::cpu::softmax::softmax;
use sonoplex::backend::cpu::strided::Strided;
use sonoplex::backend::cpu::take::Take;

use super::naive::{Random, assert_close, pools};

/// Runs `run(pool, out)` on every number of threads: the same bits each time.
fn on_all_threads(len: usize, run: impl Fn(&sonoplex::backend::cpu::Pool, &mut [f32])) -> Vec<f32> {
    let results = pools().map(|pool| {
        let mut out = vec![f32::NAN; len];
        run(&pool, &mut out);
        out
    });
    assert!(results.iter().all(|r| r == &results[0]), "threads change the result");
    results.into_iter().next().expect("three")
}

/// The coordinates of element `i` of a tensor.
fn index(shape: &[usize], mut i: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        at[d] = i % shape[d];
        i /= shape[d];
    }
    at
}

#[test]
fn reductions_over_any_axes() {
    let mut random = Random(1);
    for round in 0..60 {
        let shape: Vec<usize> = (0..random.in_range(1..=4)).map(|_| random.in_range(1..=13)).collect();
        let reduced: Vec<bool> = shape.iter().map(|_| random.in_range(0..=1) == 1).collect();
        let input: Vec<f32> = random.floats(shape.iter().product()).iter().map(|x| x + 1.5).collect();
        let mut groups: std::collections::BTreeMap<Vec<usize>, Vec<f64>> = Default::default();
        for (i, &x) in input.iter().enumerate() {
            let at = index(&shape, i);
            let key = at.iter().zip(&reduced).map(|(&a, &gone)| if gone { 0 } else { a }).collect();
            groups.entry(key).or_default().push(f64::from(x));
        }
        for (reduction, of) in REFERENCES {
            let reduce = Reduce::new(*reduction, &shape, |d| reduced[d]);
            let expected: Vec<f32> = groups.values().map(|list| of(list) as f32).collect();
            let found = on_all_threads(reduce.out_len(), |pool, out| reduce.run(pool, &input, out));
            assert_close(&found, &expected, 1e-5, &format!("{round}: {reduction:?} of {shape:?} over {reduced:?}"));
        }
    }
}

type Reference = fn(&[f64]) -> f64;

const REFERENCES: &[(Reduction, Reference)] = &[
    (Reduction::Sum, |x| x.iter().sum()),
    (Reduction::Mean, |x| x.iter().sum::<f64>() / x.len() as f64),
    (Reduction::Max, |x| x.iter().copied().fold(f64::MIN, f64::max)),
    (Reduction::Min, |x| x.iter().copied().fold(f64::MAX, f64::min)),
    (Reduction::L1, |x| x.iter().map(|v| v.abs()).sum()),
    (Reduction::L2, |x| x.iter().map(|v| v * v).sum::<f64>().sqrt()),
    (Reduction::SumSquare, |x| x.iter().map(|v| v * v).sum()),
    (Reduction::LogSum, |x| x.iter().sum::<f64>().ln()),
    (Reduction::LogSumExp, |x| x.iter().map(|v| v.exp()).sum::<f64>().ln()),
];

#[test]
fn long_sums_keep_their_digits() {
    let input = vec![0.1f32; 1_000_003];
    let reduce = Reduce::new(Reduction::Mean, &[1_000_003], |_| true);
    let found = on_all_threads(1, |pool, out| reduce.run(pool, &input, out));
    assert!((found[0] - 0.1).abs() < 1e-7, "{}", found[0]);
}

#[test]
fn the_number_of_the_largest() {
    let input = [1.0, 5.0, 5.0, 2.0, -1.0, -1.0, 0.0, 3.0];
    for (smallest, last, expected) in [(false, false, [1.0, 3.0]), (false, true, [2.0, 3.0]), (true, true, [0.0, 1.0])]
    {
        let arg = ArgExtreme { outer: 2, axis: 4, inner: 1, smallest, last };
        assert_eq!(on_all_threads(2, |pool, out| arg.run(pool, &input, out)), expected);
    }
}

#[test]
fn products_of_matrices() {
    let mut random = Random(2);
    for _ in 0..20 {
        let [rows, depth, columns] = [0; 3].map(|_| random.in_range(1..=40));
        let pairs = vec![(0, 1), (1, 0), (1, 1)];
        let (a, b) = (random.floats(2 * rows * depth), random.floats(2 * depth * columns));
        let bias = random.floats(columns);
        let sizes = MatMul { rows, depth, columns, pairs: pairs.clone() };
        let one = |p: (usize, usize), r: usize, c: usize| {
            let sum: f64 = (0..depth)
                .map(|k| f64::from(a[(p.0 * rows + r) * depth + k]) * f64::from(b[(p.1 * depth + k) * columns + c]))
                .sum();
            (sum + f64::from(bias[c])) as f32
        };
        let each = |&p: &(usize, usize)| (0..rows * columns).map(move |i| (p, i / columns, i % columns));
        let expected: Vec<f32> = pairs.iter().flat_map(each).map(|(p, r, c)| one(p, r, c)).collect();
        let found = on_all_threads(sizes.out_len(), |pool, out| sizes.run(pool, &a, &b, &bias, out));
        assert_close(&found, &expected, 1e-5, "product");
        assert!(sizes.check(a.len(), b.len()).is_ok() && sizes.check(a.len() - 1, b.len()).is_err());
    }
}

#[test]
fn normalisations_of_groups_and_layers() {
    let mut random = Random(3);
    // Groups, length, values that share a scale, scales: of an instance, of groups, of a layer.
    for (groups, length, plane, channels) in [(6, 35, 35, 3), (4, 60, 20, 6), (5, 17, 1, 17)] {
        for centered in [true, false] {
            let sizes = Normalize { groups, length, epsilon: 1e-3, centered, plane, channels };
            sizes.check().expect("it fits");
            let (x, scale, bias) = (random.floats(sizes.len()), random.floats(channels), random.floats(channels));
            let mut expected = Vec::new();
            for (g, run) in x.chunks(length).enumerate() {
                let mean = if centered { run.iter().map(|&v| f64::from(v)).sum::<f64>() / length as f64 } else { 0.0 };
                let variance = run.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / length as f64;
                for (i, &v) in run.iter().enumerate() {
                    let c = (g * length + i) / plane % channels;
                    let normal = (f64::from(v) - mean) / (variance + 1e-3).sqrt();
                    expected.push((normal * f64::from(scale[c]) + f64::from(bias[c])) as f32);
                }
            }
            let found = on_all_threads(sizes.len(), |pool, out| sizes.run(pool, &scale, &bias, &x, out));
            assert_close(&found, &expected, 1e-5, "normalised");
        }
    }
    let odd = Normalize { groups: 2, length: 6, epsilon: 0.0, centered: true, plane: 4, channels: 3 };
    assert!(odd.check().is_err());
}

#[test]
fn whole_numbers_and_back() {
    let sizes = Quantize { channels: 2, inner: 3, low: -128.0, high: 127.0 };
    let (scale, zero) = ([0.5, 2.0], [0.0, 10.0]);
    let x = [0.25, 0.75, -100.0, 1.0, 3.0, 1000.0];
    let whole = on_all_threads(6, |pool, out| sizes.quantize(pool, &scale, &zero, &x, out));
    assert_eq!(whole, [0.0, 2.0, -128.0, 10.0, 12.0, 127.0]);
    let back = on_all_threads(6, |pool, out| sizes.dequantize(pool, &scale, &zero, &whole, out));
    assert_eq!(back, [0.0, 1.0, -64.0, 0.0, 4.0, 234.0]);
}

#[test]
fn moved_numbers_come_from_where_they_should() {
    let mut random = Random(4);
    for _ in 0..40 {
        let shape: Vec<usize> = (0..4).map(|_| random.in_range(1..=9)).collect();
        let input = random.floats(shape.iter().product());
        let mut order = vec![0, 1, 2, 3];
        (0..4).for_each(|i| order.swap(i, random.in_range(i..=3)));
        let moved = Strided::whole(&shape).transposed(&order);
        let expected: Vec<f32> = (0..input.len())
            .map(|i| {
                let to = index(&moved.shape, i);
                let at = (0..4).map(|d| to[order.iter().position(|&o| o == d).expect("each once")]);
                input[at.zip(&shape).fold(0, |sum, (a, &n)| sum * n + a)]
            })
            .collect();
        assert_eq!(on_all_threads(input.len(), |pool, out| moved.merged().run(pool, &input, out)), expected);
        // Moved again, in one step or in two.
        let inner = moved.shape.clone();
        (0..4).for_each(|i| order.swap(i, random.in_range(i..=3)));
        let second = Strided::whole(&inner).transposed(&order);
        let both = second.after(&moved.merged()).expect("transpositions compose");
        let two = on_all_threads(input.len(), |pool, out| second.run(pool, &expected, out));
        assert_eq!(on_all_threads(input.len(), |pool, out| both.run(pool, &input, out)), two);
    }
    let take = Take { outer: 2, axis: 2, inner: 2, indices: vec![Some(1), None, Some(0)], level: 9.0 };
    let found = on_all_threads(12, |pool, out| take.run(pool, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], out));
    assert_eq!(found, [2.0, 3.0, 9.0, 9.0, 0.0, 1.0, 6.0, 7.0, 9.0, 9.0, 4.0, 5.0]);
}

#[test]
fn composed_movements_are_what_they_are_one_after_the_other() {
    let mut random = Random(5);
    let mut composed = 0;
    for _ in 0..400 {
        let shape: Vec<usize> = (0..3).map(|_| random.in_range(1..=6)).collect();
        let mut first = Strided::whole(&shape);
        // A part of some axes, and one that is repeated.
        for (d, n) in shape.iter().enumerate() {
            let start = random.in_range(0..=n - 1);
            first.offset += start * first.strides[d] as usize;
            first.shape[d] -= start;
        }
        first.shape.insert(1, random.in_range(1..=3));
        first.strides.insert(1, 0);
        let first = first.merged();
        let len = first.out_len();
        let rows = (1..=len).rev().find(|n| len.is_multiple_of(*n) && *n <= 4).expect("1 at least");
        let second = Strided::whole(&[rows, len / rows]).transposed(&[1, 0]);
        let Some(both) = second.after(&first) else { continue };
        composed += 1;
        for i in 0..len {
            assert_eq!(both.place(i), first.place(second.place(i)), "{second:?} after {first:?}");
        }
    }
    assert!(composed > 100, "{composed}");
}

#[test]
fn an_axis_resized_by_every_filter() {
    let mut random = Random(6);
    let base = ResizeAxis {
        outer: 3,
        size: 8,
        out: 16,
        inner: 5,
        scale: 2.0,
        coordinates: Coordinates::HalfPixel,
        crop: None,
        filter: AxisFilter::Linear,
        antialias: false,
        exclude_outside: false,
    };
    let flat = vec![0.75; 3 * 8 * 5];
    let filters = [AxisFilter::Linear, AxisFilter::Cubic(-0.5), AxisFilter::Nearest(Rounding::RoundPreferFloor)];
    for (filter, out, antialias, exclude_outside) in filters
        .iter()
        .flat_map(|&f| [(f, 16, false, false), (f, 3, true, true), (f, 3, false, true), (f, 5, true, false)])
    {
        let scale = out as f32 / 8.0;
        let table = AxisTable::new(ResizeAxis { out, scale, filter, antialias, exclude_outside, ..base.clone() });
        let table = table.expect("sizes of at least 1");
        // Weights sum to 1, so that what is the same everywhere stays.
        let found = on_all_threads(3 * out * 5, |pool, o| table.run(pool, &flat, o));
        assert_close(&found, &vec![0.75; 3 * out * 5], 1e-6, "flat");
    }
    // Linear, twice as large: a quarter and three quarters of neighbours.
    let input = random.floats(3 * 8 * 5);
    let table = AxisTable::new(base.clone()).expect("sizes of at least 1");
    let found = on_all_threads(3 * 16 * 5, |pool, out| table.run(pool, &input, out));
    for (i, &f) in found.iter().enumerate() {
        let (outer, at, inner) = (i / 80, i / 5 % 16, i % 5);
        let near = |k: usize| input[(outer * 8 + k) * 5 + inner];
        let other = if at % 2 == 0 { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(7) };
        assert!((f - 0.75 * near(at / 2) - 0.25 * near(other)).abs() < 1e-6, "{i}");
    }
    // Beyond the input stands the level.
    let crop = ResizeAxis { out: 3, scale: 0.375, crop: Some(([-1.0, 1.0], 7.0)), ..base };
    let table = AxisTable::new(crop).expect("sizes of at least 1");
    let found = on_all_threads(3 * 3 * 5, |pool, out| table.run(pool, &input, out));
    assert_eq!((found[0], found[5], found[10]), (7.0, input[0], input[35]));
    assert!(AxisTable::new(ResizeAxis { scale: 0.0, ..ResizeAxis { crop: None, ..table_of(0) } }).is_err());
}

/// A resize of `outer` rows of 2 to 4.
fn table_of(outer: usize) -> ResizeAxis {
    ResizeAxis {
        outer,
        size: 2,
        out: 4,
        inner: 1,
        scale: 2.0,
        coordinates: Coordinates::Asymmetric,
        crop: None,
        filter: AxisFilter::Linear,
        antialias: false,
        exclude_outside: false,
    }
}

#[test]
fn choices_offsets_and_logarithms() {
    let mut out = [0.0; 4];
    select((&[1.0, 0.0], &[2, 1]), (&[5.0, 6.0], &[2]), (&[7.0], &[]), &mut out, &[2, 2]);
    assert_eq!(out, [5.0, 6.0, 7.0, 7.0]);
    let found = on_all_threads(8, |pool, out| {
        affine(pool, 2, &[2.0, 3.0], &[1.0, -1.0], &[1.0, 2.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0], out);
    });
    assert_eq!(found, [3.0, 5.0, 2.0, 5.0, 1.0, 1.0, -1.0, -1.0]);
    let mut random = Random(7);
    let input: Vec<f32> = random.floats(2 * 5 * 3).iter().map(|x| 50.0 * x).collect();
    let (mut plain, mut logarithm) = (input.clone(), vec![0.0; 30]);
    softmax(&sonoplex::backend::cpu::Pool::new(2), &mut plain, [2, 5, 3]);
    log_softmax(&input, 2, 5, 3, &mut logarithm);
    for (p, l) in plain.iter().zip(&logarithm).filter(|(p, _)| **p > 1e-30) {
        assert!((p.ln() - l).abs() < 1e-4, "{p} and {l}");
    }
}
