//! The network with every shape known: what the passes rewrite and the plan is made of.
//!
//! Architecture invariant: steps stand in an order in which they can run, every value has at most one writer, and
//! dimensions never change after lowering.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::tensor_op::TensorOp;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;
use crate::backend::cpu::elementwise::Arithmetic;
use crate::backend::cpu::layout::Layout;
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::resize_tensor::ResizeShape;

/// Values, steps and weights.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Every tensor that is computed or given.
    pub values: Vec<Value>,
    /// Operations in order.
    pub steps: Vec<Step>,
    /// Constant numbers, by the index that operations carry.
    pub weights: Vec<Arc<Vec<f32>>>,
    /// How tensors of many channels are to lie in memory.
    pub blocks: Layout,
    /// Ranges of tensors, where some are to be kept as bytes.
    pub calibration: Option<Calibration>,
    /// Values that are given, in the order of the file.
    pub inputs: Vec<usize>,
    /// Values that come out, with the name they are asked for by.
    pub outputs: Vec<(String, usize)>,
}

/// A tensor of f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name in the file.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Index of its numbers in the weights, where it is constant.
    pub constant: Option<usize>,
    /// How its planes lie in memory.
    pub layout: Layout,
    /// The larger value it is a slice of, where it has no memory of its own.
    pub part_of: Option<Part>,
}

/// Where a value lies in a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The larger value.
    pub whole: usize,
    /// Elements from the beginning of each image of it.
    pub offset: usize,
}

/// One operation of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name, unique in the plan.
    pub name: String,
    /// What is done.
    pub op: Op,
    /// Values that are read.
    pub inputs: Vec<usize>,
    /// The value that is written.
    pub output: usize,
}

/// What a step does. Shapes are those of one image; `weights`, `bias` and the like are indices of constant numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Convolution; a second input is added before the activation.
    Conv {
        /// Geometry.
        shape: ConvShape,
        /// Out, in / groups, rows, columns.
        weights: usize,
        /// One a channel.
        bias: Option<usize>,
        /// Applied last.
        activation: Activation,
        /// What follows in the same step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<Then>,
    },
    /// Transposed convolution.
    ConvTranspose {
        /// Geometry.
        shape: ConvTransposeShape,
        /// In, out / groups, rows, columns.
        weights: usize,
        /// One a channel.
        bias: Option<usize>,
        /// Applied last.
        activation: Activation,
    },
    /// (x − mean) / √(variance + ε) · scale + bias, one of each a channel.
    BatchNorm {
        /// Scale, bias, mean and variance.
        numbers: [usize; 4],
        /// ε.
        epsilon: f32,
    },
    /// One function on every element.
    Activate(Activation),
    /// exp(x) / Σ exp(x) along an axis.
    Softmax {
        /// Product of the dimensions before the axis.
        outer: usize,
        /// Length of the axis.
        axis: usize,
        /// Product of the dimensions after it.
        inner: usize,
    },
    /// Largest of a window.
    MaxPool(PoolShape),
    /// Mean of a window.
    AveragePool {
        /// Geometry.
        shape: PoolShape,
        /// Whether the border counts as zeros; else it does not count.
        padded: bool,
    },
    /// Values one after the other along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Element by element, with broadcasting.
    Binary(Arithmetic),
    /// Another height and width.
    Resize(ResizeShape),
    /// A border of one level around each plane.
    Pad {
        /// Planes of one image.
        channels: usize,
        /// Rows and columns before.
        size: [usize; 2],
        /// Top, left, bottom, right.
        pads: [usize; 4],
        /// The level.
        level: f32,
    },
    /// The same numbers, perhaps under another shape.
    Copy,
    /// Something else that works on whole tensors.
    Tensor(TensorOp),
}

/// What follows a convolution in the same step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The largest of windows of what it writes, as a second value.
    MaxPool {
        /// Geometry.
        shape: PoolShape,
        /// The value.
        output: usize,
    },
    /// Softmax of the channels of each pixel.
    Softmax,
}

impl Op {
    /// The second value that it writes.
    pub fn second_output(&self) -> Option<usize> {
        match self {
            Self::Conv { then: Some(Then::MaxPool { output, .. }), .. } => Some(*output),
            _ => None,
        }
    }

