//! Pictures, folders, masks and recorded sessions: against Pillow, and against files that lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use image::{ColorType, save_buffer};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::session::{FrameRow, Session};
use sonoplex::source::images::{self, Images, decode};
use sonoplex::source::session::Replay;
use sonoplex::source::{Source, SourceError};

pub(crate) fn python() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let found = std::env::var_os("SONOPLEX_PYTHON").map_or_else(default, PathBuf::from);
    found.exists().then_some(found)
}

pub(crate) fn shared() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    std::env::var_os("SONOPLEX_SHARED").map_or_else(default, PathBuf::from)
}

pub(crate) fn grey(path: &Path, width: u32, height: u32, level: u8) {
    save_buffer(path, &vec![level; (width * height) as usize], width, height, ColorType::L8).unwrap();
}

pub(crate) fn all(source: &mut dyn Source) -> Vec<Frame> {
    std::iter::from_fn(|| source.next().unwrap()).collect()
}

fn names(source: &mut dyn Source) -> Vec<String> {
    all(source).into_iter().map(|f| f.name).collect()
}

/// One sentence that names the file.
pub(crate) fn sentence(error: &SourceError, name: &str) -> String {
    let text = error.to_string();
    assert!(text.contains(name), "`{name}` is not named: {text}");
    assert!(!text.contains('\n'), "more than one line: {text}");
    text
}

#[test]
fn pictures_and_masks_are_those_that_pillow_reads() {
    let Some(python) = python() else { return println!("skipped: no Python with Pillow (set SONOPLEX_PYTHON)") };
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/images.py");
    let mut command = Command::new(python);
    command.arg(script).arg(dir.path());
    let more = shared().join("data/usgra_seg");
    if more.is_dir() {
        command.arg(more);
    } else {
        println!("skipped: the frames of {} are not there", more.display());
    }
    assert!(command.status().unwrap().success());
    let index = fs::read_to_string(dir.path().join("index.txt")).unwrap();
    for row in index.lines() {
        let [kind, tolerance, width, height, channels, file, raw] =
            row.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let expected = fs::read(raw).unwrap();
        let (size, found) = if kind == "mask" {
            let mask = decode::mask(Path::new(file)).unwrap();
            (mask.size, mask.labels)
        } else {
            let picture = decode::picture(Path::new(file)).unwrap();
            assert_eq!(picture.format.bytes(Size::new(1, 1)).to_string(), channels, "{file}");
            (picture.size, picture.pixels)
        };
        assert_eq!([size.width.to_string(), size.height.to_string()], [width, height], "{file}");
        assert_eq!(found.len(), expected.len(), "{file}");
        let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= tolerance.parse().unwrap(), "{file}: differs by {worst}");
    }
    assert!(index.lines().count() >= 26);
    let mut stack = Images::open(&dir.path().join("stack.tif")).unwrap();
    assert_eq!((stack.info().frames, stack.info().format.as_str()), (Some(5), "TIFF, several pages"));
    let pages = all(&mut stack);
    assert_eq!((pages[4].name.as_str(), pages[4].time.as_millis()), ("stack.tif, page 5", 400));
    let found: Vec<u8> = pages.into_iter().flat_map(|f| f.pixels).collect();
    assert!(found == fs::read(dir.path().join("stack.raw")).unwrap(), "the pages are those of Pillow");
    stack.seek(3).unwrap();
    assert_eq!(stack.next().unwrap().unwrap().name, "stack.tif, page 4");
}

#[test]
fn a_folder_plays_in_natural_order_at_ten_frames_a_second() {
    let dir = tempfile::tempdir().unwrap();
    for (name, width) in [("f10.png", 5), ("f2.png", 4), ("f1.bmp", 3)] {
        grey(&dir.path().join(name), width, 6, 9);
    }
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    fs::write(dir.path().join(".hidden.png"), "x").unwrap();
    fs::create_dir(dir.path().join("deeper")).unwrap();
    grey(&dir.path().join("deeper/f3.png"), 2, 2, 1);
    let mut source = Images::open(dir.path()).unwrap();
    let info = source.info().clone();
    assert_eq!((info.frames, info.rate_hz, info.truth.len()), (Some(3), Some(10.0), 0));
    assert!(info.notes.iter().any(|n| n.contains("10 frames a second")), "{:?}", info.notes);
    assert!(info.notes.iter().any(|n| n.contains("2 other entries")), "{:?}", info.notes);
    let frames = all(&mut source);
    let widths: Vec<u32> = frames.iter().map(|f| f.size.width).collect();
    assert_eq!(widths, [3, 4, 5], "sizes may change from frame to frame");
    assert_eq!(frames[2].time, Duration::from_millis(200));
    assert!(source.next().unwrap().is_none());
    source.seek(1).unwrap();
    let again = source.next().unwrap().unwrap();
    assert_eq!((again.id, again.name.as_str(), again.time), (3, "f2.png", Duration::from_millis(100)));
}

