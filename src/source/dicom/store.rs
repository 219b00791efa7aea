//! The bytes of a DICOM file: on disk, or inflated in memory where the whole data set is deflated.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

/// Most that one deflated data set may inflate to.
const INFLATED_LIMIT: u64 = 256 << 20;

/// Bytes that are read at any place; no read goes past the end.
pub struct Store {
    bytes: Bytes,
    len: u64,
}

enum Bytes {
    File(BufReader<File>),
    Memory(Vec<u8>),
}

impl Store {
    /// The bytes of a file.
    pub fn new(file: File) -> std::io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { bytes: Bytes::File(BufReader::new(file)), len })
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// `count` bytes from `at`.
    ///
    /// # Errors
    /// When the file has fewer; nothing is reserved then.
    pub fn read(&mut self, at: u64, count: u64) -> Result<Vec<u8>, String> {
        let left = self.len.saturating_sub(at);
        if count > left {
            return Err(format!("the file ends early: expected {count} bytes from byte {at}, found {left}"));
        }
        match &mut self.bytes {
            Bytes::Memory(bytes) => Ok(bytes[at as usize..(at + count) as usize].to_vec()),
            Bytes::File(file) => {
                let mut out = vec![0; count as usize];
                // A relative seek keeps the buffer, and the walk reads forwards in small steps.
                let here = file.stream_position().map_err(|e| e.to_string())?;
                file.seek_relative(at as i64 - here as i64).map_err(|e| e.to_string())?;
                file.read_exact(&mut out).map_err(|e| format!("reading {count} bytes from byte {at}: {e}"))?;
                Ok(out)
            }
        }
    }

    /// The deflated data set that begins at `at`, inflated.
    ///
    /// # Errors
    /// When it is damaged or larger than 256 MiB.
    pub fn inflate(self, at: u64) -> Result<Self, String> {
        let Bytes::File(mut file) = self.bytes else { return Ok(self) };
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        DeflateDecoder::new(file)
            .take(INFLATED_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| format!("the deflated data set is damaged ({e})"))?;
        let len = bytes.len() as u64;
        if len > INFLATED_LIMIT {
            return Err(format!("the deflated data set inflates to more than {INFLATED_LIMIT} bytes"));
        }
        Ok(Self { bytes: Bytes::Memory(bytes), len })
    }
}
