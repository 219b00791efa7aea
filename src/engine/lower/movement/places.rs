//! Gathering and scattering by constant places, each named along several axes at once or one for each element: rows of a tensor.

use std::sync::Arc;

use super::super::super::attribute::Node;
use super::super::super::graph::Op;
use super::super::super::tensor::Tensor;
use super::super::{Known, Lowering, Refusal};
use super::{Move, apply, axis_of, joined, joined_shape, moved, slices};

/// Rows of so many elements each.
struct Rows {
    /// Their number in the whole tensor.
    whole: usize,
    /// Elements of each.
    inner: usize,
    /// Those that are named.
    named: Vec<usize>,
    /// Shape of all that are named together.
    shape: Vec<usize>,
}

/// An index counted from the front, of an axis of `length`.
pub(super) fn index_of(index: i64, length: usize) -> Result<usize, String> {
    let at = if index < 0 { index.saturating_add(length as i64) } else { index };
    let inside = usize::try_from(at).ok().filter(|&at| at < length);
    inside.ok_or_else(|| format!("its index {index} is outside of an axis of {length}"))
}

impl Rows {
    /// Those of a tensor of shape `from` that the node names by `indices`.
    fn of(node: &Node, from: &[usize], indices: &Tensor) -> Result<Self, String> {
        let unfit = || format!("its indices have the shape {:?}, its input {from:?}", indices.shape);
        let list = indices.to_ints();
        if !node.operator.ends_with("ND") {
            let axis = axis_of(node.int("axis", 0)?, from.len())?;
            let shape = &indices.shape;
            let inside = shape.len() == from.len() && (0..from.len()).all(|d| d == axis || shape[d] <= from[d]);
            return if inside { Self::of_elements(axis, from, indices) } else { Err(unfit()) };
        }
        let batch = usize::try_from(node.int("batch_dims", 0)?).map_err(|_| "its batch_dims is negative")?;
        let (&depth, places) = indices.shape.split_last().ok_or_else(unfit)?;
        let fits = depth > 0 && depth <= from.len().saturating_sub(batch) && places.get(..batch) == from.get(..batch);
        if !fits {
            return Err(unfit());
        }
        let (outer, inner) = from.split_at(batch + depth);
        let each = (list.len() / depth / outer[..batch].iter().product::<usize>().max(1)).max(1);
        let row = |(number, place): (usize, &[i64])| {
            let mut axes = place.iter().zip(&outer[batch..]);
            axes.try_fold(number / each, |row, (&index, &length)| Ok(row * length + index_of(index, length)?))
        };
        let named = list.chunks_exact(depth).enumerate().map(row).collect::<Result<_, String>>()?;
        let (whole, shape) = (outer.iter().product(), [places, inner].concat());
        Ok(Self { whole, inner: inner.iter().product(), named, shape })
    }

    /// Single elements: each lies where it does in `indices`, but along `axis`.
    fn of_elements(axis: usize, from: &[usize], indices: &Tensor) -> Result<Self, String> {
        let shape = &indices.shape;
        let place = |(number, index): (usize, i64)| {
            let (mut rest, mut row, mut step) = (number, 0, 1);
            for d in (0..from.len()).rev() {
                row += step * if d == axis { index_of(index, from[d])? } else { rest % shape[d] };
                rest /= shape[d];
                step *= from[d];
            }
            Ok(row)
        };
        let named = indices.to_ints().into_iter().enumerate().map(place).collect::<Result<_, String>>()?;
        Ok(Self { whole: from.iter().product(), inner: 1, named, shape: shape.clone() })
    }
}

/// GatherND and GatherElements: the rows that are named.
pub(super) fn gather(node: &Node, from: &[usize], indices: &Tensor) -> Result<Vec<Move>, String> {
    let rows = Rows::of(node, from, indices)?;
    let whole = vec![rows.whole, rows.inner];
    let named = rows.named.into_iter().map(Some).collect();
    Ok(vec![Move::Shape(whole.clone()), slices(&whole, 0, named, 0.0), Move::Shape(rows.shape)])
}

/// ScatterND and ScatterElements: the rows that are named come from another tensor, of which the last stays.
pub(super) fn scatter(lowering: &mut Lowering, node: &Node, from: &[usize]) -> Result<(), Refusal> {
    let reduction = node.text("reduction", "none")?;
    if reduction != "none" {
        return Err(format!("its reduction is `{reduction}`; computed is `none`").into());
    }
    let rows = Rows::of(node, from, &*lowering.required(node, 1, "list of indices")?)?;
    let shapes = [vec![rows.whole, rows.inner], vec![rows.named.len(), rows.inner]];
    let [data, updates] = [0, 2].map(|i| lowering.known(node, i).ok_or_else(|| format!("its input {i} is missing")));
    let (data, updates) = (data?, updates?);
    let given = match &updates {
        Known::Constant(tensor) => tensor.shape.clone(),
        Known::Value(value) => lowering.shape(*value).to_vec(),
    };
    if given != rows.shape {
        return Err(format!("its updates have the shape {given:?}, expected {:?}", rows.shape).into());
    }
    let both = match (data, updates) {
        (Known::Constant(data), Known::Constant(updates)) => {
            let [data, updates] = [(data, &shapes[0]), (updates, &shapes[1])]
                .map(|(tensor, shape)| moved(&tensor, Move::Shape(shape.clone())).map(Arc::new));
            Known::Constant(Arc::new(joined(&[data?, updates?], 0)?))
        }
        _ if rows.named.is_empty() => return lowering.same(node),
        _ => {
            let mut parts = Vec::new();
            for (input, shape) in [(0, &shapes[0]), (2, &shapes[1])] {
                let value = lowering.any_input(node, input)?;
                parts.push(lowering.reshaped(node, value, shape)?);
            }
            let shape = joined_shape(&[&shapes[0], &shapes[1]], 0)?;
            Known::Value(lowering.emit(node, Op::Concat { axis: 0 }, parts, shape)?)
        }
    };
    let mut source: Vec<_> = (0..rows.whole).map(Some).collect();
    for (update, row) in rows.named.into_iter().enumerate() {
        source[row] = Some(rows.whole + update);
    }
    let all = [rows.whole + shapes[1][0], rows.inner];
    apply(lowering, node, 0, both, vec![slices(&all, 0, source, 0.0), Move::Shape(from.to_vec())])
}
