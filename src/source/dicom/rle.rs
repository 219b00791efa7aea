//! Undoes DICOM RLE: one PackBits segment for each byte of a pixel, all of one kind behind each other.
//!
//! # References
//! DICOM PS3.5, annex G.

/// Decodes one frame to interleaved samples, least significant byte first.
///
/// # Shapes
/// `area × samples × sample_bytes` bytes.
///
/// # Errors
/// When the segments are not what the header promises.
pub fn decode(fragment: &[u8], area: usize, samples: usize, sample_bytes: usize) -> Result<Vec<u8>, String> {
    let planes = samples * sample_bytes;
    let word = |i: usize| -> Option<usize> {
        let b = fragment.get(4 * i..4 * i + 4)?;
        Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let count = word(0).filter(|_| fragment.len() >= 64).ok_or("the RLE header is cut off")?;
    if count != planes {
        return Err(format!("expected {planes} RLE segments, found {count}"));
    }
    // One pass of two-byte runs makes 64 times the data: more than that is a lie, and nothing is reserved for it.
    if area * planes > fragment.len().saturating_mul(64) {
        return Err(format!(
            "expected {} bytes from RLE, found {} that can give no more than 64 times as many",
            area * planes,
            fragment.len()
        ));
    }
    let mut out = vec![0; area * planes];
    for plane in 0..planes {
        let start = word(1 + plane).unwrap_or(usize::MAX);
        let end = if plane + 1 < planes { word(2 + plane).unwrap_or(usize::MAX) } else { fragment.len() };
        let segment = fragment
            .get(start..end)
            .filter(|_| start >= 64)
            .ok_or_else(|| format!("RLE segment {plane} lies outside its fragment"))?;
        // Segments come most significant byte first.
        let first = plane / sample_bytes * sample_bytes + (sample_bytes - 1 - plane % sample_bytes);
        let written = unpack(segment, out.iter_mut().skip(first).step_by(planes));
        if written != area {
            let found = if written < area { written.to_string() } else { "more".to_owned() };
            return Err(format!("expected {area} bytes in RLE segment {plane}, found {found}"));
        }
    }
    Ok(out)
}

/// PackBits; returns how many bytes were written, and `usize::MAX` when there is more than `out` has room for.
fn unpack<'a>(segment: &[u8], mut out: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut written = 0;
    let mut bytes = segment.iter().copied();
    while let Some(head) = bytes.next() {
        let (count, run) = match head {
            0..=127 => (usize::from(head) + 1, None),
            128 => continue,
            129..=255 => (257 - usize::from(head), bytes.next()),
        };
        if head > 128 && run.is_none() {
            return written;
        }
        for _ in 0..count {
            let Some(value) = run.or_else(|| bytes.next()) else { return written };
            let Some(place) = out.next() else {
                // Writers fill up with zeros; anything else does not belong to a picture of this size.
                let rest = value == 0 && bytes.all(|b| b == 0);
                return if rest { written } else { usize::MAX };
            };
            *place = value;
            written += 1;
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_literals_and_lies() {
        let mut fragment = vec![0; 64];
        fragment[0] = 1;
        fragment[4] = 64;
        fragment.extend([0xfe, 7, 1, 8, 9, 128]);
        assert_eq!(decode(&fragment, 5, 1, 1).unwrap(), [7, 7, 7, 8, 9]);
        assert!(decode(&fragment, 6, 1, 1).unwrap_err().contains("found 5"));
        assert!(decode(&fragment, 5, 3, 1).is_err());
        assert!(decode(&fragment, usize::MAX >> 4, 1, 1).is_err());
        for cut in 0..fragment.len() - 2 {
            let _ = decode(&fragment[..cut], 5, 1, 1).unwrap_err();
        }
    }
}
