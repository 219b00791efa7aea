//! Small networks in the spellings that exporters use; shared by the tests of the engine.

use crate::onnx_writer::{Set, Writer};

/// How a U-Net is written down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Up {
    Transpose,
    Resize,
    Upsample,
    Linear,
}

/// A U-Net of two levels: convolution, perhaps batch norm, activation; skip connections; up by `up`.
pub fn unet(shape: [usize; 4], up: Up, norm: bool, pad_apart: bool, head: &str) -> Writer {
    let mut w = Writer::new(if up == Up::Upsample { 9 } else { 13 });
    let x = w.input("image", &shape);
    let block = |w: &mut Writer, x: &str, from: usize, to: usize| {
        let mut x = x.to_owned();
        if pad_apart {
            // Opset 9 has the pads as an attribute.
            x = match up {
                Up::Upsample => w.node("Pad", &[&x], &[("pads", Set::Ints(&[0, 0, 1, 1, 0, 0, 1, 1]))]),
                _ => {
                    let pads = w.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
                    w.node("Pad", &[&x, &pads], &[("mode", Set::Text("constant"))])
                }
            };
            let weight = w.weights(&[to, from, 3, 3], from * 9);
            x = w.node("Conv", &[&x, &weight], &[("kernel_shape", Set::Ints(&[3, 3]))]);
        } else {
            x = w.conv(&x, from, to, 3);
        }
        if norm {
            x = w.batch_norm(&x, to);
        }
        w.node("Relu", &[&x], &[])
    };
    let a = block(&mut w, &x, shape[1], 6);
    let down = w.max_pool(&a);
    let b = block(&mut w, &down, 6, 10);
    let down = w.max_pool(&b);
    let c = block(&mut w, &down, 10, 12);
    let up_to = |w: &mut Writer, x: &str, from: usize, to: usize| match up {
        Up::Transpose => {
            let (weight, bias) = (w.weights(&[from, to, 2, 2], from), w.weights(&[to], 8));
            let two: &[i64] = &[2, 2];
            let x = w.node(
                "ConvTranspose",
                &[x, &weight, &bias],
                &[("kernel_shape", Set::Ints(two)), ("strides", Set::Ints(two))],
            );
            if norm { w.batch_norm(&x, to) } else { x }
        }
        Up::Upsample => {
            let scales = w.floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
            let x = w.node("Upsample", &[x, &scales], &[("mode", Set::Text("nearest"))]);
            w.conv(&x, from, to, 3)
        }
        Up::Resize | Up::Linear => {
            let scales = w.floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
            let (mode, way) = if up == Up::Linear { ("linear", "half_pixel") } else { ("nearest", "asymmetric") };
            let settings = [
                ("mode", Set::Text(mode)),
                ("coordinate_transformation_mode", Set::Text(way)),
                ("nearest_mode", Set::Text("floor")),
            ];
            let x = w.node("Resize", &[x, "", &scales], &settings);
            w.conv(&x, from, to, 1)
        }
    };
    let u = up_to(&mut w, &c, 12, 10);
    let joined = w.node("Concat", &[&b, &u], &[("axis", Set::Int(1))]);
    let d = block(&mut w, &joined, 20, 10);
    let u = up_to(&mut w, &d, 10, 6);
    let joined = w.node("Concat", &[&u, &a], &[("axis", Set::Int(1))]);
    let e = block(&mut w, &joined, 12, 6);
    let logits = w.conv(&e, 6, 3, 1);
    let out = match head {
        "" => logits,
        "Softmax" => w.node("Softmax", &[&logits], &[("axis", Set::Int(1))]),
        head => w.node(head, &[&logits], &[]),
    };
    w.output(&out);
    w
}

