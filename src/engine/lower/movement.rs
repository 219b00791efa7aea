//! What moves numbers and computes none: reshaping, slicing, repeating, gathering, borders. Constants are moved now.

use std::sync::Arc;

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor::{Data, Tensor, elements};
use super::super::tensor_op::TensorOp;
use super::{Known, Lowering, Refusal};
use crate::backend::cpu::elementwise::broadcast_shape;
use crate::backend::cpu::strided::Strided;
use crate::backend::cpu::take::Take;

mod border;
mod places;
mod shape;

/// One movement, with the shape that comes out.
enum Move {
    /// The same numbers under another shape.
    Shape(Vec<usize>),
    /// Axis `order[i]` becomes axis i.
    Order(Vec<usize>),
    /// Numbers from places at fixed distances.
    Places(Strided, Vec<usize>),
    /// Slices along an axis.
    Slices(Take, Vec<usize>),
}

/// An axis counted from the front.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let at = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(at)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| format!("its axis is {axis}, but the tensor has {rank} dimensions"))
}

/// Axes counted from the front, each once.
pub(super) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let list = axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>, _>>()?;
    match (1..list.len()).any(|i| list[..i].contains(&list[i])) {
        true => Err(format!("its axes {axes:?} name one twice")),
        false => Ok(list),
    }
}

/// Elements of `tensor` by flat index, as a tensor of `shape`; `level` stands where there is none.
pub(super) fn pick(
    tensor: &Tensor,
    shape: Vec<usize>,
    indices: impl Iterator<Item = Option<usize>>,
    level: f32,
) -> Tensor {
    let data = match &tensor.data {
        Data::Floats(v) => Data::Floats(indices.map(|i| i.map_or(level, |i| v[i])).collect()),
        Data::Ints(v) => Data::Ints(indices.map(|i| i.map_or(level as i64, |i| v[i])).collect()),
    };
    Tensor { shape, data, dtype: tensor.dtype }
}

/// Slices `indices` along `axis` of a tensor of shape `from`.
fn slices(from: &[usize], axis: usize, indices: Vec<Option<usize>>, level: f32) -> Move {
    let mut shape = from.to_vec();
    shape[axis] = indices.len();
    let (outer, inner) = (from[..axis].iter().product(), from[axis + 1..].iter().product());
    Move::Slices(Take { outer, axis: from[axis], inner, indices, level }, shape)
}

/// Lowers the node where it moves numbers; false where it does not.
pub(super) fn movement(lowering: &mut Lowering, node: &Node) -> Result<bool, Refusal> {
    let from = match lowering.known(node, 0) {
        Some(Known::Constant(tensor)) => tensor.shape.clone(),
        Some(Known::Value(value)) => lowering.shape(value).to_vec(),
        None => Vec::new(),
    };
    let one = |moves: Vec<Move>| Ok::<_, String>(vec![moves]);
    let outputs = match node.operator.as_str() {
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            one(vec![Move::Shape(shape::new_shape(lowering, node, &from)?)])
        }
        "Transpose" => one(vec![Move::Order(order_of(node, from.len())?)]),
        "Slice" => one(vec![slice(lowering, node, &from)?]),
        "Split" => split(lowering, node, &from),
        "Expand" => {
            let wanted = shape::dims(&lowering.required(node, 1, "shape")?.to_ints())?;
            let shape = broadcast_shape(&from, &wanted).map_err(|e| e.to_string())?;
            one(vec![repeated(&from, shape)])
        }
        "Tile" => one(vec![tile(&from, &lowering.required(node, 1, "repeats")?.to_ints())?]),
        "Gather" => one(gather(&from, &*lowering.required(node, 1, "list of indices")?, node.int("axis", 0)?)?),
        "GatherND" | "GatherElements" => {
            one(places::gather(node, &from, &*lowering.required(node, 1, "list of indices")?)?)
        }
        "ScatterND" | "ScatterElements" | "Scatter" => return places::scatter(lowering, node, &from).map(|()| true),
        "DepthToSpace" | "SpaceToDepth" => one(blocks(node, &from)?),
        "Pad" => return border::pad_node(lowering, node, &from).map(|()| true),
        _ => return Ok(false),
    }?;
    let source = lowering.known(node, 0).ok_or("its input is missing")?;
    for (index, moves) in outputs.into_iter().enumerate() {
        apply(lowering, node, index, source.clone(), moves)?;
    }
    Ok(true)
}

