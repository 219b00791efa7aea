//! Small networks in the idioms of exporters beyond the plain U-Net; shared by the tests of the engine.

use crate::onnx_writer::{Set, Writer};

/// Every network here by its name, with the shape of its input.
pub fn exports(images: usize) -> Vec<(&'static str, Vec<usize>, Writer)> {
    vec![
        ("gates", vec![images, 2, 12, 14], gates(images)),
        ("channels_last", vec![images, 12, 16, 3], channels_last(images)),
        ("normalized", vec![images, 4, 10, 12], normalized(images)),
        ("quantized", vec![images, 3, 12, 12], quantized(images)),
        ("shapes", vec![images, 3, 13, 18], shapes(images)),
    ]
}

fn scalar(w: &mut Writer, value: f32) -> String {
    w.floats(&[], vec![value])
}

/// EfficientNet and its relatives: written-out activations, squeeze and excitation, depthwise convolutions, gates.
fn gates(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[images, 2, 12, 14]);
    let x = w.conv(&x, 2, 8, 3);
    let s = w.node("Sigmoid", &[&x], &[]);
    let x = w.node("Mul", &[&x, &s], &[]); // SiLU
    let (weight, bias) = (w.weights(&[8, 1, 3, 3], 9), w.weights(&[8], 8));
    let x = w.node("Conv", &[&x, &weight, &bias], &[("group", Set::Int(8)), ("pads", Set::Ints(&[1, 1, 1, 1]))]);
    let h = w.node("HardSigmoid", &[&x], &[("alpha", Set::Float(1.0 / 6.0)), ("beta", Set::Float(0.5))]);
    let x = w.node("Mul", &[&h, &x], &[]); // hard swish
    let m = w.node("ReduceMean", &[&x], &[("axes", Set::Ints(&[2, 3])), ("keepdims", Set::Int(1))]);
    let m = w.conv(&m, 8, 4, 1);
    let p = w.node("Softplus", &[&m], &[]);
    let p = w.node("Tanh", &[&p], &[]);
    let m = w.node("Mul", &[&m, &p], &[]); // Mish
    let m = w.conv(&m, 4, 8, 1);
    let (three, six, zero) = (scalar(&mut w, 3.0), scalar(&mut w, 6.0), scalar(&mut w, 0.0));
    let c = w.node("Add", &[&m, &three], &[]);
    let c = w.node("Clip", &[&c, &zero, &six], &[]);
    let m = w.node("Mul", &[&m, &c], &[]);
    let m = w.node("Div", &[&m, &six], &[]); // hard swish of Keras
    let m = w.conv(&m, 8, 8, 1);
    let m = w.node("Sigmoid", &[&m], &[]);
    let x = w.node("Mul", &[&x, &m], &[]);
    let y = w.conv(&x, 8, 8, 3);
    let (root, one, half) = (scalar(&mut w, 2f32.sqrt()), scalar(&mut w, 1.0), scalar(&mut w, 0.5));
    let e = w.node("Div", &[&y, &root], &[]);
    let e = w.node("Erf", &[&e], &[]);
    let e = w.node("Add", &[&e, &one], &[]);
    let y = w.node("Mul", &[&y, &e], &[]);
    let y = w.node("Mul", &[&y, &half], &[]); // GELU
    let slope = w.floats(&[1], vec![0.2]);
    let y = w.node("PRelu", &[&y, &slope], &[]);
    let y = w.conv(&y, 8, 8, 1);
    // An attention gate: one map for all channels.
    let psi = w.node("Add", &[&x, &y], &[]);
    let psi = w.node("Relu", &[&psi], &[]);
    let psi = w.conv(&psi, 8, 1, 1);
    let psi = w.node("Sigmoid", &[&psi], &[]);
    let x = w.node("Mul", &[&x, &psi], &[]);
    let peak = w.node("GlobalMaxPool", &[&x], &[]);
    let x = w.node("Sub", &[&x, &peak], &[]);
    let (low, high) = (scalar(&mut w, 0.0), scalar(&mut w, 6.0));
    let x = w.node("Clip", &[&x, &low, &high], &[]);
    let x = w.node("Neg", &[&x], &[]);
    w.output(&x);
    w
}

