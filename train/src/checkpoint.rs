//! All that a run needs to go on, in one file that is whole or not there.
//!
//! ```text
//! "SNPXTRN2" | 4 lengths (u64, little-endian) | state (JSON) | network | optimizer | mean network | SHA-256 of all before
//! ```

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::Optimizer;
use burn::record::{BinBytesRecorder, FullPrecisionSettings, Recorder};
use burn::tensor::backend::AutodiffBackend;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::network::Network;

const MAGIC: &[u8; 8] = b"SNPXTRN2";

/// Cannot be kept or taken up again.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refuses.
    #[error("cannot {what} the checkpoint `{}`: {cause}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not what was written.
    #[error("cannot read the checkpoint `{}`: expected a whole file of this program, found {found}; begin anew in an empty folder", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: &'static str,
    },
}

/// What is trained, and the two that follow it.
pub struct Trained<B: AutodiffBackend, O> {
    /// The weights of the last step.
    pub network: Network<B>,
    /// Momenta.
    pub optimizer: O,
    /// The mean of the weights.
    pub mean: Network<B::InnerBackend>,
}

type Bytes = BinBytesRecorder<FullPrecisionSettings, Vec<u8>>;

/// Writes the checkpoint in place of the last one.
///
/// # Errors
/// `Io`.
pub fn save<B: AutodiffBackend, O: Optimizer<Network<B>, B>>(
    path: &Path,
    state: &impl Serialize,
    trained: &Trained<B, O>,
) -> Result<(), CheckpointError> {
    let recorder = Bytes::default();
    let state = serde_json::to_vec(state).expect("plain values");
    let network = Recorder::<B>::record(&recorder, trained.network.clone().into_record(), ());
    let optimizer = Recorder::<B>::record(&recorder, trained.optimizer.to_record(), ());
    let mean = Recorder::<B::InnerBackend>::record(&recorder, trained.mean.clone().into_record(), ());
    let parts = [state, network.expect("to memory"), optimizer.expect("to memory"), mean.expect("to memory")];
    let mut bytes = MAGIC.to_vec();
    parts.iter().for_each(|p| bytes.extend((p.len() as u64).to_le_bytes()));
    parts.iter().for_each(|p| bytes.extend_from_slice(p));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    sonoplex::write::whole(path, &bytes).map_err(|cause| CheckpointError::Io {
        what: "write",
        path: path.to_owned(),
        cause,
    })
}

/// A checkpoint in memory, its checksum right.
pub struct Stored {
    parts: [Vec<u8>; 4],
    path: PathBuf,
}

impl Stored {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// `Io`, and `Malformed` for whatever was not written by [`save`] in whole.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes =
            std::fs::read(path).map_err(|cause| CheckpointError::Io { what: "read", path: path.to_owned(), cause })?;
        let wrong = |found| CheckpointError::Malformed { path: path.to_owned(), found };
        if !bytes.starts_with(MAGIC) {
            return Err(wrong("another kind of file"));
        }
        let length = bytes.len().checked_sub(32).ok_or_else(|| wrong("a part of one"))?;
        let (body, hash) = bytes.split_at(length);
        if Sha256::digest(body).as_slice() != hash {
            return Err(wrong("a wrong checksum"));
        }
        let mut rest = body.get(8 + 32..).ok_or_else(|| wrong("a part of one"))?;
        let mut parts = [const { Vec::new() }; 4];
        for (part, length) in parts.iter_mut().zip(body[8..].as_chunks::<8>().0) {
            let (this, after) =
                rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(|| wrong("a part of one"))?;
            (*part, rest) = (this.to_vec(), after);
        }
        Ok(Self { parts, path: path.to_owned() })
    }

    /// What was going on.
    ///
    /// # Errors
    /// `Malformed` when another version wrote it.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S, CheckpointError> {
        serde_json::from_slice(&self.parts[0]).map_err(|_| self.wrong("the state of another version"))
    }

    /// Puts the weights where new ones are.
    ///
    /// # Errors
    /// `Malformed` when they are of another network.
    pub fn load<B: AutodiffBackend, O: Optimizer<Network<B>, B>>(
        self,
        new: Trained<B, O>,
        device: &B::Device,
    ) -> Result<Trained<B, O>, CheckpointError> {
        let recorder = Bytes::default();
        let path = self.path;
        let another = || CheckpointError::Malformed { path: path.clone(), found: "weights of another network" };
        let wrong = |_| another();
        let [_, network, optimizer, mean] = self.parts;
        let network = Recorder::<B>::load(&recorder, network, device).map_err(wrong)?;
        let optimizer = Recorder::<B>::load(&recorder, optimizer, device).map_err(wrong)?;
        let mean = Recorder::<B::InnerBackend>::load(&recorder, mean, device).map_err(wrong)?;
        let loaded = Trained {
            network: new.network.load_record(network),
            optimizer: new.optimizer.load_record(optimizer),
            mean: new.mean.load_record(mean),
        };
        // what is loaded brings its own shapes
        if loaded.network.fits() && loaded.mean.fits() { Ok(loaded) } else { Err(another()) }
    }

    fn wrong(&self, found: &'static str) -> CheckpointError {
        CheckpointError::Malformed { path: self.path.clone(), found }
    }
}
