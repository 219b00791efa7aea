//! A folder of DICOM files with one picture each, as scanners and archives export a series.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Dicom;
use crate::frame::Frame;
use crate::source::images::RATE_HZ;
use crate::source::open::{Kind, kind};
use crate::source::{Source, SourceError, SourceInfo};

/// Opens a folder of DICOM files as one sequence, by `InstanceNumber` and then in the natural order of their names.
///
/// Other files are left alone; a DICOM file that cannot be read comes last and is an error of its own turn.
///
/// # Errors
/// `Unknown` when there is no DICOM file in it; `Malformed` when they are of several series, or one is a cine.
pub fn open(dir: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Series::open(dir)?))
}

struct Series {
    info: SourceInfo,
    files: Vec<PathBuf>,
    /// Of stored values, where files have no window.
    range: Option<[f64; 2]>,
    next: usize,
    id: u64,
}

impl Series {
    fn open(dir: &Path) -> Result<Self, SourceError> {
        let bad = |found: String, advice: &str| SourceError::Malformed {
            path: dir.to_owned(),
            what: "a DICOM series",
            found,
            advice: advice.to_owned(),
        };
        let (mut files, others) = list(dir)?;
        if files.is_empty() {
            let found = format!("a folder without a DICOM file, with {others} other entries");
            return Err(SourceError::Unknown { name: dir.display().to_string(), found });
        }
        files.sort_by(|a, b| alphanumeric_sort::compare_str(a.to_string_lossy(), b.to_string_lossy()));
        let mut notes = vec![format!("pictures of a series have no times: {RATE_HZ} frames a second assumed")];
        if others > 0 {
            notes.push(format!("{others} other entries of `{}` left alone", dir.display()));
        }
        let mut first: Option<Dicom> = None;
        let mut ordered = Vec::new();
        // One for all, or each picture would have its own black and white.
        let mut range: Option<[f64; 2]> = None;
        for path in files {
            // What is wrong with a file is said when its turn comes.
            let Ok(file) = Dicom::open(&path, None) else {
                ordered.push((f64::INFINITY, path));
                continue;
            };
            if file.header.frames + file.missing > 1 {
                let found = format!("`{}` has {} frames of its own", path.display(), file.header.frames + file.missing);
                return Err(bad(found, "give that file alone, or a folder of single pictures"));
            }
            if let Some(first) = first.as_ref().filter(|f| f.series != file.series) {
                let found = format!("`{}` and `{}` are of different series", first.path.display(), path.display());
                return Err(bad(found, "give a folder with the files of one series, or a single file"));
            }
            if let Some([low, high]) = file.range {
                let [least, most] = range.unwrap_or([low, high]);
                range = Some([low.min(least), high.max(most)]);
            }
            ordered.push((file.instance.unwrap_or(f64::MAX), path));
            first.get_or_insert(file);
        }
        // Stable: equal numbers keep the order of the names.
        ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
        let files: Vec<PathBuf> = ordered.into_iter().map(|(_, path)| path).collect();
        let Some(first) = first else {
            return Err(Dicom::open(&files[0], None).err().expect("it was refused just now"));
        };
        let first = Dicom::open(&first.path, range)?;
        notes.extend(first.info.notes);
        let info = SourceInfo {
            name: dir.display().to_string(),
            format: format!("folder of {}", first.info.format),
            frames: Some(files.len() as u64),
            rate_hz: Some(RATE_HZ as f64),
            notes,
            ..first.info
        };
        Ok(Self { info, files, range, next: 0, id: 0 })
    }
}

/// DICOM files of a folder, and how many other entries it has; hidden files are neither.
fn list(dir: &Path) -> Result<(Vec<PathBuf>, usize), SourceError> {
    let io = |cause| SourceError::Io { path: dir.to_owned(), cause };
    let (mut files, mut others) = (Vec::new(), 0);
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
            continue;
        }
        // A directory of a medium is DICOM too, and no picture.
        let index = path.file_name().is_some_and(|n| n == "DICOMDIR");
        if !index && path.is_file() && matches!(kind(&path), Ok(Kind::Dicom)) {
            files.push(path);
        } else {
            others += 1;
        }
    }
    Ok((files, others))
}

impl Source for Series {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let index = self.next;
        let Some(path) = self.files.get(index) else { return Ok(None) };
        self.next += 1; // also past a file that cannot be read: the next call gives the one after it
        let Some(mut frame) = Dicom::open(path, self.range)?.next()? else { return Ok(None) };
        frame.id = self.id;
        frame.time = Duration::from_nanos(index as u64 * 1_000_000_000 / RATE_HZ);
        frame.name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.id += 1;
        Ok(Some(frame))
    }

    fn goes_on(&self) -> bool {
        self.files.len() > 1
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        self.next = usize::try_from(index).unwrap_or(usize::MAX).min(self.files.len());
        Ok(())
    }
}
