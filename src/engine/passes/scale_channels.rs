//! A constant of each channel, or of all, that pictures are added to, taken from or multiplied with is a batch normalisation,
//! which the convolution before it may take; what changes nothing is left out.

use super::super::graph::{Graph, Op};
use crate::backend::cpu::elementwise::{Arithmetic, batch_norm_affine};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, rewrite);
}

/// Rewrites the step at `at`; `None` where it stays, or is a normalisation now.
fn rewrite(graph: &mut Graph, at: usize) -> Option<()> {
    let (input, mut scale, mut shift) = scaled(graph, at)?;
    let output = graph.steps[at].output;
    let nothing = scale.iter().all(|&s| s == 1.0) && shift.iter().all(|&t| t == 0.0);
    if nothing && !graph.is_output(output) {
        graph.steps.remove(at);
        graph.replace(output, input);
        return Some(());
    }
    // One after another is one.
    let before = graph.writer(input).filter(|_| graph.only_reader(input) == Some(at));
    let before = before.and_then(|writer| match graph.steps[writer].op {
        Op::BatchNorm { numbers, epsilon } => Some((writer, numbers, epsilon)),
        _ => None,
    });
    if let Some((_, numbers, epsilon)) = before {
        let [gain, offset, mean, variance] = numbers.map(|n| graph.weights[n].clone());
        for c in 0..scale.len() {
            let (first, addend) = batch_norm_affine(gain[c], offset[c], mean[c], variance[c], epsilon);
            (scale[c], shift[c]) = (scale[c] * first, scale[c] * addend + shift[c]);
        }
    }
    let channels = scale.len();
    let numbers = [scale, shift, vec![0.0; channels], vec![1.0; channels]].map(|list| graph.weight(list));
    graph.steps[at].op = Op::BatchNorm { numbers, epsilon: 0.0 };
    graph.steps[at].inputs = vec![before.map_or(input, |(writer, ..)| graph.steps[writer].inputs[0])];
    before.map(|(writer, ..)| drop(graph.steps.remove(writer)))
}

/// What the step makes of which value: times a scale, plus a shift, one of each a channel.
fn scaled(graph: &Graph, at: usize) -> Option<(usize, Vec<f32>, Vec<f32>)> {
    let step = &graph.steps[at];
    let Op::Binary(op) = step.op else { return None };
    let [a, b] = step.inputs[..] else { return None };
    let (input, constant, swapped) = match (graph.values[a].constant, graph.values[b].constant) {
        (None, Some(numbers)) => (a, numbers, false),
        (Some(numbers), None) => (b, numbers, true),
        _ => return None,
    };
    let other = if swapped { a } else { b };
    let shape = &graph.values[step.output].shape;
    let &[_, channels, _, _] = shape.as_slice() else { return None };
    let own = &graph.values[other].shape;
    // From the right, all but the channels are repeated.
    let each = own.iter().rev().enumerate().all(|(i, &n)| n == 1 || i == 2 && n == channels);
    let numbers = &graph.weights[constant];
    if graph.values[input].shape != *shape || !each || own.len() > 4 || !numbers.iter().all(|x| x.is_finite()) {
        return None;
    }
    let list: Vec<f32> = (0..channels).map(|c| numbers[c % numbers.len()]).collect();
    // A division becomes a product where that is exact, or part of one that is rounded anyway.
    let folds = graph.writer(input).is_some_and(|w| {
        matches!(graph.steps[w].op, Op::Conv { .. } | Op::ConvTranspose { .. } | Op::BatchNorm { .. })
    }) && graph.only_reader(input) == Some(at);
    let of = |f: &dyn Fn(f32) -> f32| list.iter().map(|&k| f(k)).collect::<Vec<f32>>();
    let (scale, shift) = match (op, swapped) {
        (Arithmetic::Add, _) => (of(&|_| 1.0), list),
        (Arithmetic::Sub, false) => (of(&|_| 1.0), of(&|k| -k)),
        (Arithmetic::Sub, true) => (of(&|_| -1.0), list),
        (Arithmetic::Mul, _) => (list.clone(), of(&|_| 0.0)),
        (Arithmetic::Div, false) if folds || list.iter().all(|k| k.to_bits() << 9 == 0) => {
            (of(&|k| 1.0 / k), of(&|_| 0.0))
        }
        _ => return None,
    };
    scale.iter().all(|s| s.is_finite()).then_some((input, scale, shift))
}
