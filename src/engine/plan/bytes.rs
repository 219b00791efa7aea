//! A plan as bytes, and why bytes are no plan.
//!
//! ```text
//! 8 bytes   SONOPLAN
//! 4 bytes   version, little endian
//! 8 bytes   length of the origin, little endian
//! 8 bytes   length of the header, little endian
//! origin    JSON: where it comes from, what the model says of itself; then spaces, so that the weights begin at a
//!           multiple of 64 bytes
//! header    JSON: precision, steps, tactics, places
//! 32 bytes  SHA-256 of all before, so that a damaged file can still say how it was built
//! weights   f32, little endian, one run after the other
//! 32 bytes  the plan's own SHA-256: of the header and of the SHA-256 of every MiB of every run of weights
//! ```

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::{Header, Origin, Plan, Weights, check};
use crate::backend::cpu::pool::Pool;
use crate::backend::file_map::FileMap;
use crate::engine::builder::{BuildError, Precision};
use crate::engine::device::{Device, DeviceError};
use crate::engine::network::hex;

/// Version of the bytes; a plan of another version is refused.
pub const VERSION: u32 = 5;

const PREFIX: usize = 28;
const SHA: usize = 32;
/// The weights begin at a multiple of so many bytes.
const ALIGNMENT: usize = 64;
/// Floats that are hashed at once: 1 MiB.
const PIECE: usize = 256 << 10;

/// The SHA-256 of a plan, with all threads of the machine where the weights are many.
pub(super) fn sha256(header: &[u8], weights: &[Weights]) -> [u8; SHA] {
    let pieces: Vec<&[f32]> = weights.iter().flat_map(|run| run.chunks(PIECE)).collect();
    let hashes: Vec<OnceLock<[u8; SHA]>> = pieces.iter().map(|_| OnceLock::new()).collect();
    let many = pieces.iter().map(|piece| piece.len()).sum::<usize>() > PIECE;
    Pool::new(if many { 0 } else { 1 }).run(pieces.len(), &|i| {
        hashes[i].get_or_init(|| {
            let mut sha = Sha256::new();
            little_endian(pieces[i], |bytes| sha.update(bytes));
            sha.finalize().into()
        });
    });
    let mut sha = Sha256::new_with_prefix(header);
    hashes.iter().for_each(|hash| sha.update(hash.get().expect("the pool runs every index")));
    sha.finalize().into()
}

pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
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
        // A pipe would lose what is read here.
        path.is_file() && File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == *Self::MAGIC
    }

    /// The plan as bytes; the same plan gives the same bytes.
    ///
    /// # Panics
    /// When it is the plan of an engine, which has laid its weights out and kept no other copy.
    pub fn to_bytes(&self) -> Vec<u8> {
        assert!(self.is_whole(), "the engine of this plan has taken its weights");
        let (mut origin, header) = (json(&self.origin), json(&self.header));
        let head = PREFIX + origin.len() + header.len() + SHA;
        origin.resize(origin.len() + head.next_multiple_of(ALIGNMENT) - head, b' ');
        let numbers: usize = self.header.weights.iter().sum();
        let mut bytes = Vec::with_capacity(head.next_multiple_of(ALIGNMENT) + 4 * numbers + SHA);
        bytes.extend_from_slice(Self::MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(origin.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&origin);
        bytes.extend_from_slice(&header);
        let sha = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sha);
        self.weights.iter().for_each(|run| little_endian(run, |piece| bytes.extend_from_slice(piece)));
        bytes.extend_from_slice(&sha256(&header, &self.weights));
        bytes
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no plan, one of another version, cut off, damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanFault> {
        read(bytes, None, &mut None)
    }

    /// Reads a plan from a file, which is mapped ([`FileMap`]) until an engine has laid the weights out.
    ///
    /// # Errors
    /// As [`Plan::from_bytes`]; the message has the command that builds the plan again.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let io = |cause| PlanError::Io { path: path.to_owned(), cause };
        let file = Arc::new(FileMap::open(path).map_err(io)?);
        let mut origin = None;
        let mut plan = read(&file, Some(&file), &mut origin).map_err(|fault| {
            let command = origin.unwrap_or_default().command(path);
            PlanError::Refused { path: path.to_owned(), fault, command }
        })?;
        plan.file = path.to_owned();
        Ok(plan)
    }
}

