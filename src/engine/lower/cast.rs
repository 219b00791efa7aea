//! Cast: between types.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor};
use super::{Known, Lowering, Refusal};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::math::Math;

pub(super) fn cast(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let to = match node.operator.as_str() {
        "CastLike" => match lowering.known(node, 1).ok_or("its second input is missing")? {
            Known::Constant(tensor) => tensor.dtype,
            Known::Value(value) => lowering.types[value],
        },
        _ => node.int("to", 0)? as i32,
    };
    let known = data_type::is_float(to) || data_type::range(to).is_some();
    if !known || to == data_type::UINT64 {
        return Err(format!("it turns numbers into {}, which is not computed", data_type::name(to)).into());
    }
    if let Known::Constant(from) = lowering.known(node, 0).ok_or("its input is missing")? {
        return lowering.bind_constant(node, 0, constant(&from, to));
    }
    let value = lowering.any_input(node, 0)?;
    let (from, shape) = (lowering.types[value], lowering.shape(value).to_vec());
    let wider = |a: (i64, i64), b: (i64, i64)| a.0 >= b.0 && a.1 <= b.1;
    let op = match (data_type::range(from), data_type::range(to)) {
        (None, None) => return lowering.same(node),
        // Whole numbers are floats here already.
        (Some(_), None) => Op::Copy,
        (_, Some(_)) if to == data_type::BOOL => Op::Activate(Activation::Math(Math::Truth)),
        (None, Some(_)) => Op::Activate(Activation::Math(Math::Truncate)),
        (Some(a), Some(b)) if wider(a, b) || b.0 <= -(1 << 31) => Op::Copy,
        _ => {
            let (from, to) = (data_type::name(from), data_type::name(to));
            return Err(format!("it turns {from} into {to}, which has no place for every number").into());
        }
    };
    lowering.step_of(node, op, vec![value], shape, to)
}

fn constant(from: &Tensor, to: i32) -> Tensor {
    let data = match data_type::range(to) {
        None => Data::Floats(from.to_floats()),
        Some(_) if to == data_type::BOOL => Data::Ints(from.to_floats().iter().map(|&x| i64::from(x != 0.0)).collect()),
        Some(_) => Data::Ints(from.to_ints()),
    };
    Tensor { shape: from.shape.clone(), data, dtype: to }
}
