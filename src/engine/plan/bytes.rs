//! A plan as bytes, and why bytes are no plan.
//!
//! ```text
//! 8 bytes   SONOPLAN
//! 4 bytes   version, little endian
//! 8 bytes   length of the origin, little endian
//! 8 bytes   length of the header, little endian
//! origin    JSON: where it comes from, what the model says of itself
//! header    JSON: precision, steps, tactics, places
//! 32 bytes  SHA-256 of all before, so that a damaged file can still say how it was built
//! weights   f32, little endian
//! 32 bytes  SHA-256 of header and weights: the plan's own
//! ```

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Header, Origin, Plan, check};
use crate::engine::builder::Precision;
use crate::engine::device::DeviceError;
use crate::engine::network::hex;

/// Version of the bytes; a plan of another version is refused.
pub const VERSION: u32 = 3;

const PREFIX: usize = 28;
const SHA: usize = 32;
/// Bytes that are read and hashed at once, while they are in a cache.
const PIECE: usize = 256 << 10;

/// SHA-256 of header and weights.
pub(super) fn sha256(header: &Header, weights: &[Arc<Vec<f32>>]) -> String {
    let mut sha = Sha256::new_with_prefix(json(header));
    weights.iter().for_each(|w| little_endian(w, |bytes| sha.update(bytes)));
    hex(&sha.finalize())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("nothing in a plan is what JSON cannot hold")
}

fn little_endian(numbers: &[f32], mut sink: impl FnMut(&[u8])) {
    if cfg!(target_endian = "little") {
        return sink(bytemuck::cast_slice(numbers));
    }
    numbers.iter().for_each(|n| sink(&n.to_le_bytes()));
}

impl Plan {
    /// The first bytes of every plan.
    pub const MAGIC: &[u8; 8] = b"SONOPLAN";

    /// Whether a file is a plan, by its content.
    pub fn is_plan(path: &Path) -> bool {
        let mut start = [0; Self::MAGIC.len()];
        File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == *Self::MAGIC
    }

    /// The plan as bytes; the same plan gives the same bytes.
    ///
    /// # Panics
    /// When it is the plan of an engine, which has laid its weights out and kept no other copy.
    pub fn to_bytes(&self) -> Vec<u8> {
        assert!(self.is_whole(), "the engine of this plan has taken its weights");
        let (origin, header) = (json(&self.origin), json(&self.header));
        let numbers: usize = self.header.weights.iter().sum();
        let mut bytes = Vec::with_capacity(PREFIX + origin.len() + header.len() + 2 * SHA + 4 * numbers);
        bytes.extend_from_slice(Self::MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(origin.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&origin);
        bytes.extend_from_slice(&header);
        let sha = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sha);
        let mut own = Sha256::new_with_prefix(&header);
        for weights in &self.weights {
            little_endian(weights, |piece| {
                own.update(piece);
                bytes.extend_from_slice(piece);
            });
        }
        bytes.extend_from_slice(&own.finalize());
        bytes
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no plan, one of another version, cut off, damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanFault> {
        read(&mut &*bytes, bytes.len() as u64, &mut None)
    }

    /// Reads a plan from a file. Weights go straight to where they are used, and are checked on the way.
    ///
    /// # Errors
    /// As [`Plan::from_bytes`]; the message has the command that builds the plan again.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let io = |cause| PlanError::Io { path: path.to_owned(), cause };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut origin = None;
        let mut plan = read(&mut file, length, &mut origin).map_err(|fault| {
            let command = origin.unwrap_or_default().command(path);
            PlanError::Refused { path: path.to_owned(), fault, command }
        })?;
        plan.file = path.to_owned();
        Ok(plan)
    }
}

