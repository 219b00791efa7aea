//! Whether what a plan says can be, so that no plan can make an engine read or write where it should not.

use super::{Header, Place, PlanStep, PlanValue};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::blocked::Repeat;
use crate::backend::cpu::layout::{BLOCK, Layout};
use crate::backend::cpu::max_pool::PoolShape;
use crate::engine::graph::{Op, Then};
use crate::engine::memory::MAX_ARENA;
use crate::engine::tensor;

mod gpu;

/// The first contradiction.
pub(super) fn check(header: &Header) -> Result<(), String> {
    if header.arena > MAX_ARENA {
        return Err(format!("its arena has {} elements, more than {MAX_ARENA}", header.arena));
    }
    for value in &header.values {
        check_value(header, value).map_err(|found| format!("the tensor `{}`: {found}", value.name))?;
    }
    for step in &header.steps {
        check_step(header, step).map_err(|found| format!("the step `{}`: {found}", step.name))?;
    }
    if header.gpu {
        gpu::check(header)?;
    }
    let outside = header.inputs.iter().chain(header.outputs.iter().map(|(_, v)| v));
    for &index in outside {
        let value = header.values.get(index).ok_or("an input or output is not among its tensors")?;
        let Place::Arena { stride, .. } = value.place else {
            return Err(format!("the tensor `{}` is an input or output without memory", value.name));
        };
        if value.layout != Layout::Planar || value.images() > 1 && stride != value.image_len() {
            return Err(format!("the tensor `{}` is an input or output in pieces", value.name));
        }
    }
    Ok(())
}

fn check_value(header: &Header, value: &PlanValue) -> Result<(), String> {
    let len = tensor::elements(&value.shape)?;
    if len == 0 {
        // A dimension of zero could only come from a file that was made by hand.
        return Err(format!("its shape is {:?}", value.shape));
    }
    if value.layout != Layout::Planar && value.shape.len() != 4 {
        return Err(format!("its shape is {:?}, which has no channels to lie in blocks", value.shape));
    }
    if let Layout::BlockedU8(grid) = value.layout
        && !grid.is_valid()
    {
        return Err(format!("its bytes stand for no numbers: {grid:?}"));
    }
    match value.place {
        Place::Nowhere => Ok(()),
        Place::Weights(index) => match header.weights.get(index) {
            Some(&n) if n == len && value.layout == Layout::Planar => Ok(()),
            found => Err(format!("its shape is {:?}, its weights have {found:?} elements", value.shape)),
        },
        Place::Arena { offset, stride } => {
            let end = (value.images() - 1)
                .checked_mul(stride)
                .and_then(|n| n.checked_add(offset))
                .and_then(|n| n.checked_add(value.image_room()));
            if end.is_none_or(|end| end > header.arena) || (value.images() > 1 && stride < value.image_room()) {
                return Err(format!("it does not lie in the arena of {} elements", header.arena));
            }
            Ok(())
        }
    }
}

