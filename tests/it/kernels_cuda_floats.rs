//! CUDA kernels for floats that lie in one piece, of any shape, against their CPU twins.

use sonoplex::backend::cpu::elementwise as cpu;
use sonoplex::backend::cpu::matmul::MatMul;
use sonoplex::backend::cpu::normalize::Normalize;
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::backend::cpu::reduce::{ArgExtreme, Reduce, Reduction};
use sonoplex::backend::cpu::resize_axis::{AxisFilter, AxisTable, ResizeAxis};
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Rounding};
use sonoplex::backend::cpu::select::select;
use sonoplex::backend::cpu::softmax::softmax;
use sonoplex::backend::cpu::strided::Strided;
use sonoplex::backend::cpu::take::Take;
use sonoplex::backend::cuda::elementwise::Repeated;
use sonoplex::backend::cuda::launch::{Launch, Region};
use sonoplex::backend::cuda::strided::Moved;
use sonoplex::backend::cuda::{matmul, normalize, reduce, resize_axis, take};
use sonoplex::backend::cuda::{select as cuda_select, softmax as cuda_softmax};

use super::kernels_cuda::Machine;
use super::kernels_cuda_floats_values::{functions, pairs};
use super::kernels_cuda_floats_windows::windows;
use super::naive::Random;

/// What a launch is made of: the regions that were given, and the one that it writes.
type Make = Box<dyn Fn(&[Region], Region) -> Launch>;

/// A kernel with what it reads and what it should write.
pub struct Case {
    name: String,
    /// Floats, or tables that are looked up.
    pub given: Vec<Vec<u8>>,
    /// What is in the output before, in bytes: rubbish, or the values that are replaced.
    pub before: Vec<u8>,
    pub make: Make,
    expected: Vec<f32>,
    /// Difference that is allowed, as a part of the number.
    part: f32,
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[derive(Default)]
pub struct Cases(Vec<Case>);

impl Cases {
    /// A kernel that reads the numbers of `given` and then its tables, if it has any.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        given: &[&[f32]],
        tables: Option<Vec<u8>>,
        (expected, part): (Vec<f32>, f32),
        make: impl Fn(&[Region], Region) -> Launch + 'static,
    ) {
        let given = given.iter().map(|numbers| bytes(numbers)).chain(tables).collect();
        let before = bytes(&vec![f32::NAN; expected.len()]);
        self.0.push(Case { name: name.into(), given, before, make: Box::new(make), expected, part });
    }

    /// A kernel that works in place.
    pub fn replace(
        &mut self,
        name: impl Into<String>,
        before: &[f32],
        (expected, part): (Vec<f32>, f32),
        make: impl Fn(Region) -> Launch + 'static,
    ) {
        let make: Make = Box::new(move |_, values| make(values));
        self.0.push(Case { name: name.into(), given: Vec::new(), before: bytes(before), make, expected, part });
    }
}

/// Every kernel, with shapes that fill no blocks, single values, and numbers that are hard.
pub fn cases() -> Vec<Case> {
    let (mut cases, mut random) = (Cases::default(), Random(91));
    moves(&mut cases, &mut random);
    pairs(&mut cases, &mut random);
    functions(&mut cases, &mut random);
    together(&mut cases, &mut random);
    sums(&mut cases, &mut random);
    windows(&mut cases, &mut random);
    cases.0
}

/// Moved, taken and chosen.
fn moves(cases: &mut Cases, random: &mut Random) {
    let pool = Pool::new(1);
    let backwards = Strided { shape: vec![3, 5], strides: vec![10, -2], offset: 9 };
    let repeated = Strided { shape: vec![4, 3, 2], strides: vec![0, 1, 0], offset: 2 };
    let one = Strided { shape: vec![1], strides: vec![1], offset: 6 };
    for strided in [Strided::whole(&[3, 7, 13]).transposed(&[2, 0, 1]), backwards, repeated, one] {
        let input = random.floats(300);
        let mut expected = vec![0.0; strided.out_len()];
        strided.run(&pool, &input, &mut expected);
        let (moved, len) = (Moved::whole(&strided), expected.len());
        let (tables, name) = (moved.tables(), format!("{strided:?}"));
        cases.add(name, &[&input], Some(tables), (expected, 0.0), move |given, dst| {
            moved.launch([300, len], given[0], given[1], dst)
        });
    }
    // Between others, which stay as they are.
    let (input, before) = (random.floats(24), random.floats(70));
    let from = Strided::whole(&[2, 3, 4]);
    let to = Strided { shape: vec![2, 3, 4], strides: vec![35, 7, 1], offset: 9 };
    let mut expected = before.clone();
    (0..24).for_each(|i| expected[to.place(i)] = input[i]);
    let moved = Moved::to(&from, &to);
    let given = vec![bytes(&input), moved.tables()];
    let make: Make = Box::new(move |given, dst| moved.launch([24, 70], given[0], given[1], dst));
    cases.0.push(Case { name: "between".to_owned(), given, before: bytes(&before), make, expected, part: 0.0 });

    for (outer, axis, inner, indices) in [
        (3, 5, 7, vec![Some(4), None, Some(0), Some(0), Some(3), None]),
        (1, 1, 1, vec![Some(0)]),
        (2, 90, 4, (0..300).map(|i| (i % 7 != 0).then_some(i % 90)).collect()),
    ] {
        let shape = Take { outer, axis, inner, indices, level: -1.5 };
        let (input, mut expected) = (random.floats(shape.in_len()), vec![0.0; shape.out_len()]);
        shape.run(&pool, &input, &mut expected);
        cases.add("take", &[&input], Some(take::tables(&shape)), (expected, 0.0), move |given, dst| {
            take::launch(&shape, given[0], given[1], dst)
        });
    }

    for [a, b, c, out] in [
        [&[4, 3, 5][..], &[3, 1], &[1], &[4, 3, 5]],
        [&[1], &[], &[], &[1]],
        [&[], &[], &[], &[]],
        [&[7, 1], &[1, 50], &[7, 50], &[7, 50]],
    ] {
        let of = |shape: &[usize]| shape.iter().product::<usize>();
        let condition: Vec<f32> = (0..of(a)).map(|i| [0.0, 1.0, -0.0, f32::NAN][i % 4]).collect();
        let (yes, no, mut expected) = (random.floats(of(b)), random.floats(of(c)), vec![0.0; of(out)]);
        select((&condition, a), (&yes, b), (&no, c), &mut expected, out);
        let repeated = Repeated::new([a, b, c], out);
        let tables = repeated.tables();
        cases.add("select", &[&condition, &yes, &no], Some(tables), (expected, 0.0), move |given, dst| {
            cuda_select::launch(&repeated, [given[0], given[1], given[2]], given[3], dst)
        });
    }
}

