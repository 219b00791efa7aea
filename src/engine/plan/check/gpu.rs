//! Whether a plan for a GPU can be: there who writes a tensor says where it lies, and sizes are numbers of 32 bits.

use std::collections::BTreeSet;

use super::super::{Header, Place, PlanStep, PlanValue};
use crate::backend::cpu::layout::Layout;
use crate::engine::graph::Op;
use crate::engine::memory::{FILLED, MAX_ARENA};

/// The longest side of a picture or a window, a step, or what is around a picture.
const MAX_SIDE: usize = 1 << 15;

/// The first contradiction.
pub(super) fn check(header: &Header) -> Result<(), String> {
    let constants = header.values.iter().enumerate().filter(|(_, v)| matches!(v.place, Place::Weights(_)));
    let mut made: BTreeSet<usize> = header.inputs.iter().copied().chain(constants.map(|(i, _)| i)).collect();
    let mut numbers = 0usize;
    for step in &header.steps {
        if !step.inputs.iter().all(|v| made.contains(v)) || !made.insert(step.output) {
            return Err(format!("the step `{}` reads what nobody has written, or writes what somebody has", step.name));
        }
        if sides(&step.op).into_iter().flatten().any(|side| side > MAX_SIDE) {
            return Err(format!("the step `{}` has a side of more than {MAX_SIDE}", step.name));
        }
        numbers =
            packed(&step.op).and_then(|own| numbers.checked_add(own)).filter(|&n| n <= MAX_ARENA).ok_or_else(|| {
                format!("with the step `{}` its weights take more than {MAX_ARENA} numbers on a GPU", step.name)
            })?;
    }
    for &index in header.inputs.iter().chain(header.outputs.iter().map(|(_, v)| v)) {
        if !made.contains(&index) {
            return Err("nobody writes an input or output".to_owned());
        }
    }
    Ok(())
}

/// Sides and steps of an operation on pictures.
fn sides(op: &Op) -> Vec<[usize; 2]> {
    let halves = |pads: [usize; 4]| [[pads[0], pads[1]], [pads[2], pads[3]]];
    match op {
        Op::Conv { shape: s, .. } => {
            let [first, second] = halves(s.pads);
            vec![s.in_size, s.kernel, s.stride, s.dilation, first, second]
        }
        Op::ConvTranspose { shape: s, .. } => {
            let [first, second] = halves(s.pads);
            vec![s.in_size, s.kernel, s.stride, s.dilation, s.output_padding, first, second]
        }
        Op::MaxPool(s) | Op::AveragePool { shape: s, .. } => {
            let [first, second] = halves(s.pads);
            vec![s.in_size, s.kernel, s.stride, s.dilation, first, second]
        }
        Op::Resize(s) => vec![s.in_size, s.out_size],
        _ => Vec::new(),
    }
}

/// Numbers of the weights, filled up; none where they cannot be counted.
fn packed(op: &Op) -> Option<usize> {
    let (ins, outs, [height, width], phases) = match op {
        // Channels that stand each for itself.
        Op::Conv { shape, .. } if [shape.in_channels, shape.out_channels] == [shape.groups; 2] => {
            (1, shape.out_channels, shape.kernel, 1)
        }
        Op::Conv { shape, .. } => (shape.in_channels, shape.out_channels, shape.kernel, 1),
        // Each pixel of a square has zeros where the others have taps.
        Op::ConvTranspose { shape, .. } => (shape.in_channels, shape.out_channels, shape.kernel, 4),
        _ => return Some(0),
    };
    // What joined tensors have between their parts comes on top, where it is known how they lie.
    let filled = |channels: usize| channels.checked_next_multiple_of(FILLED);
    filled(ins)?.checked_mul(filled(outs)?)?.checked_mul(height)?.checked_mul(width)?.checked_mul(phases)
}

/// What keeps codes as they are gets and makes codes of one grid, what does not know them gets and makes none.
pub(super) fn kept(step: &PlanStep, inputs: &[&PlanValue], output: &PlanValue) -> Result<(), String> {
    let codes = |value: &PlanValue| value.layout.is_blocked();
    let none = || !codes(output) && !inputs.iter().any(|v| codes(v));
    let fits = match &step.op {
        Op::Conv { shape, then: None, .. } if shape.groups == 1 => codes(inputs[0]) || none(),
        Op::ConvTranspose { shape, .. } if shape.groups == 1 => codes(inputs[0]) || none(),
        Op::MaxPool(_) | Op::Concat { axis: 1 } => inputs.iter().all(|v| v.layout == output.layout),
        Op::Copy => inputs.len() == 1 && (inputs[0].shape == output.shape || none()),
        _ => none(),
    };
    let known = |v: &PlanValue| matches!(v.layout, Layout::Planar | Layout::BlockedU8(_));
    let fits = fits && known(output) && inputs.iter().all(|v| known(v));
    if fits { Ok(()) } else { Err("its tensors are not kept as it needs them".to_owned()) }
}
