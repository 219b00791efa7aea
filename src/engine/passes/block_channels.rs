//! Tensors between convolutions lie in blocks of sixteen channels, so that no step has to rearrange them.
//!
//! Convolutions of enough channels write blocks; pooling, resizing, sums and the like keep the layout of what they
//! read; what is given or asked for from outside, and what knows planes alone, stays planar. Where the two meet, a copy
//! converts.

use super::super::graph::{Graph, Op, Step};
use super::conversions::Conversions;
use super::grids;
use crate::backend::cpu::blocked::Repeat;
use crate::backend::cpu::layout::{BLOCK, Grid, Layout};

/// Fewer channels than this stay planar: their joined tensors have no whole blocks.
const FEWEST: usize = BLOCK;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let pass = Pass { grids: grids::of(graph) };
    Conversions::rewrite(graph, |to, graph, step| pass.step(to, graph, step));
}

struct Pass {
    /// The grid of each value that is to be kept as bytes.
    grids: Vec<Option<Grid>>,
}

impl Pass {
    fn step(&self, to: &mut Conversions, graph: &mut Graph, mut step: Step) {
        if !writes_blocks(graph, &mut step) {
            let first_may_be_blocked = matches!(step.op, Op::Conv { .. } | Op::ConvTranspose { .. });
            for i in usize::from(first_may_be_blocked)..step.inputs.len() {
                step.inputs[i] = to.converted(graph, step.inputs[i], Layout::Planar, kind(Layout::Planar));
            }
            return to.push(step);
        }
        let layout = self.layout(graph, &step);
        self.read_blocks(to, graph, &mut step, layout);
        to.push_kept(graph, step, layout, ["blocks", "planes"]);
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
    fn read_blocks(&self, to: &mut Conversions, graph: &mut Graph, step: &mut Step, layout: Layout) {
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
            step.inputs[i] = to.converted(graph, step.inputs[i], layout, kind(layout));
        }
    }
}

/// What a value that was converted is called.
fn kind(layout: Layout) -> &'static str {
    match layout {
        Layout::Planar => "planes",
        Layout::BlockedU8(_) => "bytes",
        _ => "blocks",
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