#[test]
fn sixteen_bit_files_are_shown_over_the_bits_they_use() {
    let dir = tempfile::tempdir().unwrap();
    let deep = |name: &str, brightest: u16| {
        let levels: Vec<u8> = [0, brightest / 2, brightest, 0].iter().flat_map(|v: &u16| v.to_ne_bytes()).collect();
        save_buffer(dir.path().join(name), &levels, 2, 2, ColorType::L16).unwrap();
        dir.path().join(name)
    };
    for (brightest, bits) in [(255, 8), (1000, 10), (4095, 12), (16_383, 14), (16_384, 16), (65_535, 16)] {
        let path = deep("one.png", brightest);
        let mut source = Images::open(&path).unwrap();
        let note = format!("levels of {bits} bits (in 16) reduced to 8");
        assert_eq!(source.info().notes, [note]);
        let pixels = source.next().unwrap().unwrap().pixels;
        let white = (1u32 << bits) - 1;
        assert_eq!(u32::from(pixels[2]), (u32::from(brightest) * 255 + white / 2) / white, "brightest {brightest}");
    }
    fs::remove_file(dir.path().join("one.png")).unwrap();
    // One dark picture among those of a 12-bit scanner stays dark.
    for (name, brightest) in [("1.png", 4000), ("2.png", 200), ("3.tif", 4095)] {
        deep(name, brightest);
    }
    let mut source = Images::open(dir.path()).unwrap();
    assert!(source.info().notes.iter().any(|n| n.starts_with("levels of 12 bits")), "{:?}", source.info().notes);
    let brightest: Vec<u8> = all(&mut source).iter().map(|f| f.pixels[2]).collect();
    assert_eq!(brightest, [249, 12, 255]);
}

