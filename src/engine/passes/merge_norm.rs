//! Normalisations that exporters write out of means, differences and roots become one step, and so do the scale and the
//! offset that follow one, perhaps behind a reshape, and the reshape before it.
//!
//! # References
//! How PyTorch and TensorFlow export `LayerNorm`, `GroupNorm` and `InstanceNorm` before ONNX had them (opset 17, 18).

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use super::name_activation::scalar;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;
use crate::backend::cpu::math::Math;
use crate::backend::cpu::normalize::Normalize;
use crate::backend::cpu::reduce::{Reduce, Reduction};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        if let Some((input, sizes)) = written_out(graph, at) {
            let numbers = [graph.weight(vec![1.0]), graph.weight(vec![0.0])];
            graph.steps[at].op = Op::Tensor(TensorOp::Normalize { sizes, numbers, activation: Activation::None });
            graph.steps[at].inputs = vec![input];
        }
    }
    super::drop_unused::run(graph);
    super::at_every_step(graph, scale);
    super::at_every_step(graph, reshaped);
    super::drop_unused::run(graph);
}

/// Lets the normalisation at `at` read what was only given another shape for it: its runs are the same.
fn reshaped(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::Tensor(TensorOp::Normalize { .. }) = &graph.steps[at].op else { return None };
    let (Op::Copy, inputs) = made(graph, graph.steps[at].inputs[0])? else { return None };
    graph.steps[at].inputs = vec![inputs[0]];
    Some(())
}

/// What made `value`: the operation and what it read.
fn made(graph: &Graph, value: usize) -> Option<(&Op, &[usize])> {
    let step = &graph.steps[graph.writer(value)?];
    Some((&step.op, &step.inputs))
}

/// The mean over the last axes that `value` is, and what of.
fn mean(graph: &Graph, value: usize) -> Option<(&Reduce, usize)> {
    match made(graph, value)? {
        (Op::Tensor(TensorOp::Reduce(reduce)), inputs) if reduce.reduction == Reduction::Mean => {
            Some((reduce, inputs[0]))
        }
        _ => None,
    }
}

/// (x − mean) / √(mean of squares + ε), as the step `at` may be.
fn written_out(graph: &Graph, at: usize) -> Option<(usize, Normalize)> {
    let step = &graph.steps[at];
    let (difference, root) = match step.op {
        Op::Binary(Arithmetic::Div) => (step.inputs[0], step.inputs[1]),
        Op::Binary(Arithmetic::Mul) => {
            let inverse = |v: usize| match made(graph, v) {
                Some((Op::Activate(Activation::Math(Math::Reciprocal)), inputs)) => Some(inputs[0]),
                _ => None,
            };
            let [a, b] = [step.inputs[0], step.inputs[1]];
            inverse(b).map(|root| (a, root)).or_else(|| inverse(a).map(|root| (b, root)))?
        }
        _ => return None,
    };
    let (Op::Activate(Activation::Math(Math::Sqrt)), inputs) = made(graph, root)? else { return None };
    let (Op::Binary(Arithmetic::Add), inputs) = made(graph, inputs[0])? else { return None };
    let epsilon = scalar(graph, inputs[1]).filter(|e| e.is_finite())?;
    let (variance, squares) = mean(graph, inputs[0])?;
    let squared = match made(graph, squares)? {
        (Op::Binary(Arithmetic::Pow), inputs) if scalar(graph, inputs[1]) == Some(2.0) => inputs[0],
        (Op::Binary(Arithmetic::Mul), inputs) if inputs[0] == inputs[1] => inputs[0],
        _ => return None,
    };
    let (x, center) = subtracted(graph, difference)?;
    let same = squared == difference || subtracted(graph, squared) == Some((x, center));
    let (average, of) = mean(graph, center)?;
    if !same || of != x || average != variance {
        return None;
    }
    let (groups, length) = match average.axes.as_slice() {
        [(length, true)] => (1, *length),
        [(groups, false), (length, true)] => (*groups, *length),
        _ => return None,
    };
    let sizes = Normalize { groups, length, epsilon, centered: true, plane: length, channels: 1 };
    let whole = graph.values[x].len() == sizes.len() && graph.values[step.output].len() == sizes.len();
    (whole && sizes.check().is_ok()).then_some((x, sizes))
}

/// The two values whose difference `value` is.
fn subtracted(graph: &Graph, value: usize) -> Option<(usize, usize)> {
    match made(graph, value)? {
        (Op::Binary(Arithmetic::Sub), inputs) => Some((inputs[0], inputs[1])),
        _ => None,
    }
}

/// Lets the normalisation at `at` do the multiplication or addition that alone reads it.
fn scale(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::Tensor(TensorOp::Normalize { sizes, numbers, activation: Activation::None }) = &graph.steps[at].op else {
        return None;
    };
    let (sizes, numbers) = (sizes.clone(), *numbers);
    let mut value = graph.steps[at].output;
    let mut reader = graph.only_reader(value)?;
    let reshape = (graph.steps[reader].op == Op::Copy).then_some(reader);
    if reshape.is_some() {
        value = graph.steps[reader].output;
        reader = graph.only_reader(value)?;
    }
    let step = &graph.steps[reader];
    let Op::Binary(op @ (Arithmetic::Mul | Arithmetic::Add)) = step.op else { return None };
    let other = if step.inputs[0] == value { step.inputs[1] } else { step.inputs[0] };
    let list = graph.weights[graph.values[other].constant?].clone();
    let out = &graph.values[step.output].shape;
    if graph.values[step.output].len() != sizes.len() || graph.values[value].shape != *out {
        return None;
    }
    let (plane, channels) = pattern(&graph.values[other].shape, out)?;
    let own = numbers.map(|n| graph.weights[n].clone());
    // One scale and one offset for all may be repeated; others must be cut in the same way.
    let uniform = own.iter().all(|list| list.iter().all(|x| *x == list[0]));
    if !uniform && (plane, channels) != (sizes.plane, sizes.channels) && channels != 1 {
        return None;
    }
    let wider = if channels == 1 { sizes.clone() } else { Normalize { plane, channels, ..sizes } };
    wider.check().ok()?;
    let at_channel = |list: &[f32], c: usize| list[c % list.len()];
    let merged: [Vec<f32>; 2] = [0, 1].map(|i| {
        let one = |c: usize| match (op, i) {
            (Arithmetic::Mul, _) => at_channel(&own[i], c) * at_channel(&list, c),
            (_, 0) => at_channel(&own[0], c),
            _ => at_channel(&own[1], c) + at_channel(&list, c),
        };
        (0..wider.channels).map(one).collect()
    });
    let output = step.output;
    let numbers = merged.map(|list| graph.weight(list));
    graph.steps[at].op = Op::Tensor(TensorOp::Normalize { sizes: wider, numbers, activation: Activation::None });
    graph.steps[at].output = output;
    graph.steps.remove(reader);
    if let Some(reshape) = reshape {
        graph.steps.remove(reshape);
    }
    Some(())
}

/// How a constant of shape `own` is repeated over `out`: values that share a number, and how many numbers there are.
fn pattern(own: &[usize], out: &[usize]) -> Option<(usize, usize)> {
    let new = out.len().checked_sub(own.len())?;
    let wide: Vec<usize> = std::iter::repeat_n(1, new).chain(own.iter().copied()).collect();
    let Some(first) = wide.iter().position(|&n| n != 1) else { return Some((out.iter().product(), 1)) };
    let last = wide.iter().rposition(|&n| n != 1)?;
    let block = wide[first..=last] == out[first..=last];
    block.then(|| (out[last + 1..].iter().product(), out[first..=last].iter().product()))
}