/// Makes what the movements give output `index` of the node.
fn apply(
    lowering: &mut Lowering,
    node: &Node,
    index: usize,
    mut source: Known,
    moves: Vec<Move>,
) -> Result<(), Refusal> {
    for one in moves {
        source = match source {
            Known::Constant(tensor) => Known::Constant(Arc::new(moved(&tensor, one)?)),
            Known::Value(value) => Known::Value(step(lowering, node, value, one)?),
        };
    }
    match source {
        Known::Constant(tensor) => lowering.bind_constant(node, index, tensor.as_ref().clone()),
        Known::Value(value) => lowering.bind(node, index, value),
    }
}

fn moved(tensor: &Tensor, one: Move) -> Result<Tensor, String> {
    let places = |s: Strided, shape: Vec<usize>| pick(tensor, shape, (0..s.out_len()).map(|i| Some(s.place(i))), 0.0);
    Ok(match one {
        Move::Shape(shape) => Tensor { shape, data: tensor.data.clone(), dtype: tensor.dtype },
        Move::Order(order) => {
            let s = Strided::whole(&tensor.shape).transposed(&order);
            let shape = s.shape.clone();
            places(s, shape)
        }
        Move::Places(s, shape) => {
            elements(&shape)?;
            places(s, shape)
        }
        Move::Slices(take, shape) => {
            elements(&shape)?;
            pick(tensor, shape, (0..take.out_len()).map(|i| take.place(i)), take.level)
        }
    })
}

fn step(lowering: &mut Lowering, node: &Node, value: usize, one: Move) -> Result<usize, Refusal> {
    let from = lowering.shape(value).to_vec();
    let (op, shape) = match one {
        Move::Shape(shape) => (Op::Copy, shape),
        Move::Order(order) => {
            let shape: Vec<usize> = order.iter().map(|&a| from[a]).collect();
            match Strided::whole(&from).transposed(&order).run_of() {
                Some(_) => (Op::Copy, shape),
                None => (Op::Tensor(TensorOp::Transpose { shape: from, order }), shape),
            }
        }
        Move::Places(s, shape) if s.run_of() == Some(0) && s.out_len() == from.iter().product::<usize>() => {
            (Op::Copy, shape)
        }
        Move::Places(s, shape) => {
            elements(&shape)?;
            if shape.contains(&0) {
                return Err(format!("its output would have the shape {shape:?}, which holds nothing").into());
            }
            (Op::Tensor(TensorOp::Strided(s.merged())), shape)
        }
        Move::Slices(take, shape) => (Op::Tensor(TensorOp::Take(take)), shape),
    };
    lowering.emit(node, op, vec![value], shape)
}

fn order_of(node: &Node, rank: usize) -> Result<Vec<usize>, String> {
    match node.ints("perm")? {
        None => Ok((0..rank).rev().collect()),
        Some(order) if order.len() == rank => axes_of(order, rank),
        Some(order) => Err(format!("its order {order:?} does not name each of {rank} dimensions once")),
    }
}

/// Slice, by attributes before opset 10 and by inputs since.
fn slice(lowering: &Lowering, node: &Node, from: &[usize]) -> Result<Move, String> {
    let starts = lowering.list(node, 1, "starts")?.ok_or("its starts are missing")?;
    let ends = lowering.list(node, 2, "ends")?.ok_or("its ends are missing")?;
    let axes = lowering.list(node, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = lowering.list(node, 4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps differ in number".to_owned());
    }
    let axes = axes_of(&axes, from.len())?;
    let mut places = Strided::whole(from);
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let n = from[axis] as i64;
        let absolute = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
        let (start, span) = match step {
            0 => return Err("its step is 0".to_owned()),
            1.. => {
                let (start, stop) = (absolute(start).clamp(0, n), absolute(end).clamp(0, n));
                (start, stop - start)
            }
            _ => {
                let (start, stop) = (absolute(start).clamp(-1, n - 1), absolute(end).clamp(-1, n - 1));
                (start, start - stop)
            }
        };
        let count = (span.max(0) as u64).div_ceil(step.unsigned_abs()) as usize;
        places.shape[axis] = count;
        if count > 0 {
            places.offset += start as usize * places.strides[axis] as usize;
        }
        // With one element the step does not matter, and may be beyond all bounds.
        places.strides[axis] = if count > 1 { places.strides[axis] * step as isize } else { 1 };
    }
    let shape = places.shape.clone();
    Ok(Move::Places(places, shape))
}

