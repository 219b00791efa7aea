//! CUDA kernels for windows on planes of floats: convolutions, poolings and other sizes of any kind.

use sonoplex::backend::cpu::max_pool::{average_pool, average_pool_padded, max_pool as cpu_max_pool};
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, ResizeTensor, Rounding};
use sonoplex::backend::cpu::{ConvShape, ConvTransposeShape, PoolShape};
use sonoplex::backend::cuda::conv::direct::ConvDirect;
use sonoplex::backend::cuda::max_pool::{self, Taken};
use sonoplex::backend::cuda::resize_tensor;

use super::kernels_cuda_floats::Cases;
use super::naive::{self, Random};

/// Every kernel of windows, with drawn sizes, several pictures and single values.
pub fn windows(cases: &mut Cases, random: &mut Random) {
    for number in 0..24 {
        let shape = random.conv();
        convolution(cases, random, &shape, 1 + number % 3);
    }
    for number in 0..24 {
        let shape = transposed(random);
        convolution_transposed(cases, random, &shape, 1 + number % 2);
    }
    for number in 0..24 {
        let shape = pooling(random);
        poolings(cases, random, &shape, 1 + number % 3);
    }
    for (in_size, out_size, coordinates, interpolation) in [
        ([5, 7], [10, 14], Coordinates::HalfPixel, Interpolation::Linear),
        ([9, 1], [4, 3], Coordinates::AlignCorners, Interpolation::Linear),
        ([6, 6], [13, 5], Coordinates::Asymmetric, Interpolation::Nearest(Rounding::Floor)),
        ([1, 1], [1, 1], Coordinates::HalfPixel, Interpolation::Linear),
    ] {
        let planes = 6;
        let resize = ResizeShape { planes, in_size, out_size, scales: None, coordinates, interpolation };
        let resize = ResizeTensor::new(resize).expect("sound");
        let [from, to] = [in_size, out_size].map(|[h, w]| planes * h * w);
        let (input, mut expected) = (random.floats(from), vec![0.0; to]);
        resize.run(&Pool::new(1), &input, &mut expected);
        let (tables, name) = (resize_tensor::tables(&resize), format!("{:?}", resize.shape()));
        cases.add(name, &[&input], Some(tables), (expected, 1e-5), move |given, dst| {
            resize_tensor::planes(&resize, planes, given[0], given[1], dst).expect("few values")
        });
    }
}

/// Of so many pictures, what is added with every second; a number that is infinite touches its own windows alone.
fn convolution(cases: &mut Cases, random: &mut Random, shape: &ConvShape, pictures: usize) {
    let (weights, bias) = (random.floats(shape.weights_len()), random.floats(shape.out_channels));
    let mut input = random.floats(pictures * shape.in_len());
    input[0] = f32::INFINITY;
    let residual = random.floats(if pictures == 2 { 2 * shape.out_len() } else { 0 });
    let mut expected: Vec<f32> =
        input.chunks(shape.in_len()).flat_map(|picture| naive::conv(shape, picture, &weights, &bias)).collect();
    expected.iter_mut().zip(&residual).for_each(|(sum, added)| *sum += added);
    let conv = ConvDirect::convolution(shape).expect("small");
    add(
        cases,
        format!("{shape:?}, {pictures} pictures"),
        conv,
        [&input, &bias, &residual],
        &weights,
        expected,
        pictures,
    );
}

fn convolution_transposed(cases: &mut Cases, random: &mut Random, shape: &ConvTransposeShape, pictures: usize) {
    let (weights, bias) = (random.floats(shape.weights_len()), random.floats(shape.out_channels));
    let input = random.floats(pictures * shape.in_len());
    let of = |picture| naive::conv_transpose(shape, picture, &weights, &bias);
    let expected = input.chunks(shape.in_len()).flat_map(of).collect();
    let conv = ConvDirect::transposed(shape).expect("small");
    add(cases, format!("{shape:?}, {pictures} pictures"), conv, [&input, &bias, &[]], &weights, expected, pictures);
}

fn add(
    cases: &mut Cases,
    name: String,
    conv: ConvDirect,
    [input, bias, residual]: [&[f32]; 3],
    weights: &[f32],
    expected: Vec<f32>,
    pictures: usize,
) {
    let (packed, adds) = (conv.pack(weights), !residual.is_empty());
    let given: &[&[f32]] = if adds { &[input, bias, residual] } else { &[input, bias] };
    cases.add(name, given, Some(packed), (expected, 1e-5), move |given, dst| {
        let constants = [given[given.len() - 1], given[1]];
        conv.launch(pictures, given[0], constants, adds.then(|| given[2]), dst).expect("few values")
    });
}

/// With the settings of a convolution, which is transposed.
fn transposed(random: &mut Random) -> ConvTransposeShape {
    loop {
        let ConvShape { in_channels, out_channels, groups, in_size, kernel, stride, pads, dilation } = random.conv();
        let in_size = in_size.map(|n| n.min(12));
        let output_padding = stride.map(|n| random.in_range(0..=n - 1));
        let shape = ConvTransposeShape {
            in_channels,
            out_channels,
            groups,
            in_size,
            kernel,
            stride,
            pads,
            dilation,
            output_padding,
        };
        if shape.check().is_ok() {
            return shape;
        }
    }
}

/// With the settings of a convolution, of a few planes.
fn pooling(random: &mut Random) -> PoolShape {
    loop {
        let ConvShape { groups: channels, in_size, kernel, stride, pads, dilation, .. } = random.conv();
        let ceil_mode = random.in_range(0..=1) == 1;
        let shape = PoolShape { channels, in_size, kernel, stride, pads, dilation, ceil_mode };
        if shape.check().is_ok() {
            return shape;
        }
    }
}

fn poolings(cases: &mut Cases, random: &mut Random, shape: &PoolShape, pictures: usize) {
    let mut input = random.floats(pictures * shape.in_len());
    input[0] = f32::NAN;
    let run = [cpu_max_pool, average_pool, average_pool_padded];
    for (taken, run) in [Taken::Largest, Taken::Average, Taken::AveragePadded].into_iter().zip(run) {
        let mut expected = vec![0.0; pictures * shape.out_len()];
        for (picture, out) in input.chunks(shape.in_len()).zip(expected.chunks_mut(shape.out_len())) {
            run(&Pool::new(1), shape, picture, out);
        }
        let (own, part) = (shape.clone(), if taken == Taken::Largest { 0.0 } else { 1e-6 });
        cases.add(format!("{taken:?} of {shape:?}"), &[&input], None, (expected, part), move |given, dst| {
            max_pool::planes(&own, taken, pictures, given[0], dst).expect("few values")
        });
    }
}
