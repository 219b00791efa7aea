//! The few things that a recorder does to a disk: a trait, so that a full one can be tested.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a recording is written.
pub trait Disk: Send {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&mut self, path: &Path) -> io::Result<()>;

    /// Writes a new file; when that fails, leaves none.
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Puts a file in the place of another in one step: a reader finds the old one or the new one, never half of it.
    ///
    /// # Errors
    /// What the system says.
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Adds to the end of a file; when that fails, takes back what was added.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// The disk of the operating system.
#[derive(Debug, Default)]
pub struct OsDisk {
    appended: BTreeMap<PathBuf, (File, u64)>,
}

impl Disk for OsDisk {
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes).inspect_err(|_| {
            // Nothing can be done if even that fails; no row names the file.
            let _ = fs::remove_file(path);
        })
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension("new");
        let written = File::create(&new).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()));
        written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !self.appended.contains_key(path) {
            let file = File::options().create(true).append(true).open(path)?;
            let length = file.metadata()?.len();
            self.appended.insert(path.to_owned(), (file, length));
        }
        let (file, length) = self.appended.get_mut(path).expect("inserted above");
        file.write_all(bytes).inspect_err(|_| {
            let _ = file.set_len(*length);
        })?;
        *length += bytes.len() as u64;
        Ok(())
    }
}
