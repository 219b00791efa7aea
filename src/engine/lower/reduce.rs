//! Reductions, the number of the largest, softmax, and pooling over whole planes.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor};
use super::super::tensor_op::TensorOp;
use super::movement::{axes_of, axis_of};
use super::{Lowering, Refusal};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::reduce::{ArgExtreme, Reduce, Reduction};

/// Reductions in their ONNX names.
const REDUCTIONS: &[(&str, Reduction)] = &[
    ("ReduceL1", Reduction::L1),
    ("ReduceL2", Reduction::L2),
    ("ReduceLogSum", Reduction::LogSum),
    ("ReduceLogSumExp", Reduction::LogSumExp),
    ("ReduceMax", Reduction::Max),
    ("ReduceMean", Reduction::Mean),
    ("ReduceMin", Reduction::Min),
    ("ReduceProd", Reduction::Prod),
    ("ReduceSum", Reduction::Sum),
    ("ReduceSumSquare", Reduction::SumSquare),
];

/// Lowers the node where it is a reduction; false where it is none.
pub(super) fn reduce(lowering: &mut Lowering, node: &Node) -> Result<bool, Refusal> {
    let Some((_, reduction)) = REDUCTIONS.iter().find(|(name, _)| *name == node.operator) else { return Ok(false) };
    let axes = lowering.list(node, 1, "axes")?.filter(|list| !list.is_empty());
    let keep = node.int("keepdims", 1)? != 0;
    if axes.is_none() && node.int("noop_with_empty_axes", 0)? != 0 {
        // Over no axes a norm is still a function of every value.
        return match reduction {
            Reduction::Sum | Reduction::Mean | Reduction::Max | Reduction::Min | Reduction::Prod => {
                lowering.same(node).map(|()| true)
            }
            _ => Err("it reduces over no axes".into()),
        };
    }
    let of = |shape: &[usize]| -> Result<(Vec<usize>, Vec<usize>), String> {
        let reduced = match &axes {
            Some(list) => axes_of(list, shape.len())?,
            None => (0..shape.len()).collect(),
        };
        let dims = shape.iter().enumerate().filter(|(d, _)| keep || !reduced.contains(d));
        Ok((dims.map(|(d, &n)| if reduced.contains(&d) { 1 } else { n }).collect(), reduced))
    };
    if let Some(super::Known::Constant(tensor)) = lowering.known(node, 0) {
        let (shape, reduced) = of(&tensor.shape)?;
        let result = of_constant(*reduction, &tensor, shape, &reduced)?;
        return lowering.bind_constant(node, 0, result).map(|()| true);
    }
    let exact = matches!(reduction, Reduction::Max | Reduction::Min);
    let value = if exact { lowering.any_input(node, 0)? } else { lowering.input(node, 0)? };
    let from = lowering.shape(value).to_vec();
    let (shape, reduced) = of(&from)?;
    let op = Reduce::new(*reduction, &from, |axis| reduced.contains(&axis));
    lowering.step(node, Op::Tensor(TensorOp::Reduce(op)), vec![value], shape)?;
    Ok(true)
}

fn of_constant(reduction: Reduction, from: &Tensor, shape: Vec<usize>, reduced: &[usize]) -> Result<Tensor, String> {
    let reduce = Reduce::new(reduction, &from.shape, |axis| reduced.contains(&axis));
    if from.data.is_empty() {
        return Err(format!("its constant input has the shape {:?}", from.shape));
    }
    let Data::Ints(list) = &from.data else {
        let mut out = vec![0.0; reduce.out_len()];
        reduce.run(&Pool::new(1), &from.to_floats(), &mut out);
        return Ok(Tensor::floats(shape, out));
    };
    let start = match reduction {
        Reduction::Sum => 0,
        Reduction::Prod => 1,
        Reduction::Max => i64::MIN,
        Reduction::Min => i64::MAX,
        _ => return Err("its constant input is made of whole numbers".to_owned()),
    };
    let mut out = vec![start; reduce.out_len()];
    for (i, &x) in list.iter().enumerate() {
        // The place in the output: the index without the axes that are taken together.
        let (mut rest, mut at, mut step) = (i, 0, 1);
        for (axis, &n) in from.shape.iter().enumerate().rev() {
            if !reduced.contains(&axis) {
                at += rest % n * step;
                step *= n;
            }
            rest /= n;
        }
        let joined = match reduction {
            Reduction::Sum => out[at].checked_add(x),
            Reduction::Prod => out[at].checked_mul(x),
            Reduction::Max => Some(out[at].max(x)),
            _ => Some(out[at].min(x)),
        };
        out[at] = joined.ok_or("its integers overflow")?;
    }
    Ok(Tensor::integers(shape, out, from.dtype))
}

/// GlobalAveragePool and GlobalMaxPool: over all but the first two axes.
pub(super) fn global(lowering: &mut Lowering, node: &Node, reduction: Reduction) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let from = lowering.shape(value).to_vec();
    if from.len() < 3 {
        return Err(format!("its input has the shape {from:?}, expected at least 3 dimensions").into());
    }
    let shape = from.iter().enumerate().map(|(d, &n)| if d < 2 { n } else { 1 }).collect();
    let op = Reduce::new(reduction, &from, |axis| axis >= 2);
    lowering.step(node, Op::Tensor(TensorOp::Reduce(op)), vec![value], shape)
}

/// ArgMax and ArgMin.
pub(super) fn arg_extreme(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.any_input(node, 0)?;
    let mut shape = lowering.shape(value).to_vec();
    let axis = axis_of(node.int("axis", 0)?, shape.len())?;
    let op = ArgExtreme {
        outer: shape[..axis].iter().product(),
        axis: shape[axis],
        inner: shape[axis + 1..].iter().product(),
        smallest: node.operator == "ArgMin",
        last: node.int("select_last_index", 0)? != 0,
    };
    if node.int("keepdims", 1)? != 0 {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    lowering.step_of(node, Op::Tensor(TensorOp::ArgExtreme(op)), vec![value], shape, data_type::INT64)
}

/// Softmax and its logarithm along one axis; before opset 13 over all that follows it.
pub(super) fn softmax(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let since = lowering.opset >= 13;
    let at = axis_of(node.int("axis", if since { -1 } else { 1 })?, shape.len())?;
    let end = if since { at + 1 } else { shape.len() };
    let outer = shape[..at].iter().product();
    let (axis, inner) = (shape[at..end].iter().product(), shape[end..].iter().product());
    let op = match node.operator.as_str() {
        "Softmax" => Op::Softmax { outer, axis, inner },
        _ => Op::Tensor(TensorOp::LogSoftmax { outer, axis, inner }),
    };
    lowering.step(node, op, vec![value], shape)
}
