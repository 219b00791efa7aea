//! Networks of what fewer networks have.

use super::kernels_cuda_net::{join, larger, relu, up};
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

/// What is moved, cut, filled up and taken apart between convolutions, by channels and along rows and columns; constants of all
/// kinds; softmax in the middle and after a last layer of 3 × 3.
pub fn moved() -> Writer {
    let mut w = Writer::new(18);
    let x = w.input("image", &[1, 3, 16, 24]);
    // As pictures are prepared within networks.
    let (mean, deviation) = (w.floats(&[1, 3, 1, 1], vec![0.4, 0.5, 0.6]), w.floats(&[], vec![0.25]));
    let y = w.node("Sub", &[&x, &mean], &[]);
    let y = w.node("Div", &[&y, &deviation], &[]);
    let a = relu(&mut w, &y, 3, 12);
    // Halves of the channels, one as the gate of the other.
    let ints = |w: &mut Writer, list: &[i64]| w.ints(list);
    let slice = |w: &mut Writer, x: &str, [from, to, axis, step]: [i64; 4]| {
        let list = [from, to, axis, step].map(|n| ints(w, &[n]));
        w.node("Slice", &[x, &list[0], &list[1], &list[2], &list[3]], &[])
    };
    let (first, second) = (slice(&mut w, &a, [0, 6, 1, 1]), slice(&mut w, &a, [6, 12, 1, 1]));
    let gate = w.node("Sigmoid", &[&second], &[]);
    let b = w.node("Mul", &[&first, &gate], &[]);
    let b = join(&mut w, &[&b, &second]);
    // What is added lies in other places than what the convolution makes.
    let c = w.conv(&a, 12, 12, 1);
    let c = w.node("Add", &[&c, &b], &[]);
    // One without the other, by a number and by a picture.
    let one = w.floats(&[], vec![1.0]);
    let gate = w.conv(&c, 12, 1, 3);
    let gate = w.node("Sigmoid", &[&gate], &[]);
    let gate = w.node("Sub", &[&one, &gate], &[]);
    let c = w.node("Mul", &[&c, &gate], &[]);
    let place = w.weights(&[1, 12, 16, 24], 4);
    let c = w.node("Add", &[&c, &place], &[]);
    // Every second pixel as channels, and back; turned around.
    let d = w.node("SpaceToDepth", &[&c], &[("blocksize", Set::Int(2))]);
    let d = relu(&mut w, &d, 48, 16);
    let d = slice(&mut w, &d, [-1, -100, 3, -1]);
    let d = w.node("DepthToSpace", &[&d], &[("blocksize", Set::Int(2))]);
    // A border of zeros, cut off on the other side; one that mirrors.
    let (pads, none) = (ints(&mut w, &[0, 0, 1, 2, 0, 0, -3, 0]), ints(&mut w, &[0]));
    // As TensorFlow's padding is exported: computed, with one bound left out.
    let pads = w.node("Clip", &[&pads, &none, ""], &[]);
    let level = w.floats(&[], vec![0.3]);
    let d = w.node("Pad", &[&d, &pads, &level], &[]);
    let d = slice(&mut w, &d, [0, 16, 2, 1]);
    let d = slice(&mut w, &d, [0, 24, 3, 1]);
    let pads = ints(&mut w, &[0, 0, 1, 1, 0, 0, 1, 1]);
    let d = w.node("Pad", &[&d, &pads], &[("mode", Set::Text("reflect"))]);
    let (weight, bias) = (w.weights(&[12, 4, 3, 3], 36), w.weights(&[12], 8));
    let d = w.node("Conv", &[&d, &weight, &bias], &[]);
    let slope = w.weights(&[12, 1, 1], 8);
    let d = w.node("PRelu", &[&d, &slope], &[]);
    // Up in groups, joined with constants, along other axes too.
    let (weight, bias) = (w.weights(&[12, 2, 2, 2], 12), w.weights(&[8], 8));
    let up = [("strides", Set::Ints(&[2, 2])), ("group", Set::Int(4))];
    let e = w.node("ConvTranspose", &[&d, &weight, &bias], &up);
    let e = w.max_pool(&e);
    let rows = w.weights(&[1, 1, 16, 24], 2);
    let all = join(&mut w, &[&c, &rows, &e]);
    let [top, bottom] = [[0, 8, 2, 1], [8, 16, 2, 1]].map(|part| slice(&mut w, &all, part));
    let all = w.node("Concat", &[&bottom, &top], &[("axis", Set::Int(2))]);
    // Which part matters, and a last layer that is normalised as well.
    let weights = w.conv(&all, 21, 21, 3);
    let weights = w.node("Softmax", &[&weights], &[("axis", Set::Int(1))]);
    let all = w.node("Mul", &[&all, &weights], &[]);
    let joined = join(&mut w, &[&weights, &all]);
    let x = w.conv(&joined, 42, 3, 3);
    let x = w.node("Softmax", &[&x], &[("axis", Set::Int(1))]);
    // Far apart, so that no rounding changes which is the largest.
    let (apart, far) = (w.weights(&[1, 12, 1, 24], 1), w.floats(&[], vec![40.0]));
    let apart = w.node("Mul", &[&apart, &far], &[]);
    let label = w.node("Add", &[&d, &apart], &[]);
    let label = w.node("ArgMax", &[&label], &[("axis", Set::Int(1)), ("keepdims", Set::Int(0))]);
    let label = w.node("Cast", &[&label], &[("to", Set::Int(1))]);
    [&x, &label].iter().for_each(|out| w.output(out));
    w
}

