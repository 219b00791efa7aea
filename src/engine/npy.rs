//! NumPy's `.npy` files: tensors in and out of `sonoplex infer`.
//!
//! # References
//! NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", versions 1.0 and 2.0.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::tensor;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read; NumPy's own limit is as large.
const MAX_HEADER: usize = 10_000;

/// A tensor as f32; `data` has the product of `shape` elements, last dimension fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f32>,
}

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file cannot be read or written.
    #[error("cannot {attempt} `{path}`: {cause}")]
    Io {
        /// `read` or `write`.
        attempt: &'static str,
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not what it should be.
    #[error(
        "cannot read `{path}` as a NumPy array: {found}; save it with numpy.save as float32, float64 or uint8 in C order"
    )]
    Malformed {
        /// File.
        path: PathBuf,
        /// What was expected and what was found.
        found: String,
    },
}

/// Reads a file of float32, float64 or uint8, little endian, in C order.
///
/// # Errors
/// When it cannot be read, or its header is wrong or does not agree with its size.
pub fn read(path: &Path) -> Result<Array, NpyError> {
    let io = |cause| NpyError::Io { attempt: "read", path: path.to_owned(), cause };
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let limit = (tensor::MAX_ELEMENTS * 8 + MAX_HEADER + 12) as u64;
    let malformed = |found| NpyError::Malformed { path: path.to_owned(), found };
    if length > limit {
        return Err(malformed(format!("it has {length} bytes, more than the {limit} that are read")));
    }
    let mut bytes = Vec::new();
    (&mut file).take(limit).read_to_end(&mut bytes).map_err(io)?;
    parse(&bytes).map_err(malformed)
}

/// Reads the bytes of a file; the error says what was found.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    if bytes.get(..6) != Some(MAGIC.as_slice()) {
        return Err("it does not begin with `\\x93NUMPY`".to_owned());
    }
    let cut = || "it ends within its header".to_owned();
    let (length, start) = match bytes.get(6..8).ok_or_else(cut)? {
        [1, _] => (u16::from_le_bytes(bytes.get(8..10).and_then(|b| b.try_into().ok()).ok_or_else(cut)?) as usize, 10),
        [2 | 3, _] => {
            (u32::from_le_bytes(bytes.get(8..12).and_then(|b| b.try_into().ok()).ok_or_else(cut)?) as usize, 12)
        }
        version => return Err(format!("its version is {}, expected 1, 2 or 3", version[0])),
    };
    if length > MAX_HEADER {
        return Err(format!("its header claims {length} bytes, more than {MAX_HEADER}"));
    }
    let header = bytes.get(start..start + length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text".to_owned())?;
    let field = |key: &str| {
        let after = header.split_once(&format!("'{key}'")).map(|(_, rest)| rest.trim_start());
        after
            .and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim_start)
            .ok_or_else(|| format!("its header has no `{key}`"))
    };
    if !field("fortran_order")?.starts_with("False") {
        return Err("it is in Fortran order".to_owned());
    }
    let shape = field("shape")?.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or("its shape is not a tuple")?.0;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse::<usize>().map_err(|_| format!("its shape holds `{s}`, expected a number")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = tensor::elements(&shape)?;
    let data = &bytes[start + length..];
    let kind = field("descr")?;
    let kind = kind.strip_prefix('\'').and_then(|k| k.split_once('\'')).map_or(kind, |(k, _)| k);
    let exactly = |size: usize| match data.len() == count * size {
        true => Ok(()),
        false => Err(format!("its shape {shape:?} takes {} bytes, it has {}", count * size, data.len())),
    };
    let data = match kind {
        "<f4" => {
            exactly(4)?;
            data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        }
        "<f8" => {
            exactly(8)?;
            data.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()
        }
        "|u1" | "<u1" => {
            exactly(1)?;
            data.iter().map(|&b| f32::from(b)).collect()
        }
        other => return Err(format!("its elements are `{other}`, expected `<f4`, `<f8` or `|u1`")),
    };
    Ok(Array { shape, data })
}

/// The bytes of a file of float32.
///
/// # Panics
/// When `data` has not the product of `shape` elements.
pub fn to_bytes(shape: &[usize], data: &[f32]) -> Vec<u8> {
    assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of {shape:?}");
    let comma = if shape.len() == 1 { "," } else { "" };
    let dims = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
    // The numbers begin at a multiple of 64, as NumPy aligns them; the header ends with a line feed.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    let mut bytes = Vec::with_capacity(10 + header.len() + 4 * data.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    data.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
    bytes
}

/// Writes a file of float32.
///
/// # Errors
/// When it cannot be written.
///
/// # Panics
/// When `data` has not the product of `shape` elements.
pub fn write(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), NpyError> {
    let written = File::create(path).and_then(|mut f| f.write_all(&to_bytes(shape, data)));
    written.map_err(|cause| NpyError::Io { attempt: "write", path: path.to_owned(), cause })
}
