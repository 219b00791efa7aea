//! Nodes whose result does not depend on the inputs are computed now: weights stored as fp16, and the arithmetic on
//! shapes that exporters write out.

use std::sync::Arc;

use super::super::attribute::{Attribute, Node};
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor, elements};
use super::{Known, Lowering, Refusal, constant_of, layout};

/// The result of `node`, where it is constant and its operator is one that shape arithmetic uses.
pub(super) fn fold(lowering: &Lowering, node: &Node) -> Result<Option<Tensor>, Refusal> {
    match node.operator.as_str() {
        "Constant" => return Ok(Some(constant_of(node)?)),
        "Shape" => return Ok(Some(shape_of(lowering, node)?)),
        _ => {}
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for index in 0..node.inputs.len() {
        match lowering.known(node, index) {
            Some(Known::Constant(tensor)) => inputs.push(Some(tensor)),
            Some(Known::Value(_)) => return Ok(None),
            None => inputs.push(None),
        }
    }
    let Some(Some(first)) = inputs.first().cloned() else { return Ok(None) };
    let second = || inputs.get(1).cloned().flatten();
    Ok(Some(match node.operator.as_str() {
        "Cast" => match node.int("to", 0)? as i32 {
            data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE | data_type::BFLOAT16 => {
                Tensor { shape: first.shape.clone(), data: Data::Floats(first.to_floats()) }
            }
            data_type::BOOL => {
                let truth = first.to_floats().iter().map(|&x| i64::from(x != 0.0)).collect();
                Tensor { shape: first.shape.clone(), data: Data::Ints(truth) }
            }
            _ => Tensor { shape: first.shape.clone(), data: Data::Ints(first.to_ints()) },
        },
        "Identity" | "Dropout" => first.as_ref().clone(),
        "Floor" => match &first.data {
            Data::Floats(v) => {
                Tensor { shape: first.shape.clone(), data: Data::Floats(v.iter().map(|x| x.floor()).collect()) }
            }
            Data::Ints(_) => first.as_ref().clone(),
        },
        "Add" | "Sub" | "Mul" | "Div" => {
            arithmetic(&node.operator, &first, &*second().ok_or("its second input is missing")?)?
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let shape = layout::new_shape(lowering, node, &first.shape)?;
            Tensor { shape, data: first.data.clone() }
        }
        "Gather" => gather(&first, &*second().ok_or("its indices are missing")?, node.int("axis", 0)?)?,
        "Concat" => {
            let parts: Option<Vec<Arc<Tensor>>> = inputs.iter().cloned().collect();
            join(&parts.ok_or("one of its inputs is missing")?, node.int("axis", 0)?)?
        }
        "Slice" => slice(lowering, node, &first)?,
        "Transpose" => transpose(&first, node.ints("perm")?)?,
        "ConstantOfShape" => constant_of_shape(node, &first)?,
        _ => return Ok(None),
    }))
}

fn shape_of(lowering: &Lowering, node: &Node) -> Result<Tensor, String> {
    let dims = match lowering.known(node, 0).ok_or("its input is missing")? {
        Known::Constant(tensor) => tensor.shape.clone(),
        Known::Value(value) => lowering.shape(value).to_vec(),
    };
    let clamp = |at: i64| if at < 0 { (at + dims.len() as i64).max(0) as usize } else { (at as usize).min(dims.len()) };
    let (start, end) = (clamp(node.int("start", 0)?), clamp(node.int("end", i64::MAX)?));
    Ok(Tensor::ints(dims[start.min(end)..end].iter().map(|&d| d as i64).collect()))
}

/// An axis counted from the front.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| format!("its axis is {axis}, but the tensor has {rank} dimensions"))
}

fn arithmetic(operator: &str, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let shape = super::binary::broadcast_shape(&a.shape, &b.shape)?;
    let count = elements(&shape)?;
    let at = |t: &Tensor, mut flat: usize| {
        let (mut index, mut step) = (0, 1);
        for (d, &n) in shape.iter().enumerate().rev() {
            let here = flat % n;
            flat /= n;
            if let Some(own) = (d + t.shape.len()).checked_sub(shape.len()) {
                index += if t.shape[own] == 1 { 0 } else { here * step };
                step *= t.shape[own];
            }
        }
        index
    };
    let data = match (&a.data, &b.data) {
        (Data::Ints(x), Data::Ints(y)) => {
            let apply = |i| {
                let (p, q): (i64, i64) = (x[at(a, i)], y[at(b, i)]);
                match operator {
                    "Add" => p.checked_add(q),
                    "Sub" => p.checked_sub(q),
                    "Mul" => p.checked_mul(q),
                    _ => p.checked_div(q),
                }
            };
            let numbers: Option<Vec<i64>> = (0..count).map(apply).collect();
            Data::Ints(numbers.ok_or("its integers overflow or are divided by zero")?)
        }
        _ => {
            let (x, y) = (a.to_floats(), b.to_floats());
            let apply = |i| {
                let (p, q) = (x[at(a, i)], y[at(b, i)]);
                match operator {
                    "Add" => p + q,
                    "Sub" => p - q,
                    "Mul" => p * q,
                    _ => p / q,
                }
            };
            Data::Floats((0..count).map(apply).collect())
        }
    };
    Ok(Tensor { shape, data })
}

