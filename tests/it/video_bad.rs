//! Video files that are empty, cut, spoilt or something else.
#![cfg(feature = "video")]

use crate::video::{H264, error_of, noise, open, read_all, test_video};

#[test]
fn bad_files_are_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.mp4");
    test_video(&whole, 60, &format!("{H264} ! mp4mux faststart=true"));
    let bytes = std::fs::read(&whole).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let late = dir.path().join("late.mp4");
    test_video(&late, 60, &format!("{H264} ! mp4mux"));
    let late = std::fs::read(&late).unwrap();
    let cases = [
        (write("empty.mp4", b""), "the file is empty"),
        (write("text.mp4", b"this is a shopping list\nbread\nbutter\n"), "as a video"),
        (write("noise.mp4", &noise(3, 5000)), "as a video"),
        (write("headless.mp4", &late[..late.len() / 2]), "its index (`moov`) is missing"),
        (dir.path().join("absent.mp4"), "cannot read"),
        (dir.path().to_owned(), "cannot read"),
    ];
    for (path, expected) in &cases {
        let error = error_of(path);
        println!("{error}");
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    let mut spoilt = bytes.clone();
    let from = spoilt.len() - 3000;
    spoilt[from..].copy_from_slice(&noise(5, 3000));
    // A decoder may conceal what is spoilt, or give up: it ends, and it does not panic.
    let mut source = open(&write("spoilt.mp4", &spoilt));
    while let Ok(Some(_)) = source.next() {}
}

#[test]
fn damage_that_a_decoder_paints_over_is_told_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.mp4");
    test_video(&path, 60, &format!("{H264} ! mp4mux faststart=true"));
    // A process of its own: decoders complain to the whole process.
    let replay = || {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_sonoplex"))
            .args(["replay", path.to_str().unwrap(), "--headless", "--speed", "max"])
            .output()
            .unwrap();
        (run.status.success(), String::from_utf8(run.stderr).unwrap())
    };
    let (whole, said) = replay();
    assert!(whole, "{said}");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for at in (middle..bytes.len() - 2000).step_by(1500) {
        bytes[at..at + 30].copy_from_slice(&noise(at as u32, 30));
    }
    std::fs::write(&path, bytes).unwrap();
    let (whole, said) = replay();
    assert!(!whole && said.contains("its pictures are damaged: the decoder complained"), "{said}");
}

#[test]
fn a_cut_file_plays_to_the_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder) in [
        ("c.mp4", format!("{H264} ! mp4mux faststart=true")),
        ("c.mkv", format!("{H264} ! matroskamux")),
        ("c.avi", "jpegenc ! avimux".to_owned()),
    ] {
        let path = dir.path().join(name);
        test_video(&path, 60, &encoder);
        let whole = read_all(&mut *open(&path));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let mut source = open(&path);
        assert!(source.info().notes.iter().any(|n| n.contains("is cut")), "{name}: {:?}", source.info().notes);
        let mut read = 0;
        let error = loop {
            match source.next() {
                Ok(Some(frame)) => {
                    // The last one before the cut may be half a frame.
                    let same = frame.pixels == whole[read].pixels;
                    assert!(same || read > 20, "{name} frame {read}");
                    read += 1;
                }
                Ok(None) => panic!("{name}: the cut was not noticed"),
                Err(e) => break e.to_string(),
            }
        };
        println!("{error}");
        assert!((20..60).contains(&read), "{name}: {read} frames");
        assert!(error.contains("the file is cut: it has"), "{error}");
        assert!(matches!(source.next(), Ok(None)), "{name}: said once");
    }
}

#[test]
fn damaged_pictures_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder) in
        [("d.mp4", format!("{H264} ! mp4mux faststart=true")), ("d.avi", "jpegenc ! avimux".to_owned())]
    {
        let path = dir.path().join(name);
        test_video(&path, 60, &encoder);
        let mut source = open(&path);
        read_all(&mut *source);
        assert_eq!(source.dropped(), 0, "{name}: nothing is wrong with it yet");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 3000].copy_from_slice(&noise(5, 3000));
        std::fs::write(&path, bytes).unwrap();
        let mut source = open(&path);
        let played = read_all(&mut *source).len() as u64;
        println!("{name}: {played} played, {} dropped", source.dropped());
        assert!(source.dropped() > 0 && played > 20, "{name}: {played} played");
        assert_eq!(played + source.dropped(), 60, "{name}");
        source.seek(0).unwrap();
        read_all(&mut *source);
        assert_eq!(played + source.dropped(), 60, "{name}: the same after it was played again");
    }
}
