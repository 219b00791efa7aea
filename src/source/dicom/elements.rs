//! Walks the data elements of a DICOM file without reading what it does not need.
//!
//! `dicom-object` builds whole objects: it reserves what a length promises and descends as deep as sequences nest. So
//! the file is walked here first, with every length held against the file's, and only the elements that this source
//! understands are handed on.
//!
//! # References
//! DICOM PS3.5, sections 7 (data elements) and A.4 (encapsulated pixel data); PS3.10, section 7.

use super::sequences::{copy_sequence, is_copied, sequence_end};
use super::store::Store;

/// Group and element.
pub type Tag = (u16, u16);

/// Begins an item of a sequence.
pub const ITEM: Tag = (0xfffe, 0xe000);
/// Ends an item of undefined length.
pub const ITEM_END: Tag = (0xfffe, 0xe00d);
/// Ends a sequence of undefined length.
pub const SEQUENCE_END: Tag = (0xfffe, 0xe0dd);
const PIXEL_DATA: Tag = (0x7fe0, 0x0010);
/// A length that is not stated.
pub const UNDEFINED: u32 = u32::MAX;
/// Longest element that is kept: lookup tables and frame times are far shorter.
pub const KEEP_LIMIT: u64 = 4 << 20;
/// Fragments of one recording; a cine has one for each frame.
const FRAGMENT_LIMIT: usize = 4 << 20;

/// Plain elements that are handed on.
const KEPT: [Tag; 35] = [
    (0x0008, 0x2144),
    (0x0018, 0x0040),
    (0x0018, 0x1063),
    (0x0018, 0x1065),
    (0x0018, 0x1164),
    (0x0018, 0x2010),
    (0x0020, 0x000e),
    (0x0020, 0x0013),
    (0x0028, 0x0002),
    (0x0028, 0x0004),
    (0x0028, 0x0006),
    (0x0028, 0x0008),
    (0x0028, 0x0009),
    (0x0028, 0x0010),
    (0x0028, 0x0011),
    (0x0028, 0x0030),
    (0x0028, 0x0100),
    (0x0028, 0x0101),
    (0x0028, 0x0102),
    (0x0028, 0x0103),
    (0x0028, 0x0106),
    (0x0028, 0x0107),
    (0x0028, 0x1050),
    (0x0028, 0x1051),
    (0x0028, 0x1052),
    (0x0028, 0x1053),
    (0x0028, 0x1056),
    (0x0028, 0x1101),
    (0x0028, 0x1102),
    (0x0028, 0x1103),
    (0x0028, 0x1201),
    (0x0028, 0x1202),
    (0x0028, 0x1203),
    (0x0028, 0x1221),
    (0x7fe0, 0x0001),
];

/// Sequences of lookup tables for grey levels, which no ultrasound device is known to write.
const LOOKUPS: [(Tag, &str); 3] = [
    ((0x0028, 0x3000), "ModalityLUTSequence"),
    ((0x0028, 0x3010), "VOILUTSequence"),
    ((0x2050, 0x0010), "PresentationLUTSequence"),
];

/// Value representations with a length of two bytes, and with one of four after two unused bytes (PS3.5, 7.1.2).
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
];
const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"];

/// How numbers and headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Whether each element names its value representation.
    pub explicit: bool,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

impl Layout {
    fn u16(self, b: &[u8]) -> u16 {
        let b = [b[0], b[1]];
        if self.big_endian { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) }
    }

    fn u32(self, b: &[u8]) -> u32 {
        let b = [b[0], b[1], b[2], b[3]];
        if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    }

    /// Writes a head with a length of four bytes.
    pub fn put_head(self, out: &mut Vec<u8>, tag: Tag, vr: Option<&[u8; 2]>, len: usize) {
        let order = |mut b: Vec<u8>| {
            if self.big_endian {
                b.reverse();
            }
            b
        };
        out.extend(order(tag.0.to_le_bytes().to_vec()));
        out.extend(order(tag.1.to_le_bytes().to_vec()));
        if let Some(vr) = vr {
            out.extend([vr[0], vr[1], 0, 0]);
        }
        out.extend(order((len as u32).to_le_bytes().to_vec()));
    }
}

