//! The type and the shape of what has to be given.

use super::super::builder::BuildError;
use super::super::network::{Declared, Dim};
use super::super::onnx::data_type;
use super::super::tensor;

/// Types that an input may have; all are given as f32.
const TYPES: [i32; 10] = [
    data_type::FLOAT,
    data_type::FLOAT16,
    data_type::DOUBLE,
    data_type::UINT8,
    data_type::INT8,
    data_type::UINT16,
    data_type::INT16,
    data_type::INT32,
    data_type::INT64,
    data_type::BOOL,
];

pub(super) fn dtype_of(input: &Declared) -> Result<i32, BuildError> {
    let found = TYPES.into_iter().find(|&code| data_type::name(code) == input.dtype);
    found.ok_or_else(|| BuildError::InputType { name: input.name.clone(), found: input.dtype.clone() })
}

pub(super) fn shape_of(input: &Declared, given: Option<&Vec<usize>>) -> Result<Vec<usize>, BuildError> {
    let wrong = || BuildError::InputShape {
        name: input.name.clone(),
        declared: input.shape_text(),
        given: given.cloned().unwrap_or_default(),
    };
    let fits = |shape: &[usize]| match &input.shape {
        None => true,
        Some(dims) => {
            dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(d, &n)| matches!(d, Dim::Dynamic(_)) || *d == Dim::Fixed(n))
        }
    };
    let shape = match (given, &input.shape) {
        (Some(shape), _) if fits(shape) && !shape.contains(&0) => shape.clone(),
        (Some(_), _) => return Err(wrong()),
        (None, Some(dims)) if dims.iter().all(|d| matches!(d, Dim::Fixed(_))) => {
            dims.iter().filter_map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }).collect()
        }
        (None, dims) => {
            return Err(BuildError::InputOpen {
                name: input.name.clone(),
                declared: input.shape_text(),
                example: example(dims.as_deref()),
            });
        }
    };
    tensor::elements(&shape).map_err(|found| BuildError::Output { name: input.name.clone(), found })?;
    Ok(shape)
}

/// A shape that would do: `1x1x256x256`.
fn example(dims: Option<&[Dim]>) -> String {
    let Some(dims) = dims else { return "1x1x256x256".to_owned() };
    let channels_last = matches!(dims, [.., Dim::Fixed(1..=4)]) && dims.len() == 4;
    let guess = |(i, d): (usize, &Dim)| match d {
        Dim::Fixed(n) => n.to_string(),
        Dim::Dynamic(_) if i == 0 || i == 1 && !channels_last => "1".to_owned(),
        Dim::Dynamic(_) => "256".to_owned(),
    };
    dims.iter().enumerate().map(guess).collect::<Vec<_>>().join("x")
}
