//! A file as memory: its bytes are read where the system keeps them anyway, without a copy.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::time::SystemTime;

use super::cpu::aligned::Aligned;

/// The bytes of a regular file for as long as this lives; the first lies at a multiple of 64 bytes.
///
/// What another program writes into the file in place may be seen here at any time, and a page that it cuts off ends
/// the process that reads it (`SIGBUS`). So a map is for a short time, whatever a length, an index or a text depends on
/// is copied out before it is checked, and who has read it all asks [`FileMap::is_unchanged`]. A file that is replaced,
/// as [`crate::write`] does it, stays as it was here.
pub struct FileMap {
    bytes: Bytes,
    file: File,
    state: State,
}

enum Bytes {
    #[cfg(unix)]
    Map(unix::Map),
    /// Where files cannot be mapped.
    Copy(Aligned, usize),
}

/// Length and time of the last change.
type State = (u64, Option<SystemTime>);

fn state(found: &Metadata) -> State {
    (found.len(), found.modified().ok())
}

impl FileMap {
    /// Opens a file and maps it; a file system that maps none is read instead.
    ///
    /// # Errors
    /// What the system says, or that it is no regular file; a pipe is not even opened, which would wait for its writer.
    pub fn open(path: &Path) -> io::Result<Self> {
        let regular = |found: Metadata| if found.is_file() { Ok(found) } else { Err(io::Error::other(IRREGULAR)) };
        regular(path.metadata()?)?;
        let file = File::open(path)?;
        let found = regular(file.metadata()?)?;
        let length = usize::try_from(found.len()).map_err(io::Error::other)?;
        #[cfg(unix)]
        if let Ok(map) = unix::Map::new(&file, length) {
            return Ok(Self { bytes: Bytes::Map(map), file, state: state(&found) });
        }
        Self::copy(file, &found, length)
    }

    fn copy(mut file: File, found: &Metadata, length: usize) -> io::Result<Self> {
        let mut floats = Aligned::zeros(length.div_ceil(4));
        file.read_exact(&mut bytemuck::cast_slice_mut(&mut floats)[..length])?;
        Ok(Self { bytes: Bytes::Copy(floats, length), file, state: state(found) })
    }

    /// Whether nobody has written to the file since it was opened, by its length and its time.
    pub fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|found| state(&found) == self.state)
    }
}

/// What is said of a folder, a pipe, a device.
const IRREGULAR: &str = "it is not a regular file";

impl Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            #[cfg(unix)]
            Bytes::Map(map) => map.bytes(),
            Bytes::Copy(floats, length) => &bytemuck::cast_slice(floats)[..*length],
        }
    }
}

impl std::fmt::Debug for FileMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileMap").field("bytes", &self.len()).finish()
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_void;
    use std::fs::File;
    use std::io;

    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    /// Pages of the system's cache, to be read.
    pub struct Map {
        start: *mut c_void,
        length: usize,
    }

    // SAFETY: nothing writes through the pointer, and the pages belong to no thread.
    unsafe impl Send for Map {}
    // SAFETY: as above.
    unsafe impl Sync for Map {}

    impl Map {
        /// Maps the first `length` bytes; the system refuses none at all.
        pub fn new(file: &File, length: usize) -> io::Result<Self> {
            // SAFETY: the system chooses a free range, so no memory that is in use is replaced.
            let start = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
            Ok(Self { start, length })
        }

        pub fn bytes(&self) -> &[u8] {
            // SAFETY: so many bytes are mapped to be read until `drop`, at the start of a page, and any bytes are
            // `u8`s; `mmap` gives no more than `isize::MAX`. Nothing in this process writes to them. Another one that
            // changes the file meanwhile gives other numbers or ends the process; `FileMap` says what keeps either from
            // doing harm.
            unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: this very range was mapped, and no borrow of it outlives `self`. What cannot be unmapped stays.
            let _ = unsafe { munmap(self.start, self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_what_a_copy_is_and_both_see_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let bytes: Vec<u8> = (0..10_001u32).map(|i| ((i * i) >> 3) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        // The times of a file move in steps of some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let file = File::open(&path).unwrap();
        let copy = FileMap::copy(file, &path.metadata().unwrap(), bytes.len()).unwrap();
        let map = FileMap::open(&path).unwrap();
        for read in [&map, &copy] {
            assert!(**read == bytes && read.is_unchanged());
            assert_eq!(read.as_ptr().addr() % 64, 0);
        }
        let other = dir.path().join("b");
        std::fs::write(&other, "another").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(*map == bytes && map.is_unchanged(), "a file that is replaced stays as it was");
        let new = FileMap::open(&path).unwrap();
        std::fs::write(&path, "written").unwrap();
        assert!(!new.is_unchanged(), "the same length, another time");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(FileMap::open(dir.path()).unwrap_err().to_string(), IRREGULAR);
        let empty = dir.path().join("empty");
        File::create(&empty).unwrap();
        assert!(FileMap::open(&empty).unwrap().is_empty());
    }
}