/// The head of one element.
pub struct Head {
    /// Group and element.
    pub tag: Tag,
    /// Value representation; two spaces where it is not stated.
    pub vr: [u8; 2],
    /// Bytes of the head itself.
    pub head_len: u64,
    /// Bytes of the value, or [`UNDEFINED`].
    pub len: u32,
}

/// Where the pixels are: offsets from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// One run of bytes, all frames behind each other.
    Native {
        /// First byte.
        start: u64,
        /// Bytes that are there.
        len: u64,
        /// Whether the file ends before the pixels do.
        cut: bool,
        /// Whether each sample is kept in 16-bit words (`OW`), which matters for 8-bit samples in big-endian files.
        words: bool,
    },
    /// Fragments with their start and length, and the basic offset table.
    Fragments {
        /// Offset of each frame from the first fragment, where given.
        offsets: Vec<u32>,
        /// Start and length of each.
        fragments: Vec<(u64, u64)>,
        /// Whether the file ends before the pixels do; the fragment in which it ends is not among them.
        cut: bool,
    },
}

/// What the walk brought home.
pub struct Found {
    /// The kept elements as they are in the file.
    pub kept: Vec<u8>,
    /// Where the pixels are, if there are any.
    pub pixels: Option<Pixels>,
    /// What would change grey levels, and is not applied.
    pub unapplied: Vec<&'static str>,
}

/// Walks the data set from `start` to the pixel data.
///
/// # Errors
/// A sentence that says what was expected and what was found.
pub fn walk(store: &mut Store, start: u64, layout: Layout) -> Result<Found, String> {
    let mut found = Found { kept: Vec::new(), pixels: None, unapplied: Vec::new() };
    let mut at = start;
    let mut last = None;
    while at < store.len() {
        let head = read_head(store, at, layout)?;
        if head.tag.0 == 0xfffe || last.is_some_and(|last| head.tag <= last) {
            // Some writers pad the end with zeros: there is nothing to find in them.
            if head.tag == (0, 0) && head.len == 0 {
                break;
            }
            return Err(format!("the data elements are out of order at byte {at} ({})", name(head.tag)));
        }
        last = Some(head.tag);
        let value = at + head.head_len;
        if head.tag == PIXEL_DATA {
            found.pixels = Some(pixels(store, value, &head, layout)?);
            break;
        }
        let stated = stated_end(store, &head, value)?;
        found.unapplied.extend(LOOKUPS.iter().filter(|(tag, _)| *tag == head.tag).map(|(_, name)| name));
        if is_copied(head.tag) {
            // A sequence that is not sound is passed over where its length is known: what it would tell stays unknown.
            match copy_sequence(store, &head, value, layout, 1) {
                Ok((bytes, end)) => {
                    found.kept.extend(bytes);
                    at = end;
                }
                Err(_) if stated.is_some() => at = stated.unwrap_or(value),
                Err(wrong) => return Err(wrong),
            }
            continue;
        }
        let end = match stated {
            Some(end) => end,
            None => sequence_end(store, value, inside(&head, layout), 1)?,
        };
        if KEPT.contains(&head.tag) && end - at <= KEEP_LIMIT && plain(&head, layout) {
            found.kept.extend(store.read(at, end - at)?);
        }
        at = end;
    }
    Ok(found)
}

/// The transfer syntax in the file meta group, and where the data set begins.
pub fn read_meta(store: &mut Store, start: u64) -> Result<(Option<String>, u64), String> {
    let layout = Layout { explicit: true, big_endian: false };
    let (mut at, mut syntax) = (start, None);
    while at + 8 <= store.len() && store.read(at, 2)? == [2, 0] {
        let head = read_head(store, at, layout)?;
        let value = at + head.head_len;
        let end = stated_end(store, &head, value)?.ok_or("the file meta group has an element without a length")?;
        if head.tag == (0x0002, 0x0010) && head.len <= 64 {
            let text = store.read(value, u64::from(head.len))?;
            syntax = Some(String::from_utf8_lossy(&text).trim_matches(['\0', ' ']).to_owned());
        }
        at = end;
    }
    Ok((syntax, at))
}

