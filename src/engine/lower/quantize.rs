//! Quantised networks: whole numbers with a scale and a zero point, computed in floats as ONNX defines them.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::onnx::data_type;
use super::super::tensor::Tensor;
use super::super::tensor_op::TensorOp;
use super::convolution::{self, Filter};
use super::movement::axis_of;
use super::{Known, Lowering, Refusal, matmul};
use crate::backend::cpu::quantize::Quantize;

/// Scale and zero point of a tensor, one of each a channel or one of each in all.
struct Scaling {
    scale: Vec<f32>,
    zero: Vec<f32>,
    /// Type of the whole numbers.
    dtype: i32,
}

impl Scaling {
    /// From inputs `scale` and `zero` of the node; `default` is the type where there is no zero point.
    fn read(lowering: &Lowering, node: &Node, scale: usize, zero: usize, default: i32) -> Result<Self, String> {
        let scales = lowering.required(node, scale, "scale")?;
        let zeros = lowering.constant(node, zero, "zero point")?;
        let (scale, dims) = (scales.to_floats(), scales.shape.len());
        let (zero, dtype) = match zeros {
            Some(t) => (t.to_floats(), t.dtype),
            None => (vec![0.0; scale.len()], default),
        };
        if dims > 1 || scale.is_empty() || zero.len() != scale.len() {
            let (a, b) = (scales.shape.as_slice(), zero.len());
            return Err(format!(
                "its scale has the shape {a:?} beside {b} zero points; expected one or a list of each"
            ));
        }
        if data_type::range(dtype).is_none() {
            return Err(format!("its whole numbers are {}, which is not computed", data_type::name(dtype)));
        }
        Ok(Self { scale, zero, dtype })
    }

    /// Zero point `zero` of the node with the scale 1.
    fn of_zero(lowering: &Lowering, node: &Node, zero: usize) -> Result<Self, String> {
        let zero = lowering.constant(node, zero, "zero point")?.map_or_else(|| vec![0.0], |t| t.to_floats());
        Ok(Self { scale: vec![1.0; zero.len()], zero, dtype: data_type::INT32 })
    }

    /// How a tensor of `shape` is cut into runs of one scale; along `axis` where there is more than one.
    fn sizes(&self, shape: &[usize], axis: i64) -> Result<Quantize, String> {
        let (low, high) = data_type::range(self.dtype).unwrap_or((0, 0));
        let (low, high) = (low as f32, high as f32);
        if self.scale.len() == 1 {
            return Ok(Quantize { channels: 1, inner: shape.iter().product(), low, high });
        }
        let axis = axis_of(axis, shape.len())?;
        if shape[axis] != self.scale.len() {
            return Err(format!("it has {} scales along axis {axis} of {shape:?}", self.scale.len()));
        }
        Ok(Quantize { channels: self.scale.len(), inner: shape[axis + 1..].iter().product(), low, high })
    }

    /// The numbers that whole numbers stand for.
    fn floats(&self, tensor: &Tensor, axis: i64) -> Result<Vec<f32>, String> {
        let sizes = self.sizes(&tensor.shape, axis)?;
        let of = |(i, x): (usize, i64)| {
            let c = i / sizes.inner.max(1) % sizes.channels;
            (x as f64 - f64::from(self.zero[c])) as f32 * self.scale[c]
        };
        Ok(tensor.to_ints().into_iter().enumerate().map(of).collect())
    }

    fn step(self, lowering: &mut Lowering, node: &Node, value: usize, axis: i64, to: bool) -> Result<usize, Refusal> {
        let shape = lowering.shape(value).to_vec();
        let sizes = self.sizes(&shape, axis)?;
        let numbers = [lowering.graph.weight(self.scale), lowering.graph.weight(self.zero)];
        let op = if to { TensorOp::Quantize { sizes, numbers } } else { TensorOp::Dequantize { sizes, numbers } };
        let output = lowering.emit(node, Op::Tensor(op), vec![value], shape)?;
        lowering.types[output] = if to { self.dtype } else { data_type::FLOAT };
        Ok(output)
    }
}

fn not_blocked(node: &Node) -> Result<(), String> {
    match node.int("block_size", 0)? {
        0 => Ok(()),
        n => Err(format!("its `block_size` is {n}; blocks are not computed")),
    }
}