/// Keras through tf2onnx without its optimiser: a pair of transpositions around every convolution, and upsampling by
/// repetition.
fn channels_last(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let n = images as i64;
    let x = w.input("image", &[images, 12, 16, 3]);
    let first = |w: &mut Writer, x: &str| w.node("Transpose", &[x], &[("perm", Set::Ints(&[0, 3, 1, 2]))]);
    let last = |w: &mut Writer, x: &str| w.node("Transpose", &[x], &[("perm", Set::Ints(&[0, 2, 3, 1]))]);
    let conv = |w: &mut Writer, x: &str, from: usize, to: usize| {
        let x = first(w, x);
        let x = w.conv(&x, from, to, 3);
        let x = last(w, &x);
        let bias = w.weights(&[to], 8);
        let x = w.node("Add", &[&x, &bias], &[]);
        w.node("Relu", &[&x], &[])
    };
    let a = conv(&mut w, &x, 3, 6);
    let down = first(&mut w, &a);
    let down = w.max_pool(&down);
    let down = last(&mut w, &down);
    let b = conv(&mut w, &down, 6, 8);
    // Squeeze and excitation over height and width.
    let m = w.node("ReduceMean", &[&b], &[("axes", Set::Ints(&[1, 2])), ("keepdims", Set::Int(1))]);
    let m = w.node("Sigmoid", &[&m], &[]);
    let b = w.node("Mul", &[&b, &m], &[]);
    // Keras 3 repeats rows, then columns.
    let shape = w.ints(&[n, 6, 1, 8, 8]);
    let up = w.node("Reshape", &[&b, &shape], &[]);
    let repeats = w.ints(&[1, 1, 2, 1, 1]);
    let up = w.node("Tile", &[&up, &repeats], &[]);
    let shape = w.ints(&[n, 12, 8, 1, 8]);
    let up = w.node("Reshape", &[&up, &shape], &[]);
    let repeats = w.ints(&[1, 1, 1, 2, 1]);
    let up = w.node("Tile", &[&up, &repeats], &[]);
    let shape = w.ints(&[n, 12, 16, 8]);
    let up = w.node("Reshape", &[&up, &shape], &[]);
    let joined = w.node("Concat", &[&up, &a], &[("axis", Set::Int(3))]);
    let x = conv(&mut w, &joined, 14, 4);
    let x = w.node("Softmax", &[&x], &[("axis", Set::Int(-1))]);
    w.output(&x);
    w
}

