//! Which kernel computes a step.

use std::collections::BTreeSet;

use super::super::graph::{Op, Then};
use super::super::plan::{Header, PlanStep};
use super::super::tensor_op::TensorOp;
use super::tensors::Tensors;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cuda::activation;
use crate::backend::cuda::conv::Conv;
use crate::backend::cuda::conv::depthwise::ConvDepthwise;
use crate::backend::cuda::conv::first::ConvFirst;
use crate::backend::cuda::conv::int8::ConvInt8;
use crate::backend::cuda::launch::MOST_ROWS;
use crate::backend::cuda::normalize::Groups;

/// What is made otherwise than by kernels for halves.
#[derive(Clone, Debug, Default)]
pub(super) struct OnFloats {
    /// By steps on floats, and by convolutions that add what lies in other places.
    pub steps: BTreeSet<usize>,
    /// By convolutions on floats.
    pub convolutions: BTreeSet<usize>,
}

impl OnFloats {
    /// Takes a step that no kernel for halves computes. A convolution may still take what it adds from planes, if it adds
    /// anything.
    pub fn insert(&mut self, step: &PlanStep) {
        match step.op {
            Op::Conv { .. } if step.inputs.len() == 2 && self.steps.insert(step.output) => {}
            Op::Conv { .. } | Op::ConvTranspose { .. } => drop(self.convolutions.insert(step.output)),
            _ => drop(self.steps.insert(step.output)),
        }
    }
}

impl Tensors {
    /// Whether a step is computed on floats.
    pub fn on_floats(&self, step: &PlanStep) -> bool {
        match step.op {
            Op::Conv { .. } | Op::ConvTranspose { .. } => self.on_floats.convolutions.contains(&step.output),
            _ => self.on_floats.steps.contains(&step.output),
        }
    }

    /// Whether what a convolution adds is taken from planes, since its channels last are in other places.
    pub fn adds_planes(&self, step: &PlanStep) -> bool {
        let halves = matches!(step.op, Op::Conv { .. }) && self.of(step.inputs[0]).grid.is_none();
        self.on_floats.steps.contains(&step.output) && halves && step.inputs.len() == 2
    }

    /// A step as a normalisation of groups of channels; none where it is no such, or one that the kernel does not
    /// compute.
    pub fn groups(&self, step: &PlanStep) -> Option<Groups> {
        let Op::Tensor(TensorOp::Normalize { sizes, .. }) = &step.op else { return None };
        let own = self.of(step.output);
        Groups::new(sizes, [own.pixels, own.channels, own.width])
    }

    /// A step as a convolution of codes; none where it is no such, or one that the kernel does not compute.
    pub fn conv_int8(&self, step: &PlanStep) -> Option<ConvInt8> {
        let (from, to) = (self.of(step.inputs[0]), self.of(step.output));
        let (in_channels, out_channels) = (from.width, to.width);
        let conv = match &step.op {
            Op::Conv { shape, then: None, .. } => {
                ConvInt8::convolution(&ConvShape { in_channels, out_channels, ..shape.clone() }, from.grid?, to.grid)
            }
            Op::ConvTranspose { shape, .. } => {
                let shape = ConvTransposeShape { in_channels, out_channels, ..shape.clone() };
                ConvInt8::transposed(&shape, from.grid?, to.grid)
            }
            _ => None,
        }?;
        let conv = conv.clone().by(&step.tactic).unwrap_or(conv);
        let added = step.inputs.get(1).and_then(|&v| self.of(v).grid);
        Some(added.into_iter().fold(conv, ConvInt8::adding))
    }

    /// A step as a convolution whose channels stand each for itself; none where it is no such.
    pub fn depthwise(&self, step: &PlanStep) -> Option<ConvDepthwise> {
        let (from, to) = (self.of(step.inputs[0]), self.of(step.output));
        let Op::Conv { shape, then: None, .. } = &step.op else { return None };
        let each = shape.groups > 1 && shape.groups == shape.in_channels && from.places == to.places;
        let wide = ConvShape { groups: to.width, in_channels: to.width, out_channels: to.width, ..shape.clone() };
        if each && step.inputs.len() == 1 { ConvDepthwise::new(&wide) } else { None }
    }

    /// A step as a convolution between halves, of all channels where it is one of groups of several; none where it is
    /// no such, or one that the kernel does not compute.
    pub fn conv(&self, header: &Header, step: &PlanStep) -> Option<Conv> {
        let (from, to) = (self.of(step.inputs[0]), self.of(step.output));
        if reads_planes(header, step) || to.made_as_planes || from.grid.is_some() || self.depthwise(step).is_some() {
            return None;
        }
        let (in_channels, out_channels) = (from.width, to.width);
        let conv = match &step.op {
            Op::Conv { shape, then: None | Some(Then::Softmax), .. } => {
                Conv::convolution(&ConvShape { in_channels, out_channels, groups: 1, ..shape.clone() })
            }
            Op::ConvTranspose { shape, .. } => {
                Conv::transposed(&ConvTransposeShape { in_channels, out_channels, groups: 1, ..shape.clone() })
            }
            _ => None,
        }?;
        // Its tactics depend on how its neighbours lie, which is not settled yet where this one is unknown.
        Some(conv.clone().by(&step.tactic).unwrap_or(conv))
    }

    /// The tactics of a step, the one that is probably fastest first; none where there is one way only.
    pub fn tactics(&self, header: &Header, step: &PlanStep) -> Vec<String> {
        let of_codes = || self.conv_int8(step).map_or(Vec::new(), |conv| conv.tactics());
        self.conv(header, step).map_or_else(of_codes, |conv| conv.tactics())
    }
}

/// Whether a step computes from planes what is given.
pub(super) fn reads_planes(header: &Header, step: &PlanStep) -> bool {
    let Op::Conv { shape, activation, then: None, .. } = &step.op else { return false };
    let plain = step.inputs.len() == 1 && activation.bounds().is_some();
    plain && header.inputs.contains(&step.inputs[0]) && ConvFirst::new(shape).is_some()
}

/// Whether a step takes values one by one as they come.
pub(super) fn passes_on(op: &Op) -> bool {
    let tensor = |op: &TensorOp| matches!(op, TensorOp::Affine { .. } | TensorOp::Binary { .. });
    match op {
        Op::Copy | Op::Activate(_) | Op::BatchNorm { .. } | Op::Binary(_) => true,
        Op::Tensor(op) => tensor(op),
        _ => false,
    }
}

/// Whether something follows a convolution that no kernel computes of halves: softmax, or a rarer function.
pub(super) fn follows(step: &PlanStep) -> bool {
    match &step.op {
        Op::Conv { then: Some(Then::Softmax), .. } => true,
        Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } => !activation::has_halves(*activation),
        _ => false,
    }
}

/// Whether a step is the last convolution of a network: of single pixels, with what may follow at the end.
pub(super) fn is_head(step: &PlanStep) -> bool {
    let Op::Conv { shape, activation, then, .. } = &step.op else { return false };
    let follows = match then {
        None => matches!(activation, Activation::None | Activation::Sigmoid),
        Some(then) => *then == Then::Softmax && *activation == Activation::None,
    };
    let single = [shape.kernel, shape.stride] == [[1, 1]; 2] && shape.pads == [0; 4] && shape.groups == 1;
    let few = shape.out_channels <= MOST_ROWS;
    follows && single && few && step.inputs.len() == 1
}
