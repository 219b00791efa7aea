//! The shape that Reshape, Flatten, Squeeze or Unsqueeze gives a tensor.

use super::super::super::attribute::Node;
use super::super::super::tensor::elements;
use super::super::Lowering;
use super::{axes_of, axis_of};

/// Dimensions from 0.
pub(super) fn dims(list: &[i64]) -> Result<Vec<usize>, String> {
    list.iter()
        .map(|&n| usize::try_from(n).ok().filter(|&n| n <= 1 << 40))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("its sizes are {list:?}"))
}

pub(super) fn new_shape(lowering: &Lowering, node: &Node, from: &[usize]) -> Result<Vec<usize>, String> {
    match node.operator.as_str() {
        "Flatten" => {
            let axis = match node.int("axis", 1)? {
                axis if axis == from.len() as i64 => from.len(),
                axis => axis_of(axis, from.len())?,
            };
            Ok(vec![from[..axis].iter().product(), from[axis..].iter().product()])
        }
        "Squeeze" => {
            let gone = match lowering.list(node, 1, "axes")? {
                Some(list) => axes_of(&list, from.len())?,
                None => (0..from.len()).filter(|&d| from[d] == 1).collect(),
            };
            match gone.iter().find(|&&d| from[d] != 1) {
                Some(&d) => Err(format!("its axis {d} has {} elements and cannot be left out", from[d])),
                None => Ok((0..from.len()).filter(|d| !gone.contains(d)).map(|d| from[d]).collect()),
            }
        }
        "Unsqueeze" => {
            let list = lowering.list(node, 1, "axes")?.ok_or("its axes are missing")?;
            let rank = from.len() + list.len();
            let new = axes_of(&list, rank)?;
            let mut old = from.iter();
            let shape: Option<Vec<usize>> =
                (0..rank).map(|d| if new.contains(&d) { Some(1) } else { old.next().copied() }).collect();
            shape.ok_or_else(|| format!("its axes {list:?} name one twice"))
        }
        _ => reshape(lowering, node, from),
    }
}

fn reshape(lowering: &Lowering, node: &Node, from: &[usize]) -> Result<Vec<usize>, String> {
    let wanted = match lowering.list(node, 1, "shape")? {
        Some(list) => list,
        None => return Err("its shape is missing".to_owned()),
    };
    let total = elements(from)?;
    let zero_is_zero = node.int("allowzero", 0)? != 0;
    let mut shape = Vec::with_capacity(wanted.len());
    for (d, &n) in wanted.iter().enumerate() {
        shape.push(match n {
            -1 => usize::MAX,
            0 if !zero_is_zero => {
                *from.get(d).ok_or_else(|| format!("its shape {wanted:?} copies a dimension that {from:?} has not"))?
            }
            n => usize::try_from(n).map_err(|_| format!("its shape is {wanted:?}"))?,
        });
    }
    let known = shape.iter().filter(|&&n| n != usize::MAX).try_fold(1usize, |p, &n| p.checked_mul(n));
    let misfit = || format!("its shape {wanted:?} does not hold the {total} elements of {from:?}");
    let known = known.ok_or_else(misfit)?;
    match wanted.iter().filter(|&&n| n == -1).count() {
        0 if known == total => {}
        1 if known > 0 && total.is_multiple_of(known) => {
            let open = wanted.iter().position(|&n| n == -1).expect("one was counted");
            shape[open] = total / known;
        }
        _ => return Err(misfit()),
    }
    Ok(shape)
}
