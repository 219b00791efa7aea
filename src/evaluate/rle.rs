//! Masks as run lengths, the way the Kaggle competition writes them.
//!
//! # References
//! Kaggle, "Ultrasound Nerve Segmentation" (2016), evaluation: pairs `start length`, pixels numbered from 1, down the
//! columns first, so that 1 is (row 1, column 1) and 2 is (row 2, column 1).

use std::fmt::Write as _;

use crate::geometry::Size;
use crate::mask::Mask;

/// Why run lengths are no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// A start without a length, or something that is no number.
    #[error("expected pairs of a start and a length, both from 1, found {found}")]
    Words {
        /// What is there.
        found: String,
    },
    /// A run leaves the picture.
    #[error("the run `{start} {length}` leaves a picture of {size}, whose last pixel is {last}", last = size.area())]
    Outside {
        /// First pixel.
        start: u64,
        /// Number of pixels.
        length: u64,
        /// Size of the picture.
        size: Size,
    },
    /// Two runs share pixels, or they are not in order.
    #[error("the run `{start} {length}` begins before the one ahead of it ends, at {end}")]
    Overlap {
        /// First pixel.
        start: u64,
        /// Number of pixels.
        length: u64,
        /// Last pixel of the run ahead of it.
        end: u64,
    },
}

/// The runs of class `class`: empty where no pixel has it.
pub fn encode(mask: &Mask, class: u8) -> String {
    let (width, height) = (mask.size.width as usize, mask.size.height as usize);
    let mut text = String::new();
    let mut run = 0;
    for at in 0..=mask.size.area() {
        let inside = at < mask.size.area() && mask.labels[at % height * width + at / height] == class;
        if inside {
            run += 1;
        } else if run > 0 {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{} {run}", at - run + 1);
            run = 0;
        }
    }
    text
}

/// The mask of a picture of `size` whose runs are those of class 1.
///
/// # Errors
/// When a run leaves the picture or begins before the end of the one ahead of it, or something is no pair of numbers.
pub fn decode(text: &str, size: Size) -> Result<Mask, RleError> {
    let mut mask = Mask::empty(size);
    let (width, height) = (size.width as usize, size.height as usize);
    let mut words = text.split_ascii_whitespace();
    let mut end = 0;
    while let Some(start) = words.next() {
        let length = words.next().ok_or_else(|| RleError::Words { found: format!("`{start}` alone at the end") })?;
        let (start, length) = (number(start)?, number(length)?);
        if start <= end {
            return Err(RleError::Overlap { start, length, end });
        }
        end = start.saturating_add(length - 1);
        if end > size.area() as u64 {
            return Err(RleError::Outside { start, length, size });
        }
        for at in start as usize - 1..end as usize {
            mask.labels[at % height * width + at / height] = 1;
        }
    }
    Ok(mask)
}

fn number(word: &str) -> Result<u64, RleError> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    let number = word.parse().ok().filter(|&n| n > 0 && digits);
    number.ok_or_else(|| RleError::Words { found: format!("`{}`", word.chars().take(24).collect::<String>()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_down_the_columns_from_one() {
        let size = Size::new(3, 2);
        let mask = Mask { size, labels: vec![0, 1, 1, 1, 0, 2] };
        assert_eq!(encode(&mask, 1), "2 2 5 1");
        assert_eq!(encode(&mask, 2), "6 1");
        assert_eq!(encode(&mask, 3), "");
        assert_eq!(decode("2 2 5 1", size).unwrap().labels, [0, 1, 1, 1, 0, 0]);
        assert_eq!(decode(" \r\n", size).unwrap(), Mask::empty(size));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let size = Size::new(3, 2);
        for (text, word) in [
            ("1", "alone"),
            ("0 1", "`0`"),
            ("1 0", "`0`"),
            ("+1 2", "`+1`"),
            ("1 x", "`x`"),
            ("1 -2", "`-2`"),
            ("6 2", "leaves"),
            ("99999999999999999999 1", "pairs"),
            ("2 18446744073709551615", "leaves"),
            ("1 3 3 1", "begins before"),
            ("4 1 1 1", "begins before"),
        ] {
            let error = decode(text, size).unwrap_err().to_string();
            assert!(error.contains(word), "`{text}`: {error}");
        }
        assert!(decode("1 1", Size::default()).is_err(), "no pixels");
    }
}