/// Attention of channels, of places, and of all places to all as transformers have it, with their norms, layers and functions.
pub fn attentive() -> Writer {
    let mut w = Writer::new(20);
    let x = w.input("image", &[1, 1, 12, 20]);
    // Where each pixel is, as a constant that a convolution adds.
    let (a, place) = (w.conv(&x, 1, 12, 3), w.weights(&[1, 12, 12, 20], 2));
    let a = w.node("Add", &[&a, &place], &[]);
    let a = relu(&mut w, &a, 12, 12);
    // Where, by mean and largest of the channels; along rows and columns.
    let axes = w.ints(&[1]);
    let (mean, most) =
        (w.node("ReduceMean", &[&a, &axes], &[]), w.node("ReduceMax", &[&a], &[("axes", Set::Ints(&[1]))]));
    let place = join(&mut w, &[&mean, &most]);
    let place = w.conv(&place, 2, 1, 3);
    let place = w.node("Sigmoid", &[&place], &[]);
    let a = w.node("Mul", &[&a, &place], &[]);
    let [rows, columns] = [3, 2].map(|axis| {
        let axes = w.ints(&[axis]);
        let along = w.node("ReduceMean", &[&a, &axes], &[]);
        let along = w.conv(&along, 12, 12, 1);
        w.node("Sigmoid", &[&along], &[])
    });
    let a = w.node("Mul", &[&a, &rows], &[]);
    let a = w.node("Mul", &[&a, &columns], &[]);
    // A layer of a transformer on pixels as words, of two heads.
    let words = w.ints(&[1, 12, -1]);
    let words = w.node("Reshape", &[&a, &words], &[]);
    let words = w.node("Transpose", &[&words], &[("perm", Set::Ints(&[0, 2, 1]))]);
    let (scale, bias) = (w.weights(&[12], 2), w.weights(&[12], 8));
    let normed = w.node("LayerNormalization", &[&words, &scale, &bias], &[]);
    let heads = w.ints(&[1, -1, 2, 6]);
    let linear = |w: &mut Writer, x: &str, [from, to]: [usize; 2]| {
        let (weight, bias) = (w.weights(&[from, to], from), w.weights(&[to], 8));
        let x = w.node("MatMul", &[x, &weight], &[]);
        w.node("Add", &[&bias, &x], &[])
    };
    let [query, value] = [0, 1].map(|_| {
        let x = linear(&mut w, &normed, [12, 12]);
        let x = w.node("Reshape", &[&x, &heads], &[]);
        w.node("Transpose", &[&x], &[("perm", Set::Ints(&[0, 2, 1, 3]))])
    });
    let key = linear(&mut w, &normed, [12, 12]);
    let key = w.node("Reshape", &[&key, &heads], &[]);
    let key = w.node("Transpose", &[&key], &[("perm", Set::Ints(&[0, 2, 3, 1]))]);
    let scores = w.node("MatMul", &[&query, &key], &[]);
    let less = w.floats(&[], vec![0.4]);
    let scores = w.node("Mul", &[&scores, &less], &[]);
    let scores = w.node("Softmax", &[&scores], &[("axis", Set::Int(-1))]);
    let found = w.node("MatMul", &[&scores, &value], &[]);
    let found = w.node("Transpose", &[&found], &[("perm", Set::Ints(&[0, 2, 1, 3]))]);
    let flat = w.ints(&[1, -1, 12]);
    let found = w.node("Reshape", &[&found, &flat], &[]);
    let words = w.node("Add", &[&words, &found], &[]);
    let wide = linear(&mut w, &words, [12, 30]);
    let wide = w.node("Gelu", &[&wide], &[]);
    let wide = linear(&mut w, &wide, [30, 12]);
    let words = w.node("Add", &[&words, &wide], &[]);
    let words = w.node("Transpose", &[&words], &[("perm", Set::Ints(&[0, 2, 1]))]);
    let picture = w.ints(&[1, 12, 12, 20]);
    let b = w.node("Reshape", &[&words, &picture], &[]);
    // The sum of two that are stacked, as pyramids are merged, and the larger of two.
    let c = relu(&mut w, &b, 12, 12);
    let first = w.ints(&[0]);
    let stacked = [&b, &c, &a].map(|x| w.node("Unsqueeze", &[x, &first], &[]));
    let stacked = w.node("Concat", &[&stacked[0], &stacked[1], &stacked[2]], &[("axis", Set::Int(0))]);
    let d = w.node("ReduceSum", &[&stacked, &first], &[("keepdims", Set::Int(0))]);
    let (zero, few) = (w.floats(&[], vec![0.0]), w.floats(&[], vec![0.1]));
    let below = w.node("Less", &[&d, &zero], &[]);
    let less = w.node("Mul", &[&d, &few], &[]);
    let d = w.node("Where", &[&below, &less, &d], &[]);
    let e = w.conv(&d, 12, 12, 3);
    let d = w.node("Max", &[&d, &e], &[]);
    let d = larger(&mut w, &d, "cubic");
    let x = w.conv(&d, 12, 2, 3);
    w.output(&x);
    w
}