/// Residual blocks, squeeze and excitation, Gemm, constants folded out of shape arithmetic: what U-Nets have not.
pub fn residual(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[images, 3, 12, 14]);
    let x = w.conv(&x, 3, 8, 3);
    let x = w.node("LeakyRelu", &[&x], &[("alpha", Set::Float(0.1))]);
    let y = w.conv(&x, 8, 8, 3);
    let y = w.batch_norm(&y, 8);
    let y = w.node("Relu", &[&y], &[]);
    let y = w.conv(&y, 8, 8, 3);
    let x = w.node("Add", &[&y, &x], &[]);
    let x = w.node("Relu", &[&x], &[]);
    // Squeeze and excitation through Gemm, with a shape computed from a shape.
    let s = w.node("GlobalAveragePool", &[&x], &[]);
    let s = w.node("Flatten", &[&s], &[]);
    let (weight, bias) = (w.weights(&[8, 8], 8), w.weights(&[8], 8));
    let s = w.node("Gemm", &[&s, &weight, &bias], &[("transB", Set::Int(1)), ("alpha", Set::Float(0.5))]);
    let s = w.node("Sigmoid", &[&s], &[]);
    let shape = w.node("Shape", &[&x], &[]);
    let (zero, two) = (w.ints(&[0]), w.ints(&[2]));
    let head = w.node("Slice", &[&shape, &zero, &two], &[]);
    let ones = w.ints(&[1, 1]);
    let shape = w.node("Concat", &[&head, &ones], &[("axis", Set::Int(0))]);
    let s = w.node("Reshape", &[&s, &shape], &[]);
    let x = w.node("Mul", &[&x, &s], &[]);
    let (low, high) = (w.floats(&[], vec![-0.5]), w.floats(&[], vec![0.75]));
    let x = w.node("Clip", &[&x, &low, &high], &[]);
    let half = w.floats(&[], vec![0.5]);
    let x = w.node("Sub", &[&x, &half], &[]);
    let x = w.node("Div", &[&x, &half], &[]);
    let x = w.node("Dropout", &[&x], &[]);
    let pooled = w.node(
        "AveragePool",
        &[&x],
        &[
            ("kernel_shape", Set::Ints(&[3, 3])),
            ("strides", Set::Ints(&[2, 2])),
            ("pads", Set::Ints(&[1, 1, 1, 1])),
            ("count_include_pad", Set::Int(1)),
        ],
    );
    let peak = w.node(
        "MaxPool",
        &[&x],
        &[("kernel_shape", Set::Ints(&[3, 3])), ("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1]))],
    );
    // One part twice, one part of an outer concatenation too.
    let joined = w.node("Concat", &[&pooled, &peak, &pooled], &[("axis", Set::Int(1))]);
    let joined = w.node("Concat", &[&joined, &peak], &[("axis", Set::Int(1))]);
    let weight = w.weights(&[32, 8, 3, 3], 72);
    let settings = [("group", Set::Int(4)), ("dilations", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[2, 2, 2, 2]))];
    let x = w.node("Conv", &[&joined, &weight], &settings);
    let weight = w.weights(&[32, 32, 2, 2], 128);
    let settings = [("auto_pad", Set::Text("SAME_UPPER")), ("strides", Set::Ints(&[2, 2]))];
    let x = w.node("Conv", &[&x, &weight], &settings);
    let sizes = w.ints(&[images as i64, 32, 9, 11]);
    let x = w.node(
        "Resize",
        &[&x, "", "", &sizes],
        &[("mode", Set::Text("linear")), ("coordinate_transformation_mode", Set::Text("align_corners"))],
    );
    w.output(&x);
    w
}

/// Settings that a U-Net seldom has, a dense block, weights stored as fp16 behind Cast.
pub fn variety(images: usize) -> Writer {
    let mut w = Writer::new(11);
    let x = w.input("image", &[images, 4, 13, 17]);
    let half = w.halves(&[8, 2, 3, 5], 30);
    let weight = w.node("Cast", &[&half], &[("to", Set::Int(1))]);
    let settings = [
        ("group", Set::Int(2)),
        ("kernel_shape", Set::Ints(&[3, 5])),
        ("pads", Set::Ints(&[0, 3, 2, 1])),
        ("strides", Set::Ints(&[1, 2])),
    ];
    let x = w.node("Conv", &[&x, &weight], &settings);
    let x = w.batch_norm(&x, 8);
    let x = w.node("HardSigmoid", &[&x], &[("alpha", Set::Float(0.3))]);
    // Each convolution reads a slice of the buffer that the next one writes to.
    let mut dense = x;
    for channels in [8, 11, 14] {
        let new = w.conv(&dense, channels, 3, 3);
        let new = w.node("Elu", &[&new], &[]);
        dense = w.node("Concat", &[&dense, &new], &[("axis", Set::Int(1))]);
    }
    let (weight, bias) = (w.weights(&[17, 5, 3, 3], 17), w.weights(&[5], 8));
    let settings = [
        ("strides", Set::Ints(&[2, 3])),
        ("pads", Set::Ints(&[1, 0, 0, 1])),
        ("output_padding", Set::Ints(&[1, 2])),
        ("kernel_shape", Set::Ints(&[3, 3])),
    ];
    let x = w.node("ConvTranspose", &[&dense, &weight, &bias], &settings);
    let x = w.batch_norm(&x, 5);
    let (pads, level) = (w.ints(&[0, 0, 1, 0, 0, 0, 2, 3]), w.floats(&[], vec![-0.25]));
    let x = w.node("Pad", &[&x, &pads, &level], &[]);
    let settings = [("kernel_shape", Set::Ints(&[3, 2])), ("strides", Set::Ints(&[2, 2])), ("ceil_mode", Set::Int(1))];
    let a = w.node("MaxPool", &[&x], &settings);
    let b = w.node("AveragePool", &[&x], &settings);
    let x = w.node("Sub", &[&a, &b], &[]);
    let gain = w.weights(&[5, 1, 1], 5);
    let x = w.node("Mul", &[&x, &gain], &[]);
    let (roi, scales) = (w.floats(&[0], Vec::new()), w.floats(&[4], vec![1.0, 1.0, 0.6, 1.7]));
    let settings = [("mode", Set::Text("nearest")), ("nearest_mode", Set::Text("round_prefer_ceil"))];
    let x = w.node("Resize", &[&x, &roi, &scales], &settings);
    let x = w.node("Tanh", &[&x], &[]);
    let weight = w.weights(&[6, 2, 2, 2], 6);
    let x = w.conv(&x, 5, 6, 1);
    // Two groups of three to two channels, normalised afterwards.
    let x = w.node("ConvTranspose", &[&x, &weight], &[("group", Set::Int(2)), ("strides", Set::Ints(&[2, 2]))]);
    let x = w.batch_norm(&x, 4);
    let x = w.node("Softmax", &[&x], &[("axis", Set::Int(2))]);
    let x = w.node("Flatten", &[&x], &[("axis", Set::Int(2))]);
    w.output(&x);
    w
}

