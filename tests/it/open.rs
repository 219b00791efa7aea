//! One word for every source: told by content, cut by time, and a sentence for what cannot be opened.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sonoplex::source::open::{Kind, OpenOptions, kind, open};
use sonoplex::source::{Source, SourceError};

use crate::images::{grey, sentence};

fn plain(spec: &str) -> Result<Box<dyn Source>, SourceError> {
    open(spec, &OpenOptions::default())
}

fn refused(spec: &str, says: &str) {
    match plain(spec) {
        Ok(_) => panic!("`{spec}` was opened"),
        Err(e) => drop(sentence(&e, says)),
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn content_comes_before_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("misleading.mp4");
    let mut dicom = vec![0; 132];
    dicom[..4].copy_from_slice(b"II*\0"); // a TIFF in the preamble, as dual-personality files have it
    dicom[128..].copy_from_slice(b"DICM");
    let meta = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\n";
    let cases: [(&[u8], Kind); 9] = [
        (&dicom, Kind::Dicom),
        (b"\x89PNG\r\n\x1a\n", Kind::Image),
        (b"\xFF\xD8\xFF\xE0", Kind::Image),
        (b"MM\0*\0\0\0\x08", Kind::Image),
        (b"BM\x36\0\0\0\0\0\0\0\x36", Kind::Image),
        (meta, Kind::MetaImage),
        (b"\0\0\0\x20ftypisom", Kind::Video),
        (b"\x1A\x45\xDF\xA3", Kind::Video),
        (b"RIFF\0\0\0\0AVI LIST", Kind::Video),
    ];
    for (bytes, expected) in cases {
        fs::write(&file, bytes).unwrap();
        assert_eq!(kind(&file).unwrap(), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
    // what content does not tell, the name may
    for (name, expected) in [("a.dcm", Kind::Dicom), ("a.MHA", Kind::MetaImage), ("a.avi", Kind::Video)] {
        fs::write(dir.path().join(name), b"????").unwrap();
        assert_eq!(kind(&dir.path().join(name)).unwrap(), expected);
    }
}

#[test]
fn what_cannot_be_opened_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    refused(&path(&dir.path().join("nowhere.mp4")), "nowhere.mp4");
    refused(&path(dir.path()), "no picture");
    for name in ["empty.png", "empty.mp4", "empty.dcm", "empty.mha", "empty"] {
        fs::write(dir.path().join(name), b"").unwrap();
        refused(&path(&dir.path().join(name)), "the file is empty");
    }
    fs::write(dir.path().join("words.txt"), "hello").unwrap();
    refused(&path(&dir.path().join("words.txt")), "words.txt");
    refused("phanton:seed=3", "`phantom:`");
    refused("phantom:sede=3", "`seed`");
    refused("camera:front", "`camera:0`");
    for name in ["cut.png", "cut.dcm", "cut.mha"] {
        fs::write(dir.path().join(name), b"\x01\x02\x03").unwrap();
        refused(&path(&dir.path().join(name)), name);
    }
}

#[cfg(not(feature = "video"))]
#[test]
fn a_build_without_video_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("clip.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    refused(&path(&dir.path().join("clip.mp4")), "without `video`");
    for spec in ["rtsp://host/x", "gst:videotestsrc", "v4l2:/dev/video0"] {
        refused(spec, "without `video`");
    }
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_build_without_cameras_says_so() {
    refused("camera:0", "without `camera`");
}

#[test]
fn pictures_and_sessions_open_by_their_folder() {
    let dir = tempfile::tempdir().unwrap();
    grey(&dir.path().join("1.png"), 8, 6, 3);
    let source = plain(&path(dir.path())).unwrap();
    assert_eq!(source.info().format, "folder of images");
    fs::write(dir.path().join("session.json"), r#"{"version": 99}"#).unwrap();
    refused(&path(dir.path()), "session");
}

#[test]
fn a_stretch_is_exact_and_can_be_sought() {
    let spec = "phantom:size=64x64,fps=10,frames=30";
    let cut = |start: Option<u64>, end: Option<u64>| {
        let ms = |t: Option<u64>| t.map(Duration::from_millis);
        open(spec, &OpenOptions { start: ms(start), end: ms(end) })
    };
    let mut source = cut(Some(450), Some(1200)).unwrap();
    let mut times = Vec::new();
    while let Some(frame) = source.next().unwrap() {
        assert_eq!(frame.id, times.len() as u64);
        times.push(frame.time.as_millis());
    }
    assert_eq!(times, [500, 600, 700, 800, 900, 1000, 1100]);
    assert!(source.next().unwrap().is_none(), "the end stays the end");
    source.seek(2).unwrap();
    let frame = source.next().unwrap().unwrap();
    assert_eq!((frame.time.as_millis(), frame.id), (700, 7));
    let mut whole = plain(spec).unwrap();
    whole.seek(7).unwrap();
    assert_eq!(whole.next().unwrap().unwrap().pixels, frame.pixels);

    let mut fresh = cut(Some(450), None).unwrap();
    fresh.seek(24).unwrap();
    assert_eq!(fresh.next().unwrap().unwrap().time.as_millis(), 2900);
    assert!(fresh.next().unwrap().is_none());

    sentence(&cut(Some(3000), None).unwrap().next().unwrap_err(), "last frame");
    sentence(&cut(Some(500), Some(500)).err().unwrap(), "`--end`");
}
