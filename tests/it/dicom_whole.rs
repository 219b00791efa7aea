//! DICOM files that hold more or less than they say, and folders of them.

use std::path::Path;

use sonoplex::source::open::{OpenOptions, open};
use sonoplex::source::{Source, SourceError};

use crate::medical::{frames, recording};

const SIDE: u16 = 5;

/// What is written into a file.
#[derive(Clone)]
struct Made {
    series: &'static str,
    number: Option<u32>,
    frames: u32,
    pixels: Vec<u8>,
    /// Length that the pixel data say they have.
    promised: u32,
}

impl Made {
    /// Grey frames whose level is their number.
    fn new(frames: u32) -> Self {
        let area = usize::from(SIDE) * usize::from(SIDE);
        let mut pixels: Vec<u8> = (0..frames as usize * area).map(|i| (i / area) as u8).collect();
        pixels.resize(pixels.len().next_multiple_of(2), 0);
        Self { series: "2.25.1", number: None, frames, promised: pixels.len() as u32, pixels }
    }

    fn write(&self, path: &Path) {
        let mut out = vec![0; 128];
        out.extend(b"DICM");
        put(&mut out, (2, 0x10), b"UI", b"1.2.840.10008.1.2.1");
        put(&mut out, (0x20, 0x0e), b"UI", self.series.as_bytes());
        if let Some(number) = self.number {
            put(&mut out, (0x20, 0x13), b"IS", number.to_string().as_bytes());
        }
        put(&mut out, (0x28, 2), b"US", &1u16.to_le_bytes());
        put(&mut out, (0x28, 4), b"CS", b"MONOCHROME2");
        put(&mut out, (0x28, 8), b"IS", self.frames.to_string().as_bytes());
        put(&mut out, (0x28, 0x10), b"US", &SIDE.to_le_bytes());
        put(&mut out, (0x28, 0x11), b"US", &SIDE.to_le_bytes());
        put(&mut out, (0x28, 0x100), b"US", &8u16.to_le_bytes());
        out.extend(*b"\xe0\x7f\x10\0OB\0\0");
        out.extend(self.promised.to_le_bytes());
        out.extend(&self.pixels);
        std::fs::write(path, out).unwrap();
    }
}

pub fn put(out: &mut Vec<u8>, tag: (u16, u16), vr: &[u8; 2], value: &[u8]) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr);
    out.extend((value.len().next_multiple_of(2) as u16).to_le_bytes());
    out.extend(value);
    if value.len() % 2 == 1 {
        out.push(if vr == b"UI" { 0 } else { b' ' });
    }
}

fn opened(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    open(&path.to_string_lossy(), &OpenOptions::default())
}

fn refused(path: &Path) -> String {
    opened(path).err().expect("it is refused").to_string()
}

/// Frames before the error that ends a cut file, and that error.
fn until_cut(source: &mut dyn Source) -> (Vec<u8>, String) {
    let mut levels = Vec::new();
    loop {
        match source.next() {
            Ok(Some(frame)) => levels.push(frame.pixels[0]),
            Ok(None) => panic!("the cut was not said"),
            Err(e) => {
                assert!(matches!(source.next(), Ok(None)), "said once");
                return (levels, e.to_string());
            }
        }
    }
}

#[test]
fn pixel_data_are_held_against_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcm");
    // 25 bytes and one that makes them even.
    Made::new(1).write(&path);
    assert_eq!(frames(&mut *opened(&path).unwrap()).len(), 1);
    for frames in [1, 2] {
        let mut more = Made::new(3);
        more.frames = frames;
        more.write(&path);
        let text = refused(&path);
        assert!(text.contains(&format!("{frames} frames of 5x5 take")) && text.contains("have 76"), "{text}");
    }
    let mut less = Made::new(3);
    less.frames = 4;
    less.write(&path);
    assert!(refused(&path).contains("4 frames of 5x5 take 100 bytes"), "a header that lies is no cut file");
}

#[test]
fn the_whole_frames_of_a_cut_cine_are_played_and_the_others_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcm");
    let mut cut = Made::new(6);
    cut.pixels.truncate(3 * 25 + 7);
    cut.write(&path);
    let mut source = opened(&path).unwrap();
    assert_eq!((source.info().frames, source.dropped()), (Some(3), 3));
    assert!(source.info().notes.iter().any(|n| n == "the file is cut: 3 of 6 frames are there"));
    let (levels, text) = until_cut(&mut *source);
    assert_eq!(levels, [0, 1, 2]);
    assert!(text.contains("the file is cut: 3 of 6 frames are there"), "{text}");
    cut.pixels.truncate(20);
    cut.write(&path);
    assert!(refused(&path).contains("not one of 6 frames is whole"));
    // Compressed, one fragment a frame.
    let Some(real) = recording("examples_ybr_color.dcm") else { return };
    let bytes = std::fs::read(&real).unwrap();
    let whole = frames(&mut *opened(&real).unwrap());
    std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let mut source = opened(&path).unwrap();
    let there = source.info().frames.unwrap();
    assert!((15..25).contains(&there) && there + source.dropped() == 30, "{there} frames");
    for frame in whole.iter().take(there as usize) {
        assert!(source.next().unwrap().unwrap().pixels == frame.pixels, "frame {}", frame.id);
    }
    assert!(source.next().is_err());
}

#[test]
fn a_folder_of_single_pictures_is_a_series() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, number, level) in [("IM10", Some(2), 20), ("IM9", Some(3), 30), ("z", None, 40), ("IM11", Some(1), 10)] {
        let mut made = Made { number, ..Made::new(1) };
        made.pixels.fill(level);
        made.write(&at(name));
    }
    std::fs::write(at("readme.txt"), "x").unwrap();
    let mut source = opened(dir.path()).unwrap();
    assert_eq!(source.info().frames, Some(4));
    assert!(source.info().notes.iter().any(|n| n.contains("1 other entries")), "{:?}", source.info().notes);
    let all = frames(&mut *source);
    assert_eq!(all.iter().map(|f| f.pixels[0]).collect::<Vec<_>>(), [10, 20, 30, 40]);
    assert_eq!((all[1].name.as_str(), all[1].time.as_millis()), ("IM10", 100));
    source.seek(2).unwrap();
    assert_eq!(source.next().unwrap().unwrap().name, "IM9");

    // One that is damaged is an error of its own turn.
    let mut bytes = std::fs::read(at("IM9")).unwrap();
    bytes.truncate(bytes.len() - 20);
    std::fs::write(at("IM9"), &bytes).unwrap();
    let mut source = opened(dir.path()).unwrap();
    let turns: Vec<bool> = (0..4).map(|_| source.next().is_ok()).collect();
    assert_eq!(turns.iter().filter(|&&read| read).count(), 3);
    assert!(source.goes_on() && matches!(source.next(), Ok(None)));

    Made { series: "2.25.2", ..Made::new(1) }.write(&at("other"));
    assert!(refused(dir.path()).contains("are of different series"));
    std::fs::remove_file(at("other")).unwrap();
    Made::new(2).write(&at("cine"));
    assert!(refused(dir.path()).contains("has 2 frames of its own"));
}