fn split(lowering: &Lowering, node: &Node, from: &[usize]) -> Result<Vec<Vec<Move>>, String> {
    let axis = axis_of(node.int("axis", 0)?, from.len())?;
    let (length, outputs) = (from[axis], node.outputs.len());
    let lengths = match lowering.list(node, 1, "split")? {
        Some(list) => shape::dims(&list)?,
        None if outputs > 0 => {
            let part = length.div_ceil(outputs);
            (0..outputs).map(|i| part.min(length.saturating_sub(i * part))).collect()
        }
        None => Vec::new(),
    };
    let total = lengths.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if lengths.len() != outputs || total != Some(length) {
        return Err(format!("it cuts {length} elements into {outputs} parts of {lengths:?}"));
    }
    let mut start = 0;
    let part = |n: usize| {
        let mut places = Strided::whole(from);
        places.offset = start * places.strides[axis] as usize;
        places.shape[axis] = n;
        start += n;
        let shape = places.shape.clone();
        vec![Move::Places(places, shape)]
    };
    Ok(lengths.into_iter().map(part).collect())
}

/// A tensor of shape `from` repeated to `shape` by the rules of numpy.
fn repeated(from: &[usize], shape: Vec<usize>) -> Move {
    let (whole, new) = (Strided::whole(from), shape.len() - from.len());
    let stride = |d: usize| if d < new || from[d - new] == 1 { 0 } else { whole.strides[d - new] };
    let strides = (0..shape.len()).map(stride).collect();
    Move::Places(Strided { shape: shape.clone(), strides, offset: 0 }, shape)
}

fn tile(from: &[usize], repeats: &[i64]) -> Result<Move, String> {
    let repeats = shape::dims(repeats)?;
    if repeats.len() != from.len() {
        return Err(format!("its repeats are {repeats:?}, its input has {} dimensions", from.len()));
    }
    let whole = Strided::whole(from);
    let mut places = Strided { shape: Vec::new(), strides: Vec::new(), offset: 0 };
    for (axis, &n) in repeats.iter().enumerate() {
        places.shape.extend([n, from[axis]]);
        places.strides.extend([0, whole.strides[axis]]);
    }
    elements(&places.shape)?;
    let shape = repeats.iter().zip(from).map(|(a, b)| a * b).collect();
    Ok(Move::Places(places, shape))
}

fn gather(from: &[usize], indices: &Tensor, axis: i64) -> Result<Vec<Move>, String> {
    let axis = axis_of(axis, from.len())?;
    let wanted =
        indices.to_ints().iter().map(|&i| places::index_of(i, from[axis]).map(Some)).collect::<Result<_, _>>()?;
    let shape = [&from[..axis], &indices.shape, &from[axis + 1..]].concat();
    elements(&shape)?;
    Ok(vec![slices(from, axis, wanted, 0.0), Move::Shape(shape)])
}

