//! Walks the data elements of a DICOM file without reading what it does not need.
//!
//! `dicom-object` builds whole objects: it reserves what a length promises and descends as deep as sequences nest. So
//! the file is walked here first, with every length held against the file's, and only the elements that this source
//! understands are handed on.
//!
//! # References
//! DICOM PS3.5, sections 7 (data elements) and A.4 (encapsulated pixel data); PS3.10, section 7.

use super::store::Store;

/// Group and element.
pub type Tag = (u16, u16);

const ITEM: Tag = (0xfffe, 0xe000);
const ITEM_END: Tag = (0xfffe, 0xe00d);
const SEQUENCE_END: Tag = (0xfffe, 0xe0dd);
const PIXEL_DATA: Tag = (0x7fe0, 0x0010);
const UNDEFINED: u32 = u32::MAX;
/// Sequences in sequences; real files stay below ten.
const DEPTH_LIMIT: u32 = 32;
/// Longest element that is kept: lookup tables and frame times are far shorter.
const KEEP_LIMIT: u64 = 4 << 20;
/// Fragments of one recording; a cine has one for each frame.
const FRAGMENT_LIMIT: usize = 4 << 20;

/// Elements that are handed on, in the order of their tags. The two sequences are (0018,6011) regions and (5200,9229)
/// functional groups shared by all frames.
const KEPT: [Tag; 35] = [
    (0x0008, 0x2144),
    (0x0018, 0x0040),
    (0x0018, 0x1063),
    (0x0018, 0x1065),
    (0x0018, 0x1164),
    (0x0018, 0x2010),
    (0x0018, 0x6011),
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
    (0x5200, 0x9229),
    (0x7fe0, 0x0001),
];

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
}

/// The head of one element.
struct Head {
    tag: Tag,
    vr: [u8; 2],
    /// Bytes of the head itself.
    head_len: u64,
    len: u32,
}

/// Where the pixels are: offsets from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// One run of bytes, all frames behind each other.
    Native {
        /// First byte.
        start: u64,
        /// Bytes.
        len: u64,
        /// Whether each sample is kept in 16-bit words (`OW`), which matters for 8-bit samples in big-endian files.
        words: bool,
    },
    /// Fragments with their start and length, and the basic offset table.
    Fragments {
        /// Offset of each frame from the first fragment, where given.
        offsets: Vec<u32>,
        /// Start and length of each.
        fragments: Vec<(u64, u64)>,
    },
}

/// What the walk brought home.
pub struct Found {
    /// The kept elements as they are in the file.
    pub kept: Vec<u8>,
    /// Where the pixels are, if there are any.
    pub pixels: Option<Pixels>,
}