/// Values of some axes.
fn together(cases: &mut Cases, random: &mut Random) {
    use Reduction::{L1, L2, LogSum, LogSumExp, Max, Mean, Min, Prod, Sum, SumSquare};
    let pool = Pool::new(1);
    for reduction in [Sum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSum, LogSumExp] {
        for (shape, reduced) in [
            (&[3, 5, 7][..], &[false, true, false][..]),
            (&[4, 700], &[false, true]),
            (&[300, 3], &[true, false]),
            (&[2, 3, 4, 5], &[true, false, true, false]),
            (&[11], &[true]),
            (&[6], &[false]),
            (&[1, 1], &[true, true]),
        ] {
            let axes = Reduce::new(reduction, shape, |axis| reduced[axis]);
            // Positive where there is a logarithm, near to 1 where many are multiplied.
            let input: Vec<f32> = random
                .floats(axes.in_len())
                .into_iter()
                .map(|x| match reduction {
                    LogSum => x.abs() + 0.1,
                    Prod => 1.0 + 0.05 * x,
                    LogSumExp => 90.0 * x,
                    _ => x,
                })
                .collect();
            let mut expected = vec![0.0; axes.out_len()];
            axes.run(&pool, &input, &mut expected);
            let (tables, name) = (reduce::tables(&axes), format!("{axes:?}"));
            cases.add(name, &[&input], Some(tables), (expected, 2e-5), move |given, dst| {
                reduce::launch(&axes, given[0], given[1], dst)
            });
        }
    }
    for (reduction, hard) in [(Max, f32::NAN), (Min, f32::NAN), (Sum, f32::INFINITY), (LogSumExp, f32::INFINITY)] {
        let axes = Reduce::new(reduction, &[3, 40], |axis| axis == 1);
        let mut input = random.floats(120);
        input[41] = hard;
        let mut expected = vec![0.0; 3];
        axes.run(&pool, &input, &mut expected);
        let (tables, name) = (reduce::tables(&axes), format!("{reduction:?} of {hard}"));
        cases.add(name, &[&input], Some(tables), (expected, 2e-5), move |given, dst| {
            reduce::launch(&axes, given[0], given[1], dst)
        });
    }
    for (i, (smallest, last)) in [(false, false), (false, true), (true, false), (true, true)].into_iter().enumerate() {
        let arg = ArgExtreme { outer: 3, axis: [1, 5, 40, 300][i], inner: 7, smallest, last };
        // Few levels, so that there are equal ones; and what is not a number.
        let mut input: Vec<f32> = random.floats(21 * arg.axis).iter().map(|x| (x * 3.0).round()).collect();
        input[5] = f32::NAN;
        let mut expected = vec![0.0; 21];
        arg.run(&pool, &input, &mut expected);
        cases.add(format!("{arg:?}"), &[&input], None, (expected, 0.0), move |given, dst| {
            reduce::arg_extreme(&arg, given[0], dst)
        });
    }
}

