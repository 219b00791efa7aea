//! DICOM against pydicom, and against files whose pixels are known.

use std::path::Path;

use sonoplex::geometry::Size;
use sonoplex::source::dicom::open;

use crate::medical::{difference, frames, oracle, recording, torture};

/// Largest difference allowed: lossless data are exact; JPEG decoders round, and enlarge chroma, each in its own way.
fn tolerance(name: &str) -> u8 {
    match name {
        n if n.starts_with("jpeg") => 6,
        // One level between a table in floating point and numpy's rounding of halves to even.
        n if n.starts_with("ybr") || n.contains("deep") || n.contains("signed") => 1,
        _ => 0,
    }
}

#[test]
fn the_recordings_agree_with_pydicom() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("oracle.raw");
    for (name, size, count, worst) in [
        ("US1_J2KR.dcm", Size::new(640, 480), 1, 0),
        ("US1_RLE.dcm", Size::new(640, 480), 1, 0),
        ("examples_palette.dcm", Size::new(800, 350), 1, 0),
        ("examples_ybr_color.dcm", Size::new(320, 240), 30, 4),
    ] {
        let Some(path) = recording(name) else { continue };
        let mut source = open(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((source.info().size, source.info().frames), (Some(size), Some(count)), "{name}");
        let all = frames(source.as_mut());
        assert_eq!(all.len() as u64, count, "{name}");
        let Some(text) = oracle("dicom.py", &[&path, &raw], "read") else { return };
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["channels"], all[0].format.bytes(Size::new(1, 1)), "{name}");
        let step = told["frame_time_ms"].as_f64().unwrap();
        for frame in all.iter().filter(|_| count > 1) {
            assert!((1e3 * frame.time.as_secs_f64() - step * frame.id as f64).abs() < 1e-6, "{name} {}", frame.id);
        }
        let expected = std::fs::read(&raw).unwrap();
        let found = difference(&all, &expected);
        assert!(found <= worst, "{name}: differs by {found}");
        let bytes = all.iter().flat_map(|f| &f.pixels).zip(&expected);
        let mean = bytes.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / expected.len() as f64;
        assert!(mean < 0.5, "{name}: differs by {mean} in the mean");
        source.seek(count - 1).unwrap();
        assert_eq!(source.next().unwrap().unwrap().pixels, all[count as usize - 1].pixels, "{name}: after a seek");
    }
}

#[test]
fn a_spacing_is_believed_only_where_its_region_fits() {
    if let Some(path) = recording("examples_palette.dcm") {
        let spacing = open(&path).unwrap().info().spacing.unwrap();
        assert!((spacing.x_mm - 0.262_287_876_619_699_8).abs() < 1e-12 && spacing.x_mm == spacing.y_mm, "{spacing:?}");
    }
    // Its region belongs to a picture of twice the size: the depth ruler in the picture says so too.
    if let Some(path) = recording("examples_ybr_color.dcm") {
        let source = open(&path).unwrap();
        assert_eq!(source.info().spacing, None);
        assert!(source.info().notes.iter().any(|n| n.contains("not believed")), "{:?}", source.info().notes);
    }
}

#[test]
fn every_kind_of_pixel_gives_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("dicom.py", &[folder.path()], "make").is_none() {
        return;
    }
    let mut seen = 0;
    for path in made(folder.path()) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "no_pixels" {
            continue;
        }
        let mut source = open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let all = frames(source.as_mut());
        let found = difference(&all, &std::fs::read(path.with_extension("raw")).unwrap());
        assert!(found <= tolerance(&name), "{name}: differs by {found}");
        seen += 1;
    }
    assert_eq!(seen, 22);

    let of = |name: &str| open(&folder.path().join(name)).unwrap_or_else(|e| panic!("{e}"));
    let mut cine = of("cine_big_endian.dcm");
    let spacing = cine.info().spacing.unwrap();
    assert!((spacing.x_mm - 0.2).abs() < 1e-12 && (spacing.y_mm - 0.3).abs() < 1e-12, "{spacing:?}");
    assert_eq!(cine.info().rate_hz, Some(20.0));
    let times: Vec<u128> = frames(cine.as_mut()).iter().map(|f| f.time.as_millis()).collect();
    assert_eq!(times, [0, 40, 100]);
    assert_eq!(of("rle_grey.dcm").info().rate_hz, Some(25.0));
    let text = open(&folder.path().join("no_pixels.dcm")).err().expect("no pixels").to_string();
    assert!(text.contains("no pixel data"), "{text}");
}

