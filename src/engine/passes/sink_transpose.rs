//! Transpositions move behind what does not mind them, until two meet that cancel.
//!
//! Networks from channels-last frameworks come with a pair around every operator that wants channels first.

use super::super::graph::{Graph, Op, Step};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::reduce::Reduce;
use crate::backend::cpu::strided::Strided;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        // What was moved is looked at again as the input of what follows.
        at += sink(graph, at).unwrap_or(1);
    }
    super::drop_unused::run(graph);
}

/// The order of the transposition that made `value`, and what it reads.
fn order_of(graph: &Graph, value: usize) -> Option<(Vec<usize>, usize)> {
    let step = &graph.steps[graph.writer(value)?];
    match &step.op {
        Op::Tensor(TensorOp::Transpose { order, .. }) => Some((order.clone(), step.inputs[0])),
        _ => None,
    }
}

/// Whether the step that made `value` moves numbers and computes none, so that one movement more costs nothing.
fn is_moved(graph: &Graph, value: usize) -> bool {
    graph.writer(value).is_some_and(|w| {
        matches!(graph.steps[w].op, Op::Copy | Op::Tensor(TensorOp::Transpose { .. } | TensorOp::Strided(_)))
    })
}

/// Moves the transposition before the step `at` behind it, and returns how many steps stand in its place.
fn sink(graph: &mut Graph, at: usize) -> Option<usize> {
    let step = graph.steps[at].clone();
    let order = step.inputs.iter().find_map(|&v| order_of(graph, v))?.0;
    let rank = order.len();
    let out_shape = graph.values[step.output].shape.clone();
    if out_shape.len() != rank {
        return None;
    }
    let op = moved(graph, &step, &order)?;
    let inputs = step.inputs.iter().map(|&v| before(graph, v, &order)).collect::<Option<Vec<_>>>()?;
    let mut steps = Vec::new();
    let values = inputs.into_iter().map(|b| place(graph, b, &step.name, &mut steps)).collect();
    let shape = untransposed(&order, &out_shape);
    let inner = graph.value(format!("{}/transposed", graph.values[step.output].name), shape.clone());
    steps.push(Step { name: step.name.clone(), op, inputs: values, output: inner });
    let op = Op::Tensor(TensorOp::Transpose { shape, order });
    steps.push(Step { name: format!("{}/transpose", step.name), op, inputs: vec![inner], output: step.output });
    let count = steps.len();
    graph.steps.splice(at..=at, steps);
    Some(count)
}

/// The dimensions before a transposition to `shape`: axis `order[i]` is axis i behind it.
fn untransposed(order: &[usize], shape: &[usize]) -> Vec<usize> {
    let mut before = vec![0; order.len()];
    order.iter().zip(shape).for_each(|(&a, &n)| before[a] = n);
    before
}

/// What a value is before the transposition.
enum Before {
    /// A value that is there.
    Value(usize),
    /// A value to be transposed back, by this order.
    Back(usize, Vec<usize>),
    /// A constant to be made.
    Constant(Vec<usize>, Vec<f32>),
}

fn before(graph: &Graph, value: usize, order: &[usize]) -> Option<Before> {
    if let Some((own, from)) = order_of(graph, value) {
        return (own == order).then_some(Before::Value(from));
    }
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
    let shape = &graph.values[value].shape;
    if shape.len() == order.len() && is_moved(graph, value) {
        return Some(Before::Back(value, back));
    }
    let numbers = &graph.weights[graph.values[value].constant?];
    if shape.len() > order.len() {
        return None;
    }
    let wide = [vec![1; order.len() - shape.len()], shape.clone()].concat();
    let places = Strided::whole(&wide).transposed(&back);
    let list = (0..numbers.len()).map(|i| numbers[places.place(i)]).collect();
    Some(Before::Constant(places.shape, list))
}

fn place(graph: &mut Graph, before: Before, name: &str, steps: &mut Vec<Step>) -> usize {
    match before {
        Before::Value(value) => value,
        Before::Back(value, order) => {
            let shape = graph.values[value].shape.clone();
            let name = format!("{name}/input{}", steps.len());
            let output = graph.value(name.clone(), order.iter().map(|&a| shape[a]).collect());
            let op = Op::Tensor(TensorOp::Transpose { shape, order });
            steps.push(Step { name, op, inputs: vec![value], output });
            output
        }
        Before::Constant(shape, numbers) => {
            let value = graph.value(format!("{name}/constant"), shape);
            graph.values[value].constant = Some(graph.weight(numbers));
            value
        }
    }
}

/// The operation as it is before the transposition; `None` where it minds.
fn moved(graph: &Graph, step: &Step, order: &[usize]) -> Option<Op> {
    let before = untransposed(order, &graph.values[step.output].shape);
    let around = |axis: usize| (before[..axis].iter().product(), before[axis], before[axis + 1..].iter().product());
    // Which axis of the output a step along (outer, length, inner) means.
    let out = &graph.values[step.output].shape;
    let axis_of = |outer: usize, length: usize, inner: usize| {
        let fits = |a: &usize| {
            out[..*a].iter().product::<usize>() == outer
                && out[*a] == length
                && out[*a + 1..].iter().product::<usize>() == inner
        };
        (0..out.len()).find(fits)
    };
    match &step.op {
        Op::Activate(_) | Op::Binary(_) | Op::Tensor(TensorOp::Binary { .. } | TensorOp::Select) => {
            Some(step.op.clone())
        }
        Op::Concat { axis } => Some(Op::Concat { axis: order[*axis] }),
        Op::Softmax { outer, axis, inner } => {
            let (outer, axis, inner) = around(order[axis_of(*outer, *axis, *inner)?]);
            Some(Op::Softmax { outer, axis, inner })
        }
        Op::Tensor(TensorOp::Quantize { sizes, .. } | TensorOp::Dequantize { sizes, .. }) if sizes.channels == 1 => {
            Some(step.op.clone())
        }
        Op::Tensor(TensorOp::Reduce(reduce)) => {
            // Of the same rank, so that every axis that is taken together has a length of 1 behind it.
            let input = &graph.values[step.inputs[0]].shape;
            let gone = |axis: usize| input[axis] != 1 && out[axis] == 1;
            let fits = Reduce::new(reduce.reduction, input, gone) == *reduce;
            let from = untransposed(order, input);
            let back = |axis: usize| order.iter().position(|&a| a == axis).is_some_and(gone);
            fits.then(|| Op::Tensor(TensorOp::Reduce(Reduce::new(reduce.reduction, &from, back))))
        }
        _ => None,
    }
}
