//! Add, Sub, Mul, Div and Softmax.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::fold::axis_of;
use super::{Lowering, Refusal};
use crate::backend::cpu::elementwise::Arithmetic;

/// The shape of two broadcast against each other.
///
/// # References
/// NumPy, "General broadcasting rules"; ONNX `Broadcasting.md`.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], d: usize| (d + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|d| match (dim(a, d), dim(b, d)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("its inputs have the shapes {a:?} and {b:?}, which do not go together")),
        })
        .collect()
}

pub(super) fn binary(lowering: &mut Lowering, node: &Node, op: Arithmetic) -> Result<(), Refusal> {
    let (a, b) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    let shape = broadcast_shape(lowering.shape(a), lowering.shape(b))?;
    if shape.len() > 4 {
        return Err(format!("its output has the shape {shape:?}; up to 4 dimensions are computed").into());
    }
    lowering.step(node, Op::Binary(op), vec![a, b], shape)
}

/// Softmax along one axis; before opset 13 over all that follows it.
pub(super) fn softmax(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let op = if lowering.opset >= 13 {
        let axis = axis_of(node.int("axis", -1)?, shape.len())?;
        Op::Softmax {
            outer: shape[..axis].iter().product(),
            axis: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    } else {
        let axis = axis_of(node.int("axis", 1)?, shape.len())?;
        Op::Softmax { outer: shape[..axis].iter().product(), axis: shape[axis..].iter().product(), inner: 1 }
    };
    lowering.step(node, op, vec![value], shape)
}
