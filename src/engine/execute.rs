//! One step on the CPU: finds the slices it reads and writes, and calls its kernel image by image.

use std::ops::Range;

use super::engine::Inner;
use super::graph::{Op, Then};
use super::plan::{Place, PlanStep, PlanValue, Weights};
use super::tensor_op::TensorKernel;
use crate::backend::cpu::blocked::{self, Repeat};
use crate::backend::cpu::conv::Conv;
use crate::backend::cpu::conv_transpose::ConvTranspose;
use crate::backend::cpu::elementwise::{self, Arithmetic};
use crate::backend::cpu::error::KernelError;
use crate::backend::cpu::layout::{Layout, pack, recode, unpack};
use crate::backend::cpu::max_pool::{
    average_pool, average_pool_blocked, average_pool_padded, max_pool, max_pool_blocked,
};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize_tensor::ResizeTensor;
use crate::backend::cpu::softmax::softmax;

/// What a step has prepared before its first run.
pub(super) enum Kernel {
    /// Weights laid out for a tactic.
    Conv(Box<Conv>),
    /// The same of a transposed convolution.
    ConvTranspose(Box<ConvTranspose>),
    /// Tables of positions.
    Resize(Box<ResizeTensor>),
    /// Tables of an operation on whole tensors.
    Tensor(TensorKernel),
    /// Nothing.
    Plain,
}

/// The arena without what a step writes: all that it may read.
struct Readable<'a> {
    /// Pieces in order, each with where it begins.
    pieces: [(usize, &'a [f32]); 3],
    weights: &'a [Weights],
}

impl<'a> Readable<'a> {
    /// Image `image` of `value`.
    fn image(&self, value: &PlanValue, image: usize) -> &'a [f32] {
        self.slice(value.place, |offset, stride| offset + image * stride, image * value.image_len(), value.image_room())
    }

    /// All of `value`, which lies in one piece.
    fn whole(&self, value: &PlanValue) -> &'a [f32] {
        self.slice(value.place, |offset, _| offset, 0, value.shape.iter().product())
    }

    fn slice(&self, place: Place, start: impl Fn(usize, usize) -> usize, in_weights: usize, len: usize) -> &'a [f32] {
        match place {
            Place::Weights(index) => &self.weights[index][in_weights..in_weights + len],
            Place::Arena { offset, stride } => {
                let at = start(offset, stride);
                let piece = self.pieces.iter().rev().find(|(from, _)| *from <= at);
                let (from, piece) = piece.expect("the first begins where the arena does");
                &piece[at - from..at - from + len]
            }
            Place::Nowhere => unreachable!("a plan is checked: every tensor that is read has a place"),
        }
    }
}

/// The arena as what is written and what may be read beside it.
fn split<'a>(arena: &'a mut [f32], written: Range<usize>, weights: &'a [Weights]) -> (&'a mut [f32], Readable<'a>) {
    let end = arena.len();
    let ([output, _], readable) = split_twice(arena, [written, end..end], weights);
    (output, readable)
}