/// Sums with weights.
fn sums(cases: &mut Cases, random: &mut Random) {
    let pool = Pool::new(1);
    for sizes in [[1, 3, 77], [2, 5, 3], [3, 300, 1], [1, 1, 4], [700, 2, 1]] {
        let [outer, axis, inner] = sizes;
        let input: Vec<f32> = random.floats(outer * axis * inner).iter().map(|x| 60.0 * x).collect();
        let (mut expected, mut logarithm) = (input.clone(), vec![0.0; input.len()]);
        softmax(&pool, &mut expected, sizes);
        cpu::log_softmax(&input, outer, axis, inner, &mut logarithm);
        cases.replace(format!("softmax {sizes:?}"), &input, (expected, 1e-4), move |values| {
            cuda_softmax::launch(sizes, false, values)
        });
        cases.replace(format!("logarithm of softmax {sizes:?}"), &input, (logarithm, 1e-5), move |values| {
            cuda_softmax::launch(sizes, true, values)
        });
    }
    for (groups, length, plane, channels, centered) in [
        (6, 35, 35, 3, true),
        (50, 24, 1, 24, true),
        (2, 777, 111, 14, false),
        (5, 1, 1, 1, true),
        (4, 30, 60, 2, true),
    ] {
        let sizes = Normalize { groups, length, epsilon: 1e-5, centered, plane, channels };
        let (input, numbers) = (random.floats(sizes.len()), random.floats(2 * channels));
        // Far from zero.
        let input: Vec<f32> = input.into_iter().map(|x| x + 20.0).collect();
        let mut expected = vec![0.0; sizes.len()];
        sizes.run(&pool, &numbers[..channels], &numbers[channels..], &input, &mut expected);
        cases.add(format!("{sizes:?}"), &[&input, &numbers], None, (expected, 1e-4), move |given, dst| {
            normalize::launch(&sizes, given[0], given[1], dst)
        });
    }
    for (rows, depth, columns, pairs, with_bias) in [
        (5, 7, 3, vec![(0, 0)], true),
        (17, 33, 20, vec![(0, 1), (1, 0), (1, 1)], false),
        (1, 1, 1, vec![(0, 0)], true),
        (40, 16, 70, vec![(0, 0), (1, 0)], true),
    ] {
        let sizes = MatMul { rows, depth, columns, pairs };
        let (mut a, b) = (random.floats(2 * rows * depth), random.floats(2 * depth * columns));
        a[0] = 1e6;
        let bias = if with_bias { random.floats(columns) } else { Vec::new() };
        let mut expected = vec![0.0; sizes.out_len()];
        sizes.run(&pool, &a, &b, &bias, &mut expected);
        let lens = [a.len(), b.len()];
        let mut given: Vec<&[f32]> = vec![&a, &b];
        given.extend(with_bias.then_some(bias.as_slice()));
        let name = format!("{sizes:?}");
        cases.add(name, &given, Some(matmul::tables(&sizes)), (expected, 1e-5), move |given, dst| {
            let (bias, lookup) = (with_bias.then(|| given[2]), given[given.len() - 1]);
            let both = [(given[0], lens[0]), (given[1], lens[1])];
            matmul::launch(&sizes, both, bias, lookup, dst).expect("few blocks")
        });
    }
    for (filter, antialias, crop) in [
        (AxisFilter::Cubic(-0.75), false, None),
        (AxisFilter::Cubic(-0.5), true, None),
        (AxisFilter::Linear, true, None),
        (AxisFilter::Nearest(Rounding::Floor), false, None),
        (AxisFilter::Linear, false, Some(([-0.2, 1.1], 7.5))),
    ] {
        for [size, out] in [[9, 20], [20, 9], [1, 5]] {
            let (outer, inner, scale) = (3, 11, out as f32 / size as f32);
            let coordinates = Coordinates::HalfPixel;
            let shape = ResizeAxis {
                outer,
                size,
                out,
                inner,
                scale,
                coordinates,
                crop,
                filter,
                antialias,
                exclude_outside: false,
            };
            let (input, mut expected) = (random.floats(outer * size * inner), vec![0.0; outer * out * inner]);
            let name = format!("{shape:?}");
            let table = AxisTable::new(shape).expect("sound");
            table.run(&pool, &input, &mut expected);
            cases.add(name, &[&input], Some(resize_axis::tables(&table)), (expected, 1e-5), move |given, dst| {
                resize_axis::launch(&table, given[0], given[1], dst)
            });
        }
    }
}

/// Runs all cases on a machine.
pub fn check_floats(machine: &mut dyn Machine) {
    for case in cases() {
        machine.clear();
        let given: Vec<Region> = case.given.iter().map(|bytes| machine.upload(bytes)).collect();
        let dst = machine.upload(&case.before);
        machine.run(&[(case.make)(&given, dst)]).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let found = machine.download(dst);
        let largest = case.expected.iter().filter(|x| x.is_finite()).fold(0.0f32, |m, x| m.max(x.abs()));
        for (i, (&found, &expected)) in found.as_chunks().0.iter().zip(&case.expected).enumerate() {
            let found = f32::from_le_bytes(found);
            let same = found == expected || found.is_nan() && expected.is_nan();
            // What is nearly nothing beside the others is their rounding; of functions nothing is beside others.
            let allowed = case.part * expected.abs().max(if case.given.is_empty() { 0.2 } else { largest.min(100.0) });
            assert!(same || (found - expected).abs() <= allowed, "{}, value {i}: {found} {expected}", case.name);
        }
    }
}
