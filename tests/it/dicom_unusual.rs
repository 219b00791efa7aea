//! DICOM elements that few devices write: texts of odd length, lookup tables, measures of each frame.

use std::path::Path;

use sonoplex::source::open::{OpenOptions, open};

use crate::medical::frames;

const COLUMNS: u16 = 4;
const ROWS: u16 = 3;

type Tag = (u16, u16);

/// An element without the byte that fills it up.
fn unfilled((group, element): Tag, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let length: Vec<u8> = match vr {
        b"SQ" | b"OB" => [&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat(),
        _ => (value.len() as u16).to_le_bytes().into(),
    };
    [&group.to_le_bytes()[..], &element.to_le_bytes(), vr, &length, value].concat()
}

fn item(elements: &[u8]) -> Vec<u8> {
    [&b"\xfe\xff\0\xe0"[..], &(elements.len() as u32).to_le_bytes(), elements].concat()
}

/// Two frames of red, green and blue with `more` elements, whose texts all have odd lengths; their spacing and notes.
fn read(path: &Path, more: &[(Tag, &[u8; 2], &[u8])]) -> (Option<[f64; 2]>, String) {
    let mut elements: Vec<(Tag, &[u8; 2], Vec<u8>)> = vec![
        ((0x28, 2), b"US", 3u16.to_le_bytes().into()),
        ((0x28, 4), b"CS", b"RGB".to_vec()),
        ((0x28, 6), b"US", 0u16.to_le_bytes().into()),
        ((0x28, 8), b"IS", b"2".to_vec()),
        ((0x28, 0x10), b"US", ROWS.to_le_bytes().into()),
        ((0x28, 0x11), b"US", COLUMNS.to_le_bytes().into()),
        ((0x28, 0x100), b"US", 8u16.to_le_bytes().into()),
        ((0x7fe0, 0x10), b"OB", (0..2 * 3 * COLUMNS * ROWS).map(|i| [200, 10, 30][usize::from(i) % 3]).collect()),
    ];
    elements.extend(more.iter().map(|&(tag, vr, value)| (tag, vr, value.to_vec())));
    elements.sort_by_key(|e| e.0);
    let mut out = vec![0; 128];
    out.extend(b"DICM");
    out.extend(unfilled((2, 0x10), b"UI", b"1.2.840.10008.1.2.1"));
    elements.iter().for_each(|(tag, vr, value)| out.extend(unfilled(*tag, vr, value)));
    std::fs::write(path, out).unwrap();
    let mut source = open(&path.to_string_lossy(), &OpenOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let found = frames(&mut *source);
    assert!(found.len() == 2 && found.iter().all(|frame| frame.pixels[..3] == [200, 10, 30]), "{:?}", found[0].pixels);
    let info = source.info();
    (info.spacing.map(|s| [s.x_mm, s.y_mm]), info.notes.join("; "))
}

#[test]
fn texts_of_odd_length_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (spacing, _) = read(&dir.path().join("a.dcm"), &[((0x28, 0x30), b"DS", b"0.25\\0.5")]);
    assert_eq!(spacing, Some([0.5, 0.25]));
    let (spacing, _) = read(&dir.path().join("a.dcm"), &[((0x28, 0x30), b"DS", b"0.125\\0.5")]);
    assert_eq!(spacing, Some([0.5, 0.125]));
}

#[test]
fn lookup_tables_that_are_not_applied_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for (tag, name) in [
        ((0x28, 0x3000), "ModalityLUTSequence"),
        ((0x28, 0x3010), "VOILUTSequence"),
        ((0x2050, 0x10), "PresentationLUTSequence"),
    ] {
        let (_, notes) = read(&dir.path().join("a.dcm"), &[(tag, b"SQ", &item(&[]))]);
        assert!(notes.contains(&format!("`{name}` is not applied")), "{notes}");
    }
    assert!(!read(&dir.path().join("a.dcm"), &[]).1.contains("not applied"));
}

#[test]
fn the_spacing_of_each_frame_is_taken_where_all_are_alike() {
    let dir = tempfile::tempdir().unwrap();
    let of_frames = |texts: [&[u8]; 2]| {
        let groups = texts.map(|text| {
            let measures = item(&unfilled((0x28, 0x30), b"DS", text));
            item(&unfilled((0x28, 0x9110), b"SQ", &measures))
        });
        read(&dir.path().join("a.dcm"), &[((0x5200, 0x9230), b"SQ", &groups.concat())])
    };
    assert_eq!(of_frames([b"0.25\\0.5", b"0.25\\0.5"]).0, Some([0.5, 0.25]));
    let (spacing, notes) = of_frames([b"0.25\\0.5", b"0.125\\0.5"]);
    assert!(spacing.is_none() && notes.contains("differs from frame to frame: uncalibrated"), "{notes}");
}
