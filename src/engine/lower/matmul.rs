//! MatMul, and Gemm where its matrices are not what a convolution of single pixels takes.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor_op::TensorOp;
use super::{Known, Lowering, Refusal, convolution};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::{Arithmetic, broadcast_shape};
use crate::backend::cpu::matmul::MatMul;
use crate::backend::cpu::strided::Strided;

/// Most products that one step computes.
const MOST: usize = 1 << 16;

pub(super) fn matmul(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (a, b) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    let product = product(lowering, node, a, b)?;
    lowering.bind(node, 0, product)
}

/// The product of two values by the rules of numpy.
pub(super) fn product(lowering: &mut Lowering, node: &Node, a: usize, b: usize) -> Result<usize, Refusal> {
    let (a_shape, b_shape) = (lowering.shape(a).to_vec(), lowering.shape(b).to_vec());
    let misfit = || format!("its inputs have the shapes {a_shape:?} and {b_shape:?}, which cannot be multiplied");
    // A vector is a matrix of one row, or of one column.
    let (a_batch, &[rows, depth]) = match a_shape.as_slice() {
        [] => return Err(misfit().into()),
        [n] => (&[] as &[usize], &[1, *n]),
        list => list.split_last_chunk().ok_or_else(misfit)?,
    };
    let (b_batch, &[inner, columns]) = match b_shape.as_slice() {
        [] => return Err(misfit().into()),
        [n] => (&[] as &[usize], &[*n, 1]),
        list => list.split_last_chunk().ok_or_else(misfit)?,
    };
    let batch = broadcast_shape(a_batch, b_batch).map_err(|e| e.to_string())?;
    let count: usize = batch.iter().product();
    if inner != depth || count > MOST {
        return Err(misfit().into());
    }
    let number = |own: &[usize]| {
        let (whole, new) = (Strided::whole(own), batch.len() - own.len());
        let stride = |d: usize| if d < new || own[d - new] == 1 { 0 } else { whole.strides[d - new] };
        Strided { shape: batch.clone(), strides: (0..batch.len()).map(stride).collect(), offset: 0 }
    };
    let (first, second) = (number(a_batch), number(b_batch));
    let sizes = MatMul { rows, depth, columns, pairs: (0..count).map(|i| (first.place(i), second.place(i))).collect() };
    let mut shape = batch.clone();
    if a_shape.len() > 1 {
        shape.push(rows);
    }
    if b_shape.len() > 1 {
        shape.push(columns);
    }
    let op = Op::Tensor(TensorOp::MatMul { sizes, bias: None, activation: Activation::None });
    lowering.emit(node, op, vec![a, b], shape)
}

/// alpha · A · B + beta · C.
pub(super) fn gemm(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let constant = |index| !matches!(lowering.known(node, index), Some(Known::Value(_)));
    let bias_fits = || match lowering.known(node, 2) {
        Some(Known::Constant(c)) => c.shape.iter().rev().skip(1).all(|&n| n == 1),
        other => other.is_none(),
    };
    if constant(1) && bias_fits() && node.int("transA", 0)? == 0 {
        return convolution::gemm(lowering, node);
    }
    let (mut a, mut b) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    for (value, name) in [(&mut a, "transA"), (&mut b, "transB")] {
        let shape = lowering.shape(*value).to_vec();
        let &[rows, columns] = shape.as_slice() else {
            return Err(format!("its input has the shape {shape:?}, expected a matrix").into());
        };
        if node.int(name, 0)? != 0 {
            let op = TensorOp::Transpose { shape, order: vec![1, 0] };
            *value = lowering.emit(node, Op::Tensor(op), vec![*value], vec![columns, rows])?;
        }
    }
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let scaled = |lowering: &mut Lowering, value: usize, factor: f32| -> Result<usize, Refusal> {
        if factor == 1.0 {
            return Ok(value);
        }
        let (shape, factor) = (lowering.shape(value).to_vec(), lowering.made(node, Vec::new(), vec![factor]));
        lowering.emit(node, Op::Binary(Arithmetic::Mul), vec![value, factor], shape)
    };
    let mut result = product(lowering, node, a, b)?;
    result = scaled(lowering, result, alpha)?;
    if lowering.known(node, 2).is_some() && beta != 0.0 {
        let c = lowering.input(node, 2)?;
        let c = scaled(lowering, c, beta)?;
        let shape = lowering.shape(result).to_vec();
        if broadcast_shape(&shape, lowering.shape(c)).ok().as_ref() != Some(&shape) {
            return Err(format!("its C has the shape {:?}, its product {shape:?}", lowering.shape(c)).into());
        }
        result = lowering.emit(node, Op::Binary(Arithmetic::Add), vec![result, c], shape)?;
    }
    lowering.bind(node, 0, result)
}
