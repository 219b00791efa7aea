//! Steps on floats that lie in one piece as the CPU has them: whatever has no kernel for channels-last halves, and tensors
//! that are no pictures.

use super::super::graph::{Op, Then};
use super::super::plan::{Place, PlanStep};
use super::super::tensor_op::TensorOp;
use super::emit::Emit;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::{Arithmetic, batch_norm_affine};
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::resize_axis::AxisTable;
use crate::backend::cpu::resize_tensor::ResizeTensor;
use crate::backend::cpu::strided::Strided;
use crate::backend::cuda::conv::direct::ConvDirect;
use crate::backend::cuda::elementwise::{self, Repeated};
use crate::backend::cuda::launch::Region;
use crate::backend::cuda::max_pool::{self, Taken};
use crate::backend::cuda::strided::Moved;
use crate::backend::cuda::{
    activation, matmul, normalize, quantize, reduce, resize_axis, resize_tensor, select, softmax, take,
};

impl Emit<'_> {
    /// None where no kernel computes it.
    pub(super) fn on_floats(&mut self, step: &PlanStep) -> Option<()> {
        match &step.op {
            Op::Activate(function) => {
                self.copy_floats(step);
                self.activate(step, *function);
            }
            Op::Copy => self.copy_floats(step),
            Op::BatchNorm { numbers, epsilon } => {
                let [scale, bias, mean, variance] = numbers.map(|n| self.plan.weights[n].to_vec());
                let of = |c: usize| batch_norm_affine(scale[c], bias[c], mean[c], variance[c], *epsilon);
                let (factors, addends): (Vec<f32>, Vec<f32>) = (0..scale.len()).map(of).unzip();
                let plane = self.len(step.output) / self.images(step.output) / factors.len();
                let numbers = self.floats(&[factors, addends].concat());
                self.scale(step, plane, numbers);
            }
            Op::Softmax { outer, axis, inner } => self.softmax(step, [*outer, *axis, *inner], false),
            Op::Concat { axis } => self.join_floats(step, *axis),
            Op::Binary(op) => self.combine(step, *op, Activation::None),
            Op::Pad { channels, size: [h, w], pads: [top, left, bottom, right], level } => {
                let [rows, columns] = [h + top + bottom, w + left + right];
                let level = self.floats(&[*level]);
                let everywhere = Strided { shape: vec![self.len(step.output)], strides: vec![0], offset: 0 };
                self.move_floats(Moved::whole(&everywhere), (level, 1), step.output);
                let planes = self.images(step.output) * channels;
                let from = Strided::whole(&[planes, *h, *w]);
                let strides = Strided::whole(&[planes, rows, columns]).strides;
                let to = Strided { shape: from.shape.clone(), strides, offset: top * columns + left };
                let src = self.given(step.inputs[0]);
                self.move_floats(Moved::to(&from, &to), src, step.output);
            }
            Op::MaxPool(shape) => return self.pool(step, shape, Taken::Largest),
            Op::AveragePool { shape, padded } => {
                return self.pool(step, shape, if *padded { Taken::AveragePadded } else { Taken::Average });
            }
            Op::Conv { shape, .. } => return self.convolve(step, &ConvDirect::convolution(shape)?, shape.in_len()),
            Op::ConvTranspose { shape, .. } => {
                return self.convolve(step, &ConvDirect::transposed(shape)?, shape.in_len());
            }
            Op::Tensor(op) => return self.tensor(step, op),
            Op::Resize(shape) => {
                let resize = ResizeTensor::new(shape.clone()).ok()?;
                let lookup = self.constant(resize_tensor::tables(&resize));
                let ((src, len), dst) = (self.given(step.inputs[0]), self.tensors.planes(step.output));
                let planes = len / shape.in_size.iter().product::<usize>();
                self.launches.push(resize_tensor::planes(&resize, planes, src, lookup, dst)?);
            }
        }
        Some(())
    }

    /// A convolution, and what follows.
    fn convolve(&mut self, step: &PlanStep, conv: &ConvDirect, picture: usize) -> Option<()> {
        let (weights, bias) = self.numbers(step);
        let constants = [self.constant(conv.pack(&weights)), self.floats(&bias)];
        let (src, len) = self.given(step.inputs[0]);
        let residual = step.inputs.get(1).map(|&v| self.given(v).0);
        let dst = self.tensors.planes(step.output);
        self.launches.push(conv.launch(len / picture, src, constants, residual, dst)?);
        self.follow(step)
    }

    fn pool(&mut self, step: &PlanStep, shape: &PoolShape, taken: Taken) -> Option<()> {
        let ((src, len), dst) = (self.given(step.inputs[0]), self.tensors.planes(step.output));
        self.launches.push(max_pool::planes(shape, taken, len / shape.in_len(), src, dst)?);
        Some(())
    }

    fn tensor(&mut self, step: &PlanStep, op: &TensorOp) -> Option<()> {
        let (src, src_len) = self.given(step.inputs[0]);
        let (dst, len) = (self.tensors.planes(step.output), self.len(step.output));
        match op {
            TensorOp::Transpose { shape, order } => {
                let moved = Moved::whole(&Strided::whole(shape).transposed(order));
                self.move_floats(moved, (src, src_len), step.output);
            }
            TensorOp::Strided(strided) => self.move_floats(Moved::whole(strided), (src, src_len), step.output),
            TensorOp::Take(shape) => {
                let lookup = self.constant(take::tables(shape));
                self.launches.push(take::launch(shape, src, lookup, dst));
            }
            TensorOp::Reduce(shape) => {
                let lookup = self.constant(reduce::tables(shape));
                self.launches.push(reduce::launch(shape, src, lookup, dst));
            }
            TensorOp::ArgExtreme(shape) => self.launches.push(reduce::arg_extreme(shape, src, dst)),
            TensorOp::MatMul { sizes, bias, activation } => {
                let second = self.given(step.inputs[1]);
                let bias = bias.map(|bias| self.floats(&self.plan.weights[bias]));
                let lookup = self.constant(matmul::tables(sizes));
                self.launches.push(matmul::launch(sizes, [(src, src_len), second], bias, lookup, dst)?);
                self.activate(step, *activation);
            }
            TensorOp::Normalize { sizes, numbers, activation } => {
                let numbers = self.pairs(*numbers);
                self.launches.push(normalize::launch(sizes, src, numbers, dst));
                self.activate(step, *activation);
            }
            TensorOp::Affine { plane, numbers, activation } => {
                let numbers = self.pairs(*numbers);
                self.scale(step, *plane, numbers);
                self.activate(step, *activation);
            }
            TensorOp::Binary { op, activation } => self.combine(step, *op, *activation),
            TensorOp::Select => {
                let repeated = Repeated::new([0, 1, 2].map(|i| self.shape(step.inputs[i])), self.shape(step.output));
                let tensors = [0, 1, 2].map(|i| self.given(step.inputs[i]).0);
                let lookup = self.constant(repeated.tables());
                self.launches.push(select::launch(&repeated, tensors, lookup, dst));
            }
            TensorOp::LogSoftmax { outer, axis, inner } => self.softmax(step, [*outer, *axis, *inner], true),
            TensorOp::Quantize { sizes, numbers } => {
                let numbers = self.pairs(*numbers);
                self.launches.push(quantize::quantize(sizes, len, src, numbers, dst));
            }
            TensorOp::Dequantize { sizes, numbers } => {
                let numbers = self.pairs(*numbers);
                self.launches.push(quantize::dequantize(sizes, len, src, numbers, dst));
            }
            TensorOp::ResizeAxis(shape) => {
                let table = AxisTable::new(shape.clone()).ok()?;
                let lookup = self.constant(resize_axis::tables(&table));
                self.launches.push(resize_axis::launch(&table, src, lookup, dst));
            }
        }
        Some(())
    }

    /// What follows a convolution, in place on its planes: softmax of the channels, or a function, or nothing.
    pub(super) fn follow(&mut self, step: &PlanStep) -> Option<()> {
        match &step.op {
            Op::Conv { shape, then: Some(Then::Softmax), .. } => {
                let pixels = shape.out_size().iter().product::<usize>();
                let sizes = [self.len(step.output) / shape.out_len(), shape.out_channels, pixels];
                self.launches.push(softmax::launch(sizes, false, self.tensors.planes(step.output)));
                Some(())
            }
            Op::Conv { then: Some(Then::MaxPool { .. }), .. } => None,
            Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } => {
                self.activate(step, *activation);
                Some(())
            }
            _ => None,
        }
    }

    fn shape(&self, value: usize) -> &[usize] {
        &self.plan.header.values[value].shape
    }

    fn images(&self, value: usize) -> usize {
        self.plan.header.values[value].images()
    }

    fn len(&self, value: usize) -> usize {
        self.shape(value).iter().product()
    }

    /// The floats of a value that is read, and how many they are; a constant is stored once.
    pub(super) fn given(&mut self, value: usize) -> (Region, usize) {
        let len = self.len(value);
        let Place::Weights(weights) = self.plan.header.values[value].place else {
            return (self.tensors.planes(value), len);
        };
        if let Some(&region) = self.stored.get(&value) {
            return (region, len);
        }
        let region = self.floats(&self.plan.weights[weights][..len]);
        self.stored.insert(value, region);
        (region, len)
    }

    /// A first and a second number of every channel.
    fn pairs(&mut self, numbers: [usize; 2]) -> Region {
        let numbers = numbers.map(|n| self.plan.weights[n].to_vec());
        self.floats(&numbers.concat())
    }

    fn move_floats(&mut self, moved: Moved, (src, src_len): (Region, usize), to: usize) {
        let lookup = self.constant(moved.tables());
        let (dst, len) = (self.tensors.planes(to), self.len(to));
        self.launches.push(moved.launch([src_len, len], src, lookup, dst));
    }

    fn copy_floats(&mut self, step: &PlanStep) {
        let (src, len) = self.given(step.inputs[0]);
        self.move_floats(Moved::whole(&Strided::whole(&[len])), (src, len), step.output);
    }

    /// A function of the output, in place.
    fn activate(&mut self, step: &PlanStep, function: Activation) {
        if function != Activation::None {
            let (dst, len) = (self.tensors.planes(step.output), self.len(step.output));
            self.launches.push(activation::launch(len, function, dst));
        }
    }

    /// By a scale and then a shift of each channel.
    fn scale(&mut self, step: &PlanStep, plane: usize, numbers: Region) {
        let ((src, len), channels) = (self.given(step.inputs[0]), numbers.bytes as usize / 8);
        self.launches.push(elementwise::scale([len, channels, plane], src, numbers, self.tensors.planes(step.output)));
    }

    fn softmax(&mut self, step: &PlanStep, sizes: [usize; 3], logarithm: bool) {
        self.copy_floats(step);
        self.launches.push(softmax::launch(sizes, logarithm, self.tensors.planes(step.output)));
    }

    fn combine(&mut self, step: &PlanStep, op: Arithmetic, activation: Activation) {
        let repeated = Repeated::new([0, 1].map(|i| self.shape(step.inputs[i])), self.shape(step.output));
        let tensors = [0, 1].map(|i| self.given(step.inputs[i]).0);
        let (lookup, dst) = (self.constant(repeated.tables()), self.tensors.planes(step.output));
        self.launches.push(elementwise::combine(op, &repeated, tensors, lookup, dst));
        self.activate(step, activation);
    }

    /// One after the other along an axis.
    fn join_floats(&mut self, step: &PlanStep, axis: usize) {
        let whole = self.shape(step.output).to_vec();
        let (outer, row) = (whole[..axis].iter().product::<usize>(), whole[axis..].iter().product::<usize>());
        let mut offset = 0;
        for &part in &step.inputs {
            let (src, len) = self.given(part);
            let from = Strided::whole(&[outer, len / outer]);
            let to = Strided { shape: from.shape.clone(), strides: vec![row as isize, 1], offset };
            self.move_floats(Moved::to(&from, &to), (src, len), step.output);
            offset += len / outer;
        }
    }
}