/// Elements of `tensor` by flat index, as a tensor of `shape`.
fn pick(tensor: &Tensor, shape: Vec<usize>, indices: impl Iterator<Item = usize>) -> Tensor {
    let data = match &tensor.data {
        Data::Floats(v) => Data::Floats(indices.map(|i| v[i]).collect()),
        Data::Ints(v) => Data::Ints(indices.map(|i| v[i]).collect()),
    };
    Tensor { shape, data }
}

fn gather(from: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = axis_of(axis, from.shape.len())?;
    let length = from.shape[axis];
    let wanted = indices.to_ints().iter().map(|&i| axis_of(i, length)).collect::<Result<Vec<_>, _>>()?;
    let outer: usize = from.shape[..axis].iter().product();
    let inner: usize = from.shape[axis + 1..].iter().product();
    let shape = [&from.shape[..axis], &indices.shape, &from.shape[axis + 1..]].concat();
    elements(&shape)?;
    let wanted = &wanted;
    let flat = (0..outer)
        .flat_map(move |o| wanted.iter().flat_map(move |&w| (0..inner).map(move |i| (o * length + w) * inner + i)));
    Ok(pick(from, shape, flat))
}

fn join(parts: &[Arc<Tensor>], axis: i64) -> Result<Tensor, String> {
    let axis = axis_of(axis, parts[0].shape.len())?;
    let shape = layout::joined_shape(&parts.iter().map(|p| p.shape.as_slice()).collect::<Vec<_>>(), axis)?;
    elements(&shape)?;
    let outer: usize = shape[..axis].iter().product();
    let rows = |p: &Tensor| p.shape[axis..].iter().product::<usize>();
    let ints: Option<Vec<&Vec<i64>>> =
        parts.iter().map(|p| if let Data::Ints(v) = &p.data { Some(v) } else { None }).collect();
    let data = match ints {
        Some(lists) => Data::Ints(
            (0..outer)
                .flat_map(|o| {
                    lists.iter().zip(parts).flat_map(move |(v, p)| v[o * rows(p)..(o + 1) * rows(p)].to_vec())
                })
                .collect(),
        ),
        None => Data::Floats(
            (0..outer)
                .flat_map(|o| parts.iter().flat_map(move |p| p.to_floats()[o * rows(p)..(o + 1) * rows(p)].to_vec()))
                .collect(),
        ),
    };
    Ok(Tensor { shape, data })
}

/// Slice, by attributes before opset 10 and by inputs since.
fn slice(lowering: &Lowering, node: &Node, from: &Tensor) -> Result<Tensor, String> {
    let list = |name: &str, index: usize| -> Result<Option<Vec<i64>>, String> {
        Ok(match lowering.constant(node, index, name)? {
            Some(tensor) => Some(tensor.to_ints()),
            None => node.ints(name)?.map(<[i64]>::to_vec),
        })
    };
    let starts = list("starts", 1)?.ok_or("its starts are missing")?;
    let ends = list("ends", 2)?.ok_or("its ends are missing")?;
    let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps differ in number".to_owned());
    }
    let mut result = from.clone();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis_of(axis, result.shape.len())?;
        let n = result.shape[axis] as i64;
        let absolute = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
        let mut kept = Vec::new();
        let (mut at, stop) = match step {
            0 => return Err("its step is 0".to_owned()),
            1.. => (absolute(start).clamp(0, n), absolute(end).clamp(0, n)),
            _ => (absolute(start).clamp(-1, n - 1), absolute(end).clamp(-1, n - 1)),
        };
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            kept.push(at);
            at = at.saturating_add(step);
        }
        result = gather(&result, &Tensor::ints(kept), axis as i64)?;
    }
    Ok(result)
}

fn transpose(from: &Tensor, order: Option<&[i64]>) -> Result<Tensor, String> {
    let rank = from.shape.len();
    let order = match order {
        Some(order) => order.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen != (0..rank).collect::<Vec<_>>() {
        return Err(format!("its order {order:?} does not name each of {rank} dimensions once"));
    }
    let steps: Vec<usize> = (0..rank).map(|d| from.shape[d + 1..].iter().product()).collect();
    let shape: Vec<usize> = order.iter().map(|&a| from.shape[a]).collect();
    let flat = (0..from.data.len()).map(|mut i| {
        let mut index = 0;
        for (&a, &n) in order.iter().zip(&shape).rev() {
            index += i % n * steps[a];
            i /= n;
        }
        index
    });
    Ok(pick(from, shape.clone(), flat))
}

fn constant_of_shape(node: &Node, dims: &Tensor) -> Result<Tensor, String> {
    let shape = dims
        .to_ints()
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("the dimension {d} is negative")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = elements(&shape)?;
    let data = match node.attributes.get("value") {
        Some(Attribute::Tensor(t)) => match &t.data {
            Data::Floats(v) => Data::Floats(vec![*v.first().ok_or("its value is empty")?; count]),
            Data::Ints(v) => Data::Ints(vec![*v.first().ok_or("its value is empty")?; count]),
        },
        _ => Data::Floats(vec![0.0; count]),
    };
    Ok(Tensor { shape, data })
}