/// Whether an element is a text, or a plain value of whole numbers; a reader that finds half a number loses its place.
pub fn plain(head: &Head, layout: Layout) -> bool {
    let unit = match (&head.vr, head.tag) {
        _ if head.len == UNDEFINED => return false,
        (b"SQ" | b"UN", _) => return false,
        (b"FD" | b"OD" | b"OV" | b"SV" | b"UV", _) => 8,
        (b"AT" | b"FL" | b"OF" | b"OL" | b"SL" | b"UL", _) => 4,
        // Some writers forget to fill texts up to an even length.
        (b"CS" | b"DS" | b"IS" | b"UI", _) => 1,
        // Without a stated representation the dictionary's holds.
        (_, (0x7fe0, 0x0001) | (0x0018, 0x602c | 0x602e)) if !layout.explicit => 8,
        (_, (0x0028, 0x0009) | (0x0018, 0x6018 | 0x601a | 0x601c | 0x601e)) if !layout.explicit => 4,
        _ => 2,
    };
    head.len.is_multiple_of(unit)
}

/// Reads the head of the element at `at`.
///
/// # Errors
/// When the file ends, or the value representation is not known.
pub fn read_head(store: &mut Store, at: u64, layout: Layout) -> Result<Head, String> {
    let b = store.read(at, 8)?;
    let tag = (layout.u16(&b), layout.u16(&b[2..]));
    // Items and their ends name no value representation.
    if !layout.explicit || tag.0 == 0xfffe {
        return Ok(Head { tag, vr: *b"  ", head_len: 8, len: layout.u32(&b[4..]) });
    }
    let vr = [b[4], b[5]];
    let long = LONG.contains(&&vr);
    // How long the length of an unknown representation is, readers disagree: one would reserve what another skips.
    if !long && !SHORT.contains(&&vr) && tag != (0, 0) {
        let found = vr.escape_ascii();
        return Err(format!("expected a value representation in {} at byte {at}, found \"{found}\"", name(tag)));
    }
    if long {
        let b = store.read(at + 8, 4)?;
        return Ok(Head { tag, vr, head_len: 12, len: layout.u32(&b) });
    }
    Ok(Head { tag, vr, head_len: 8, len: u32::from(layout.u16(&b[6..])) })
}

/// The end of a value from `value` on, held against the file; `None` where its length is undefined.
pub fn stated_end(store: &Store, head: &Head, value: u64) -> Result<Option<u64>, String> {
    if head.len == UNDEFINED {
        return Ok(None);
    }
    let left = store.len().saturating_sub(value);
    if u64::from(head.len) <= left {
        return Ok(Some(value + u64::from(head.len)));
    }
    Err(format!("the file ends early: {} promises {} bytes from byte {value}, found {left}", name(head.tag), head.len))
}

/// The layout inside a value: a sequence that was copied without being understood (`UN`) is implicit little endian.
pub fn inside(head: &Head, layout: Layout) -> Layout {
    if &head.vr == b"UN" { Layout { explicit: false, big_endian: false } } else { layout }
}

fn pixels(store: &mut Store, start: u64, head: &Head, layout: Layout) -> Result<Pixels, String> {
    if head.len != UNDEFINED {
        let words = &head.vr == b"OW" || !layout.explicit;
        let (len, left) = (u64::from(head.len), store.len().saturating_sub(start));
        return Ok(Pixels::Native { start, len: len.min(left), cut: len > left, words });
    }
    let (mut at, mut offsets, mut fragments, mut cut) = (start, None, Vec::new(), false);
    loop {
        if at + 8 > store.len() {
            cut = true;
            break;
        }
        let item = read_head(store, at, layout)?;
        at += 8;
        match item.tag {
            SEQUENCE_END => break,
            ITEM if item.len != UNDEFINED => {
                if u64::from(item.len) > store.len() - at {
                    cut = true;
                    break;
                }
                if offsets.is_none() {
                    let table = store.read(at, u64::from(item.len))?;
                    offsets = Some(table.chunks_exact(4).map(|b| layout.u32(b)).collect());
                } else if fragments.len() == FRAGMENT_LIMIT {
                    return Err(format!("the pixel data have more than {FRAGMENT_LIMIT} fragments"));
                } else {
                    fragments.push((at, u64::from(item.len)));
                }
                at += u64::from(item.len);
            }
            tag => return Err(format!("expected a fragment of pixel data at byte {}, found {}", at - 8, name(tag))),
        }
    }
    Ok(Pixels::Fragments { offsets: offsets.unwrap_or_default(), fragments, cut })
}

/// How people write a tag.
pub fn name(tag: Tag) -> String {
    format!("({:04x},{:04x})", tag.0, tag.1)
}