#[test]
fn masks_are_found_where_data_sets_keep_them() {
    // beside the pictures, as Kaggle has them
    let dir = tempfile::tempdir().unwrap();
    for name in ["1_2.tif", "1_10.tif", "1_1.tif"] {
        grey(&dir.path().join(name), 4, 4, 50);
    }
    grey(&dir.path().join("1_2_mask.tif"), 4, 4, 255);
    grey(&dir.path().join("1_1_mask.tif"), 4, 4, 0);
    let mut source = Images::open(dir.path()).unwrap();
    assert_eq!(source.info().truth[0].name, "nerve");
    assert!(source.info().notes.iter().any(|n| n == "1 of 3 pictures have no mask"), "{:?}", source.info().notes);
    let frames = all(&mut source);
    let areas: Vec<Option<usize>> = frames.iter().map(|f| f.truth.as_ref().map(|t| t.area(1))).collect();
    assert_eq!(areas, [Some(0), Some(16), None]);
    let single = images::open(&dir.path().join("1_2.tif")).unwrap().next().unwrap().unwrap();
    assert_eq!(single.truth.unwrap().area(1), 16);

    // in a folder of their own, with and without the suffix
    for suffix in ["", "_mask"] {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["images", "masks"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        grey(&dir.path().join("images/a.jpg"), 4, 4, 50);
        save_buffer(
            dir.path().join(format!("masks/a{suffix}.png")),
            &[0, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            4,
            4,
            ColorType::L8,
        )
        .unwrap();
        for opened in [dir.path().to_owned(), dir.path().join("images"), dir.path().join("images/a.jpg")] {
            let mut source = Images::open(&opened).unwrap();
            let classes: Vec<String> = source.info().truth.iter().map(|c| c.name.clone()).collect();
            assert_eq!(classes, ["nerve", "vessel"]);
            let truth = source.next().unwrap().unwrap().truth.unwrap();
            assert_eq!((truth.area(1), truth.area(2)), (1, 2));
        }
    }
}

/// What was drawn would be read as nothing, or as all of the picture.
#[test]
fn a_mask_that_says_something_else_in_grey_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a_mask.png");
    let save = |pixels: &[u8], kind| save_buffer(&path, pixels, 2, 1, kind).unwrap();
    let read = || decode::mask(&path).map(|mask| mask.labels);
    let refused = |word: &str| {
        let said = sentence(&read().unwrap_err(), "a_mask.png");
        assert!(said.contains(word) && said.contains("0 and 255"), "{said}");
    };
    save(&[255, 0, 0, 0, 0, 0], ColorType::Rgb8);
    refused("in colours");
    save(&[0, 0, 255, 255, 0, 0, 0, 255], ColorType::Rgba8);
    refused("in colours");
    save(&[255, 255, 255, 255, 255, 255, 255, 0], ColorType::Rgba8);
    refused("transparent");
    save(&[0, 100], ColorType::L8);
    refused("level is 100 of 255");
    let deep = |levels: [u16; 2]| levels.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
    save(&deep([0, 5000]), ColorType::L16);
    refused("level is 5000 of 65535");

    // Levels of 8 bits in 16, and what is grey in another way.
    save(&deep([0, 255]), ColorType::L16);
    assert_eq!(read().unwrap(), [0, 1]);
    save(&deep([0, 65535]), ColorType::L16);
    assert_eq!(read().unwrap(), [0, 1]);
    save(&[250, 255, 249, 4, 0, 6], ColorType::Rgb8);
    assert_eq!(read().unwrap(), [1, 0]);
    save(&[0, 255, 2, 255], ColorType::La8);
    assert_eq!(read().unwrap(), [0, 2]);
    save(&[0, 0], ColorType::L8);
    assert_eq!(read().unwrap(), [0, 0]);
}

#[test]
fn of_two_masks_of_one_picture_neither_is_taken() {
    for folder in ["", "masks/"] {
        let dir = tempfile::tempdir().unwrap();
        if !folder.is_empty() {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        grey(&dir.path().join("a.png"), 4, 4, 50);
        for (name, level) in [("a_mask.png", 255), ("a_mask.tif", 0)] {
            grey(&dir.path().join(format!("{folder}{name}")), 4, 4, level);
        }
        let Err(error) = Images::open(dir.path()) else { panic!("nobody knows which is true") };
        assert!(sentence(&error, "a_mask.tif").contains("a_mask.png"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("masks")).unwrap();
    for name in ["a.png", "masks/a.png", "masks/a_mask.png"] {
        grey(&dir.path().join(name), 4, 4, 255);
    }
    assert!(Images::open(dir.path()).is_err());
}

#[test]
fn a_mask_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    grey(&dir.path().join("a.png"), 4, 4, 50);
    grey(&dir.path().join("a_mask.png"), 5, 4, 255);
    let error = Images::open(dir.path()).unwrap().next().unwrap_err();
    assert!(sentence(&error, "a_mask.png").contains("expected 4x4"), "{error}");
}

#[test]
fn a_bad_picture_among_good_ones_is_named_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        grey(&dir.path().join(name), 64, 64, 50);
    }
    let whole = fs::read(dir.path().join("2.png")).unwrap();
    for bad in [&b""[..], &whole[..20], &whole[..whole.len() / 2], b"\x89PNG\r\n\x1a\nnonsense", b"plain text"] {
        fs::write(dir.path().join("2.png"), bad).unwrap();
        let mut source = Images::open(dir.path()).unwrap();
        assert!(source.next().unwrap().is_some());
        sentence(&source.next().unwrap_err(), "2.png");
        assert_eq!(names(&mut source), ["3.png"]);
    }
}

#[test]
fn a_header_that_asks_for_too_much_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.png");
    grey(&path, 8, 8, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = images::open(&path).err().unwrap();
    assert!(sentence(&error, "huge.png").contains("20000x20000"), "{error}");
}

#[test]
fn one_pixel_is_a_picture_and_an_empty_folder_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let error = images::open(dir.path()).err().unwrap();
    assert!(sentence(&error, &dir.path().display().to_string()).contains("no picture"), "{error}");
    grey(&dir.path().join("dot.png"), 1, 1, 200);
    let frame = images::open(&dir.path().join("dot.png")).unwrap().next().unwrap().unwrap();
    assert_eq!((frame.pixels, frame.format), (vec![200], PixelFormat::Gray8));
}