/// Walks the data set from `start` to the pixel data.
///
/// # Errors
/// A sentence that says what was expected and what was found.
pub fn walk(store: &mut Store, start: u64, layout: Layout) -> Result<Found, String> {
    let mut found = Found { kept: Vec::new(), pixels: None };
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
        let is_sequence = matches!(head.tag, (0x0018, 0x6011) | (0x5200, 0x9229));
        let mut keep = KEPT.contains(&head.tag) && (is_sequence || plain(&head, layout));
        let end = match stated_end(store, &head, value)? {
            None => sequence_end(store, value, None, inside(&head, layout), 1)?,
            Some(end) => {
                // A sequence that is not sound is passed over: what it would have told stays unknown.
                keep &= !is_sequence || sequence_end(store, value, Some(end), layout, 1).is_ok();
                end
            }
        };
        if keep && end - at <= KEEP_LIMIT {
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

/// Whether an element is a plain value, as every kept one but the two sequences must be.
fn plain(head: &Head, layout: Layout) -> bool {
    head.len != UNDEFINED && !(layout.explicit && matches!(&head.vr, b"SQ" | b"UN"))
}

fn read_head(store: &mut Store, at: u64, layout: Layout) -> Result<Head, String> {
    let b = store.read(at, 8)?;
    let tag = (layout.u16(&b), layout.u16(&b[2..]));
    // Items and their ends name no value representation.
    if !layout.explicit || tag.0 == 0xfffe {
        return Ok(Head { tag, vr: *b"  ", head_len: 8, len: layout.u32(&b[4..]) });
    }
    let vr = [b[4], b[5]];
    if !vr.iter().all(u8::is_ascii_uppercase) && tag != (0, 0) {
        return Err(format!(
            "expected a value representation in {} at byte {at}, found {:?}",
            name(tag),
            vr.escape_ascii().to_string()
        ));
    }
    let long = matches!(
        &vr,
        b"OB" | b"OW" | b"OF" | b"OD" | b"OL" | b"OV" | b"SQ" | b"UC" | b"UR" | b"UT" | b"UN" | b"SV" | b"UV"
    );
    if long {
        let b = store.read(at + 8, 4)?;
        return Ok(Head { tag, vr, head_len: 12, len: layout.u32(&b) });
    }
    Ok(Head { tag, vr, head_len: 8, len: u32::from(layout.u16(&b[6..])) })
}

fn is_item(store: &mut Store, at: u64, layout: Layout) -> Result<bool, String> {
    let b = store.read(at, 4)?;
    Ok((layout.u16(&b), layout.u16(&b[2..])) == ITEM)
}

/// The end of a sequence whose items begin at `at`; `end` is `None` where its length is undefined.
fn sequence_end(store: &mut Store, mut at: u64, end: Option<u64>, layout: Layout, depth: u32) -> Result<u64, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("sequences nest deeper than {DEPTH_LIMIT}"));
    }
    while end.is_none_or(|end| at < end) {
        let head = read_head(store, at, layout)?;
        at += head.head_len;
        at = match head.tag {
            SEQUENCE_END if end.is_none() => return Ok(at),
            ITEM => item_end(store, at, stated_end(store, &head, at)?, layout, depth + 1)?,
            tag => return Err(format!("expected an item of a sequence at byte {at}, found {}", name(tag))),
        };
    }
    Ok(at)
}

/// The end of an item whose elements begin at `at`; `end` is `None` where its length is undefined.
fn item_end(store: &mut Store, mut at: u64, end: Option<u64>, layout: Layout, depth: u32) -> Result<u64, String> {
    while end.is_none_or(|end| at < end) {
        let head = read_head(store, at, layout)?;
        at += head.head_len;
        if head.tag == ITEM_END && end.is_none() {
            return Ok(at);
        }
        let value_end = stated_end(store, &head, at)?;
        // Without a stated representation a value that begins like an item is taken for a sequence, as readers with
        // a dictionary would.
        let nested = value_end.is_none()
            || &head.vr == b"SQ"
            || ((!layout.explicit || &head.vr == b"UN") && head.len >= 8 && is_item(store, at, layout)?);
        at = match value_end {
            Some(end) if !nested => end,
            _ => sequence_end(store, at, value_end, inside(&head, layout), depth + 1)?,
        };
    }
    Ok(at)
}

/// The end of a value from `value` on, held against the file; `None` where its length is undefined.
fn stated_end(store: &Store, head: &Head, value: u64) -> Result<Option<u64>, String> {
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
fn inside(head: &Head, layout: Layout) -> Layout {
    if &head.vr == b"UN" { Layout { explicit: false, big_endian: false } } else { layout }
}

fn pixels(store: &mut Store, start: u64, head: &Head, layout: Layout) -> Result<Pixels, String> {
    if let Some(end) = stated_end(store, head, start)? {
        let words = &head.vr == b"OW" || !layout.explicit;
        return Ok(Pixels::Native { start, len: end - start, words });
    }
    let (mut at, mut offsets, mut fragments) = (start, None, Vec::new());
    loop {
        if at + 8 > store.len() {
            let found = fragments.len();
            return Err(format!(
                "the file ends early: the pixel data stop after {found} whole fragments, without their end mark"
            ));
        }
        let item = read_head(store, at, layout)?;
        at += 8;
        match item.tag {
            SEQUENCE_END => break,
            ITEM if item.len != UNDEFINED => {
                if u64::from(item.len) > store.len() - at {
                    return Err(format!(
                        "the file ends early: fragment {} of the pixel data promises {} bytes, found {}",
                        fragments.len(),
                        item.len,
                        store.len() - at
                    ));
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
    Ok(Pixels::Fragments { offsets: offsets.unwrap_or_default(), fragments })
}

fn name(tag: Tag) -> String {
    format!("({:04x},{:04x})", tag.0, tag.1)
}