fn check_step(header: &Header, step: &PlanStep) -> Result<(), String> {
    let value = |index: usize| {
        header.values.get(index).filter(|v| v.place != Place::Nowhere).ok_or("it uses a tensor that the plan has not")
    };
    let inputs = step.inputs.iter().map(|&i| value(i)).collect::<Result<Vec<_>, _>>()?;
    let output = value(step.output)?;
    let &first = inputs.first().ok_or("it reads nothing")?;
    if matches!(output.place, Place::Weights(_)) {
        return Err("it writes to a constant".to_owned());
    }
    if step.op.weights().iter().any(|&w| w >= header.weights.len()) {
        return Err("it uses weights that the plan has not".to_owned());
    }
    for input in &inputs {
        apart(input, output)?;
    }
    let expected = |what: &str, fits: bool| if fits { Ok(()) } else { Err(format!("{what} does not fit its shapes")) };
    // What works image by image: elements of one image that it reads and writes.
    let images = |reads: usize, writes: usize, most: usize| {
        let fits = inputs.len() <= most
            && first.image_len() == reads
            && output.image_len() == writes
            && inputs.iter().all(|i| i.images() == output.images())
            && inputs.iter().skip(1).all(|i| i.image_len() == writes);
        expected(step.op.as_str(), fits)
    };
    let contiguous = || {
        let whole = |v: &&PlanValue| match v.place {
            Place::Arena { stride, .. } => v.images() == 1 || stride == v.image_room(),
            _ => true,
        };
        expected("the layout", inputs.iter().chain([&output]).all(whole))
    };
    match header.gpu {
        true => gpu::kept(step, &inputs, output)?,
        false => layouts(step, &inputs, output)?,
    }
    // A tensor in blocks, or channels-last, has the channels and the size that the operation thinks it has.
    let strict = |value: &PlanValue| header.gpu || value.layout.is_blocked();
    let picture = |value: &PlanValue, channels: usize, size: [usize; 2]| {
        let whole = size == [1, 1] && value.shape.len() == 2 && value.shape[1] == channels;
        let fits = !strict(value) || whole || value.shape.get(1..) == Some(&[channels, size[0], size[1]]);
        expected("the shape of a tensor in blocks or channels-last", fits)
    };
    let numbers = |weights: usize, len: usize, bias: Option<usize>, outs: usize| {
        expected("weights", header.weights[weights] == len && bias.is_none_or(|bias| header.weights[bias] == outs))
    };
    match &step.op {
        Op::Conv { shape, weights, bias, then, activation } => {
            shape.check().map_err(|e| e.to_string())?;
            numbers(*weights, shape.weights_len(), *bias, shape.out_channels)?;
            picture(first, shape.in_channels, shape.in_size)?;
            picture(output, shape.out_channels, shape.out_size())?;
            images(shape.in_len(), shape.out_len(), 2)?;
            match then {
                Some(Then::MaxPool { shape, output: to }) => check_pooled(shape, value(*to)?, output, &inputs),
                Some(Then::Softmax) => {
                    expected("softmax", output.layout == Layout::Planar && *activation == Activation::None)
                }
                None => Ok(()),
            }
        }
        Op::ConvTranspose { shape, weights, bias, .. } => {
            shape.check().map_err(|e| e.to_string())?;
            numbers(*weights, shape.weights_len(), *bias, shape.out_channels)?;
            picture(first, shape.in_channels, shape.in_size)?;
            picture(output, shape.out_channels, shape.out_size())?;
            images(shape.in_len(), shape.out_len(), 1)
        }
        Op::MaxPool(shape) | Op::AveragePool { shape, .. } => {
            shape.check().map_err(|e| e.to_string())?;
            picture(first, shape.channels, shape.in_size)?;
            picture(output, shape.channels, shape.out_size())?;
            images(shape.in_len(), shape.out_len(), 1)
        }
        Op::Resize(shape) => {
            if strict(first) {
                picture(first, shape.planes, shape.in_size)?;
                picture(output, shape.planes, shape.out_size)?;
            }
            let len = |[h, w]: [usize; 2]| tensor::elements(&[shape.planes, h, w]);
            images(len(shape.in_size)?, len(shape.out_size)?, 1)
        }
        Op::BatchNorm { numbers, .. } => {
            let channels = first.shape.get(1).copied().unwrap_or(0);
            expected("batch_norm", channels > 0 && numbers.iter().all(|&n| header.weights[n] == channels))?;
            images(output.image_len(), output.image_len(), 1)
        }
        Op::Activate(_) => images(output.image_len(), output.image_len(), 1),
        Op::Copy if first.images() == output.images() => images(output.image_len(), output.image_len(), 1),
        Op::Copy => {
            contiguous()?;
            expected(
                "copy",
                inputs.len() == 1 && first.shape.iter().product::<usize>() == output.shape.iter().product::<usize>(),
            )
        }
        Op::Pad { channels, size: [h, w], pads: [top, left, bottom, right], .. } => {
            let sum = |a: usize, b: usize, c: usize| a.checked_add(b).and_then(|n| n.checked_add(c));
            let product = |h: Option<usize>, w: Option<usize>| tensor::elements(&[*channels, h?, w?]).ok();
            match (product(Some(*h), Some(*w)), product(sum(*h, *top, *bottom), sum(*w, *left, *right))) {
                (Some(reads), Some(writes)) => images(reads, writes, 1),
                _ => expected("pad", false),
            }
        }
        Op::Softmax { outer, axis, inner } => {
            contiguous()?;
            let len = tensor::elements(&[*outer, *axis, *inner])?;
            expected(
                "softmax",
                inputs.len() == 1 && first.shape == output.shape && len == first.shape.iter().product::<usize>(),
            )
        }
        Op::Binary(_) => {
            contiguous()?;
            let rank = output.shape.len();
            let fits = |v: &&PlanValue| {
                rank <= 8
                    && v.shape.len() <= rank
                    && v.shape.iter().rev().zip(output.shape.iter().rev()).all(|(&a, &b)| a == b || a == 1)
            };
            expected("binary", inputs.len() == 2 && inputs.iter().all(fits))
        }
        Op::Tensor(op) => {
            contiguous()?;
            let shapes: Vec<&[usize]> = inputs.iter().map(|v| v.shape.as_slice()).collect();
            op.check(&shapes, &output.shape, &header.weights)
        }
        Op::Concat { axis } => {
            let axis = *axis;
            if axis != 1 {
                contiguous()?;
            }
            let others = |v: &&PlanValue| {
                v.shape.len() == output.shape.len()
                    && (0..v.shape.len()).all(|d| d == axis || v.shape[d] == output.shape[d])
            };
            let fits = axis < output.shape.len()
                && inputs.iter().all(others)
                && inputs.iter().map(|v| v.shape[axis]).sum::<usize>() == output.shape[axis];
            expected("concat", fits)
        }
    }
}