/// Tensors of many channels that meet in every way: what the layout in blocks has to get right.
pub fn wide(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[images, 3, 22, 18]);
    let x = w.conv(&x, 3, 24, 3);
    let x = w.node("Relu", &[&x], &[]);
    let (weight, bias) = (w.weights(&[24, 1, 3, 3], 9), w.weights(&[24], 8));
    let settings = [("group", Set::Int(24)), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let x = w.node("Conv", &[&x, &weight, &bias], &settings);
    // Read twice, so that it stays a step of its own.
    let x = w.batch_norm(&x, 24);
    let pooled = w.node("MaxPool", &[&x], &[("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))]);
    let normed = w.batch_norm(&pooled, 24);
    let settings =
        [("kernel_shape", Set::Ints(&[3, 3])), ("pads", Set::Ints(&[1, 1, 1, 1])), ("count_include_pad", Set::Int(1))];
    let mean = w.node("AveragePool", &[&pooled], &settings);
    let deep = w.node("Add", &[&normed, &mean], &[]);
    let deep = w.conv(&deep, 24, 48, 3);
    let deep = w.node("Sigmoid", &[&deep], &[]);
    // A gate for each channel, and one for each pixel.
    let gate = w.node("AveragePool", &[&deep], &[("kernel_shape", Set::Ints(&[11, 9]))]);
    let gate = w.conv(&gate, 48, 48, 1);
    let gate = w.node("Sigmoid", &[&gate], &[]);
    let deep = w.node("Mul", &[&gate, &deep], &[]);
    let attention = w.conv(&deep, 48, 1, 1);
    let attention = w.node("Sigmoid", &[&attention], &[]);
    let deep = w.node("Mul", &[&deep, &attention], &[]);
    let (weight, bias) = (w.weights(&[48, 32, 3, 3], 48 * 2), w.weights(&[32], 8));
    let settings =
        [("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1])), ("output_padding", Set::Ints(&[1, 1]))];
    let up = w.node("ConvTranspose", &[&deep, &weight, &bias], &settings);
    let (roi, scales) = (w.floats(&[0], Vec::new()), w.floats(&[4], vec![1.0, 1.0, 2.0, 2.0]));
    let smooth = w.node("Resize", &[&deep, &roi, &scales], &[("mode", Set::Text("linear"))]);
    let near = w.node("Resize", &[&deep, &roi, &scales], &[("mode", Set::Text("nearest"))]);
    let sum = w.node("Sub", &[&smooth, &near], &[]);
    let joined = w.node("Concat", &[&up, &sum, &x], &[("axis", Set::Int(1))]);
    // 24 channels before the last part: not whole blocks.
    let odd = w.node("Concat", &[&x, &up], &[("axis", Set::Int(1))]);
    let (a, b) = (w.conv(&joined, 104, 20, 3), w.conv(&odd, 56, 20, 1));
    let x = w.node("Add", &[&a, &b], &[]);
    let x = w.node("Div", &[&x, &b], &[]);
    let x = w.node("Tanh", &[&x], &[]);
    let x = w.conv(&x, 20, 20, 3);
    w.output(&x);
    w
}
