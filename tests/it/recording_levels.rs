//! Grey levels and spacing of recordings whose first frame, header or regions mislead.

use std::path::Path;

use sonoplex::source::Source;
use sonoplex::source::open::{OpenOptions, open};

use crate::dicom_whole::put;
use crate::medical::frames;

const SIDE: u16 = 4;

fn opened(path: &Path) -> Box<dyn Source> {
    open(&path.to_string_lossy(), &OpenOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(path: &Path) -> String {
    open(&path.to_string_lossy(), &OpenOptions::default()).err().expect("it is refused").to_string()
}

fn firsts(path: &Path) -> Vec<u8> {
    frames(&mut *opened(path)).iter().map(|frame| frame.pixels[0]).collect()
}

/// A DICOM of grey frames in 16 bits, of one level each but for a last pixel of 0, and with `more` elements of group 0028.
fn dicom(path: &Path, levels: &[u16], more: &[(u16, &[u8; 2], &[u8])]) {
    let mut elements: Vec<(u16, &[u8; 2], Vec<u8>)> = vec![
        (2, b"US", 1u16.to_le_bytes().into()),
        (4, b"CS", b"MONOCHROME2".to_vec()),
        (8, b"IS", levels.len().to_string().into_bytes()),
        (0x10, b"US", SIDE.to_le_bytes().into()),
        (0x11, b"US", SIDE.to_le_bytes().into()),
        (0x100, b"US", 16u16.to_le_bytes().into()),
        (0x101, b"US", 12u16.to_le_bytes().into()),
    ];
    elements.extend(more.iter().map(|&(element, vr, value)| (element, vr, value.to_vec())));
    elements.sort_by_key(|e| e.0);
    let pixels: Vec<u8> = levels
        .iter()
        .flat_map(|&level| (0..SIDE * SIDE).map(move |i| if i + 1 == SIDE * SIDE { 0 } else { level }))
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut out = head(b"1.2.840.10008.1.2.1");
    elements.iter().for_each(|(element, vr, value)| put(&mut out, (0x28, *element), vr, value));
    out.extend(*b"\xe0\x7f\x10\0OW\0\0");
    out.extend((pixels.len() as u32).to_le_bytes());
    out.extend(pixels);
    std::fs::write(path, out).unwrap();
}

fn head(syntax: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 128];
    out.extend(b"DICM");
    put(&mut out, (2, 0x10), b"UI", syntax);
    out
}

#[test]
fn a_dark_first_frame_does_not_make_the_others_white() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    dicom(&at("cine"), &[0, 2000, 4000], &[]);
    assert_eq!(firsts(&at("cine")), [0, 128, 255]);
    // Of samples that are kept at the top of their words, and fall.
    let high = 15u16.to_le_bytes();
    dicom(&at("high"), &[0, 2000 << 4, 4000 << 4], &[(0x102, b"US", &high)]);
    assert_eq!(firsts(&at("high")), [0, 128, 255]);
    dicom(&at("falls"), &[0, 2000, 4000], &[(0x1053, b"DS", b"-1")]);
    assert_eq!(firsts(&at("falls")), [255, 127, 0]);
    dicom(&at("beyond"), &[0], &[(0x102, b"US", &16u16.to_le_bytes())]);
    let said = refused(&at("beyond"));
    assert!(said.contains("expected the high bit 11, found 16"), "{said}");

    // The files of a series have one range.
    std::fs::create_dir(at("series")).unwrap();
    for (name, level) in [("1", 0), ("2", 1000), ("3", 4000)] {
        dicom(&at("series").join(name), &[level], &[]);
    }
    assert_eq!(firsts(&at("series")), [0, 64, 255]);

    for (kind, compressed) in [("MET_USHORT", false), ("MET_FLOAT", true)] {
        let levels = [0u16, 500, 4000];
        let mut data: Vec<u8> = levels
            .iter()
            .flat_map(|&level| match compressed {
                true => f32::from(level).to_le_bytes().repeat(4),
                false => level.to_le_bytes().repeat(4),
            })
            .collect();
        if compressed {
            use std::io::Read;
            let mut packed = Vec::new();
            flate2::read::ZlibEncoder::new(&data[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
            data = packed;
        }
        let header = format!(
            "ObjectType = Image\nNDims = 3\nDimSize = 2 2 3\nElementType = {kind}\nElementSpacing = 1e300 1 1\nCompressedData = {}\nElementDataFile = LOCAL\n",
            if compressed { "True" } else { "False" }
        );
        std::fs::write(at("a.mha"), [header.as_bytes(), &data].concat()).unwrap();
        assert_eq!(firsts(&at("a.mha")), [0, 32, 255], "{kind}");
        let source = opened(&at("a.mha"));
        assert_eq!(source.info().spacing, None);
        assert!(source.info().notes.iter().any(|n| n.contains("1e300 × 1e0 mm is none")), "{:?}", source.info().notes);
    }
}

#[test]
fn more_frames_than_the_header_promises_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcm");
    let mut picture = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut picture);
    let pixels = [90; SIDE as usize * SIDE as usize];
    encoder.encode(&pixels, SIDE.into(), SIDE.into(), image::ExtendedColorType::L8).unwrap();
    picture.resize(picture.len().next_multiple_of(2), 0);
    let write = |frames: Option<&[u8]>, fragments: &[&[u8]]| {
        let mut out = head(b"1.2.840.10008.1.2.4.50");
        put(&mut out, (0x28, 2), b"US", &1u16.to_le_bytes());
        put(&mut out, (0x28, 4), b"CS", b"MONOCHROME2");
        if let Some(frames) = frames {
            put(&mut out, (0x28, 8), b"IS", frames);
        }
        put(&mut out, (0x28, 0x10), b"US", &SIDE.to_le_bytes());
        put(&mut out, (0x28, 0x11), b"US", &SIDE.to_le_bytes());
        put(&mut out, (0x28, 0x100), b"US", &8u16.to_le_bytes());
        out.extend(*b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0");
        for fragment in fragments {
            out.extend(*b"\xfe\xff\0\xe0");
            out.extend((fragment.len() as u32).to_le_bytes());
            out.extend(*fragment);
        }
        out.extend(*b"\xfe\xff\xdd\xe0\0\0\0\0");
        std::fs::write(&path, out).unwrap();
    };
    write(Some(b"3"), &[&picture[..]; 3]);
    assert_eq!(frames(&mut *opened(&path)).len(), 3);
    for promised in [None, Some(&b"1"[..])] {
        write(promised, &[&picture[..]; 3]);
        let said = refused(&path);
        assert!(said.contains("promises one frame, the pixel data have 3"), "{said}");
    }
    // One picture in two fragments is one frame.
    let (a, b) = picture.split_at(picture.len() / 4 * 2);
    write(None, &[a, b]);
    assert_eq!(frames(&mut *opened(&path)).len(), 1);
}

#[test]
fn regions_that_are_measured_otherwise_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcm");
    let spacing = |lower: f64| {
        let region = |top: u32, bottom: u32, step: f64| {
            let mut item = Vec::new();
            for (element, edge) in [(0x6018, 0), (0x601a, top), (0x601c, 4), (0x601e, bottom)] {
                put(&mut item, (0x18, element), b"UL", &edge.to_le_bytes());
            }
            for element in [0x6024, 0x6026] {
                put(&mut item, (0x18, element), b"US", &3u16.to_le_bytes());
            }
            for element in [0x602c, 0x602e] {
                put(&mut item, (0x18, element), b"FD", &step.to_le_bytes());
            }
            [&b"\xfe\xff\0\xe0"[..], &(item.len() as u32).to_le_bytes(), &item].concat()
        };
        let items = [region(0, 1, 0.01), region(1, 4, lower)].concat();
        let mut out = head(b"1.2.840.10008.1.2.1");
        out.extend(*b"\x18\0\x11\x60SQ\0\0");
        out.extend((items.len() as u32).to_le_bytes());
        out.extend(items);
        for (element, value) in [(2, 1u16), (0x10, SIDE), (0x11, SIDE), (0x100, 8)] {
            put(&mut out, (0x28, element), b"US", &value.to_le_bytes());
        }
        out.extend(*b"\xe0\x7f\x10\0OB\0\0\x10\0\0\0");
        out.extend([7; 16]);
        std::fs::write(&path, out).unwrap();
        let source = opened(&path);
        (source.info().spacing.map(|s| s.y_mm), source.info().notes.join("; "))
    };
    let near = |found: Option<f64>, expected: f64| found.is_some_and(|mm| (mm - expected).abs() < 1e-9);
    assert!(near(spacing(0.01).0, 0.1) && near(spacing(0.010_05).0, 0.1005));
    let (found, notes) = spacing(0.05);
    assert!(found.is_none() && notes.contains("0.5000 × 0.5000 and 0.1000 × 0.1000 mm: uncalibrated"), "{notes}");
    // No length of an ultrasound picture: the other one is left.
    assert!(near(spacing(1e10).0, 0.1));
}