    /// The word for people.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::ConvTranspose { .. } => "conv_transpose",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Activate(_) => "activation",
            Self::Softmax { .. } => "softmax",
            Self::MaxPool(_) => "max_pool",
            Self::AveragePool { .. } => "average_pool",
            Self::Concat { .. } => "concat",
            Self::Binary(_) => "binary",
            Self::Resize(_) => "resize",
            Self::Pad { .. } => "pad",
            Self::Copy => "copy",
            Self::Tensor(op) => op.as_str(),
        }
    }

    /// Whether it works image by image, so that its values may lie in slices of a joined buffer at any batch size.
    pub fn by_image(&self) -> bool {
        !matches!(self, Self::Softmax { .. } | Self::Concat { .. } | Self::Binary(_) | Self::Tensor(_))
    }

    /// Floating-point operations on one image, 2 a multiply-add, of what dominates: convolutions.
    pub fn flops(&self) -> u64 {
        match self {
            Self::Conv { shape, .. } => shape.flops(),
            Self::ConvTranspose { shape, .. } => shape.flops(),
            Self::Tensor(op) => op.flops(),
            _ => 0,
        }
    }

    /// What it does with `inputs` inputs, for people: `conv 3x3 + add + relu + max_pool`.
    pub fn summary(&self, inputs: usize) -> String {
        let (mut text, activation) = match self {
            Self::Conv { shape, activation, .. } => {
                (format!("conv {}x{}", shape.kernel[0], shape.kernel[1]), *activation)
            }
            Self::ConvTranspose { shape, activation, .. } => {
                (format!("conv_transpose {}x{}", shape.kernel[0], shape.kernel[1]), *activation)
            }
            Self::Activate(activation) => return name_of(*activation),
            Self::Binary(op) => return format!("{op:?}").to_lowercase(),
            Self::Tensor(op) => (op.summary(), op.activation()),
            other => return other.as_str().to_owned(),
        };
        if inputs > 1 && !matches!(self, Self::Tensor(_)) {
            text.push_str(" + add");
        }
        if activation != Activation::None {
            text.push_str(" + ");
            text.push_str(&name_of(activation));
        }
        match self {
            Self::Conv { then: Some(Then::MaxPool { .. }), .. } => text + " + max_pool",
            Self::Conv { then: Some(Then::Softmax), .. } => text + " + softmax",
            _ => text,
        }
    }

    /// Indices of the constant numbers it carries.
    pub fn weights(&self) -> Vec<usize> {
        match self {
            Self::Conv { weights, bias, .. } | Self::ConvTranspose { weights, bias, .. } => {
                std::iter::once(*weights).chain(*bias).collect()
            }
            Self::BatchNorm { numbers, .. } => numbers.to_vec(),
            Self::Tensor(op) => op.clone().weights_mut().into_iter().map(|w| *w).collect(),
            _ => Vec::new(),
        }
    }

    /// The activation that is applied last, where it has one to change.
    pub fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Self::Conv { activation, .. } | Self::ConvTranspose { activation, .. } => Some(activation),
            Self::Tensor(op) => op.activation_mut(),
            _ => None,
        }
    }
}

/// The word for an activation, without its settings: `relu`.
pub(super) fn name_of(activation: Activation) -> String {
    if let Activation::Math(function) = activation {
        return format!("{function:?}").to_lowercase();
    }
    let text = format!("{activation:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase()
}

impl Value {
    /// Images in it: its first dimension where there are planes behind it.
    pub fn images(&self) -> usize {
        if self.shape.len() >= 2 { self.shape[0] } else { 1 }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of memory that it takes.
    pub fn room(&self) -> usize {
        self.images() * self.image_room()
    }

    /// Elements of memory that one image takes.
    pub fn image_room(&self) -> usize {
        image_room(&self.shape, self.layout)
    }

    /// Elements of one image.
    pub fn image_len(&self) -> usize {
        self.len() / self.images().max(1)
    }
}

/// Elements of memory that one image of a tensor takes.
pub(super) fn image_room(shape: &[usize], layout: Layout) -> usize {
    match shape {
        [_, channels, size @ ..] => layout.len(*channels, size.iter().product()),
        _ => shape.iter().product(),
    }
}

impl Graph {
    /// Adds a value and returns its index.
    pub fn value(&mut self, name: impl Into<String>, shape: Vec<usize>) -> usize {
        self.values.push(Value { name: name.into(), shape, constant: None, layout: Layout::Planar, part_of: None });
        self.values.len() - 1
    }

    /// Adds constant numbers and returns their index.
    pub fn weight(&mut self, numbers: Vec<f32>) -> usize {
        self.weights.push(Arc::new(numbers));
        self.weights.len() - 1
    }

    /// Steps that read `value`, by position; a step that reads it twice is there twice.
    pub fn readers(&self, value: usize) -> Vec<usize> {
        let reads = |(i, s): (usize, &Step)| std::iter::repeat_n(i, s.inputs.iter().filter(|&&v| v == value).count());
        self.steps.iter().enumerate().flat_map(reads).collect()
    }

    /// The step that writes `value`.
    pub fn writer(&self, value: usize) -> Option<usize> {
        self.steps.iter().position(|s| s.output == value)
    }

    /// Whether `value` is asked for from outside.
    pub fn is_output(&self, value: usize) -> bool {
        self.outputs.iter().any(|(_, v)| *v == value)
    }

    /// The one step that reads `value`, where there is exactly one and nobody outside asks for it.
    pub fn only_reader(&self, value: usize) -> Option<usize> {
        match self.readers(value)[..] {
            [reader] if !self.is_output(value) => Some(reader),
            _ => None,
        }
    }

    /// Has everybody who reads `old`, inside and outside, read `new`.
    pub fn replace(&mut self, old: usize, new: usize) {
        let inputs = self.steps.iter_mut().flat_map(|step| &mut step.inputs);
        inputs.chain(self.outputs.iter_mut().map(|(_, value)| value)).filter(|v| **v == old).for_each(|v| *v = new);
    }

    /// The value that `value` has its memory in, and the elements from the beginning of each image there.
    pub fn root(&self, value: usize) -> (usize, usize) {
        let (mut at, mut offset) = (value, 0);
        while let Some(part) = self.values[at].part_of {
            offset += part.offset;
            at = part.whole;
        }
        (at, offset)
    }
}
