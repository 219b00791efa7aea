//! Nodes whose result does not depend on the inputs: constants, and the arithmetic on shapes that exporters write out.

use super::super::attribute::{Attribute, Node};
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor, elements};
use super::{Known, Lowering, Refusal};

/// Most numbers that `Range` may make.
const LONGEST: f64 = (1u64 << 26) as f64;

/// The constant that the node is, where its operator makes one; `None` where it does not.
pub(super) fn constant(lowering: &Lowering, node: &Node) -> Result<Option<Tensor>, Refusal> {
    Ok(Some(match node.operator.as_str() {
        "Constant" => constant_of(node)?,
        "Shape" => shape_of(lowering, node)?,
        "Size" => {
            let size = dims_of(lowering, node)?.iter().product::<usize>();
            Tensor::integers(Vec::new(), vec![size as i64], data_type::INT64)
        }
        "ConstantOfShape" => constant_of_shape(node, &*lowering.required(node, 0, "shape")?)?,
        "Range" => {
            let [start, limit, delta] =
                [(0, "start"), (1, "limit"), (2, "delta")].map(|(i, what)| lowering.required(node, i, what));
            range(&*start?, &*limit?, &*delta?)?
        }
        "NonZero" => non_zero(&*lowering.required(node, 0, "input")?),
        "EyeLike" => eye_like(lowering, node)?,
        _ => return Ok(None),
    }))
}

/// The attribute that a `Constant` node holds.
fn constant_of(node: &Node) -> Result<Tensor, String> {
    match (node.attributes.get("value"), node.floats("value_floats")?, node.ints("value_ints")?) {
        (Some(Attribute::Tensor(tensor)), _, _) => Ok(tensor.as_ref().clone()),
        (_, Some(v), _) => Ok(Tensor::floats(vec![v.len()], v.to_vec())),
        (_, _, Some(v)) => Ok(Tensor::ints(v.to_vec())),
        _ => match (node.attributes.get("value_float"), node.attributes.get("value_int")) {
            (Some(Attribute::Float(v)), _) => Ok(Tensor::floats(Vec::new(), vec![*v])),
            (_, Some(Attribute::Int(v))) => Ok(Tensor::integers(Vec::new(), vec![*v], data_type::INT64)),
            _ => Err("it holds neither a tensor nor numbers".to_owned()),
        },
    }
}

fn dims_of(lowering: &Lowering, node: &Node) -> Result<Vec<usize>, String> {
    Ok(match lowering.known(node, 0).ok_or("its input is missing")? {
        Known::Constant(tensor) => tensor.shape.clone(),
        Known::Value(value) => lowering.shape(value).to_vec(),
    })
}

fn shape_of(lowering: &Lowering, node: &Node) -> Result<Tensor, String> {
    let dims = dims_of(lowering, node)?;
    let rank = dims.len() as i64;
    let clamp = |at: i64| if at < 0 { at.saturating_add(rank).max(0) } else { at.min(rank) } as usize;
    let (start, end) = (clamp(node.int("start", 0)?), clamp(node.int("end", i64::MAX)?));
    Ok(Tensor::ints(dims[start.min(end)..end].iter().map(|&d| d as i64).collect()))
}

fn constant_of_shape(node: &Node, dims: &Tensor) -> Result<Tensor, String> {
    let shape = dims
        .to_ints()
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("the dimension {d} is negative")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = elements(&shape)?;
    Ok(match node.attributes.get("value") {
        Some(Attribute::Tensor(t)) => {
            let data = match &t.data {
                Data::Floats(v) => Data::Floats(vec![*v.first().ok_or("its value is empty")?; count]),
                Data::Ints(v) => Data::Ints(vec![*v.first().ok_or("its value is empty")?; count]),
            };
            Tensor { shape, data, dtype: t.dtype }
        }
        _ => Tensor::floats(shape, vec![0.0; count]),
    })
}

fn range(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Result<Tensor, String> {
    let one = |t: &Tensor| match t.to_floats().as_slice() {
        [x] => Ok(f64::from(*x)),
        list => Err(format!("its bounds should be one number each, found {}", list.len())),
    };
    let whole = |t: &Tensor| if let Data::Ints(v) = &t.data { v.first().copied() } else { None };
    let (a, b, step) = (one(start)?, one(limit)?, one(delta)?);
    let (a, b, step) = match (whole(start), whole(limit), whole(delta)) {
        (Some(a), Some(b), Some(step)) => (a as f64, b as f64, step as f64),
        _ => (a, b, step),
    };
    let count = ((b - a) / step).ceil().max(0.0);
    if step == 0.0 || !count.is_finite() || count > LONGEST {
        return Err(format!("it goes from {a} to {b} in steps of {step}"));
    }
    let numbers = (0..count as usize).map(|i| a + i as f64 * step);
    Ok(match data_type::range(start.dtype) {
        Some(_) => Tensor::integers(vec![count as usize], numbers.map(|x| x as i64).collect(), start.dtype),
        None => Tensor::floats(vec![count as usize], numbers.map(|x| x as f32).collect()),
    })
}

/// Where numbers are that are not zero: one row an axis.
fn non_zero(from: &Tensor) -> Tensor {
    let found: Vec<usize> = from.to_floats().iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(i, _)| i).collect();
    let rows = (0..from.shape.len()).flat_map(|axis| {
        let step: usize = from.shape[axis + 1..].iter().product();
        let length = from.shape[axis];
        found.iter().map(move |i| (i / step % length) as i64)
    });
    Tensor::integers(vec![from.shape.len(), found.len()], rows.collect(), data_type::INT64)
}

fn eye_like(lowering: &Lowering, node: &Node) -> Result<Tensor, String> {
    let shape = dims_of(lowering, node)?;
    let &[rows, columns] = shape.as_slice() else { return Err(format!("its input has the shape {shape:?}")) };
    let (shift, count) = (node.int("k", 0)?, elements(&shape)?);
    let one = |i: usize| i64::from((i / columns) as i64 == ((i % columns) as i64).saturating_sub(shift));
    let _ = rows;
    let dtype = match node.int("dtype", 0)? as i32 {
        0 => match lowering.known(node, 0) {
            Some(Known::Constant(tensor)) => tensor.dtype,
            Some(Known::Value(value)) => lowering.types[value],
            None => data_type::FLOAT,
        },
        code => code,
    };
    Ok(match data_type::range(dtype) {
        Some(_) => Tensor::integers(shape, (0..count).map(one).collect(), dtype),
        None => Tensor::floats(shape, (0..count).map(|i| one(i) as f32).collect()),
    })
}
