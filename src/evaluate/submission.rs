//! The tables of the Kaggle competition: the masks that it gives, and those that it takes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::rle::{self, RleError};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::geometry::Size;
use crate::mask::Mask;
use crate::segmentation::Segmentation;

/// Size of the competition's pictures, which its run lengths count in.
pub const SIZE: Size = Size::new(580, 420);
/// The largest table that is read.
const MOST_BYTES: u64 = 1 << 30;

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The patient; a submission names none.
    pub subject: Option<u64>,
    /// Number of the picture, of the patient where there is one.
    pub image: u64,
    /// Runs of the mask at [`SIZE`], empty where it is.
    pub pixels: String,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("cannot use `{path}` as a table of masks: line {line}: {found}; mend that line")]
    Line {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What was expected and what was found.
        found: String,
    },
    /// The runs of a line are no mask.
    #[error("cannot use `{path}` as a table of masks: line {line}: {cause}; mend that line")]
    Runs {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with them.
        cause: RleError,
    },
}

impl Row {
    /// The mask at [`SIZE`].
    ///
    /// # Errors
    /// When the runs are none; those of a row that was read are some.
    pub fn mask(&self) -> Result<Mask, RleError> {
        rle::decode(&self.pixels, SIZE)
    }
}

/// Reads `subject,img,pixels` or `img,pixels`, with either kind of line end, and checks every run.
///
/// # Errors
/// The first line that has other fields, runs that leave the picture or overlap, or a picture that an earlier line has.
pub fn read(path: &Path) -> Result<Vec<Row>, TableError> {
    let io = |cause| TableError::Io { path: path.to_owned(), cause };
    let mut text = String::new();
    File::open(path).map_err(io)?.take(MOST_BYTES).read_to_string(&mut text).map_err(io)?;
    let wrong = |line: usize, found: String| TableError::Line { path: path.to_owned(), line, found };
    let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    let header = lines.next().map_or("", |(_, header)| header.trim());
    let fields = match header {
        "subject,img,pixels" => 3,
        "img,pixels" => 2,
        other => {
            let found: String = other.chars().take(40).collect();
            return Err(wrong(1, format!("expected `subject,img,pixels` or `img,pixels`, found `{found}`")));
        }
    };
    let mut rows = Vec::new();
    let mut seen = HashMap::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() != fields {
            return Err(wrong(line, format!("expected {fields} fields, found {}", parts.len())));
        }
        let number = |text: &str| {
            let found: String = text.chars().take(24).collect();
            text.parse::<u64>().map_err(|_| wrong(line, format!("expected a number, found `{found}`")))
        };
        let subject = if fields == 3 { Some(number(parts[0])?) } else { None };
        let row = Row { subject, image: number(parts[fields - 2])?, pixels: parts[fields - 1].to_owned() };
        if let Some(first) = seen.insert((row.subject, row.image), line) {
            return Err(wrong(line, format!("the picture of line {first} comes again")));
        }
        row.mask().map_err(|cause| TableError::Runs { path: path.to_owned(), line, cause })?;
        rows.push(row);
    }
    Ok(rows)
}

/// A submission, `img,pixels`, in the order of the pictures.
pub fn write(rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.image);
    let mut text = "img,pixels\n".to_owned();
    for row in rows {
        let _ = writeln!(text, "{},{}", row.image, row.pixels);
    }
    text
}

/// The mask of class `class` (from 1) at another size: its probability is resized, and then compared with `threshold`.
///
/// What was taken out of the mask after its threshold (small regions, a class that is said to be absent) stays out, and at
/// the size of the frame it is the mask itself.
pub fn mask(answer: &Segmentation, class: u8, threshold: f32, size: Size) -> Mask {
    let least = (threshold.clamp(0.0, 1.0) * 255.0).ceil().max(1.0) as u8;
    let most = least - 1;
    let plane = answer.plane(usize::from(class)).iter().zip(&answer.mask.labels);
    let plane: Vec<u8> = plane.map(|(&p, &l)| if l == class { p.max(least) } else { p.min(most) }).collect();
    let mut large = vec![0.0; size.area()];
    let resampler = Resampler::new(answer.size, size, Filter::Area);
    resampler.resize_u8_to_f32(&Pool::new(1), &plane, answer.size.width as usize, &mut large);
    let bound = f32::from(most) + 0.5;
    Mask { size, labels: large.into_iter().map(|p| u8::from(p >= bound)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_grows_by_its_probability_and_stays_what_it_is_at_its_own_size() {
        let size = Size::new(4, 2);
        let mask_of = |labels: Vec<u8>| Mask { size, labels };
        let mut answer = Segmentation { size, mask: mask_of(vec![0, 1, 1, 0, 0, 0, 1, 2]), ..Segmentation::default() };
        answer.probability = [vec![90, 200, 128, 0, 250, 0, 130, 255], vec![0; 8]].concat();
        for threshold in [0.0, 0.3, 0.5, 1.0] {
            assert_eq!(mask(&answer, 1, threshold, size).labels, [0, 1, 1, 0, 0, 0, 1, 0], "{threshold}");
        }
        // From 90 to 200 the level 127.5 is crossed after 0.34 of a pixel.
        let large = mask(&answer, 1, 0.5, Size::new(40, 2));
        assert_eq!(large.labels[..40].iter().position(|&l| l == 1), Some(8));
        answer.mask = mask_of(vec![0; 8]);
        assert_eq!(mask(&answer, 1, 0.5, Size::new(40, 20)).area(1), 0, "what is said to be absent is not written");
    }
}
