//! Passes over the sequences of a DICOM file, and copies what is understood of the few that matter.
//!
//! # References
//! DICOM PS3.5, section 7.5.

use super::elements::{
    Head, ITEM, ITEM_END, KEEP_LIMIT, Layout, SEQUENCE_END, Tag, inside, name, plain, read_head, stated_end,
};
use super::store::Store;

/// Sequences in sequences that are passed over; real files stay below ten.
const DEPTH_LIMIT: u32 = 32;
/// Pixel measures lie one sequence deep, and nothing that is copied lies deeper.
const COPY_DEPTH: u32 = 2;
/// Pixel measures in functional groups.
const PIXEL_MEASURES: Tag = (0x0028, 0x9110);

/// Elements inside sequences that are handed on: what a region measures, and pixel spacing.
const KEPT_INSIDE: [Tag; 9] = [
    (0x0018, 0x6018),
    (0x0018, 0x601a),
    (0x0018, 0x601c),
    (0x0018, 0x601e),
    (0x0018, 0x6024),
    (0x0018, 0x6026),
    (0x0018, 0x602c),
    (0x0018, 0x602e),
    (0x0028, 0x0030),
];

/// Whether a sequence is handed on: ultrasound regions, and functional groups that all frames share or each has.
pub fn is_copied(tag: Tag) -> bool {
    matches!(tag, (0x0018, 0x6011) | (0x5200, 0x9229 | 0x9230))
}

/// A sequence written anew with only the elements that are understood, and the end of the old one.
///
/// # Errors
/// When it is no sequence, or not sound.
pub fn copy_sequence(
    store: &mut Store,
    head: &Head,
    mut at: u64,
    layout: Layout,
    depth: u32,
) -> Result<(Vec<u8>, u64), String> {
    let end = stated_end(store, head, at)?;
    if depth > COPY_DEPTH {
        return Err(format!("{} lies deeper than it ever does", name(head.tag)));
    }
    if layout.explicit && &head.vr != b"SQ" {
        return Err(format!("expected a sequence in {}", name(head.tag)));
    }
    let mut items = Vec::new();
    while end.is_none_or(|end| at < end) {
        let item = read_head(store, at, layout)?;
        at += item.head_len;
        match item.tag {
            SEQUENCE_END if end.is_none() => break,
            ITEM => {
                let item_end = stated_end(store, &item, at)?;
                let (body, next) = copy_item(store, at, item_end, layout, depth)?;
                layout.put_head(&mut items, ITEM, None, body.len());
                items.extend(body);
                at = next;
            }
            tag => return Err(format!("expected an item of a sequence at byte {at}, found {}", name(tag))),
        }
        if items.len() as u64 > KEEP_LIMIT {
            return Err(format!("{} has too many items", name(head.tag)));
        }
    }
    let mut out = Vec::new();
    layout.put_head(&mut out, head.tag, layout.explicit.then_some(b"SQ"), items.len());
    out.extend(items);
    Ok((out, at))
}

/// What is understood of an item, and its end.
fn copy_item(
    store: &mut Store,
    mut at: u64,
    end: Option<u64>,
    layout: Layout,
    depth: u32,
) -> Result<(Vec<u8>, u64), String> {
    let mut out = Vec::new();
    while end.is_none_or(|end| at < end) {
        let head = read_head(store, at, layout)?;
        let value = at + head.head_len;
        if head.tag == ITEM_END && end.is_none() {
            return Ok((out, value));
        }
        let stated = stated_end(store, &head, value)?;
        if head.tag == PIXEL_MEASURES {
            let (bytes, next) = copy_sequence(store, &head, value, layout, depth + 1)?;
            out.extend(bytes);
            at = next;
            continue;
        }
        let next = match stated {
            Some(end) => end,
            None => sequence_end(store, value, inside(&head, layout), 1)?,
        };
        if KEPT_INSIDE.contains(&head.tag) && next - at <= 256 && plain(&head, layout) {
            out.extend(store.read(at, next - at)?);
        }
        at = next;
    }
    Ok((out, at))
}

/// The end of a sequence of undefined length whose items begin at `at`.
///
/// # Errors
/// When it is not sound, or nests too deeply.
pub fn sequence_end(store: &mut Store, mut at: u64, layout: Layout, depth: u32) -> Result<u64, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("sequences nest deeper than {DEPTH_LIMIT}"));
    }
    loop {
        let head = read_head(store, at, layout)?;
        at += head.head_len;
        at = match (head.tag, stated_end(store, &head, at)?) {
            (SEQUENCE_END, _) => return Ok(at),
            (ITEM, Some(end)) => end,
            (ITEM, None) => item_end(store, at, layout, depth)?,
            (tag, _) => return Err(format!("expected an item of a sequence at byte {at}, found {}", name(tag))),
        };
    }
}

/// The end of an item of undefined length whose elements begin at `at`.
fn item_end(store: &mut Store, mut at: u64, layout: Layout, depth: u32) -> Result<u64, String> {
    loop {
        let head = read_head(store, at, layout)?;
        at += head.head_len;
        at = match stated_end(store, &head, at)? {
            _ if head.tag == ITEM_END => return Ok(at),
            Some(end) => end,
            None => sequence_end(store, at, inside(&head, layout), depth + 1)?,
        };
    }
}