/// DepthToSpace and SpaceToDepth: a transposition between two reshapes.
fn blocks(node: &Node, from: &[usize]) -> Result<Vec<Move>, String> {
    let &[n, c, h, w] = from else {
        return Err(format!("its input has the shape {from:?}, expected 4 dimensions"));
    };
    let size = node.int("blocksize", 0)?;
    let refuse = || format!("its blocksize is {size}, its input has the shape {from:?}");
    let b = usize::try_from(size).ok().filter(|b| (1..=1 << 12).contains(b)).ok_or_else(refuse)?;
    if node.operator == "SpaceToDepth" {
        if h % b != 0 || w % b != 0 {
            return Err(refuse());
        }
        let order = match node.text("mode", "DCR")? {
            "DCR" => vec![0, 3, 5, 1, 2, 4],
            "CRD" => vec![0, 1, 3, 5, 2, 4],
            other => return Err(format!("its mode is `{other}`; expected `DCR` or `CRD`")),
        };
        let apart = vec![n, c, h / b, b, w / b, b];
        return Ok(vec![Move::Shape(apart), Move::Order(order), Move::Shape(vec![n, c * b * b, h / b, w / b])]);
    }
    if c % (b * b) != 0 {
        return Err(refuse());
    }
    let (apart, order) = match node.text("mode", "DCR")? {
        "DCR" => (vec![n, b, b, c / (b * b), h, w], vec![0, 3, 4, 1, 5, 2]),
        "CRD" => (vec![n, c / (b * b), b, b, h, w], vec![0, 1, 4, 2, 5, 3]),
        other => return Err(format!("its mode is `{other}`; expected `DCR` or `CRD`")),
    };
    Ok(vec![Move::Shape(apart), Move::Order(order), Move::Shape(vec![n, c / (b * b), h * b, w * b])])
}

/// The shape of `shapes` one after the other along `axis`.
fn joined_shape(shapes: &[&[usize]], axis: usize) -> Result<Vec<usize>, String> {
    let mut joined = shapes[0].to_vec();
    for shape in &shapes[1..] {
        let fits = shape.len() == joined.len() && (0..joined.len()).all(|d| d == axis || shape[d] == joined[d]);
        if !fits {
            return Err(format!(
                "its inputs have the shapes {:?} and {shape:?}, which cannot be joined along axis {axis}",
                shapes[0]
            ));
        }
        joined[axis] = joined[axis].checked_add(shape[axis]).ok_or("its inputs are too large")?;
    }
    elements(&joined)?;
    Ok(joined)
}

pub(super) fn concat(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    if let Some(parts) = lowering.all_constant(node) {
        let axis = axis_of(node.int("axis", 1)?, parts[0].shape.len())?;
        return lowering.bind_constant(node, 0, joined(&parts, axis)?);
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for i in 0..node.inputs.len() {
        // A part that holds nothing adds nothing.
        let empty = matches!(lowering.known(node, i), Some(Known::Constant(t)) if t.data.is_empty());
        if !empty {
            inputs.push(lowering.any_input(node, i)?);
        }
    }
    let &first = inputs.first().ok_or("it joins nothing")?;
    let axis = axis_of(node.int("axis", 1)?, lowering.shape(first).len())?;
    let shapes: Vec<&[usize]> = inputs.iter().map(|&v| lowering.shape(v)).collect();
    let shape = joined_shape(&shapes, axis)?;
    lowering.step(node, Op::Concat { axis }, inputs, shape)
}

/// Constants one after the other along `axis`.
fn joined(parts: &[Arc<Tensor>], axis: usize) -> Result<Tensor, String> {
    let shape = joined_shape(&parts.iter().map(|p| p.shape.as_slice()).collect::<Vec<_>>(), axis)?;
    let outer: usize = shape[..axis].iter().product();
    let data = match parts.iter().all(|p| matches!(p.data, Data::Ints(_))) {
        true => Data::Ints(rows(parts, axis, outer, Tensor::to_ints)),
        false => Data::Floats(rows(parts, axis, outer, Tensor::to_floats)),
    };
    Ok(Tensor { shape, data, dtype: parts[0].dtype })
}

/// The numbers of all parts, row by row.
fn rows<T: Copy>(parts: &[Arc<Tensor>], axis: usize, outer: usize, numbers: fn(&Tensor) -> Vec<T>) -> Vec<T> {
    let lists: Vec<(Vec<T>, usize)> = parts.iter().map(|p| (numbers(p), p.shape[axis..].iter().product())).collect();
    (0..outer).flat_map(|o| lists.iter().flat_map(move |(v, row)| v[o * row..(o + 1) * row].to_vec())).collect()
}
