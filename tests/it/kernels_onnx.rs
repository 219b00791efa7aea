//! Every operator against onnxruntime on random shapes, with one start of Python.

use serde_json::json;
use sonoplex::backend::cpu::elementwise::{Arithmetic, batch_norm, broadcast, broadcast_shape};
use sonoplex::backend::cpu::max_pool::average_pool_padded;
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, ResizeTensor, Rounding};
use sonoplex::backend::cpu::softmax::softmax;
use sonoplex::backend::cpu::{
    Activation, Conv, ConvTranspose, ConvTransposeShape, Isa, Pool, PoolShape, average_pool, max_pool,
};

use super::kernels_oracle::{Oracle, Tensor::*, floats};
use super::naive::{Random, assert_close};

/// What was computed here, by the index of the case.
struct Found {
    what: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

struct Cases {
    oracle: Oracle,
    found: Vec<Found>,
    random: Random,
    pool: Pool,
}

impl Cases {
    fn found(&mut self, what: String, shape: &[usize], values: Vec<f32>) {
        self.found.push(Found { what, shape: shape.to_vec(), values });
    }

    fn conv(&mut self) {
        let s = self.random.conv();
        let (x, w) = (self.random.floats(s.in_len()), self.random.floats(s.weights_len()));
        let b = self.random.floats(s.out_channels);
        let [kh, kw] = s.kernel;
        let attributes = json!({ "group": s.groups, "kernel_shape": s.kernel, "strides": s.stride, "pads": s.pads,
            "dilations": s.dilation });
        let inputs = [
            Floats(&x, &[1, s.in_channels, s.in_size[0], s.in_size[1]]),
            Floats(&w, &[s.out_channels, s.in_channels / s.groups, kh, kw]),
            Floats(&b, &[s.out_channels]),
        ];
        let conv = Conv::new(s.clone(), &Conv::tactics(&s, Isa::detect())[0], &w, &b).unwrap();
        let (mut out, mut scratch) = (vec![0.0; s.out_len()], vec![0.0; conv.scratch_len(self.pool.threads())]);
        conv.run(&self.pool, &x, None, Activation::None, &mut out, &mut scratch);
        self.oracle.add("Conv", attributes, &inputs);
        let [h, w] = s.out_size();
        self.found(format!("{s:?}"), &[1, s.out_channels, h, w], out);
    }

    fn conv_transpose(&mut self, tiling: bool) {
        let s = loop {
            let c = self.random.conv();
            // ONNX wants the output padding below the stride or the dilation.
            let output_padding = c.stride.map(|s| if tiling { 0 } else { self.random.in_range(0..=s - 1) });
            let shape = ConvTransposeShape {
                in_channels: c.in_channels,
                out_channels: c.out_channels,
                groups: c.groups,
                in_size: c.in_size.map(|n| n.min(17)),
                kernel: c.kernel,
                stride: if tiling { c.kernel } else { c.stride },
                pads: if tiling { [0; 4] } else { c.pads },
                dilation: if tiling { [1; 2] } else { c.dilation },
                output_padding,
            };
            if shape.check().is_ok() {
                break shape;
            }
        };
        let (x, w) = (self.random.floats(s.in_len()), self.random.floats(s.weights_len()));
        let b = self.random.floats(s.out_channels);
        let [h, w_out] = s.out_size();
        for tactic in ConvTranspose::tactics(&s, Isa::detect()) {
            let conv = ConvTranspose::new(s.clone(), &tactic, &w, &b).unwrap();
            let (mut out, mut scratch) = (vec![f32::NAN; s.out_len()], vec![f32::NAN; conv.scratch_len()]);
            conv.run(&self.pool, &x, Activation::None, &mut out, &mut scratch);
            let attributes = json!({ "group": s.groups, "kernel_shape": s.kernel, "strides": s.stride, "pads": s.pads,
                "dilations": s.dilation, "output_padding": s.output_padding });
            let inputs = [
                Floats(&x, &[1, s.in_channels, s.in_size[0], s.in_size[1]]),
                Floats(&w, &[s.in_channels, s.out_channels / s.groups, s.kernel[0], s.kernel[1]]),
                Floats(&b, &[s.out_channels]),
            ];
            self.oracle.add("ConvTranspose", attributes, &inputs);
            self.found(format!("{tactic} {s:?}"), &[1, s.out_channels, h, w_out], out);
        }
    }

