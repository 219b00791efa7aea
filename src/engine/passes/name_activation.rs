//! Activations that exporters write out of smaller functions become one step again.
//!
//! x · sigmoid(x) is SiLU, relu6(x + 3) / 6 a hard sigmoid, x · hard_sigmoid(x) hard swish, x · tanh(softplus(x)) Mish, ½ · x · (1 + erf(x / √2)) GELU;
//! a parametric ReLU with one slope is a leaky one.
//!
//! # References
//! Ramachandran et al., "Searching for activation functions", 2017; Misra, "Mish", BMVC 2020; Hendrycks, Gimpel,
//! "Gaussian error linear units", 2016.

use super::super::graph::{Graph, Op};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;
use crate::backend::cpu::math::Math;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        let found =
            gelu(graph, at).or_else(|| hard(graph, at)).or_else(|| product(graph, at)).or_else(|| slope(graph, at));
        if let Some((input, activation)) = found {
            graph.steps[at].op = Op::Activate(activation);
            graph.steps[at].inputs = vec![input];
        }
    }
    super::drop_unused::run(graph);
}

/// What the step `at` reads, where it is this operation.
fn operands(graph: &Graph, at: usize, op: Arithmetic) -> Option<[usize; 2]> {
    let step = &graph.steps[at];
    (step.op == Op::Binary(op)).then(|| [step.inputs[0], step.inputs[1]])
}

/// The function that made `value`, and what of.
fn function(graph: &Graph, value: usize) -> Option<(Activation, usize)> {
    let step = &graph.steps[graph.writer(value)?];
    if let Op::Activate(activation) = step.op { Some((activation, step.inputs[0])) } else { None }
}

/// The two values that `op` made `value` of.
fn made_of(graph: &Graph, value: usize, op: Arithmetic) -> Option<[usize; 2]> {
    operands(graph, graph.writer(value)?, op)
}

/// The number that `value` is everywhere, where it is constant and one.
pub(super) fn scalar(graph: &Graph, value: usize) -> Option<f32> {
    let numbers = &graph.weights[graph.values[value].constant?];
    if numbers.len() == 1 { numbers.first().copied() } else { None }
}

/// Whether a constant is this number, as f32 arithmetic on it may have left it.
fn near(graph: &Graph, value: usize, number: f64) -> bool {
    scalar(graph, value).is_some_and(|s| (f64::from(s) - number).abs() <= 1e-6 * number.abs())
}

/// One value and a constant near `number`, in any order.
fn with(graph: &Graph, pair: [usize; 2], number: f64) -> Option<usize> {
    let [a, b] = pair;
    if near(graph, b, number) {
        Some(a)
    } else if near(graph, a, number) {
        Some(b)
    } else {
        None
    }
}

/// x · f(x).
fn product(graph: &Graph, at: usize) -> Option<(usize, Activation)> {
    let [a, b] = operands(graph, at, Arithmetic::Mul)?;
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
        let (activation, from) = function(graph, gate)?;
        let named = match activation {
            Activation::Sigmoid if from == x => Activation::Silu,
            Activation::HardSigmoid { alpha, beta } if from == x && (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 => {
                Activation::HardSwish
            }
            Activation::Tanh => match function(graph, from)? {
                (Activation::Softplus, origin) if origin == x => Activation::Mish,
                _ => return None,
            },
            _ => return None,
        };
        Some((x, named))
    })
}

/// ½ · x · (1 + erf(x / √2)), with the factors in any order.
fn gelu(graph: &Graph, at: usize) -> Option<(usize, Activation)> {
    let factors = operands(graph, at, Arithmetic::Mul)?;
    let mut parts = Vec::new();
    flatten(graph, factors, &mut parts);
    let half = parts.iter().position(|&v| near(graph, v, 0.5))?;
    parts.swap_remove(half);
    let &[a, b] = parts.as_slice() else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
        let inner = with(graph, made_of(graph, gate, Arithmetic::Add)?, 1.0)?;
        let (Activation::Math(Math::Erf), scaled) = function(graph, inner)? else { return None };
        let divided = made_of(graph, scaled, Arithmetic::Div).filter(|&[_, by]| near(graph, by, 2f64.sqrt()));
        let origin = match divided {
            Some([origin, _]) => origin,
            None => with(graph, made_of(graph, scaled, Arithmetic::Mul)?, 0.5f64.sqrt())?,
        };
        (origin == x).then_some((x, Activation::Gelu))
    })
}

/// relu6(x + 3) / 6, or x times that.
fn hard(graph: &Graph, at: usize) -> Option<(usize, Activation)> {
    let divided = operands(graph, at, Arithmetic::Div).filter(|&[_, by]| near(graph, by, 6.0)).map(|[value, _]| value);
    let value = divided.or_else(|| with(graph, operands(graph, at, Arithmetic::Mul)?, 1.0 / 6.0))?;
    let gate = |value: usize| match function(graph, value)? {
        (Activation::Clip(0.0, 6.0), sum) => with(graph, made_of(graph, sum, Arithmetic::Add)?, 3.0),
        _ => None,
    };
    if let Some(x) = gate(value) {
        return Some((x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }));
    }
    let [a, b] = made_of(graph, value, Arithmetic::Mul)?;
    [(a, b), (b, a)].into_iter().find(|&(x, g)| gate(g) == Some(x)).map(|(x, _)| (x, Activation::HardSwish))
}

/// The factors of a product of products.
fn flatten(graph: &Graph, pair: [usize; 2], parts: &mut Vec<usize>) {
    for value in pair {
        match made_of(graph, value, Arithmetic::Mul) {
            Some(inner) if parts.len() < 4 && graph.only_reader(value).is_some() => flatten(graph, inner, parts),
            _ => parts.push(value),
        }
    }
}

/// A parametric ReLU with one slope.
fn slope(graph: &Graph, at: usize) -> Option<(usize, Activation)> {
    let [x, slope] = operands(graph, at, Arithmetic::Prelu)?;
    let slope = scalar(graph, slope).filter(|s| s.is_finite())?;
    Some((x, Activation::LeakyRelu(slope)))
}