/// As [`split`], for a step that writes two values.
fn split_twice<'a>(
    arena: &'a mut [f32],
    written: [Range<usize>; 2],
    weights: &'a [Weights],
) -> ([&'a mut [f32]; 2], Readable<'a>) {
    let swapped = written[0].start > written[1].start;
    let [first, second] = if swapped { [1, 0] } else { [0, 1] }.map(|i: usize| written[i].clone());
    let (rest, after) = arena.split_at_mut(second.end);
    let (rest, upper) = rest.split_at_mut(second.start);
    let (rest, between) = rest.split_at_mut(first.end);
    let (before, lower) = rest.split_at_mut(first.start);
    let outputs = if swapped { [upper, lower] } else { [lower, upper] };
    (outputs, Readable { pieces: [(0, before), (first.end, between), (second.end, after)], weights })
}

fn written(value: &PlanValue, image: usize, len: usize) -> Range<usize> {
    let Place::Arena { offset, stride } = value.place else {
        unreachable!("a plan is checked: what is written lies in the arena")
    };
    let start = offset + image * stride;
    start..start + len
}

impl Kernel {
    /// Lays out what `step` needs.
    pub(super) fn new(step: &PlanStep, values: &[PlanValue], weights: &[Weights]) -> Result<Self, KernelError> {
        let layouts = [step.inputs[0], step.output].map(|v| values[v].layout);
        let numbers = |bias: &Option<usize>| bias.map_or(&[] as &[f32], |b| &weights[b]);
        Ok(match &step.op {
            Op::Conv { shape, weights: w, bias, then, .. } => {
                let conv = Conv::between(shape.clone(), layouts, &step.tactic, &weights[*w], numbers(bias))?;
                let residual = step.inputs.get(1).map(|&v| values[v].layout);
                let conv = conv.adding(residual.unwrap_or(layouts[1]));
                Self::Conv(Box::new(match then {
                    Some(Then::MaxPool { shape, .. }) => conv.pooling(shape.clone())?,
                    Some(Then::Softmax) => conv.softmax()?,
                    None => conv,
                }))
            }
            Op::ConvTranspose { shape, weights: w, bias, .. } => Self::ConvTranspose(Box::new(ConvTranspose::between(
                shape.clone(),
                layouts,
                &step.tactic,
                &weights[*w],
                numbers(bias),
            )?)),
            Op::Resize(shape) => Self::Resize(Box::new(ResizeTensor::new(shape.clone())?)),
            Op::Tensor(op) => Self::Tensor(op.prepare()?),
            _ => Self::Plain,
        })
    }

    /// Elements of scratch memory that a run needs.
    pub(super) fn scratch_len(&self, threads: usize) -> usize {
        match self {
            Self::Conv(conv) => conv.scratch_len(threads),
            Self::ConvTranspose(conv) => conv.scratch_len(),
            _ => 0,
        }
    }

    /// Runs `step`.
    pub(super) fn run(&self, inner: &Inner, step: &PlanStep, arena: &mut [f32], scratch: &mut [f32]) {
        let values = &inner.plan.header.values;
        let (first, output) = (&values[step.inputs[0]], &values[step.output]);
        let whole = !step.op.by_image() || matches!(step.op, Op::Copy) && first.images() != output.images();
        if let Op::Concat { axis } = step.op {
            return concat(inner, step, axis, arena);
        }
        if whole {
            let room = output.images() * output.image_room();
            let (out, readable) = split(arena, written(output, 0, room), &inner.plan.weights);
            return self.run_whole(inner, step, &readable, out);
        }
        let second = step.op.second_output().map(|v| &values[v]);
        for image in 0..output.images() {
            let end = arena.len();
            let second = second.map_or(end..end, |v| written(v, image, v.image_room()));
            let written = [written(output, image, output.image_room()), second];
            let (out, readable) = split_twice(arena, written, &inner.plan.weights);
            self.run_image(inner, step, image, &readable, out, scratch);
        }
    }

    fn run_image(
        &self,
        inner: &Inner,
        step: &PlanStep,
        image: usize,
        readable: &Readable,
        [out, second]: [&mut [f32]; 2],
        scratch: &mut [f32],
    ) {
        let (pool, values) = (&inner.pool, &inner.plan.header.values);
        let layout = values[step.output].layout;
        let blocks = layout.is_blocked();
        let input = readable.image(&values[step.inputs[0]], image);
        match (&step.op, self) {
            (Op::Conv { activation, .. }, Self::Conv(conv)) => {
                let residual = step.inputs.get(1).map(|&v| readable.image(&values[v], image));
                conv.run_pooled(pool, input, residual, *activation, [out, second], scratch);
            }
            (Op::ConvTranspose { activation, .. }, Self::ConvTranspose(conv)) => {
                conv.run(pool, input, *activation, out, scratch);
            }
            (Op::Resize(_), Self::Resize(resize)) if blocks => resize.run_blocked(pool, layout, input, out),
            (Op::Resize(_), Self::Resize(resize)) => resize.run(pool, input, out),
            (Op::MaxPool(shape), _) if blocks => max_pool_blocked(pool, layout, shape, input, out),
            (Op::AveragePool { shape, padded }, _) if blocks => {
                average_pool_blocked(pool, layout, shape, *padded, input, out)
            }
            (Op::BatchNorm { numbers, epsilon }, _) if blocks => {
                let numbers = numbers.map(|n| &*inner.plan.weights[n]);
                blocked::batch_norm(pool, layout, numbers, *epsilon, input, out);
            }
            (Op::MaxPool(shape), _) => max_pool(pool, shape, input, out),
            (Op::AveragePool { shape, padded: false }, _) => average_pool(pool, shape, input, out),
            (Op::AveragePool { shape, padded: true }, _) => average_pool_padded(pool, shape, input, out),
            (Op::BatchNorm { numbers, epsilon }, _) => {
                out.copy_from_slice(input);
                let [scale, bias, mean, variance] = numbers.map(|n| &*inner.plan.weights[n]);
                elementwise::batch_norm(out, scale, bias, mean, variance, *epsilon);
            }
            (Op::Activate(activation), _) => {
                out.copy_from_slice(input);
                activation.run_on(pool, layout, out);
            }
            (Op::Pad { channels, size, pads, level }, _) => pad(*channels, *size, *pads, *level, input, out),
            (Op::Copy, _) => convert(pool, &values[step.inputs[0]], &values[step.output], input, out),
            _ => unreachable!("`Kernel::new` made the kernel of this operation"),
        }
    }

    fn run_whole(&self, inner: &Inner, step: &PlanStep, readable: &Readable, out: &mut [f32]) {
        let values = &inner.plan.header.values;
        let first = &values[step.inputs[0]];
        match &step.op {
            Op::Tensor(op) => {
                let Self::Tensor(kernel) = self else {
                    unreachable!("`Kernel::new` made the kernel of this operation")
                };
                let read = |i: usize| {
                    let value = &values[step.inputs[i]];
                    (readable.whole(value), value.shape.as_slice())
                };
                kernel.run(op, &inner.pool, &inner.plan.weights, &read, out, &values[step.output].shape);
            }
            Op::Softmax { outer, axis, inner: size } => {
                out.copy_from_slice(readable.whole(first));
                softmax(&inner.pool, out, [*outer, *axis, *size]);
            }
            Op::Binary(op) => {
                let (second, shape) = (&values[step.inputs[1]], &values[step.output].shape);
                if values[step.output].layout.is_blocked() {
                    return binary(&inner.pool, *op, [first, second, &values[step.output]], readable, out);
                }
                let (a, b) = (readable.whole(first), readable.whole(second));
                elementwise::broadcast(*op, a, &first.shape, b, &second.shape, out, shape);
            }
            _ => out.copy_from_slice(readable.whole(first)),
        }
    }
}

/// Combines blocks image by image.
fn binary(pool: &Pool, op: Arithmetic, [a, b, output]: [&PlanValue; 3], readable: &Readable, out: &mut [f32]) {
    let repeat = Repeat::of(&b.shape, &output.shape).expect("a plan is checked: the second tensor can be repeated");
    let size = output.shape[2] * output.shape[3];
    for (image, out) in out.chunks_exact_mut(output.image_room()).enumerate() {
        let parts = [readable.image(a, image), readable.image(b, image)];
        blocked::binary(pool, output.layout, op, (size, repeat), parts, out);
    }
}

/// Copies one image, from one layout to the other where they differ.
fn convert(pool: &Pool, from: &PlanValue, to: &PlanValue, input: &[f32], out: &mut [f32]) {
    let size = || (from.shape[1], from.shape[2..].iter().product());
    match (from.layout, to.layout) {
        (a, b) if a == b => out.copy_from_slice(input),
        (Layout::Planar, blocks) => pack(pool, blocks, size().0, size().1, input, out),
        (blocks, Layout::Planar) => unpack(pool, blocks, size().0, size().1, input, out),
        layouts => recode(pool, layouts, input, out),
    }
}

/// Joins along `axis`; along the first or second axis every image of every part is one piece.
fn concat(inner: &Inner, step: &PlanStep, axis: usize, arena: &mut [f32]) {
    let values = &inner.plan.header.values;
    let output = &values[step.output];
    let outer = if axis == 1 { output.images() } else { output.shape[..axis].iter().product() };
    let row: usize = output.shape[axis..].iter().product();
    for o in 0..outer {
        let mut offset = 0;
        for &part in &step.inputs {
            let part = &values[part];
            let len = if axis == 1 { part.image_room() } else { part.shape[axis..].iter().product() };
            let start = match (axis, output.place) {
                (1, _) => written(output, o, 0).start + offset,
                _ => written(output, 0, 0).start + o * row + offset,
            };
            let (out, readable) = split(arena, start..start + len, &inner.plan.weights);
            match axis {
                1 => out.copy_from_slice(readable.image(part, o)),
                _ => out.copy_from_slice(&readable.whole(part)[o * len..(o + 1) * len]),
            }
            offset += len;
        }
    }
}

/// Draws a border of `level` around each plane.
fn pad(
    channels: usize,
    [h, w]: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
    level: f32,
    input: &[f32],
    out: &mut [f32],
) {
    let (rows, columns) = (h + top + bottom, w + left + right);
    out.fill(level);
    for c in 0..channels {
        for y in 0..h {
            let at = (c * rows + y + top) * columns + left;
            out[at..at + w].copy_from_slice(&input[(c * h + y) * w..][..w]);
        }
    }
}
