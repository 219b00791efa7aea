//! Normalisation by the values' own mean and variance: InstanceNormalization, GroupNormalization, LayerNormalization,
//! RMSNormalization, LpNormalization.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor_op::TensorOp;
use super::movement::axis_of;
use super::{Lowering, Refusal};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;
use crate::backend::cpu::math::Math;
use crate::backend::cpu::normalize::Normalize;
use crate::backend::cpu::reduce::{Reduce, Reduction};
use crate::backend::cpu::strided::Strided;

/// Adds the step and binds it.
fn add(
    lowering: &mut Lowering,
    node: &Node,
    value: usize,
    sizes: Normalize,
    numbers: [Vec<f32>; 2],
) -> Result<(), Refusal> {
    sizes.check().map_err(|e| e.to_string())?;
    let shape = lowering.shape(value).to_vec();
    let numbers = numbers.map(|list| lowering.graph.weight(list));
    let op = TensorOp::Normalize { sizes, numbers, activation: Activation::None };
    lowering.step(node, Op::Tensor(op), vec![value], shape)
}

/// InstanceNormalization, and GroupNormalization: runs of whole channels.
pub(super) fn channels(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let (images, channels, plane) = match shape.as_slice() {
        [n, c, rest @ ..] => (*n, *c, rest.iter().product::<usize>()),
        _ => return Err(format!("its input has the shape {shape:?}, expected two or more dimensions").into()),
    };
    let groups = match node.operator.as_str() {
        "InstanceNormalization" => channels,
        _ => {
            let groups = node.int("num_groups", 0)?;
            let fits = |&g: &usize| g > 0 && channels.is_multiple_of(g);
            usize::try_from(groups)
                .ok()
                .filter(fits)
                .ok_or_else(|| format!("its `num_groups` is {groups}, its input has {channels} channels"))?
        }
    };
    let mut numbers = [Vec::new(), Vec::new()];
    for (i, what) in ["scale", "bias"].into_iter().enumerate() {
        let list = lowering.required(node, i + 1, what)?.to_floats();
        numbers[i] = match list.len() {
            n if n == channels => list,
            // Before opset 21 there was one a group.
            n if n == groups => (0..channels).map(|c| list[c / (channels / groups)]).collect(),
            n => return Err(format!("its {what} has {n} numbers, expected {channels}, one a channel").into()),
        };
    }
    let sizes = Normalize {
        groups: images * groups,
        length: channels / groups * plane,
        epsilon: node.float("epsilon", 1e-5)?,
        centered: true,
        plane,
        channels,
    };
    add(lowering, node, value, sizes, numbers)
}

/// LayerNormalization and RMSNormalization: over the last axes.
pub(super) fn layer(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let axis = axis_of(node.int("axis", -1)?, shape.len())?;
    if (1..node.outputs.len()).any(|i| lowering.is_read(node, i)) {
        statistics(lowering, node, value, axis)?;
    }
    let (own, length) = (&shape[axis..], shape[axis..].iter().product::<usize>());
    let mut numbers = [vec![1.0; length], vec![0.0; length]];
    for (i, what) in ["scale", "bias"].into_iter().enumerate() {
        let Some(tensor) = lowering.constant(node, i + 1, what)? else { continue };
        let dims: Vec<usize> = tensor.shape.iter().copied().skip_while(|&n| n == 1).collect();
        let Some(new) = own.len().checked_sub(dims.len()) else {
            return Err(format!("its {what} has the shape {:?}, its input {shape:?}", tensor.shape).into());
        };
        if dims.iter().zip(&own[new..]).any(|(&a, &b)| a != b && a != 1) {
            return Err(format!("its {what} has the shape {:?}, its input {shape:?}", tensor.shape).into());
        }
        let whole = Strided::whole(&dims);
        let stride = |d: usize| if d < new || dims[d - new] == 1 { 0 } else { whole.strides[d - new] };
        let places = Strided { shape: own.to_vec(), strides: (0..own.len()).map(stride).collect(), offset: 0 };
        let list = tensor.to_floats();
        numbers[i] = (0..length).map(|at| list[places.place(at)]).collect();
    }
    let sizes = Normalize {
        groups: shape[..axis].iter().product(),
        length,
        epsilon: node.float("epsilon", 1e-5)?,
        centered: node.operator != "RMSNormalization",
        plane: 1,
        channels: length,
    };
    add(lowering, node, value, sizes, numbers)
}

/// The other outputs of LayerNormalization: the mean, and 1 / √(variance + ε).
fn statistics(lowering: &mut Lowering, node: &Node, value: usize, axis: usize) -> Result<(), Refusal> {
    let shape = lowering.shape(value).to_vec();
    let kept: Vec<usize> = shape.iter().enumerate().map(|(d, &n)| if d < axis { n } else { 1 }).collect();
    let average = || Op::Tensor(TensorOp::Reduce(Reduce::new(Reduction::Mean, &shape, |d| d >= axis)));
    let mean = lowering.emit(node, average(), vec![value], kept.clone())?;
    lowering.bind(node, 1, mean)?;
    let binary = |op| Op::Binary(op);
    let difference = lowering.emit(node, binary(Arithmetic::Sub), vec![value, mean], shape.clone())?;
    let squares = lowering.emit(node, binary(Arithmetic::Mul), vec![difference, difference], shape.clone())?;
    let variance = lowering.emit(node, average(), vec![squares], kept.clone())?;
    let epsilon = lowering.made(node, Vec::new(), vec![node.float("epsilon", 1e-5)?]);
    let sum = lowering.emit(node, binary(Arithmetic::Add), vec![variance, epsilon], kept.clone())?;
    let root = lowering.emit(node, Op::Activate(Activation::Math(Math::Sqrt)), vec![sum], kept.clone())?;
    let inverse = lowering.emit(node, Op::Activate(Activation::Math(Math::Reciprocal)), vec![root], kept)?;
    lowering.bind(node, 2, inverse)
}

/// LpNormalization: divided by the norm along an axis.
pub(super) fn norm(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let axis = axis_of(node.int("axis", -1)?, shape.len())?;
    let reduction = match node.int("p", 2)? {
        1 => Reduction::L1,
        2 => Reduction::L2,
        p => return Err(format!("its `p` is {p}; expected 1 or 2").into()),
    };
    let mut kept = shape.clone();
    kept[axis] = 1;
    let reduce = TensorOp::Reduce(Reduce::new(reduction, &shape, |d| d == axis));
    let norm = lowering.emit(node, Op::Tensor(reduce), vec![value], kept.clone())?;
    // Zeros stay zeros.
    let least = lowering.made(node, Vec::new(), vec![f32::MIN_POSITIVE]);
    let norm = lowering.emit(node, Op::Binary(Arithmetic::Max), vec![norm, least], kept)?;
    lowering.step(node, Op::Binary(Arithmetic::Div), vec![value, norm], shape)
}