/// Reads a plan of `length` bytes; `known` gets its origin as soon as that is certain.
fn read(from: &mut dyn Read, length: u64, known: &mut Option<Origin>) -> Result<Plan, PlanFault> {
    let cut = || PlanFault::Cut { found: length };
    let mut take = |bytes: &mut [u8]| {
        from.read_exact(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => cut(),
            _ => PlanFault::Unreadable { found: e.to_string() },
        })
    };
    let mut prefix = [0; PREFIX];
    let start = prefix.len().min(length as usize);
    take(&mut prefix[..start])?;
    if !prefix.starts_with(Plan::MAGIC) {
        return Err(PlanFault::NotAPlan);
    }
    if start < PREFIX {
        return Err(cut());
    }
    let number = |at: usize| u64::from_le_bytes(prefix[at..at + 8].try_into().expect("eight bytes"));
    let version = u32::from_le_bytes(prefix[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(PlanFault::Version { found: version });
    }
    let body = length.checked_sub((PREFIX + 2 * SHA) as u64).ok_or_else(cut)?;
    let (origin_len, header_len) = (number(12), number(20));
    let text_len = origin_len.checked_add(header_len).filter(|&n| n <= body).ok_or_else(cut)?;
    let mut text = vec![0; text_len as usize];
    take(&mut text)?;
    let mut sha = [0; SHA];
    take(&mut sha)?;
    if Sha256::new_with_prefix(prefix).chain_update(&text).finalize().as_slice() != sha {
        return Err(PlanFault::Damaged);
    }
    let contradiction = |found: String| PlanFault::Contradiction { found };
    let (origin, header_text) = text.split_at(origin_len as usize);
    let origin: Origin = serde_json::from_slice(origin).map_err(|e| contradiction(e.to_string()))?;
    *known = Some(origin.clone());
    let header: Header = serde_json::from_slice(header_text).map_err(|e| contradiction(e.to_string()))?;
    let numbers = header.weights.iter().try_fold(0u64, |sum, &n| sum.checked_add(n as u64));
    match numbers.and_then(|n| n.checked_mul(4)) {
        Some(bytes) if bytes == body - text_len => {}
        Some(bytes) if bytes > body - text_len => return Err(cut()),
        _ => return Err(contradiction("its weights are not as long as its header says".to_owned())),
    }
    check::check(&header).map_err(contradiction)?;
    let mut own = Sha256::new_with_prefix(header_text);
    let mut weights = Vec::with_capacity(header.weights.len());
    for &n in &header.weights {
        let mut run = vec![0.0f32; n];
        for piece in bytemuck::cast_slice_mut::<f32, u8>(&mut run).chunks_mut(PIECE) {
            take(piece)?;
            own.update(&*piece);
        }
        if cfg!(target_endian = "big") {
            run.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits().swap_bytes()));
        }
        weights.push(Arc::new(run));
    }
    take(&mut sha)?;
    if own.finalize().as_slice() != sha {
        return Err(PlanFault::Damaged);
    }
    Ok(Plan { header, weights, origin, sha256: hex(&sha), threads: 0, file: PathBuf::new() })
}

/// Why bytes are not a plan that can be run.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PlanFault {
    /// Something else.
    #[error("it does not begin with `SONOPLAN`")]
    NotAPlan,
    /// Another version.
    #[error("expected version {VERSION}, found {found}")]
    Version {
        /// Version of the bytes.
        found: u32,
    },
    /// Too short.
    #[error("it ends after {found} bytes, before its own end")]
    Cut {
        /// Bytes there are.
        found: u64,
    },
    /// Its checksum does not agree.
    #[error("its SHA-256 does not agree with its bytes, so it was changed")]
    Damaged,
    /// It says what cannot be.
    #[error("it contradicts itself: {found}")]
    Contradiction {
        /// What was found.
        found: String,
    },
    /// The system refused.
    #[error("it cannot be read to its end: {found}")]
    Unreadable {
        /// What the system said.
        found: String,
    },
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be opened.
    #[error("cannot read the plan `{path}`: {cause}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is no plan, or a damaged one.
    #[error("cannot use the plan `{path}`: {fault}; build it again: `{command}`")]
    Refused {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        fault: PlanFault,
        /// What builds it again.
        command: String,
    },
    /// A plan of another precision.
    #[error("cannot use the plan `{path}`: expected one of precision {expected}, found {found}; build it: `{command}`")]
    Precision {
        /// File.
        path: PathBuf,
        /// What was asked for.
        expected: Precision,
        /// What it is.
        found: Precision,
        /// What builds the one that was asked for.
        command: String,
    },
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
