//! Add, Sub, Mul, Div and Softmax.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::fold::axis_of;
use super::{Lowering, Refusal};
use crate::backend::cpu::elementwise::{Arithmetic, broadcast_shape};

pub(super) fn binary(lowering: &mut Lowering, node: &Node, op: Arithmetic) -> Result<(), Refusal> {
    let (a, b) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    let shape = broadcast_shape(lowering.shape(a), lowering.shape(b)).map_err(|e| e.to_string())?;
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
