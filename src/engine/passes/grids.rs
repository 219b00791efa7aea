//! Which tensors are kept as bytes, and on which grid.

use crate::backend::cpu::layout::{BLOCK, Grid};
use crate::engine::graph::{Graph, Op, Step};

/// The grid of each value that is to be kept as bytes: what a convolution of bytes reads, and what shares memory or
/// numbers with it. Pooling, resizing and joining pass codes on as they are, so that their tensors share a grid.
pub fn of(graph: &Graph) -> Vec<Option<Grid>> {
    let Some(calibration) = &graph.calibration else { return vec![None; graph.values.len()] };
    let mut groups: Vec<usize> = (0..graph.values.len()).collect();
    fn root(groups: &[usize], mut at: usize) -> usize {
        while groups[at] != at {
            at = groups[at];
        }
        at
    }
    for step in graph.steps.iter().filter(|s| passes_codes_on(s)) {
        for &input in &step.inputs {
            let (a, b) = (root(&groups, input), root(&groups, step.output));
            groups[a] = b;
        }
    }
    // Of a joined tensor only the parts are written.
    let mut ranges: Vec<Option<[f32; 2]>> = vec![None; graph.values.len()];
    let mut wanted = vec![false; graph.values.len()];
    for (index, value) in graph.values.iter().enumerate() {
        let group = root(&groups, index);
        if let Some(&[low, high]) = calibration.ranges.get(&value.name) {
            let own = ranges[group].get_or_insert([low, high]);
            *own = [own[0].min(low), own[1].max(high)];
        }
    }
    for step in graph.steps.iter().filter(|s| multiplies_bytes(graph, s)) {
        wanted[root(&groups, step.inputs[0])] = true;
    }
    let grid = |index: usize| {
        let group = root(&groups, index);
        ranges[group].filter(|_| wanted[group]).map(|[low, high]| Grid::between(low, high)).filter(|g| g.is_valid())
    };
    (0..graph.values.len()).map(grid).collect()
}

/// Whether the codes of the output are codes of the inputs, or means of them.
pub fn passes_codes_on(step: &Step) -> bool {
    matches!(step.op, Op::MaxPool(_) | Op::AveragePool { padded: false, .. } | Op::Resize(_) | Op::Concat { axis: 1 })
}

/// Whether `step` could multiply bytes, is worth it and may: the first convolution, of few planes, and the last, which gives
/// the logits, stay as they are.
pub fn multiplies_bytes(graph: &Graph, step: &Step) -> bool {
    let (ins, outs, groups) = match &step.op {
        Op::Conv { shape, .. } => (shape.in_channels, shape.out_channels, shape.groups),
        Op::ConvTranspose { shape, .. } => (shape.in_channels, shape.out_channels, shape.groups),
        _ => return false,
    };
    let kept = graph.calibration.as_ref().is_some_and(|calibration| calibration.kept.contains(&step.name));
    groups == 1 && ins >= BLOCK && outs >= BLOCK && graph.values[step.inputs[0]].constant.is_none() && !kept
}