    fn pool(&mut self) {
        let s = loop {
            let c = self.random.conv();
            let shape = PoolShape {
                channels: c.in_channels,
                in_size: c.in_size,
                kernel: c.kernel,
                stride: c.stride,
                pads: c.pads,
                dilation: c.dilation,
                ceil_mode: self.random.in_range(0..=1) == 1,
            };
            // ONNX Runtime wants padding below the number of taps.
            if shape.check().is_ok() && (0..4).all(|i| shape.pads[i] < shape.kernel[i % 2]) {
                break shape;
            }
        };
        let x = self.random.floats(s.in_len());
        let in_shape = [1, s.channels, s.in_size[0], s.in_size[1]];
        let attributes = json!({ "kernel_shape": s.kernel, "strides": s.stride, "pads": s.pads,
            "dilations": s.dilation, "ceil_mode": i32::from(s.ceil_mode) });
        let mut out = vec![0.0; s.out_len()];
        let [h, w] = s.out_size();
        max_pool(&self.pool, &s, &x, &mut out);
        self.oracle.add("MaxPool", attributes.clone(), &[Floats(&x, &in_shape)]);
        self.found(format!("max {s:?}"), &[1, s.channels, h, w], out.clone());
        // ONNX Runtime counts padding differently in a last window that does not fit, so that only whole ones are compared.
        let s = PoolShape { ceil_mode: false, ..s };
        let [h, w] = s.out_size();
        for padded in [false, true] {
            let mut attributes = attributes.clone();
            attributes["ceil_mode"] = json!(0);
            attributes["count_include_pad"] = json!(i32::from(padded));
            let mut out = vec![0.0; s.out_len()];
            let average = if padded { average_pool_padded } else { average_pool };
            average(&self.pool, &s, &x, &mut out);
            self.oracle.add("AveragePool", attributes, &[Floats(&x, &in_shape)]);
            self.found(format!("average, padded {padded}, {s:?}"), &[1, s.channels, h, w], out);
        }
    }

    fn arithmetic(&mut self) {
        let rank = self.random.in_range(0..=5);
        let full: Vec<usize> = (0..rank).map(|_| self.random.in_range(1..=5)).collect();
        let mut part = || {
            let skip = if self.random.in_range(0..=1) == 1 { self.random.in_range(0..=rank) } else { 0 };
            full[skip..].iter().map(|&n| if self.random.in_range(0..=2) == 0 { 1 } else { n }).collect::<Vec<_>>()
        };
        let (a_shape, b_shape) = (part(), part());
        let shape = broadcast_shape(&a_shape, &b_shape).unwrap();
        let a = self.random.floats(a_shape.iter().product());
        let b: Vec<f32> = self.random.floats(b_shape.iter().product()).iter().map(|x| x + 2.0).collect();
        let ops = [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul, Arithmetic::Div];
        for (op, name) in ops.into_iter().zip(["Add", "Sub", "Mul", "Div"]) {
            let mut out = vec![0.0; shape.iter().product()];
            broadcast(op, &a, &a_shape, &b, &b_shape, &mut out, &shape);
            self.oracle.add(name, json!({}), &[Floats(&a, &a_shape), Floats(&b, &b_shape)]);
            self.found(format!("{name} of {a_shape:?} and {b_shape:?}"), &shape, out);
        }
    }

    fn normalise(&mut self) {
        let shape: [usize; 4] = std::array::from_fn(|_| self.random.in_range(1..=6));
        let x: Vec<f32> = self.random.floats(shape.iter().product()).iter().map(|x| 80.0 * x).collect();
        for axis in 0..4 {
            let mut out = x.clone();
            let sizes = [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()];
            softmax(&self.pool, &mut out, sizes);
            self.oracle.add("Softmax", json!({ "axis": axis }), &[Floats(&x, &shape)]);
            self.found(format!("softmax of {shape:?} along {axis}"), &shape, out);
        }
        let shape = [1, shape[1], shape[2], shape[3]];
        let x = self.random.floats(shape.iter().product());
        let [scale, bias, mean, variance] = [(); 4].map(|()| self.random.floats(shape[1]));
        let variance: Vec<f32> = variance.iter().map(|v| v.abs()).collect();
        let mut out = x.clone();
        batch_norm(&mut out, &scale, &bias, &mean, &variance, 1e-3);
        let c = [shape[1]];
        let inputs =
            [Floats(&x, &shape), Floats(&scale, &c), Floats(&bias, &c), Floats(&mean, &c), Floats(&variance, &c)];
        self.oracle.add("BatchNormalization", json!({ "epsilon": 1e-3 }), &inputs);
        self.found(format!("batch_norm of {shape:?}"), &shape, out);
    }

