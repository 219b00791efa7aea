//! On a GPU: which tensors are kept as bytes.
//!
//! A convolution that multiplies bytes reads codes. What is read so is written so by such convolutions, and passed on by
//! poolings and joins; all else reads and writes halves. Where the two meet, a copy converts.
//! [`super::block_channels`] decides the same for the CPU.

use std::collections::HashMap;

use super::super::graph::{Graph, Op, Step};
use super::grids;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::layout::{Grid, Layout};
use crate::backend::cuda::conv::int8::{CHUNK, ConvInt8};

/// Runs the pass; without calibration it changes nothing.
pub fn run(graph: &mut Graph) {
    let grids = grids::of(graph);
    if grids.iter().all(Option::is_none) {
        return;
    }
    let mut pass = Pass { steps: Vec::with_capacity(graph.steps.len()), grids, converted: HashMap::new() };
    for step in std::mem::take(&mut graph.steps) {
        pass.step(graph, step);
    }
    graph.steps = pass.steps;
}

struct Pass {
    steps: Vec<Step>,
    /// The grid of each value that is to be kept as codes.
    grids: Vec<Option<Grid>>,
    /// Values that were converted already, to codes or to halves.
    converted: HashMap<(usize, Layout), usize>,
}

impl Pass {
    fn step(&mut self, graph: &mut Graph, mut step: Step) {
        let reads_codes = self.reads_codes(graph, &step);
        for i in 0..step.inputs.len() {
            let input = step.inputs[i];
            let layout = match (reads_codes, self.grid(graph, input)) {
                // What is added is taken as it is.
                (true, _) if i > 0 && !grids::passes_codes_on(&step) => continue,
                (true, Some(grid)) => Layout::BlockedU8(grid),
                _ => Layout::Planar,
            };
            step.inputs[i] = self.converted(graph, input, layout);
        }
        let output = step.output;
        let made =
            self.grid(graph, output).filter(|_| reads_codes && ends_in_bounds(&step) && adds_whole(graph, &step));
        let Some(grid) = made else { return self.steps.push(step) };
        let layout = Layout::BlockedU8(grid);
        if graph.is_output(output) {
            // Outside they are known as numbers.
            let (name, shape) = (graph.values[output].name.clone(), graph.values[output].shape.clone());
            step.output = graph.value(format!("{name}/codes"), shape);
            graph.values[step.output].layout = layout;
            let copy = Step { name: format!("{}/numbers", step.name), op: Op::Copy, inputs: vec![step.output], output };
            self.converted.insert((output, layout), step.output);
            self.steps.extend([step, copy]);
        } else {
            graph.values[output].layout = layout;
            self.steps.push(step);
        }
    }

    /// The grid that a value is to be kept on; none where it stays halves.
    fn grid(&self, graph: &Graph, value: usize) -> Option<Grid> {
        self.grids.get(value).copied().flatten().filter(|_| graph.values[value].shape.len() == 4)
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

    fn converted(&mut self, graph: &mut Graph, value: usize, layout: Layout) -> usize {
        if graph.values[value].layout == layout {
            return value;
        }
        if let Some(&known) = self.converted.get(&(value, layout)) {
            return known;
        }
        let kind = if layout == Layout::Planar { "numbers" } else { "codes" };
        let name = format!("{}/{kind}", graph.values[value].name);
        let new = graph.value(name.clone(), graph.values[value].shape.clone());
        graph.values[new].layout = layout;
        self.steps.push(Step { name, op: Op::Copy, inputs: vec![value], output: new });
        self.converted.insert((value, layout), new);
        new
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