/// Normalisations as operators and written out, and a product of matrices as transformers have it.
fn normalized(images: usize) -> Writer {
    let mut w = Writer::new(17);
    let n = images as i64;
    let x = w.input("image", &[images, 4, 10, 12]);
    let x = w.conv(&x, 4, 8, 3);
    let (scale, bias) = (w.weights(&[8], 2), w.weights(&[8], 8));
    let x = w.node("InstanceNormalization", &[&x, &scale, &bias], &[("epsilon", Set::Float(1e-4))]);
    let x = w.node("LeakyRelu", &[&x], &[("alpha", Set::Float(0.2))]);
    // GroupNorm of PyTorch.
    let (ones, zeros) = (w.floats(&[2], vec![1.0; 2]), w.floats(&[2], vec![0.0; 2]));
    let shape = w.ints(&[0, 2, -1]);
    let g = w.node("Reshape", &[&x, &shape], &[]);
    let g = w.node("InstanceNormalization", &[&g, &ones, &zeros], &[]);
    let shape = w.node("Shape", &[&x], &[]);
    let g = w.node("Reshape", &[&g, &shape], &[]);
    let (scale, bias) = (w.weights(&[8, 1, 1], 2), w.weights(&[8, 1, 1], 8));
    let g = w.node("Mul", &[&g, &scale], &[]);
    let g = w.node("Add", &[&g, &bias], &[]);
    let x = w.node("Relu", &[&g], &[]);
    // Tokens, normalised by hand, and one layer of a transformer's MLP.
    let shape = w.ints(&[n, 8, 120]);
    let t = w.node("Reshape", &[&x, &shape], &[]);
    let t = w.node("Transpose", &[&t], &[("perm", Set::Ints(&[0, 2, 1]))]);
    let last = [("axes", Set::Ints(&[-1]))];
    let mean = w.node("ReduceMean", &[&t], &last);
    let d = w.node("Sub", &[&t, &mean], &[]);
    let two = scalar(&mut w, 2.0);
    let v = w.node("Pow", &[&d, &two], &[]);
    let v = w.node("ReduceMean", &[&v], &last);
    let epsilon = scalar(&mut w, 1e-5);
    let v = w.node("Add", &[&v, &epsilon], &[]);
    let v = w.node("Sqrt", &[&v], &[]);
    let t2 = w.node("Div", &[&d, &v], &[]);
    let (scale, bias) = (w.weights(&[8], 2), w.weights(&[8], 8));
    let t2 = w.node("Mul", &[&t2, &scale], &[]);
    let t2 = w.node("Add", &[&t2, &bias], &[]);
    let (weight, bias) = (w.weights(&[8, 8], 8), w.weights(&[8], 8));
    let t2 = w.node("MatMul", &[&t2, &weight], &[]);
    let t2 = w.node("Add", &[&bias, &t2], &[]);
    let t2 = w.node("Tanh", &[&t2], &[]);
    // Attention between the tokens.
    let other = w.node("Transpose", &[&t2], &[("perm", Set::Ints(&[0, 2, 1]))]);
    let a = w.node("MatMul", &[&t2, &other], &[]);
    let a = w.node("Softmax", &[&a], &[("axis", Set::Int(-1))]);
    let t2 = w.node("MatMul", &[&a, &t2], &[]);
    let t = w.node("Add", &[&t, &t2], &[]);
    let (scale, bias) = (w.weights(&[8], 2), w.weights(&[8], 8));
    let t = w.node("LayerNormalization", &[&t, &scale, &bias], &[("axis", Set::Int(-1))]);
    let t = w.node("Transpose", &[&t], &[("perm", Set::Ints(&[0, 2, 1]))]);
    let shape = w.ints(&[n, 8, 10, 12]);
    let x = w.node("Reshape", &[&t, &shape], &[]);
    // A normalisation that stands before its convolution.
    let x = w.batch_norm(&x, 8);
    let x = w.node("Relu", &[&x], &[]);
    let x = w.conv(&x, 8, 3, 1);
    w.output(&x);
    w
}

/// Quantised by ONNX Runtime's tools: pairs around every operator, whole weights with a scale a channel.
fn quantized(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[images, 3, 12, 12]);
    let pair = |w: &mut Writer, x: &str, scale: f32, zero: i64| {
        let (scale, zero) = (scalar(w, scale), w.bytes_of(&[], &[zero]));
        let q = w.node("QuantizeLinear", &[x, &scale, &zero], &[]);
        w.node("DequantizeLinear", &[&q, &scale, &zero], &[])
    };
    let conv = |w: &mut Writer, x: &str, from: usize, to: usize| {
        let whole: Vec<i64> = w.randoms(to * from * 9).iter().map(|v| (v * 127.0) as i64).collect();
        let weight = w.bytes_of(&[to, from, 3, 3], &whole);
        let scale = w.randoms(to).iter().map(|v| 0.002 + 0.001 * v.abs()).collect();
        let (scale, zero) = (w.floats(&[to], scale), w.bytes_of(&[to], &vec![0; to]));
        let weight = w.node("DequantizeLinear", &[&weight, &scale, &zero], &[("axis", Set::Int(0))]);
        let x = w.node("Conv", &[x, &weight], &[("pads", Set::Ints(&[1, 1, 1, 1]))]);
        w.node("Relu", &[&x], &[])
    };
    let x = pair(&mut w, &x, 1.0 / 127.0, 0);
    let x = conv(&mut w, &x, 3, 6);
    let x = pair(&mut w, &x, 0.02, -100);
    let x = w.max_pool(&x);
    let x = conv(&mut w, &x, 6, 4);
    let x = pair(&mut w, &x, 0.01, -128);
    w.output(&x);
    w
}