    fn activations(&mut self) {
        let x: Vec<f32> = self.random.floats(999).iter().map(|x| 100.0 * x * x * x).collect();
        let (low, high) = ([-1.5f32], [2.5f32]);
        let bounds = [Floats(&x, &[999]), Floats(&low, &[]), Floats(&high, &[])];
        let one = &bounds[..1];
        for (act, op, attributes, inputs) in [
            (Activation::Relu, "Relu", json!({}), one),
            (Activation::LeakyRelu(0.2), "LeakyRelu", json!({ "alpha": 0.2 }), one),
            (Activation::Sigmoid, "Sigmoid", json!({}), one),
            (Activation::Clip(-1.5, 2.5), "Clip", json!({}), &bounds[..]),
            (
                Activation::HardSigmoid { alpha: 0.3, beta: 0.4 },
                "HardSigmoid",
                json!({ "alpha": 0.3, "beta": 0.4 }),
                one,
            ),
            (Activation::HardSwish, "HardSwish", json!({}), one),
            (Activation::Tanh, "Tanh", json!({}), one),
            (Activation::Elu(0.7), "Elu", json!({ "alpha": 0.7 }), one),
        ] {
            let mut out = x.clone();
            act.run(&self.pool, &mut out);
            self.oracle.add(op, attributes, inputs);
            self.found(format!("{act:?}"), &[999], out);
        }
    }

    fn resize(&mut self) {
        let (planes, [h, w]) = (3, [self.random.in_range(1..=12), self.random.in_range(1..=12)]);
        let out_size = [self.random.in_range(1..=25), self.random.in_range(1..=25)];
        let x = self.random.floats(planes * h * w);
        let (roundings, coordinates) = (
            [
                (Rounding::RoundPreferFloor, "round_prefer_floor"),
                (Rounding::RoundPreferCeil, "round_prefer_ceil"),
                (Rounding::Floor, "floor"),
                (Rounding::Ceil, "ceil"),
            ],
            [
                (Coordinates::HalfPixel, "half_pixel"),
                (Coordinates::PytorchHalfPixel, "pytorch_half_pixel"),
                (Coordinates::AlignCorners, "align_corners"),
                (Coordinates::Asymmetric, "asymmetric"),
            ],
        );
        let modes = roundings.map(|(r, name)| (Interpolation::Nearest(r), "nearest", name));
        for (interpolation, mode, rounding) in modes.into_iter().chain([(Interpolation::Linear, "linear", "floor")]) {
            for (coordinates, name) in coordinates {
                let shape = ResizeShape { planes, in_size: [h, w], out_size, scales: None, coordinates, interpolation };
                let mut out = vec![0.0; planes * out_size[0] * out_size[1]];
                ResizeTensor::new(shape.clone()).unwrap().run(&self.pool, &x, &mut out);
                let attributes =
                    json!({ "mode": mode, "nearest_mode": rounding, "coordinate_transformation_mode": name });
                let sizes = [1, planes as i64, out_size[0] as i64, out_size[1] as i64];
                let inputs = [Floats(&x, &[1, planes, h, w]), Absent, Absent, Integers(&sizes)];
                self.oracle.add("Resize", attributes, &inputs);
                self.found(format!("{shape:?}"), &[1, planes, out_size[0], out_size[1]], out);
            }
        }
    }
}

#[test]
fn every_operator_agrees_with_onnxruntime() {
    let Some(oracle) = Oracle::find() else { return };
    let mut cases = Cases { oracle, found: Vec::new(), random: Random(7), pool: Pool::new(2) };
    for i in 0..40 {
        cases.conv();
        cases.conv_transpose(i % 2 == 0);
        cases.pool();
        cases.arithmetic();
        if i % 4 == 0 {
            cases.resize();
            cases.normalise();
        }
    }
    cases.activations();
    let answers = cases.oracle.ask();
    assert_eq!(answers.len(), cases.found.len());
    for (found, (bytes, shape)) in cases.found.iter().zip(answers) {
        assert_eq!(found.shape, shape, "{}", found.what);
        assert_close(&found.values, &floats(&bytes), 1e-4, &found.what);
    }
}