/// What is pooled beside a convolution is its own output, and has a place of its own.
fn check_pooled(shape: &PoolShape, to: &PlanValue, from: &PlanValue, inputs: &[&PlanValue]) -> Result<(), String> {
    shape.check().map_err(|e| e.to_string())?;
    inputs.iter().chain([&from]).try_for_each(|value| apart(value, to))?;
    let ([h, w], [down, across]) = (shape.in_size, shape.out_size());
    let of = |value: &PlanValue, size: [usize; 2]| value.shape == [from.images(), shape.channels, size[0], size[1]];
    let fits = from.layout.is_blocked()
        && to.layout == from.layout
        && matches!(to.place, Place::Arena { .. })
        && shape.dilation == [1, 1]
        && of(from, [h, w])
        && of(to, [down, across]);
    if fits { Ok(()) } else { Err("its pooling does not fit its shapes".to_owned()) }
}

/// What works on planes alone gets planes, and what keeps its layout the same on both sides.
fn layouts(step: &PlanStep, inputs: &[&PlanValue], output: &PlanValue) -> Result<(), String> {
    let alike = |from: usize| inputs[from..].iter().all(|v| v.layout == output.layout);
    let blocked = output.layout.is_blocked();
    // What computes with values does not take codes for them.
    let coarse = matches!(output.layout, Layout::BlockedU8(_));
    let same_shape = |v: &&PlanValue| v.layout == Layout::Planar || v.shape == output.shape;
    let fits = match step.op {
        Op::Conv { .. } | Op::ConvTranspose { .. } => {
            inputs[1..].iter().all(|v| v.layout.is_blocked() == blocked && same_shape(v))
        }
        Op::AveragePool { padded: true, .. } => alike(0) && !coarse,
        Op::MaxPool(_) | Op::AveragePool { .. } | Op::Resize(_) => alike(0),
        Op::BatchNorm { .. } | Op::Activate(_) => alike(0) && !coarse && inputs.iter().all(same_shape),
        Op::Copy => {
            let converts = |v: &&PlanValue| v.shape == output.shape && (blocked || v.layout.is_blocked());
            alike(0) && inputs.iter().all(same_shape) || inputs.iter().all(converts)
        }
        Op::Concat { axis } => {
            let last = inputs.len() - 1;
            alike(0) && (!blocked || axis == 1 && inputs[..last].iter().all(|v| v.shape[1].is_multiple_of(BLOCK)))
        }
        Op::Binary(_) if blocked => {
            let repeat = inputs.get(1).and_then(|b| Repeat::of(&b.shape, &output.shape));
            let second = |r| if r == Repeat::Channels { Layout::Planar } else { output.layout };
            !coarse
                && inputs[0].layout == output.layout
                && inputs[0].shape == output.shape
                && repeat.is_some_and(|r| inputs[1].layout == second(r))
        }
        _ => !blocked && alike(0),
    };
    if fits { Ok(()) } else { Err("the layouts of its tensors do not fit each other".to_owned()) }
}

/// What is read and what is written must not share an element of the same image.
fn apart(input: &PlanValue, output: &PlanValue) -> Result<(), String> {
    let (Place::Arena { offset: a, stride: s }, Place::Arena { offset: b, stride: t }) = (input.place, output.place)
    else {
        return Ok(());
    };
    // Values in slices of one buffer step through it together; all others lie wholly apart.
    let disjoint = |a: usize, a_len: usize, b: usize, b_len: usize| a + a_len <= b || b + b_len <= a;
    let span = |v: &PlanValue, stride: usize| (v.images() - 1) * stride + v.image_room();
    let together = s == t && input.images() == output.images() && a.abs_diff(b) < s && {
        let (low, low_len, high, high_len) = match a < b {
            true => (a, input.image_room(), b, output.image_room()),
            false => (b, output.image_room(), a, input.image_room()),
        };
        low + low_len <= high && high + high_len <= low + s
    };
    match together || disjoint(a, span(input, s), b, span(output, t)) {
        true => Ok(()),
        false => Err(format!("it reads `{}` and writes `{}` in the same place", input.name, output.name)),
    }
}