fn record(dir: &Path, frames: u64) {
    fs::create_dir_all(dir.join("frames")).unwrap();
    let mut lines = String::new();
    for id in 0..frames {
        let name = format!("frames/{id:06}.png");
        grey(&dir.join(&name), 6, 5, id as u8);
        let row = FrameRow { id, time_ns: 66_666_667 + id * id * 1_000_003, frame: name, ..FrameRow::default() };
        lines += &(serde_json::to_string(&row).unwrap() + "\n");
    }
    fs::write(dir.join("frames.jsonl"), lines).unwrap();
    let session = Session { version: 1, ended: Some("end of recording".into()), ..Session::default() };
    fs::write(dir.join("session.json"), serde_json::to_string(&session).unwrap()).unwrap();
}

#[test]
fn a_session_plays_at_its_own_times_and_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 5);
    let mut source = Replay::open(dir.path()).unwrap();
    assert!(source.info().notes.is_empty());
    let times: Vec<u128> = all(&mut source).iter().map(|f| f.time.as_nanos()).collect();
    assert_eq!(times, [66_666_667, 67_666_670, 70_666_679, 75_666_694, 82_666_715]);
    source.seek(3).unwrap();
    assert_eq!(source.next().unwrap().unwrap().pixels, vec![3; 30]);

    // a crash: no end, half a line
    let rows = dir.path().join("frames.jsonl");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, &text[..text.len() - 9]).unwrap();
    let session = Session { version: 1, ..Session::default() };
    fs::write(dir.path().join("session.json"), serde_json::to_string(&session).unwrap()).unwrap();
    let mut source = Replay::open(dir.path()).unwrap();
    assert_eq!(source.info().notes.len(), 2, "{:?}", source.info().notes);
    assert_eq!(all(&mut source).len(), 4);

    // a damaged line that is not the last
    fs::write(&rows, text.replacen("\"id\":1", "\"id\":x", 1)).unwrap();
    let error = Replay::open(dir.path()).unwrap_err();
    assert!(sentence(&error, "frames.jsonl").contains("line 2"), "{error}");
}

#[test]
fn sessions_that_lie_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 2);
    let rows = dir.path().join("frames.jsonl");
    let text = fs::read_to_string(&rows).unwrap();
    for (from, to, name) in [
        ("frames/000000.png", "../../etc/passwd", "../../etc/passwd"),
        ("frames/000000.png", "/etc/passwd", "/etc/passwd"),
        ("frames/000000.png", "frames/000009.png", "000009.png"),
    ] {
        fs::write(&rows, text.replace(from, to)).unwrap();
        sentence(&Replay::open(dir.path()).unwrap_err(), name);
    }
    fs::write(&rows, "").unwrap();
    sentence(&Replay::open(dir.path()).unwrap_err(), "no frame");
    fs::write(dir.path().join("session.json"), "{\"version\": 99}").unwrap();
    sentence(&Replay::open(dir.path()).unwrap_err(), "session.json");
}

/// Cut at every eighth part, or with a few bytes changed: an error of one line, or a picture, never a panic.
#[test]
fn damaged_pictures_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..24u32 * 18 * 3).map(|i| (i * 37 % 251) as u8).collect();
    for name in ["a.png", "a.jpg", "a.tif", "a.bmp"] {
        let path = dir.path().join(name);
        save_buffer(&path, &pixels, 24, 18, ColorType::Rgb8).unwrap();
        let whole = fs::read(&path).unwrap();
        let cuts = (0..8).map(|eighth| whole[..whole.len() * eighth / 8].to_vec());
        let mut chance = 1u64;
        let flips = (0..120).map(|_| {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // the first bytes hold the structure
                let at = (chance >> 33) as usize % bytes.len().min(200);
                bytes[at] ^= (chance >> 24) as u8;
            }
            bytes
        });
        for bytes in cuts.chain(flips.collect::<Vec<_>>()) {
            fs::write(&path, bytes).unwrap();
            for error in [decode::mask(&path).err(), images::open(&path).err()].into_iter().flatten() {
                sentence(&error, name);
            }
        }
    }
}
