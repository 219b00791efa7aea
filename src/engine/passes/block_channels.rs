//! Tensors between convolutions lie in blocks of sixteen channels, so that no step has to rearrange them.
//!
//! Convolutions of enough channels write blocks; pooling, resizing, sums and the like keep the layout of what they
//! read; what is given or asked for from outside, and what knows planes alone, stays planar. Where the two meet, a copy
//! converts.

use std::collections::HashMap;

use super::super::graph::{Graph, Op, Step};
use super::grids;
use crate::backend::cpu::blocked::Repeat;
use crate::backend::cpu::layout::{BLOCK, Grid, Layout};

/// Fewer channels than this stay planar: their joined tensors have no whole blocks.
const FEWEST: usize = BLOCK;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let steps = Vec::with_capacity(graph.steps.len());
    let mut pass = Pass { steps, grids: grids::of(graph), converted: HashMap::new() };
    for step in std::mem::take(&mut graph.steps) {
        pass.step(graph, step);
    }
    graph.steps = pass.steps;
}

struct Pass {
    steps: Vec<Step>,
    /// The grid of each value that is to be kept as bytes.
    grids: Vec<Option<Grid>>,
    /// Values that were converted already.
    converted: HashMap<(usize, Layout), usize>,
}

impl Pass {
    fn step(&mut self, graph: &mut Graph, mut step: Step) {
        let blocks = writes_blocks(graph, &mut step);
        let output = step.output;
        match blocks {
            false => {
                let first_may_be_blocked = matches!(step.op, Op::Conv { .. } | Op::ConvTranspose { .. });
                for i in 0..step.inputs.len() {
                    if i > 0 || !first_may_be_blocked {
                        step.inputs[i] = self.converted(graph, step.inputs[i], Layout::Planar);
                    }
                }
                self.steps.push(step);
            }
            true => {
                let layout = self.layout(graph, &step);
                self.read_blocks(graph, &mut step, layout);
                if graph.is_output(output) {
                    // Outside they are known as planes.
                    let (name, shape) = (&graph.values[output].name, graph.values[output].shape.clone());
                    let blocked = graph.value(format!("{name}/blocks"), shape);
                    graph.values[blocked].layout = layout;
                    step.output = blocked;
                    let name = format!("{}/planes", step.name);
                    self.steps.push(step);
                    self.steps.push(Step { name, op: Op::Copy, inputs: vec![blocked], output });
                    self.converted.insert((output, layout), blocked);
                } else {
                    graph.values[output].layout = layout;
                    self.steps.push(step);
                }
            }
        }
    }

    /// How the output of a step that writes blocks is kept.
    fn layout(&self, graph: &Graph, step: &Step) -> Layout {
        let keeps_codes = matches!(step.op, Op::Conv { .. } | Op::ConvTranspose { .. }) || grids::passes_codes_on(step);
        match self.grids.get(step.output) {
            Some(&Some(grid)) if keeps_codes => Layout::BlockedU8(grid),
            _ => graph.blocks,
        }
    }

    /// Brings what a step that writes blocks reads into the layout that it needs; its output has `layout`.
    fn read_blocks(&mut self, graph: &mut Graph, step: &mut Step, layout: Layout) {
        let repeat = match step.op {
            Op::Binary(_) => repeat(graph, step.inputs[0], step.inputs[1], step.output),
            _ => None,
        };
        let few = |graph: &Graph, v: usize| graph.values[v].shape[1] < FEWEST;
        for i in 0..step.inputs.len() {
            let kept = graph.values[step.inputs[i]].layout;
            let layout = match step.op {
                // The first convolution reads the picture as it is.
                Op::Conv { .. } | Op::ConvTranspose { .. } if i == 0 && few(graph, step.inputs[0]) => continue,
                Op::Conv { .. } | Op::ConvTranspose { .. } => match self.grids.get(step.inputs[i]) {
                    Some(&Some(grid)) if i == 0 => Layout::BlockedU8(grid),
                    // It reads any blocks.
                    _ if kept.is_blocked() => kept,
                    _ => graph.blocks,
                },
                Op::Binary(_) if i == 1 && repeat == Some(Repeat::Channels) => Layout::Planar,
                _ => layout,
            };
            step.inputs[i] = self.converted(graph, step.inputs[i], layout);
        }
    }

    fn converted(&mut self, graph: &mut Graph, value: usize, layout: Layout) -> usize {
        if graph.values[value].layout == layout {
            return value;
        }
        if let Some(&known) = self.converted.get(&(value, layout)) {
            return known;
        }
        let kind = match layout {
            Layout::Planar => "planes",
            Layout::BlockedU8(_) => "bytes",
            _ => "blocks",
        };
        let name = format!("{}/{kind}", graph.values[value].name);
        let new = graph.value(name.clone(), graph.values[value].shape.clone());
        graph.values[new].layout = layout;
        self.steps.push(Step { name, op: Op::Copy, inputs: vec![value], output: new });
        self.converted.insert((value, layout), new);
        new
    }
}

/// Whether the output of `step` should lie in blocks. The smaller tensor of a sum or product becomes the second.
fn writes_blocks(graph: &Graph, step: &mut Step) -> bool {
    let four = |v: usize| graph.values[v].shape.len() == 4;
    let blocked = |v: usize| graph.values[v].layout.is_blocked();
    if !four(step.output) || !four(step.inputs[0]) {
        return false;
    }
    match &step.op {
        Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } | Op::Activate(activation)
            if !activation.stays_finite() =>
        {
            false
        }
        Op::Conv { shape, .. } => {
            let depthwise = shape.groups == shape.in_channels && shape.groups == shape.out_channels;
            shape.out_channels >= FEWEST && (shape.groups == 1 || depthwise)
        }
        Op::ConvTranspose { shape, .. } => shape.out_channels >= FEWEST && shape.groups == 1,
        Op::MaxPool(_) | Op::AveragePool { .. } | Op::BatchNorm { .. } | Op::Resize(_) | Op::Activate(_) => {
            blocked(step.inputs[0])
        }
        Op::Concat { axis: 1 } => {
            let last = step.inputs.len() - 1;
            step.inputs.iter().any(|&v| blocked(v))
                && step.inputs[..last].iter().all(|&v| graph.values[v].shape[1].is_multiple_of(BLOCK))
        }
        Op::Binary(op) => {
            let whole = |v: usize| blocked(v) && graph.values[v].shape == graph.values[step.output].shape;
            if !whole(step.inputs[0]) && whole(step.inputs[1]) && op.commutes() {
                step.inputs.swap(0, 1);
            }
            whole(step.inputs[0])
                && op.stays_finite()
                && repeat(graph, step.inputs[0], step.inputs[1], step.output).is_some()
        }
        _ => false,
    }
}

/// How `b` would be repeated to be combined with blocks.
fn repeat(graph: &Graph, a: usize, b: usize, output: usize) -> Option<Repeat> {
    let [a, b, output] = [a, b, output].map(|v| graph.values[v].shape.as_slice());
    if a == output { Repeat::of(b, output) } else { None }
}
