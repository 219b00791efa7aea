//! Networks of what fewer networks have.

use super::kernels_cuda_net::{join, relu, up};
use super::onnx_writer::{Set, Writer};

/// Norms of instances, of groups and of all channels, with functions and before joins, means of windows, and convolutions in groups.
pub fn normed() -> Writer {
    let mut w = Writer::new(21);
    let x = w.input("image", &[1, 1, 36, 44]);
    let norm = |w: &mut Writer, x: &str, operator: &str, channels: usize, groups: i64| {
        let (scale, bias) = (w.weights(&[channels], 8), w.weights(&[channels], 8));
        let settings = if groups > 0 { &[("num_groups", Set::Int(groups))][..] } else { &[] };
        w.node(operator, &[x, &scale, &bias], settings)
    };
    let a = w.conv(&x, 1, 12, 3);
    let a = norm(&mut w, &a, "InstanceNormalization", 12, 0);
    let a = w.node("LeakyRelu", &[&a], &[("alpha", Set::Float(0.01))]);
    let settings = [("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))];
    let b = w.node("AveragePool", &[&a], &settings);
    let b = w.conv(&b, 12, 20, 3);
    let b = norm(&mut w, &b, "GroupNormalization", 20, 4);
    let b = w.node("Relu", &[&b], &[]);
    let wide =
        [("kernel_shape", Set::Ints(&[3, 3])), ("pads", Set::Ints(&[1, 1, 1, 1])), ("count_include_pad", Set::Int(1))];
    let c = w.node("AveragePool", &[&b], &wide);
    // In groups of five channels, and of one that become two.
    let grouped = |w: &mut Writer, x: &str, [outs, own]: [usize; 2], groups: i64| {
        let (weight, bias) = (w.weights(&[outs, own, 3, 3], own * 9), w.weights(&[outs], 8));
        w.node("Conv", &[x, &weight, &bias], &[("group", Set::Int(groups)), ("pads", Set::Ints(&[1, 1, 1, 1]))])
    };
    let c = grouped(&mut w, &c, [40, 5], 4);
    let c = w.node("Relu", &[&c], &[]);
    let c = grouped(&mut w, &c, [80, 1], 40);
    let c = w.conv(&c, 80, 20, 1);
    // As PyTorch writes one of five groups.
    let (ones, zeros) = (w.floats(&[5], vec![1.0; 5]), w.floats(&[5], vec![0.0; 5]));
    let (split, whole) = (w.ints(&[0, 5, -1]), w.ints(&[1, 20, 18, 22]));
    let groups = w.node("Reshape", &[&c, &split], &[]);
    let groups = w.node("InstanceNormalization", &[&groups, &ones, &zeros], &[]);
    let groups = w.node("Reshape", &[&groups, &whole], &[]);
    let (scale, bias) = (w.weights(&[20, 1, 1], 2), w.weights(&[20, 1, 1], 8));
    let c = w.node("Mul", &[&groups, &scale], &[]);
    let c = w.node("Add", &[&c, &bias], &[]);
    let c = norm(&mut w, &c, "GroupNormalization", 20, 1);
    let c = w.node("Add", &[&c, &b], &[]);
    // Windows that overlap, as MONAI has them.
    let (weight, bias) = (w.weights(&[20, 12, 3, 3], 180), w.weights(&[12], 8));
    let settings =
        [("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1])), ("output_padding", Set::Ints(&[1, 1]))];
    let u = w.node("ConvTranspose", &[&c, &weight, &bias], &settings);
    let x = join(&mut w, &[&a, &u]);
    let x = norm(&mut w, &x, "InstanceNormalization", 24, 0);
    let x = w.conv(&x, 24, 2, 1);
    w.output(&x);
    w
}

/// Poolings that a convolution may do on its way, and that it may not: one beside another of the same values, one that is an output,
/// one that is joined, after a shortcut, of what is an output itself, and one of windows that overlap.
pub fn pooled() -> Writer {
    let mut w = Writer::new(21);
    let x = w.input("image", &[1, 1, 24, 40]);
    let x = relu(&mut w, &x, 1, 16);
    // Two of the same values, and one of other windows.
    let a = relu(&mut w, &x, 16, 24);
    let (first, second) = (w.max_pool(&a), w.max_pool(&a));
    let settings =
        [("kernel_shape", Set::Ints(&[3, 3])), ("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let third = w.node("MaxPool", &[&a], &settings);
    // The first is joined with what is computed of the others.
    let b = relu(&mut w, &second, 24, 16);
    let c = relu(&mut w, &third, 24, 16);
    let joined = join(&mut w, &[&first, &b, &c]);
    // A shortcut, whose sum is an output and is pooled, to another output.
    let d = w.conv(&joined, 56, 32, 3);
    let shortcut = w.conv(&joined, 56, 32, 1);
    let d = w.node("Add", &[&d, &shortcut], &[]);
    let d = w.node("Relu", &[&d], &[]);
    let e = w.max_pool(&d);
    let f = relu(&mut w, &e, 32, 16);
    let u = up(&mut w, &f, 16, 16);
    let x = join(&mut w, &[&u, &joined]);
    let x = w.conv(&x, 72, 2, 1);
    [&d, &e, &x].iter().for_each(|out| w.output(out));
    w
}