/// Reads a plan; its weights stay in the file that was mapped, where there is one. `known` gets its origin as soon as
/// that is certain.
fn read(bytes: &[u8], file: Option<&Arc<FileMap>>, known: &mut Option<Origin>) -> Result<Plan, PlanFault> {
    if !bytes.starts_with(Plan::MAGIC) {
        return Err(PlanFault::NotAPlan);
    }
    let cut = || PlanFault::Cut { found: bytes.len() as u64 };
    let prefix = bytes.get(..PREFIX).ok_or_else(cut)?;
    let number = |at: usize| u64::from_le_bytes(prefix[at..at + 8].try_into().expect("eight bytes"));
    let version = u32::from_le_bytes(prefix[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(PlanFault::Version { found: version });
    }
    let origin_len = usize::try_from(number(12)).map_err(|_| cut())?;
    let text_len = usize::try_from(number(20)).ok().and_then(|n| n.checked_add(origin_len)).ok_or_else(cut)?;
    let head_len = text_len.checked_add(PREFIX + SHA).ok_or_else(cut)?;
    let end = bytes.len().checked_sub(SHA).filter(|&end| end >= head_len).ok_or_else(cut)?;
    // A copy: what was checked is what is read, whatever happens to the file.
    let head = bytes[..head_len].to_vec();
    let (text, sha) = head.split_at(head_len - SHA);
    if Sha256::digest(text).as_slice() != sha {
        return Err(PlanFault::Damaged);
    }
    let contradiction = |found: String| PlanFault::Contradiction { found };
    let (origin, header_text) = text[PREFIX..].split_at(origin_len);
    let origin: Origin = serde_json::from_slice(origin).map_err(|e| contradiction(e.to_string()))?;
    *known = Some(origin.clone());
    let header: Header = serde_json::from_slice(header_text).map_err(|e| contradiction(e.to_string()))?;
    let numbers = header.weights.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    match numbers.and_then(|n| n.checked_mul(4)) {
        Some(length) if length > end - head_len => return Err(cut()),
        Some(length) if length == end - head_len && head_len % ALIGNMENT == 0 => {}
        _ => return Err(contradiction("its weights are not where its header says".to_owned())),
    }
    check::check(&header).map_err(contradiction)?;
    let mut start = head_len;
    let weights = header.weights.iter().map(|&n| {
        let run = start..start + 4 * n;
        start = run.end;
        match file {
            Some(file) if cfg!(target_endian = "little") => Weights::File(file.clone(), run),
            _ => bytes[run].as_chunks().0.iter().map(|&float| f32::from_le_bytes(float)).collect::<Vec<_>>().into(),
        }
    });
    let weights: Vec<Weights> = weights.collect();
    let own = sha256(header_text, &weights);
    if own != bytes[end..] {
        return Err(PlanFault::Damaged);
    }
    Ok(Plan { header, weights, origin, sha256: hex(&own), threads: 0, device: Device::Cpu, file: PathBuf::new() })
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
    /// A plan for the processor on a GPU.
    #[error(
        "cannot run the plan `{path}` on `{device}`: it was built for the processor; build one for a GPU: `{command}`"
    )]
    Processor {
        /// File.
        path: PathBuf,
        /// What was asked for.
        device: Device,
        /// What builds one for it.
        command: String,
    },
    /// A plan for a GPU on the processor.
    #[error(
        "cannot run the plan `{path}` on the processor: it was built for a GPU; give `--device cuda:0`, or build one for the processor: `{command}`"
    )]
    Gpu {
        /// File.
        path: PathBuf,
        /// What builds one for it.
        command: String,
    },
    /// A plan for a GPU where there can be none.
    #[error(
        "cannot run the plan `{path}`: it was built for a GPU, and no NVIDIA driver was found (libcuda is missing); build one for the processor: `{command}`"
    )]
    NoDriver {
        /// File.
        path: PathBuf,
        /// What builds one for the processor.
        command: String,
    },
    /// The device does not compute in the precision that was asked for.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
