//! The pages of a TIFF, of which microscopes and image programs make cine loops.

use std::collections::BTreeSet;
use std::path::Path;

use super::decode::{self, Picture};
use crate::source::SourceError;

/// More pages than this are left out.
const MOST: usize = 100_000;

/// A TIFF of several pages, in memory.
#[derive(Debug)]
pub struct Pages {
    bytes: Vec<u8>,
    /// Where the directory of every page begins.
    offsets: Vec<u32>,
    /// Whether more are promised behind the end of the file.
    cut: bool,
}

impl Pages {
    /// The pages of a file, if it is a TIFF of more than one, or was one before it was cut; reduced copies of a page are none.
    ///
    /// # Errors
    /// When the system refuses, or it is empty or too large.
    pub fn of(path: &Path) -> Result<Option<Self>, SourceError> {
        let bytes = decode::read(path)?;
        let (offsets, cut) = offsets(&bytes);
        let several = offsets.len() + usize::from(cut) > 1;
        Ok((several && !offsets.is_empty()).then_some(Self { bytes, offsets, cut }))
    }

    /// What is said where pages end that should go on; nothing where they do not.
    pub fn cut(&self, path: &Path) -> Option<SourceError> {
        self.cut.then(|| SourceError::Malformed {
            path: path.to_owned(),
            what: "a TIFF of several pages",
            found: format!("the file is cut: {} pages are there, and more are promised", self.count()),
            advice: "copy the file again from where it came".into(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.offsets.len()
    }

    /// Reads page `index`, which the header is made to point to; `bits` as in [`decode::picture_of`].
    ///
    /// # Errors
    /// As [`decode::picture`].
    ///
    /// # Panics
    /// When there is no such page.
    pub fn picture(&mut self, path: &Path, index: usize, bits: u8) -> Result<Picture, SourceError> {
        let offset = self.offsets[index];
        let little = order(&self.bytes).expect("only a TIFF has pages");
        let pointer = if little { offset.to_le_bytes() } else { offset.to_be_bytes() };
        self.bytes[4..8].copy_from_slice(&pointer);
        decode::picture_of(path, &self.bytes, bits)
    }
}

/// Refuses a TIFF of several pages where one picture is meant: all but the first would be lost.
///
/// # Errors
/// `Malformed` when there are more.
pub fn single(path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
    let (offsets, cut) = offsets(bytes);
    let count = offsets.len() + usize::from(cut && !offsets.is_empty());
    if count > 1 {
        return Err(SourceError::Malformed {
            path: path.to_owned(),
            what: "one picture",
            found: format!("it has {count} pages"),
            advice: "save each page as a file of its own".into(),
        });
    }
    Ok(())
}

/// Where the directory of every page of a TIFF begins, and whether the next lies behind the end of the file; none of another file.
///
/// # References
/// TIFF 6.0, section 2: bytes 4 to 7 point to the first directory, the last four bytes of each to the next; tag 254,
/// bit 0 marks a reduced copy.
fn offsets(bytes: &[u8]) -> (Vec<u32>, bool) {
    let mut offsets = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = long(bytes, 4).filter(|_| order(bytes).is_some()).unwrap_or(0);
    while next != 0 && seen.insert(next) && offsets.len() < MOST {
        let start = next as usize;
        let Some(entries) = short(bytes, start) else { return (offsets, true) };
        let end = start + 2 + 12 * usize::from(entries);
        if end > bytes.len() {
            return (offsets, true);
        }
        // Some writers leave the last pointer out.
        let following = long(bytes, end).unwrap_or(0);
        let mut tags = (start + 2..end).step_by(12);
        let kind = tags.find(|&at| short(bytes, at) == Some(254)).and_then(|at| long(bytes, at + 8));
        if kind.unwrap_or(0) & 1 == 0 {
            offsets.push(next);
        }
        next = following;
    }
    (offsets, false)
}

/// Whether numbers have their low byte first; nothing when it is no TIFF.
fn order(bytes: &[u8]) -> Option<bool> {
    match bytes.get(..4)? {
        b"II*\0" => Some(true),
        b"MM\0*" => Some(false),
        _ => None,
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let b = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(if order(bytes)? { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(if order(bytes)? { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
}
