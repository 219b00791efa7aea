//! Resize along single axes, for all that the resize of planes does not do.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor_op::TensorOp;
use super::{Lowering, Refusal};
use crate::backend::cpu::resize_axis::{AxisFilter, ResizeAxis};
use crate::backend::cpu::resize_tensor::Coordinates;

/// What happens along one axis.
#[derive(Clone, Copy)]
pub(super) struct Along {
    /// The axis.
    pub axis: usize,
    /// Its new length.
    pub out: usize,
    /// Factor of the positions.
    pub scale: f32,
    /// The part that is resized.
    pub crop: Option<([f32; 2], f32)>,
}

/// How it happens along all axes.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub coordinates: Coordinates,
    pub filter: AxisFilter,
    pub antialias: bool,
    pub exclude_outside: bool,
}

/// One step an axis that changes.
pub(super) fn by_axis(
    lowering: &mut Lowering,
    node: &Node,
    mut value: usize,
    along: &[Along],
    rules: Rules,
) -> Result<(), Refusal> {
    let before = value;
    for one in along {
        let mut shape = lowering.shape(value).to_vec();
        let whole = one.crop.is_none_or(|(part, _)| part == [0.0, 1.0]);
        if one.out == shape[one.axis] && one.scale == 1.0 && whole {
            continue;
        }
        let op = ResizeAxis {
            outer: shape[..one.axis].iter().product(),
            size: shape[one.axis],
            out: one.out,
            inner: shape[one.axis + 1..].iter().product(),
            scale: one.scale,
            coordinates: rules.coordinates,
            crop: one.crop,
            filter: rules.filter,
            antialias: rules.antialias,
            exclude_outside: rules.exclude_outside,
        };
        op.check().map_err(|e| e.to_string())?;
        shape[one.axis] = one.out;
        value = lowering.emit(node, Op::Tensor(TensorOp::ResizeAxis(op)), vec![value], shape)?;
    }
    if value == before {
        return lowering.same(node);
    }
    lowering.bind(node, 0, value)
}
