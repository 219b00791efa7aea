//! On a GPU: which tensors are kept as bytes.
//!
//! A convolution that multiplies bytes reads codes. What is read so is written so by such convolutions, and passed on by
//! poolings and joins; all else reads and writes halves. Where the two meet, a copy converts.
//! [`super::block_channels`] decides the same for the CPU.

use super::super::graph::{Graph, Op, Step};
use super::conversions::Conversions;
use super::grids;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::layout::{Grid, Layout};
use crate::backend::cuda::conv::int8::{CHUNK, ConvInt8};

/// Runs the pass; without calibration it changes nothing.
pub fn run(graph: &mut Graph) {
    let pass = Pass { grids: grids::of(graph) };
    if pass.grids.iter().any(Option::is_some) {
        Conversions::rewrite(graph, |to, graph, step| pass.step(to, graph, step));
    }
}

struct Pass {
    /// The grid of each value that is to be kept as codes.
    grids: Vec<Option<Grid>>,
}

impl Pass {
    fn step(&self, to: &mut Conversions, graph: &mut Graph, mut step: Step) {
        let reads_codes = self.reads_codes(graph, &step);
        for i in 0..step.inputs.len() {
            let (layout, kind) = match (reads_codes, self.grid(graph, step.inputs[i])) {
                // What is added is taken as it is.
                (true, _) if i > 0 && !grids::passes_codes_on(&step) => continue,
                (true, Some(grid)) => (Layout::BlockedU8(grid), "codes"),
                _ => (Layout::Planar, "numbers"),
            };
            step.inputs[i] = to.converted(graph, step.inputs[i], layout, kind);
        }
        let writes_codes = reads_codes && ends_in_bounds(&step) && adds_whole(graph, &step);
        match self.grid(graph, step.output).filter(|_| writes_codes) {
            Some(grid) => to.push_kept(graph, step, Layout::BlockedU8(grid), ["codes", "numbers"]),
            None => to.push(step),
        }
    }

    /// The grid that a value is to be kept on; none where it stays halves.
    fn grid(&self, graph: &Graph, value: usize) -> Option<Grid> {
        let is_picture = matches!(graph.values[value].shape[..], [1, _, _, _]);
        self.grids.get(value).copied().flatten().filter(|_| is_picture)
    }

    /// Whether a step computes with the codes of what it reads first, or passes on those of all that it reads.
    fn reads_codes(&self, graph: &Graph, step: &Step) -> bool {
        match &step.op {
            Op::MaxPool(shape) if shape.dilation != [1, 1] || shape.stride[0] != shape.stride[1] => false,
            Op::MaxPool(_) | Op::Concat { axis: 1 } => {
                step.inputs.iter().chain([&step.output]).all(|&v| self.grid(graph, v).is_some())
            }
            op => {
                let grid = self.grid(graph, step.inputs[0]).filter(|_| grids::multiplies_bytes(graph, step));
                grid.is_some_and(|grid| convolves(op, grid))
            }
        }
    }
}

/// Whether the kernel computes the convolution from codes; channels are filled up to whole chunks.
fn convolves(op: &Op, grid: Grid) -> bool {
    match op {
        Op::Conv { shape, then: None, .. } => {
            let in_channels = shape.in_channels.next_multiple_of(CHUNK);
            ConvInt8::convolution(&ConvShape { in_channels, ..shape.clone() }, grid, None).is_some()
        }
        Op::ConvTranspose { shape, .. } => {
            let in_channels = shape.in_channels.next_multiple_of(CHUNK);
            ConvInt8::transposed(&ConvTransposeShape { in_channels, ..shape.clone() }, grid, None).is_some()
        }
        _ => false,
    }
}

/// Whether what a convolution adds fills as many places as codes of its output do: halves are filled up to eight.
fn adds_whole(graph: &Graph, step: &Step) -> bool {
    let halves = |v: usize| graph.values[v].layout == Layout::Planar;
    let channels = graph.values[step.output].shape.get(1).copied().unwrap_or(0);
    let convolves = matches!(step.op, Op::Conv { .. });
    let fills = channels.next_multiple_of(8) == channels.next_multiple_of(CHUNK);
    !convolves || fills || !step.inputs[1..].iter().any(|&v| halves(v))
}

/// Whether nothing follows the step that would take the numbers themselves.
fn ends_in_bounds(step: &Step) -> bool {
    match &step.op {
        Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } => activation.bounds().is_some(),
        _ => true,
    }
}