/// Windows that tensor cores are not fed with: other steps and distances down than across, sizes that are not doubled, holes in
/// poolings, several pictures in one tensor; with what is added, joined, and follows.
pub fn irregular() -> Writer {
    let mut w = Writer::new(19);
    let x = w.input("image", &[1, 1, 20, 32]);
    let a = relu(&mut w, &x, 1, 12);
    let with = |w: &mut Writer, operator: &str, x: &str, weights: [usize; 4], settings: &[(&str, Set)]| {
        let weight = w.weights(&weights, 9 * weights[1]);
        w.node(operator, &[x, &weight], settings)
    };
    // Anisotropic, as networks for slices of volumes have them, with a shortcut of the same steps.
    let steps = [("strides", Set::Ints(&[1, 2])), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let b = with(&mut w, "Conv", &a, [10, 12, 3, 3], &steps);
    let single = with(&mut w, "Conv", &a, [10, 12, 1, 1], &steps[..1]);
    let b = w.node("Add", &[&b, &single], &[]);
    let b = w.node("Softplus", &[&b], &[]);
    let far = [("dilations", Set::Ints(&[3, 1])), ("pads", Set::Ints(&[3, 1, 3, 1])), ("group", Set::Int(2))];
    let c = with(&mut w, "Conv", &b, [14, 5, 3, 3], &far);
    let c = w.node("Sigmoid", &[&c], &[]);
    // From n to 2 n − 1, each channel for itself, and by steps of 1 and 3.
    let odd = [("strides", Set::Ints(&[2, 2])), ("pads", Set::Ints(&[1, 1, 1, 1])), ("group", Set::Int(14))];
    let d = with(&mut w, "ConvTranspose", &c, [14, 1, 3, 3], &odd);
    let d = relu(&mut w, &d, 14, 8);
    let e = with(&mut w, "ConvTranspose", &d, [8, 4, 2, 3], &[("strides", Set::Ints(&[1, 3]))]);
    let holes = [("kernel_shape", Set::Ints(&[2, 2])), ("dilations", Set::Ints(&[2, 3]))];
    let e = w.node("MaxPool", &[&e], &holes);
    let (kernel, pads) = (("kernel_shape", Set::Ints(&[3, 2])), ("pads", Set::Ints(&[1, 0, 1, 1])));
    let e = w.node("AveragePool", &[&e], &[kernel, ("strides", Set::Ints(&[2, 3])), pads]);
    // Eight pictures, as windows are cut; and one again.
    let (windows, whole) = (w.ints(&[8, 14, 10, 4]), w.ints(&[1, 48, 10, 4]));
    let f = w.node("Reshape", &[&c, &windows], &[]);
    let same = w.conv(&f, 14, 14, 1);
    let f = w.conv(&f, 14, 14, 3);
    let f = w.node("Add", &[&f, &same], &[]);
    let f = relu(&mut w, &f, 14, 6);
    let f = w.max_pool(&f);
    let f = larger(&mut w, &f, "linear");
    let gate = w.conv(&f, 6, 6, 1);
    let gate = w.node("Softmax", &[&gate], &[("axis", Set::Int(1))]);
    let f = join(&mut w, &[&f, &gate]);
    let f = relu(&mut w, &f, 12, 6);
    let f = w.node("Reshape", &[&f, &whole], &[]);
    let f = w.conv(&f, 48, 2, 1);
    [&e, &f].iter().for_each(|out| w.output(out));
    w
}
