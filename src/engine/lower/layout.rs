//! What moves numbers and computes none: Concat, Reshape and its relatives, Pad.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::fold::axis_of;
use super::{Lowering, Refusal};

/// The shape of `shapes` one after the other along `axis`.
pub(super) fn joined_shape(shapes: &[&[usize]], axis: usize) -> Result<Vec<usize>, String> {
    let mut joined = shapes[0].to_vec();
    for shape in &shapes[1..] {
        let fits = shape.len() == joined.len() && (0..joined.len()).all(|d| d == axis || shape[d] == joined[d]);
        if !fits {
            return Err(format!(
                "its inputs have the shapes {} and {shape:?}, which cannot be joined along axis {axis}",
                format_args!("{:?}", shapes[0])
            ));
        }
        joined[axis] = joined[axis].checked_add(shape[axis]).ok_or("its inputs are too large")?;
    }
    Ok(joined)
}

pub(super) fn concat(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let inputs = (0..node.inputs.len()).map(|i| lowering.input(node, i)).collect::<Result<Vec<_>, _>>()?;
    let &first = inputs.first().ok_or("it joins nothing")?;
    let axis = axis_of(node.int("axis", 1)?, lowering.shape(first).len())?;
    let shapes: Vec<&[usize]> = inputs.iter().map(|&v| lowering.shape(v)).collect();
    let shape = joined_shape(&shapes, axis)?;
    lowering.step(node, Op::Concat { axis }, inputs, shape)
}

/// The shape that Reshape, Flatten, Squeeze or Unsqueeze gives a tensor of shape `from`.
pub(super) fn new_shape(lowering: &Lowering, node: &Node, from: &[usize]) -> Result<Vec<usize>, String> {
    let axes = |index: usize| -> Result<Option<Vec<i64>>, String> {
        Ok(match lowering.constant(node, index, "axes")? {
            Some(tensor) => Some(tensor.to_ints()),
            None => node.ints("axes")?.map(<[i64]>::to_vec),
        })
    };
    match node.operator.as_str() {
        "Flatten" => {
            let axis = match node.int("axis", 1)? {
                axis if axis == from.len() as i64 => from.len(),
                axis => axis_of(axis, from.len())?,
            };
            Ok(vec![from[..axis].iter().product(), from[axis..].iter().product()])
        }
        "Squeeze" => {
            let gone = match axes(1)? {
                Some(list) => list.iter().map(|&a| axis_of(a, from.len())).collect::<Result<Vec<_>, _>>()?,
                None => (0..from.len()).filter(|&d| from[d] == 1).collect(),
            };
            match gone.iter().find(|&&d| from[d] != 1) {
                Some(&d) => Err(format!("its axis {d} has {} elements and cannot be left out", from[d])),
                None => Ok((0..from.len()).filter(|d| !gone.contains(d)).map(|d| from[d]).collect()),
            }
        }
        "Unsqueeze" => {
            let list = axes(1)?.ok_or("its axes are missing")?;
            let rank = from.len() + list.len();
            let new = list.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>, _>>()?;
            let mut old = from.iter();
            let shape: Option<Vec<usize>> =
                (0..rank).map(|d| if new.contains(&d) { Some(1) } else { old.next().copied() }).collect();
            shape.ok_or_else(|| format!("its axes {list:?} name one twice"))
        }
        _ => {
            let wanted = lowering.required(node, 1, "shape")?.to_ints();
            let total: usize = from.iter().product();
            let zero_is_zero = node.int("allowzero", 0)? != 0;
            let mut shape = Vec::with_capacity(wanted.len());
            for (d, &n) in wanted.iter().enumerate() {
                shape.push(match n {
                    -1 => usize::MAX,
                    0 if !zero_is_zero => *from
                        .get(d)
                        .ok_or_else(|| format!("its shape {wanted:?} copies a dimension that {from:?} has not"))?,
                    n => usize::try_from(n).map_err(|_| format!("its shape is {wanted:?}"))?,
                });
            }
            let known = shape.iter().filter(|&&n| n != usize::MAX).try_fold(1usize, |p, &n| p.checked_mul(n));
            let misfit = || format!("its shape {wanted:?} does not hold the {total} elements of {from:?}");
            let known = known.ok_or_else(misfit)?;
            match wanted.iter().filter(|&&n| n == -1).count() {
                0 if known == total => {}
                1 if known > 0 && total % known == 0 => {
                    let open = wanted.iter().position(|&n| n == -1).expect("one was counted");
                    shape[open] = total / known;
                }
                _ => return Err(misfit()),
            }
            Ok(shape)
        }
    }
}

pub(super) fn reshape(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let shape = new_shape(lowering, node, &lowering.shape(value).to_vec())?;
    lowering.step(node, Op::Copy, vec![value], shape)
}

/// Pad with a constant level; by attributes before opset 11, by inputs since.
pub(super) fn pad(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, [images, channels, height, width]) = lowering.planes(node)?;
    let mode = node.text("mode", "constant")?;
    let list = match lowering.constant(node, 1, "pads")? {
        Some(tensor) => tensor.to_ints(),
        None => node.ints("pads")?.ok_or("its pads are missing")?.to_vec(),
    };
    let level = match lowering.constant(node, 2, "level")?.map(|t| t.to_floats()) {
        // JSON, in which a plan keeps its steps, has no infinities.
        Some(v) => match v.first() {
            Some(v) if !v.is_nan() => v.clamp(f32::MIN, f32::MAX),
            _ => return Err("its level is not a number".into()),
        },
        None => node.float("value", 0.0)?,
    };
    let axes = match lowering.constant(node, 3, "axes")? {
        Some(tensor) => tensor.to_ints().iter().map(|&a| axis_of(a, 4)).collect::<Result<Vec<_>, _>>()?,
        None => vec![0, 1, 2, 3],
    };
    if list.len() != 2 * axes.len() {
        return Err(format!("its pads are {list:?}, expected {} numbers", 2 * axes.len()).into());
    }
    let mut pads = [[0i64; 2]; 4];
    for (i, &axis) in axes.iter().enumerate() {
        pads[axis] = [list[i], list[i + axes.len()]];
    }
    if pads.iter().flatten().all(|&p| p == 0) {
        return lowering.same(node);
    }
    if mode != "constant" {
        return Err(format!("its mode is `{mode}`; only `constant` is computed").into());
    }
    if pads[..2].iter().flatten().any(|&p| p != 0) || pads.iter().flatten().any(|&p| !(0..=1 << 20).contains(&p)) {
        return Err(
            format!("its pads are {list:?}; only borders of 0 or more around height and width are computed").into()
        );
    }
    let [[top, bottom], [left, right]] = [pads[2], pads[3]].map(|p| p.map(|n| n as usize));
    let op = Op::Pad { channels, size: [height, width], pads: [top, left, bottom, right], level };
    lowering.step(node, op, vec![value], vec![images, channels, height + top + bottom, width + left + right])
}
