//! Constant tensors as they stand in an ONNX file: weights in f32, shapes and indices in i64.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::onnx::{TensorProto, data_type};

/// Most elements one tensor may have (1 GiB of f32): a header that claims more is refused before anything is allocated.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// The numbers of a tensor. Every floating type is widened or rounded to f32, every integer type to i64.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Weights.
    Floats(Vec<f32>),
    /// Shapes, axes, indices.
    Ints(Vec<i64>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(v) => v.len(),
            Self::Ints(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A constant with its shape; `data` has the product of `shape` elements, last dimension fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Data,
    /// Their type in the file, one of [`data_type`].
    pub dtype: i32,
}

impl Tensor {
    /// A list of integers, as shape arithmetic uses it.
    pub fn ints(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], data: Data::Ints(values), dtype: data_type::INT64 }
    }

    /// Numbers in single precision.
    pub fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, data: Data::Floats(values), dtype: data_type::FLOAT }
    }

    /// Whole numbers, or truths, of another type.
    pub fn integers(shape: Vec<usize>, values: Vec<i64>, dtype: i32) -> Self {
        Self { shape, data: Data::Ints(values), dtype }
    }

    /// The numbers as f32; integers are converted.
    pub fn to_floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Floats(v) => v.clone(),
            Data::Ints(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The numbers as i64; fractions are cut off, as ONNX `Cast` does.
    pub fn to_ints(&self) -> Vec<i64> {
        match &self.data {
            Data::Floats(v) => v.iter().map(|&x| x as i64).collect(),
            Data::Ints(v) => v.clone(),
        }
    }
}

/// The number of elements of `shape`, where it is one that may be allocated; one that holds nothing is held to the same limit by its
/// other dimensions, so that no part of it is beyond all numbers.
pub fn elements(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().filter(|&&d| d > 0).try_fold(1usize, |product, &d| product.checked_mul(d));
    let most = product.filter(|&n| n <= MAX_ELEMENTS).ok_or_else(|| {
        format!("the shape {shape:?} has more than {MAX_ELEMENTS} elements, which is the limit of one tensor")
    })?;
    Ok(if shape.contains(&0) { 0 } else { most })
}

/// Reads one tensor; `folder` is where external data may lie. The error says what was found.
pub(super) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Tensor, String> {
    let shape = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("the dimension {d} is negative")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = elements(&shape)?;
    let external;
    let raw: &[u8] = if proto.data_location == 1 || !proto.external_data.is_empty() {
        external = read_external(proto, folder, count)?;
        &external
    } else {
        &proto.raw_data
    };
    let data = match proto.data_type {
        data_type::FLOAT => floats(raw, &proto.float_data, |&v| v, |b: [u8; 4]| f32::from_le_bytes(b), count),
        data_type::DOUBLE => {
            floats(raw, &proto.double_data, |&v| v as f32, |b: [u8; 8]| f64::from_le_bytes(b) as f32, count)
        }
        data_type::FLOAT16 => floats(
            raw,
            &proto.int32_data,
            |&v| half::f16::from_bits(v as u16).to_f32(),
            |b: [u8; 2]| half::f16::from_le_bytes(b).to_f32(),
            count,
        ),
        data_type::BFLOAT16 => floats(
            raw,
            &proto.int32_data,
            |&v| half::bf16::from_bits(v as u16).to_f32(),
            |b: [u8; 2]| half::bf16::from_le_bytes(b).to_f32(),
            count,
        ),
        data_type::INT64 => ints(raw, &proto.int64_data, |&v| v, i64::from_le_bytes, count),
        data_type::INT32 => ints(raw, &proto.int32_data, |&v| v.into(), |b| i32::from_le_bytes(b).into(), count),
        data_type::INT8 => ints(raw, &proto.int32_data, |&v| v.into(), |b| i8::from_le_bytes(b).into(), count),
        data_type::UINT16 => ints(raw, &proto.int32_data, |&v| v.into(), |b| u16::from_le_bytes(b).into(), count),
        data_type::INT16 => ints(raw, &proto.int32_data, |&v| v.into(), |b| i16::from_le_bytes(b).into(), count),
        data_type::UINT8 | data_type::BOOL => {
            ints(raw, &proto.int32_data, |&v| v.into(), |b| u8::from_le_bytes(b).into(), count)
        }
        other => Err(format!(
            "its type is {}, which is not read; expected float16, float32, float64 or an integer",
            data_type::name(other)
        )),
    }?;
    Ok(Tensor { shape, data, dtype: proto.data_type })
}

fn floats<T, const N: usize>(
    raw: &[u8],
    typed: &[T],
    widen: fn(&T) -> f32,
    decode: fn([u8; N]) -> f32,
    count: usize,
) -> Result<Data, String> {
    numbers(raw, typed, widen, decode, count).map(Data::Floats)
}

fn ints<T, const N: usize>(
    raw: &[u8],
    typed: &[T],
    widen: fn(&T) -> i64,
    decode: fn([u8; N]) -> i64,
    count: usize,
) -> Result<Data, String> {
    numbers(raw, typed, widen, decode, count).map(Data::Ints)
}

fn numbers<T, U, const N: usize>(
    raw: &[u8],
    typed: &[T],
    widen: fn(&T) -> U,
    decode: fn([u8; N]) -> U,
    count: usize,
) -> Result<Vec<U>, String> {
    if raw.is_empty() {
        return match typed.len() == count {
            true => Ok(typed.iter().map(widen).collect()),
            false => Err(format!("its shape says {count} elements, the file holds {}", typed.len())),
        };
    }
    if raw.len() != count * N {
        return Err(format!("its shape says {count} elements of {N} bytes, the file holds {} bytes", raw.len()));
    }
    Ok(raw.as_chunks::<N>().0.iter().map(|&b| decode(b)).collect())
}

/// Bytes of a tensor that lies in a file of its own. Only a plain path below `folder` is followed, links included.
fn read_external(proto: &TensorProto, folder: Option<&Path>, count: usize) -> Result<Vec<u8>, String> {
    let entry = |key: &str| proto.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").ok_or("its data is external, but no `location` is given")?;
    let number = |key: &str| {
        entry(key)
            .map(|v| v.parse::<u64>().map_err(|_| format!("its external `{key}` is `{v}`, expected a number of bytes")))
            .transpose()
    };
    let folder = folder.ok_or_else(|| {
        format!("its data is in another file, `{location}`; open the model by its path, or save it as one file (onnx.save with save_as_external_data=False)")
    })?;
    let relative = Path::new(location);
    if location.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(format!(
            "its data is in `{location}`, which is outside the folder of the model; put the file beside the model"
        ));
    }
    let open = || -> std::io::Result<Option<(File, u64)>> {
        let (root, path) = (folder.canonicalize()?, folder.join(relative).canonicalize()?);
        if !path.starts_with(root) {
            return Ok(None);
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Some((file, length)))
    };
    let (mut file, available) = open()
        .map_err(|e| format!("its data is in `{location}`, which cannot be read: {e}; put the file beside the model"))?
        .ok_or_else(|| {
            format!("its data is in `{location}`, a link that leaves the folder of the model; copy the file itself")
        })?;
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(available.saturating_sub(offset));
    if offset.checked_add(length).is_none_or(|end| end > available) {
        return Err(format!("it takes {length} bytes from {offset} of `{location}`, which has {available}"));
    }
    if length > count as u64 * 8 {
        return Err(format!("its shape says {count} elements, `{location}` is to give {length} bytes"));
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|e| format!("its data in `{location}` cannot be read: {e}"))?;
    Ok(bytes)
}
