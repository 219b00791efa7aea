//! Writes a file whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts a file in its place in one step: whatever happens, a reader finds the old one or the new one, never half of it.
/// What is there and is no file (a pipe, a device) is written to as it is.
///
/// # Errors
/// What the system says; then nothing is left behind.
pub fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|m| !m.is_file()) {
        return fs::write(&target, bytes);
    }
    let new = beside(&target)?;
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        before.map_or(Ok(()), |m| file.set_permissions(m.permissions()))?;
        // Else some file systems have the name of the new one and nothing in it after a loss of power; others know no such call.
        file.sync_all().or_else(|e| match e.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
            _ => Err(e),
        })
    });
    written.and_then(|()| fs::rename(&new, &target)).inspect_err(|_| {
        // Nothing can be done if even that fails.
        let _ = fs::remove_file(&new);
    })
}

/// A name in the same folder that nobody else uses, since only there a file can take the place of another in one step.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        for text in ["one", "two"] {
            whole(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(whole(&dir.path().join("no/such/folder"), b"").is_err());
        assert!(whole(dir.path(), b"").is_err(), "a folder is no file");
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            whole(&link, b"three").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "three");
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            whole(Path::new("/dev/null"), b"gone").unwrap();
            assert!(!fs::metadata("/dev/null").unwrap().is_file());
        }
    }
}
