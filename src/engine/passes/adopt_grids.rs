//! What a network was quantised to becomes the grids of its tensors, where a plan keeps tensors as bytes anyway.
//!
//! Between floats, QuantizeLinear and DequantizeLinear cost a pass over memory each and keep convolutions from taking
//! what follows them along. Here they go, with the ranges that they leave. Values then are rounded where they are kept
//! as bytes, and nowhere else.
//!
//! A range that begins at zero may stand for a ReLU that the quantiser left out: there the values are held within it.

use std::collections::BTreeSet;

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use super::grids::passes_codes_on;
use crate::backend::cpu::activation::Activation;

/// Runs the pass; the network's own ranges stand above those of the calibration.
pub fn run(graph: &mut Graph) {
    let Some(mut calibration) = graph.calibration.take() else { return };
    while let Some(island) = (0..graph.steps.len()).find_map(|at| Island::around(graph, at)) {
        let [low, high] = island.range;
        // Calibration saw codes there.
        for &value in &island.values {
            calibration.ranges.remove(&graph.values[value].name);
        }
        for at in island.steps {
            let (input, output) = (graph.steps[at].inputs[0], graph.steps[at].output);
            let enters = matches!(graph.steps[at].op, Op::Tensor(TensorOp::Quantize { .. }));
            if enters && low == 0.0 {
                graph.steps[at].op = Op::Activate(Activation::Clip(low, high));
                calibration.ranges.insert(graph.values[output].name.clone(), [low, high]);
                continue;
            }
            if enters {
                calibration.ranges.insert(graph.values[input].name.clone(), [low, high]);
            }
            graph.steps[at].op = Op::Copy;
            graph.replace(output, input);
        }
    }
    graph.calibration = Some(calibration);
    join_clips(graph);
    super::drop_unused::run(graph);
}

/// What lies between floats and the same bytes.
struct Island {
    /// The steps from floats and back, in order.
    steps: BTreeSet<usize>,
    /// The bytes.
    values: BTreeSet<usize>,
    range: [f32; 2],
}

impl Island {
    /// All that hangs together with the quantising step `at`; `None` where anything computes with the bytes.
    fn around(graph: &Graph, at: usize) -> Option<Self> {
        let Op::Tensor(TensorOp::Quantize { sizes, numbers }) = &graph.steps[at].op else { return None };
        let [scale, zero] = numbers.map(|n| &graph.weights[n]);
        if sizes.channels != 1 || sizes.high - sizes.low > 255.0 {
            return None;
        }
        let (mut steps, mut values, mut waiting) = (BTreeSet::new(), BTreeSet::new(), vec![graph.steps[at].output]);
        while let Some(value) = waiting.pop() {
            if !values.insert(value) {
                continue;
            }
            if graph.is_output(value) {
                return None;
            }
            for near in graph.readers(value).into_iter().chain([graph.writer(value)?]) {
                let step = &graph.steps[near];
                match &step.op {
                    Op::Tensor(
                        TensorOp::Quantize { sizes: own, numbers } | TensorOp::Dequantize { sizes: own, numbers },
                    ) => {
                        let like = [own.low, own.high] == [sizes.low, sizes.high] && own.channels == 1;
                        if !like || numbers.map(|n| &graph.weights[n]) != [scale, zero] {
                            return None;
                        }
                        steps.insert(near);
                    }
                    _ if passes_codes_on(step) => waiting.extend(step.inputs.iter().chain([&step.output])),
                    _ => return None,
                }
            }
        }
        let [low, high] = [sizes.low, sizes.high].map(|code| (code - zero[0]) * scale[0]);
        (low <= 0.0 && high >= 0.0).then_some(Self { steps, values, range: [low, high] })
    }
}

/// A value that is held between bounds already is held once.
fn join_clips(graph: &mut Graph) {
    for at in 0..graph.steps.len() {
        let Op::Activate(Activation::Clip(low, high)) = graph.steps[at].op else { continue };
        let (input, output) = (graph.steps[at].inputs[0], graph.steps[at].output);
        if within(graph, input, [low, high]) {
            graph.steps[at].op = Op::Copy;
            graph.replace(output, input);
            let name = graph.values[output].name.clone();
            if let Some(calibration) = &mut graph.calibration
                && let Some(range) = calibration.ranges.remove(&name)
            {
                calibration.ranges.entry(graph.values[input].name.clone()).or_insert(range);
            }
            continue;
        }
        let bounds = graph.writer(input).filter(|_| graph.only_reader(input).is_some());
        let bounds = bounds.and_then(|before| match graph.steps[before].op {
            Op::Activate(Activation::Relu) => Some((before, [low.max(0.0), high])),
            Op::Activate(Activation::Clip(a, b)) => Some((before, [low.max(a), high.min(b)])),
            _ => None,
        });
        if let Some((before, [low, high])) = bounds.filter(|(_, [low, high])| low <= high) {
            graph.steps[at].op = Op::Activate(Activation::Clip(low, high));
            graph.steps[at].inputs = graph.steps[before].inputs.clone();
        }
    }
}

/// Whether a value lies between bounds, as far as the steps before it say.
fn within(graph: &Graph, value: usize, [low, high]: [f32; 2]) -> bool {
    let Some(step) = graph.writer(value).map(|at| &graph.steps[at]) else { return false };
    match step.op {
        Op::Activate(Activation::Clip(a, b)) => a >= low && b <= high,
        _ => passes_codes_on(step) && step.inputs.iter().all(|&input| within(graph, input, [low, high])),
    }
}