/// JPEG with every way to say what its colours are, lossless JPEG, JPEG 2000, odd sizes, elements that belie their
/// transfer syntax.
#[test]
fn files_that_pydicom_is_shipped_with_agree() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("dicom.py", &[folder.path()], "shipped").is_none() {
        return;
    }
    let all = made(folder.path());
    assert!(all.len() >= 10, "found {} files", all.len());
    for path in all {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut source = open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let lossy = source.info().format.contains("JPEG,");
        let found = difference(&frames(source.as_mut()), &std::fs::read(path.with_extension("raw")).unwrap());
        assert!(found <= if lossy { 3 } else { 0 }, "{name}: differs by {found}");
    }
}

fn made(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "dcm")).collect()
}

#[test]
fn a_file_without_preamble_or_meta_group_is_read() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("dicom.py", &[folder.path()], "make").is_none() {
        return;
    }
    let path = folder.path().join("bare.dcm");
    for name in ["explicit", "implicit", "cine_big_endian"] {
        let bytes = std::fs::read(folder.path().join(name).with_extension("dcm")).unwrap();
        let expected = std::fs::read(folder.path().join(name).with_extension("raw")).unwrap();
        // The group length tells where the data set begins.
        let start = 144 + u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
        for from in [128, 132, start] {
            std::fs::write(&path, &bytes[from..]).unwrap();
            let mut source = open(&path).unwrap_or_else(|e| panic!("{name} from {from}: {e}"));
            assert_eq!(difference(&frames(source.as_mut()), &expected), 0, "{name} from {from}");
        }
    }
    for (bytes, part) in
        [(&b""[..], "too short"), (&[7; 500], "neither `DICM`"), (b"II*\0nothing else", "neither `DICM`")]
    {
        std::fs::write(&path, bytes).unwrap();
        let text = open(&path).err().expect("no DICOM").to_string();
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn absurd_sizes_are_told_before_anything_is_reserved() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("dicom.py", &[folder.path()], "make").is_none() {
        return;
    }
    let path = folder.path().join("absurd.dcm");
    for (name, rows, expected) in [
        ("explicit", [0xff, 0xff], "17x65535 take 1114095 bytes, the pixel data have 222"),
        ("rle_grey", [0xff, 0x7f], "bytes from RLE"),
        ("j2k_rgb", [0xff, 0xff], "the header says 64x65535 with 3 samples a pixel, its JPEG 2000 stream 64x48"),
        ("jpeg_offsets", [49, 0], "the header says 64x49 with 3 samples a pixel, its JPEG stream 64x48"),
    ] {
        let mut bytes = std::fs::read(folder.path().join(name).with_extension("dcm")).unwrap();
        let at = bytes.windows(6).position(|w| w == *b"\x28\0\x10\0US").expect("Rows");
        bytes[at + 8..at + 10].copy_from_slice(&rows);
        std::fs::write(&path, bytes).unwrap();
        let told = match open(&path) {
            Ok(mut source) => source.next().err(),
            Err(e) => Some(e),
        };
        let text = told.unwrap_or_else(|| panic!("{name} was played")).to_string();
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn sequences_that_nest_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.dcm");
    let mut bytes = vec![];
    for _ in 0..200_000 {
        bytes.extend(b"\x18\0\x11\x60SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff");
    }
    bytes.splice(0..0, *b"\x08\0\x60\0CS\x02\0US");
    std::fs::write(&path, bytes).unwrap();
    let text = open(&path).err().expect("too deep").to_string();
    assert!(text.contains("deeper than 32"), "{text}");
}

#[test]
fn damage_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    if oracle("dicom.py", &[folder.path()], "make").is_none() {
        return;
    }
    for path in made(folder.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Every place to cut for two of them, a sample for the others.
        let cuts = if matches!(name.as_str(), "explicit.dcm" | "rle_grey.dcm") { 2000 } else { 100 };
        torture(open, &std::fs::read(&path).unwrap(), cuts, usize::MAX, folder.path(), &name);
    }
}

#[test]
fn damaged_recordings_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["US1_J2KR.dcm", "US1_RLE.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"] {
        let Some(path) = recording(name) else { continue };
        torture(open, &std::fs::read(&path).unwrap(), 30, 6000, folder.path(), name);
    }
}