pub(super) fn quantize(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    not_blocked(node)?;
    let wanted = node.int("output_dtype", 0)? as i32;
    let default = if wanted == 0 { data_type::UINT8 } else { wanted };
    let (scaling, axis) = (Scaling::read(lowering, node, 1, 2, default)?, node.int("axis", 1)?);
    if let Some(Known::Constant(tensor)) = lowering.known(node, 0) {
        let sizes = scaling.sizes(&tensor.shape, axis)?;
        let of = |(i, x): (usize, f32)| {
            let c = i / sizes.inner.max(1) % sizes.channels;
            ((x / scaling.scale[c]).round_ties_even() + scaling.zero[c]).clamp(sizes.low, sizes.high) as i64
        };
        let list = tensor.to_floats().into_iter().enumerate().map(of).collect();
        return lowering.bind_constant(node, 0, Tensor::integers(tensor.shape.clone(), list, scaling.dtype));
    }
    let value = lowering.input(node, 0)?;
    let output = scaling.step(lowering, node, value, axis, true)?;
    lowering.bind(node, 0, output)
}

pub(super) fn dequantize(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    not_blocked(node)?;
    let (scaling, axis) = (Scaling::read(lowering, node, 1, 2, data_type::INT32)?, node.int("axis", 1)?);
    if let Some(Known::Constant(tensor)) = lowering.known(node, 0) {
        let list = scaling.floats(&tensor, axis)?;
        return lowering.bind_constant(node, 0, Tensor::floats(tensor.shape.clone(), list));
    }
    let value = lowering.any_input(node, 0)?;
    let output = scaling.step(lowering, node, value, axis, false)?;
    lowering.bind(node, 0, output)
}

/// QLinearConv and ConvInteger: a convolution between whole numbers.
pub(super) fn conv(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let scaled = node.operator == "QLinearConv";
    let (x, w, weight) = match scaled {
        true => (
            Scaling::read(lowering, node, 1, 2, data_type::UINT8)?,
            Scaling::read(lowering, node, 4, 5, data_type::INT8)?,
            lowering.required(node, 3, "weight")?,
        ),
        false => (
            Scaling::of_zero(lowering, node, 2)?,
            Scaling::of_zero(lowering, node, 3)?,
            lowering.required(node, 1, "weight")?,
        ),
    };
    if x.scale.len() != 1 {
        return Err("its input has more than one scale".into());
    }
    let numbers = w.floats(&weight, 0)?;
    let bias = match lowering.constant(node, 8, "bias")?.filter(|_| scaled) {
        None => None,
        Some(b) if w.scale.len() == 1 || w.scale.len() == b.data.len() => {
            let factor = |o: usize| x.scale[0] * w.scale[o % w.scale.len()];
            Some(b.to_floats().iter().enumerate().map(|(o, v)| v * factor(o)).collect())
        }
        Some(b) => return Err(format!("its bias has {} numbers", b.data.len()).into()),
    };
    let value = lowering.any_input(node, 0)?;
    let value = x.step(lowering, node, value, 1, false)?;
    let filter = Filter { numbers, shape: weight.shape.clone(), bias };
    let output = convolution::conv_of(lowering, node, value, filter)?;
    if !scaled {
        lowering.types[output] = data_type::INT32;
        return lowering.bind(node, 0, output);
    }
    let y = Scaling::read(lowering, node, 6, 7, data_type::UINT8)?;
    let output = y.step(lowering, node, output, 1, true)?;
    lowering.bind(node, 0, output)
}

/// QLinearMatMul and MatMulInteger: a product of whole numbers.
pub(super) fn product(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let scaled = node.operator == "QLinearMatMul";
    let mut factors = [0; 2];
    for (i, factor) in factors.iter_mut().enumerate() {
        let scaling = match scaled {
            true => Scaling::read(lowering, node, 3 * i + 1, 3 * i + 2, data_type::UINT8)?,
            false => Scaling::of_zero(lowering, node, 2 + i)?,
        };
        let value = lowering.any_input(node, if scaled { 3 * i } else { i })?;
        // Rows of the first, columns of the second may have scales of their own.
        *factor = scaling.step(lowering, node, value, if i == 0 { -2 } else { -1 }, false)?;
    }
    let output = matmul::product(lowering, node, factors[0], factors[1])?;
    if !scaled {
        lowering.types[output] = data_type::INT32;
        return lowering.bind(node, 0, output);
    }
    let y = Scaling::read(lowering, node, 6, 7, data_type::UINT8)?;
    let output = y.step(lowering, node, output, -2, true)?;
    lowering.bind(node, 0, output)
}
