//! Markers of a JPEG stream.
//!
//! # References
//! ITU-T T.81, annex B.

/// The next marker; entropy-coded data (with stuffed zeros and restart marks) and fill bytes are passed over.
pub fn next_marker(stream: &[u8], at: &mut usize) -> Option<u8> {
    while let Some(pair) = stream.get(*at..*at + 2) {
        if pair[0] == 0xff && !matches!(pair[1], 0 | 0x01 | 0xd0..=0xd8 | 0xff) {
            *at += 2;
            return Some(pair[1]);
        }
        *at += 1;
    }
    None
}

/// Whether a JPEG is cut short: no end follows its last scan. A decoder fills with grey what is missing. Of other bytes, no.
pub fn is_cut(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return false;
    }
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        if marker == 0xd9 {
            return false;
        }
        let length = bytes.get(at..at + 2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        at += length.max(2);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_counts_behind_a_segment_alone() {
        let scan = [0xff, 0xda, 0, 3, 1, 7, 0xff, 0, 0xff, 0xd0, 9];
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let stream = |parts: &[&[u8]]| [&[0xff, 0xd8][..], &parts.concat()].concat();
        assert!(!is_cut(&stream(&[&thumbnail, &scan, &[0xff, 0xd9]])));
        assert!(!is_cut(&stream(&[&scan, &[0xff, 0xff, 0xd9, 1, 2, 3]])), "what follows the end is of no concern");
        assert!(is_cut(&stream(&[&thumbnail, &scan])), "the end of the thumbnail is none");
        assert!(is_cut(&stream(&[&[0xff, 0xe1, 0]])));
        assert!(!is_cut(b"\x89PNG"));
    }
}
