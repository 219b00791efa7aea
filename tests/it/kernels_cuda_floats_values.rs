//! CUDA kernels for floats that take values one by one, against their CPU twins.

use sonoplex::backend::cpu::activation::Activation;
use sonoplex::backend::cpu::elementwise::{self as cpu, Arithmetic};
use sonoplex::backend::cpu::math::Math;
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::backend::cpu::quantize::Quantize;
use sonoplex::backend::cuda::elementwise::{self, Repeated};
use sonoplex::backend::cuda::{activation, quantize};

use super::kernels_cuda_floats::Cases;
use super::kernels_cuda_values::WITH_HALVES;
use super::naive::Random;

const HARD: [f32; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3e38, -3e38, 1e-40, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// Two values together, and one with numbers of its channel.
pub fn pairs(cases: &mut Cases, random: &mut Random) {
    use Arithmetic::{
        Add, And, Div, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Max, Min, Mod, Mul, Or, Pow, Prelu,
        Remainder, Sub, Xor,
    };
    let all = [
        Add,
        And,
        Div,
        Equal,
        Greater,
        GreaterOrEqual,
        Less,
        LessOrEqual,
        Max,
        Min,
        Mod,
        Mul,
        Or,
        Pow,
        Prelu,
        Remainder,
        Sub,
        Xor,
    ];
    for op in all {
        for [a, b, out] in [
            [&[12, 12][..], &[12, 12], &[12, 12]],
            [&[12, 1], &[1, 12], &[12, 12]],
            [&[5, 3, 8], &[3, 1], &[5, 3, 8]],
            [&[], &[1, 1], &[1, 1]],
        ] {
            let of = |shape: &[usize]| shape.iter().product::<usize>();
            // Every hard number with every other.
            let (x, y): (Vec<f32>, Vec<f32>) = match of(a) * of(b) {
                144 => (HARD.to_vec(), HARD.to_vec()),
                _ => (random.floats(of(a)), random.floats(of(b)).iter().map(|x| x * 3.0).collect()),
            };
            let mut expected = vec![0.0; of(out)];
            cpu::broadcast(op, &x, a, &y, b, &mut expected, out);
            let (repeated, part) = (Repeated::new([a, b], out), if op == Pow { 1e-5 } else { 0.0 });
            let (tables, name) = (repeated.tables(), format!("{op:?} {a:?} {b:?}"));
            cases.add(name, &[&x, &y], Some(tables), (expected, part), move |given, dst| {
                elementwise::combine(op, &repeated, [given[0], given[1]], given[2], dst)
            });
        }
    }
    for (plane, channels, turns) in [(7, 5, 1), (1, 3, 100), (300, 1, 2)] {
        let count = plane * channels * turns;
        let (input, numbers, mut expected) = (random.floats(count), random.floats(2 * channels), vec![0.0; count]);
        let (scale, shift) = numbers.split_at(channels);
        cpu::affine(&Pool::new(1), plane, scale, shift, &input, &mut expected);
        cases.add("scale", &[&input, &numbers], None, (expected, 1e-5), move |given, dst| {
            elementwise::scale([count, channels, plane], given[0], given[1], dst)
        });
    }
    for channels in [1, 3] {
        let sizes = Quantize { channels, inner: 40, low: -128.0, high: 127.0 };
        let input: Vec<f32> = random.floats(240).iter().map(|x| x * 90.0).chain(HARD.map(|x| x * 0.5)).collect();
        let input = input[input.len() - 240..].to_vec();
        let numbers: Vec<f32> = (0..channels).map(|c| 0.25 + c as f32).chain((0..channels).map(|c| c as f32)).collect();
        for back in [false, true] {
            let mut expected = vec![0.0; 240];
            let run = if back { Quantize::dequantize } else { Quantize::quantize };
            run(&sizes, &Pool::new(1), &numbers[..channels], &numbers[channels..], &input, &mut expected);
            let sizes = sizes.clone();
            let launch = if back { quantize::dequantize } else { quantize::quantize };
            cases.add(
                format!("quantize, back {back}"),
                &[&input, &numbers],
                None,
                (expected, 0.0),
                move |given, dst| launch(&sizes, 240, given[0], given[1], dst),
            );
        }
    }
}

/// Functions of one value.
pub fn functions(cases: &mut Cases, random: &mut Random) {
    let rarer = [
        Activation::GeluTanh,
        Activation::Mish,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Selu { alpha: 1.7, gamma: 1.1 },
        Activation::Celu(0.7),
        Activation::ThresholdedRelu(0.4),
        Activation::Shrink { bias: 0.1, lambda: 0.5 },
        Activation::Swish(1.5),
    ];
    let math = activation::FUNCTIONS.map(Activation::Math);
    for function in WITH_HALVES.into_iter().chain(rarer).chain(math) {
        let soft: Vec<f32> = random.floats(288).iter().map(|x| x * 4.0).collect();
        // What is infinite times nothing each library says as it likes, and so what all there is has times nearly nothing.
        let hard = HARD.iter().filter(|x| function.of(**x).is_finite() || x.is_nan() && function.of(**x).is_nan());
        let hard = hard.filter(|x| x.abs() < 1e30 || function != Activation::Gelu);
        // Of any number of turns.
        let turning = matches!(function, Activation::Math(Math::Sin | Math::Cos | Math::Tan));
        let far = (-76..if turning { 77 } else { -76 }).map(|i| 1.7 * (-1f32).powi(i) * 10f32.powi(i / 2));
        let input: Vec<f32> = hard.copied().chain(soft).chain(far).collect();
        let expected = input.iter().map(|&x| function.of(x)).collect();
        let count = input.len();
        cases.replace(format!("{function:?}"), &input, (expected, 3e-6), move |values| {
            activation::launch(count, function, values)
        });
    }
}
