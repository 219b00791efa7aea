//! What the outermost boxes of a video file say: its kind, and whether it is whole.
//!
//! A demuxer plays what there is and calls the end of a cut file an end; only the sizes that the file itself promises
//! tell the two apart.
//!
//! # References
//! ISO/IEC 14496-12, 4.2 (boxes); RFC 8794, 4 (EBML sizes); Microsoft, "AVI RIFF File Reference".

use std::io::{Read, Result, Seek, SeekFrom};

/// More boxes than a day of one-second fragments has; a file that lies does not hold us up.
const MOST_BOXES: usize = 200_000;

/// The kind of a file and what it promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// `mp4`, `mov`, `mkv`, `webm`, `avi` …; `None` for what is not known here.
    pub name: Option<&'static str>,
    /// Bytes that are there.
    pub len: u64,
    /// Bytes that the boxes promise, where that is more than there are.
    pub promised: Option<u64>,
    /// For mp4 and mov: whether the index (`moov`) is there; true for all others.
    pub indexed: bool,
}

impl Container {
    /// Reads the outermost boxes; the position of `file` afterwards is not defined.
    ///
    /// # Errors
    /// What the system says when it cannot read.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        let mut head = [0; 64];
        let n = read_at(file, 0, &mut head)?;
        let head = &head[..n];
        let mut container = Self { name: name(head), len, promised: None, indexed: true };
        match container.name {
            Some("mp4" | "mov") => container.walk_mp4(file)?,
            Some("mkv" | "webm") => container.walk_matroska(file)?,
            Some("avi") => container.walk_riff(file)?,
            _ => {}
        }
        Ok(container)
    }

    fn walk_mp4(&mut self, file: &mut (impl Read + Seek)) -> Result<()> {
        self.indexed = false;
        let mut at = 0;
        for _ in 0..MOST_BOXES {
            let mut head = [0; 16];
            let n = read_at(file, at, &mut head)?;
            if n < 8 {
                return Ok(());
            }
            self.indexed |= &head[4..8] == b"moov";
            let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
                0 => return Ok(()), // "to the end of the file"
                1 if n == 16 => u64::from_be_bytes(head[8..16].try_into().expect("8 bytes")),
                size => u64::from(size),
            };
            if size < 8 || !self.step(&mut at, size) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn walk_matroska(&mut self, file: &mut (impl Read + Seek)) -> Result<()> {
        let mut at = 0;
        for _ in 0..16 {
            let mut head = [0; 12];
            let n = read_at(file, at, &mut head)?;
            let Some(id_len) = head.first().map(|b| b.leading_zeros() as usize + 1).filter(|&l| l <= 4 && l < n) else {
                return Ok(());
            };
            let size_len = head[id_len].leading_zeros() as usize + 1;
            if size_len > 8 || id_len + size_len > n {
                return Ok(());
            }
            let mut size = u64::from(head[id_len]) & ((1 << (8 - size_len)) - 1);
            for &b in &head[id_len + 1..id_len + size_len] {
                size = size << 8 | u64::from(b);
            }
            let unknown = size == (1 << (7 * size_len)) - 1;
            if unknown || !self.step(&mut at, (id_len + size_len) as u64 + size) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn walk_riff(&mut self, file: &mut (impl Read + Seek)) -> Result<()> {
        let mut at = 0;
        for _ in 0..MOST_BOXES {
            let mut head = [0; 8];
            if read_at(file, at, &mut head)? < 8 {
                return Ok(());
            }
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            // A size of 0 is a recording that was not finished: nothing is promised.
            if size == 0 || !self.step(&mut at, 8 + u64::from(size) + u64::from(size & 1)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes on to the next box; false when this one ends at or behind the end of the file.
    fn step(&mut self, at: &mut u64, size: u64) -> bool {
        *at = at.saturating_add(size);
        if *at > self.len {
            self.promised = Some(*at);
        }
        *at < self.len
    }
}

fn name(head: &[u8]) -> Option<&'static str> {
    let tag = |at: usize| head.get(at..at + 4).unwrap_or_default();
    match tag(4) {
        b"ftyp" if tag(8) == b"qt  " => return Some("mov"),
        b"ftyp" => return Some("mp4"),
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" => return Some("mov"),
        _ => {}
    }
    match tag(0) {
        [0x1a, 0x45, 0xdf, 0xa3] if head.windows(4).any(|w| w == b"webm") => Some("webm"),
        [0x1a, 0x45, 0xdf, 0xa3] => Some("mkv"),
        b"RIFF" if tag(8) == b"AVI " => Some("avi"),
        b"OggS" => Some("ogg"),
        [b'F', b'L', b'V', _] => Some("flv"),
        [0x30, 0x26, 0xb2, 0x75] => Some("asf"),
        [0, 0, 1, 0xba] => Some("mpeg-ps"),
        [0x47, ..] if head.len() == 64 => Some("mpeg-ts"),
        _ => None,
    }
}

fn read_at(file: &mut (impl Read + Seek), at: u64, out: &mut [u8]) -> Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    let mut n = 0;
    while n < out.len() {
        match file.read(&mut out[n..])? {
            0 => break,
            k => n += k,
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &[u8]) -> Container {
        Container::read(&mut Cursor::new(bytes)).unwrap()
    }

    fn mp4_box(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let mut b = (body as u32 + 8).to_be_bytes().to_vec();
        b.extend(kind);
        b.resize(body + 8, 0);
        b
    }

    #[test]
    fn a_cut_mp4_is_told_from_a_whole_one() {
        let whole = [mp4_box(b"ftyp", 16), mp4_box(b"moov", 100), mp4_box(b"mdat", 1000)].concat();
        let c = read(&whole);
        assert_eq!((c.name, c.promised, c.indexed), (Some("mp4"), None, true));
        let c = read(&whole[..500]);
        assert_eq!((c.promised, c.indexed), (Some(whole.len() as u64), true));
        let late = [mp4_box(b"ftyp", 16), mp4_box(b"mdat", 1000), mp4_box(b"moov", 100)].concat();
        assert!(read(&late).indexed);
        assert!(!read(&late[..1024]).indexed);
    }

    #[test]
    fn cut_matroska_and_avi_are_told_too() {
        let mut mkv = vec![0x1a, 0x45, 0xdf, 0xa3, 0x84, 1, 2, 3, 4, 0x18, 0x53, 0x80, 0x67, 0x42, 0x00];
        mkv.resize(15 + 0x200, 0);
        assert_eq!(read(&mkv).promised, None);
        assert_eq!(read(&mkv[..100]).promised, Some(mkv.len() as u64));
        let live = [&mkv[..13], &[0xff][..], &[0; 50]].concat();
        assert_eq!(read(&live).promised, None, "an unknown size promises nothing");
        let mut avi = b"RIFF\x64\0\0\0AVI ".to_vec();
        avi.resize(108, 0);
        assert_eq!(read(&avi), Container { name: Some("avi"), len: 108, promised: None, indexed: true });
        assert_eq!(read(&avi[..60]).promised, Some(108));
    }

    #[test]
    fn nonsense_is_no_container_and_ends() {
        for bytes in [&b""[..], b"hello", &[0; 40], &[0xff; 70], b"\0\0\0\x04ftypmp42\0\0\0\0"] {
            assert_eq!(read(bytes).promised, None, "{bytes:?}");
        }
    }
}
