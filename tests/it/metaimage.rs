//! MetaImage sequences against a reader of one page in numpy.

use std::path::Path;

use sonoplex::frame::PixelFormat;
use sonoplex::geometry::{Size, Spacing};
use sonoplex::source::metaimage::open;

use crate::medical::{difference, frames, oracle, recording, torture};

/// Compares files with what the oracle reads from them, all in one run of Python.
fn agree(paths: &[&Path]) {
    let Some(text) = oracle("metaimage.py", paths, "read") else { return };
    assert_eq!(text.lines().count(), paths.len());
    paths.iter().zip(text.lines()).for_each(|(path, line)| agrees(path, &serde_json::from_str(line).unwrap()));
}

/// Compares one file with its line, and plays it again through seeks.
fn agrees(path: &Path, told: &serde_json::Value) {
    let mut source = open(path).unwrap_or_else(|e| panic!("{e}"));
    let all = frames(source.as_mut());
    assert_eq!(all.len() as u64, told["frames"], "{}", path.display());
    assert_eq!(source.info().frames, Some(all.len() as u64));
    assert_eq!(source.info().size, Some(all[0].size));
    let (width, height) = (all[0].size.width, all[0].size.height);
    assert_eq!(
        (u64::from(width), u64::from(height)),
        (told["width"].as_u64().unwrap(), told["height"].as_u64().unwrap())
    );
    assert_eq!(difference(&all, &std::fs::read(format!("{}.raw8", path.display())).unwrap()), 0, "{}", path.display());
    for (frame, time) in all.iter().zip(told["times"].as_array().unwrap()) {
        assert!((frame.time.as_secs_f64() - time.as_f64().unwrap()).abs() < 1e-6, "time of frame {}", frame.id);
    }
    let last = all.len() - 1;
    for at in [last, 0, last / 2] {
        source.seek(at as u64).unwrap();
        let again = source.next().unwrap().unwrap();
        assert_eq!((again.pixels == all[at].pixels, again.time), (true, all[at].time), "after a seek to {at}");
    }
}

#[test]
fn the_plus_recording_is_read_exactly() {
    let Some(path) = recording("BoneUltrasound_L14.igs.mha") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.igs.mha");
    std::fs::copy(&path, &copy).unwrap();
    agree(&[&copy]);
    let source = open(&path).unwrap();
    let info = source.info();
    assert_eq!(info.size, Some(Size::new(820, 616)));
    assert_eq!((info.frames, info.spacing), (Some(21), None));
    assert_eq!(info.orientation.as_deref(), Some("MF"));
    assert!((info.rate_hz.unwrap() - 11.6).abs() < 0.1, "{:?}", info.rate_hz);
    assert!(info.notes.iter().any(|n| n.contains("uncalibrated")), "{:?}", info.notes);
}

#[test]
fn every_orientation_kind_and_compression_is_read_exactly() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("metaimage.py", &[folder.path()], "make").is_none() {
        return;
    }
    let entries = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    let made: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "mha" || e == "mhd")).collect();
    assert_eq!(made.len(), 38);
    agree(&made.iter().map(|p| p.as_path()).collect::<Vec<_>>());

    let transposed = open(&folder.path().join("FM_True.mha")).unwrap();
    assert_eq!(transposed.info().size, Some(Size::new(5, 7)));
    assert_eq!(transposed.info().spacing, Some(Spacing { x_mm: 0.2, y_mm: 0.1 }));
    assert_eq!(transposed.info().orientation.as_deref(), Some("FM, transposed to MF"));
    let mut colour = open(&folder.path().join("colour.mha")).unwrap();
    assert_eq!(colour.next().unwrap().unwrap().format, PixelFormat::Rgb8);
    let invalid = open(&folder.path().join("invalid.mha")).unwrap();
    assert!(invalid.info().notes[0].starts_with("1 of 3 frames"), "{:?}", invalid.info().notes);
}