/// Arithmetic on shapes as PyTorch writes it down for dynamic sizes.
fn shapes(images: usize) -> Writer {
    let mut w = Writer::new(13);
    let x = w.input("image", &[images, 3, 13, 18]);
    let a = w.conv(&x, 3, 6, 3);
    let down = w.max_pool(&a);
    // Twice its size, by floor(size · 2), which is one row less than the skip.
    let shape = w.node("Shape", &[&down], &[]);
    let (two, one, three) = (w.ints(&[2]), w.ints(&[1]), w.ints(&[3]));
    let side = |w: &mut Writer, index: &str| {
        let n = w.node("Gather", &[&shape, index], &[("axis", Set::Int(0))]);
        let n = w.node("Cast", &[&n], &[("to", Set::Int(1))]);
        let factor = scalar(w, 2.0);
        let n = w.node("Mul", &[&n, &factor], &[]);
        let n = w.node("Floor", &[&n], &[]);
        w.node("Cast", &[&n], &[("to", Set::Int(7))])
    };
    let (h, wide) = (side(&mut w, &two), side(&mut w, &three));
    let zero = w.ints(&[0]);
    let head = w.node("Slice", &[&shape, &zero, &two], &[]);
    let sizes = w.node("Concat", &[&head, &h, &wide], &[("axis", Set::Int(0))]);
    let up = w.node("Resize", &[&down, "", "", &sizes], &[("mode", Set::Text("cubic"))]);
    // The missing border, by PyTorch's detour through constants and a transposition.
    let skip = w.node("Shape", &[&a], &[]);
    let missing = w.node("Sub", &[&skip, &sizes], &[]);
    let rows = w.node("Gather", &[&missing, &two], &[]);
    let columns = w.node("Gather", &[&missing, &three], &[]);
    let pads = w.node("Concat", &[&zero, &columns, &zero, &rows], &[("axis", Set::Int(0))]);
    let list = w.ints(&[4]);
    let more = w.node("ConstantOfShape", &[&list], &[]);
    let more = w.node("Cast", &[&more], &[("to", Set::Int(7))]);
    let pads = w.node("Concat", &[&pads, &more], &[("axis", Set::Int(0))]);
    let pairs = w.ints(&[-1, 2]);
    let pads = w.node("Reshape", &[&pads, &pairs], &[]);
    let (from, to, back) = (w.ints(&[-1]), w.ints(&[i64::MIN + 1]), w.ints(&[-1]));
    let pads = w.node("Slice", &[&pads, &from, &to, &zero, &back], &[]);
    let pads = w.node("Transpose", &[&pads], &[("perm", Set::Ints(&[1, 0]))]);
    let list = w.ints(&[-1]);
    let pads = w.node("Reshape", &[&pads, &list], &[]);
    let up = w.node("Pad", &[&up, &pads], &[("mode", Set::Text("reflect"))]);
    let x = w.node("Concat", &[&a, &up], &[("axis", Set::Int(1))]);
    // A chunk, gated by the other one.
    let halves = w.ints(&[8, 4]);
    let left = w.node("Split", &[&x, &halves], &[("axis", Set::Int(1))]);
    w.graph().node.last_mut().expect("just added").output.push("right".to_owned());
    let gate = w.node("ReduceSum", &["right", &one], &[]);
    let gate = w.node("Exp", &[&gate], &[]);
    let gate = w.node("Reciprocal", &[&gate], &[]);
    let wanted = w.node("Shape", &[&left], &[]);
    let list = w.ints(&[4]);
    let ones = w.node("ConstantOfShape", &[&list], &[]);
    let ones = w.node("Cast", &[&ones], &[("to", Set::Int(7))]);
    let ones = w.node("Add", &[&ones, &one], &[]);
    let minus = w.ints(&[-1]);
    let open = w.node("Equal", &[&wanted, &minus], &[]);
    let wanted = w.node("Where", &[&open, &ones, &wanted], &[]);
    let gate = w.node("Expand", &[&gate, &wanted], &[]);
    let x = w.node("Mul", &[&left, &gate], &[]);
    let x = w.node("DepthToSpace", &[&x], &[("blocksize", Set::Int(2)), ("mode", Set::Text("CRD"))]);
    let (start, end, axis, step) = (w.ints(&[1]), w.ints(&[-1]), w.ints(&[3]), w.ints(&[2]));
    let x = w.node("Slice", &[&x, &start, &end, &axis, &step], &[]);
    let zero = scalar(&mut w, 0.0);
    let low = w.node("Less", &[&x, &zero], &[]);
    let tenth = scalar(&mut w, 0.1);
    let small = w.node("Mul", &[&x, &tenth], &[]);
    let x = w.node("Where", &[&low, &small, &x], &[]);
    w.output(&x);
    w
}