/// A header for 2 frames of 4×3 grey pixels, with some lines replaced.
fn header(changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("ObjectType", "Image"),
        ("NDims", "3"),
        ("DimSize", "4 3 2"),
        ("ElementType", "MET_UCHAR"),
        ("ElementSpacing", "1 1 1"),
        ("CompressedData", "False"),
    ];
    for &(key, value) in changes {
        lines.retain(|l| l.0 != key);
        lines.push((key, value));
    }
    if !changes.iter().any(|c| c.0 == "ElementDataFile") {
        lines.push(("ElementDataFile", "LOCAL"));
    }
    lines.iter().map(|(k, v)| format!("{k} = {v}\n")).collect()
}

#[test]
fn a_header_that_lies_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mha");
    let told = |text: String, data: &[u8]| {
        std::fs::write(&path, [text.as_bytes(), data].concat()).unwrap();
        match open(&path) {
            Ok(mut source) => loop {
                match source.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("played to the end: {text}"),
                    Err(e) => break e.to_string(),
                }
            },
            Err(e) => e.to_string(),
        }
    };
    type Case = (&'static [(&'static str, &'static str)], usize, &'static str);
    let cases: [Case; 17] = [
        (&[], 23, "promises 24 bytes of samples, found 23"),
        (&[], 60, "promises 24 bytes of samples, found 60"),
        (&[("DimSize", "20000 20000 1")], 24, "20000x20000"),
        (&[("DimSize", "18446744073709551615 2 2")], 24, "at most"),
        (&[("DimSize", "99999999999999999999 2 2")], 24, "DimSize"),
        (&[("DimSize", "4 0 2")], 24, "1 or more"),
        (&[("DimSize", "4 3")], 24, "NDims = 3"),
        (&[("DimSize", "1 1 900000000"), ("CompressedData", "True")], 24, "at most"),
        (&[("DimSize", "1000 1000 100"), ("CompressedData", "True")], 24, "promises 100000000 bytes"),
        (&[("CompressedData", "True")], 24, "compressed data are damaged"),
        (
            &[("CompressedData", "True"), ("CompressedDataSize", "400")],
            24,
            "promises 400 bytes of compressed data, found 24",
        ),
        (&[("ElementType", "MET_STRING")], 24, "MET_STRING"),
        (&[("ElementNumberOfChannels", "4")], 96, "1 or 3 channels, found 4"),
        (&[("ElementDataFile", "../../etc/passwd")], 24, "outside the folder"),
        (&[("ElementDataFile", "/etc/passwd")], 24, "outside the folder"),
        (&[("ElementDataFile", "LIST")], 24, "slices in many files"),
        (&[("BinaryData", "False")], 24, "written as text"),
    ];
    for (changes, data, expected) in cases {
        let text = told(header(changes), &vec![7; data]);
        assert!(text.contains(expected) && !text.contains('\n'), "expected {expected:?} in {text:?}");
    }
    assert!(told("ObjectType = Image\n".to_owned(), b"").contains("without `ElementDataFile`"));
    assert!(told(String::new(), &[0xff; 200_000]).contains("longer than"));
    let missing = told(header(&[("ElementDataFile", "absent.raw")]), b"");
    assert!(missing.contains("absent.raw"), "{missing}");
}

#[test]
fn compressed_data_that_go_on_are_told_at_the_end() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mha");
    for (len, expected) in [(24, None), (23, Some("the data end early")), (80, Some("found more"))] {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&vec![5; len]).unwrap();
        let text = header(&[("CompressedData", "True")]);
        std::fs::write(&path, [text.as_bytes(), &zlib.finish().unwrap()].concat()).unwrap();
        let mut source = open(&path).unwrap();
        let end = loop {
            match source.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(e) => break Some(e.to_string()),
            }
        };
        match (end, expected) {
            (None, None) => {}
            (Some(text), Some(part)) => assert!(text.contains(part), "{text}"),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn damage_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("metaimage.py", &[folder.path()], "make").is_none() {
        return;
    }
    for name in ["MN_True.mha", "MET_SHORT_False.igs.mha", "invalid.mha"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        torture(open, &bytes, 800, bytes.len(), folder.path(), name);
    }
}
