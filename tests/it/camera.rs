//! Cameras through nokhwa and through v4l2src, against a V4L2 device that is not there: `tests/v4l2_shim`.
#![cfg(all(feature = "camera", feature = "video", target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::source::{camera, devices, gst};

const SIZE: Size = Size::new(320, 240);

/// The shim, compiled once; `None` with a line where there is no C compiler.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = SHIM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("fake_v4l2.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/v4l2_shim/fake_v4l2.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        match cc.output() {
            Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr)),
            Err(e) => {
                println!("skipped: no C compiler for the fake camera ({e})");
                return None;
            }
        }
        Some((dir, library))
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

/// Runs [`child`] in a process of its own that sees the fake camera in `mode`; what it printed after `child: `.
fn probe(mode: &str, spec: &str, more: &[(&str, &Path)]) -> Option<Vec<String>> {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "camera::child", "--nocapture", "--test-threads=1"]);
    test.env("LD_PRELOAD", shim()?).env("FAKE_CAMERA", mode).env("SONOPLEX_PROBE", spec);
    test.envs(more.iter().map(|(k, v)| (k, v)));
    let run = test.output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    Some(text.lines().filter_map(|l| Some(l.split_once("child: ")?.1.to_owned())).collect())
}

/// Not a test by itself: what the tests below run beside the fake camera.
#[test]
fn child() {
    let Ok(spec) = std::env::var("SONOPLEX_PROBE") else { return };
    if spec == "list" {
        for d in devices::list() {
            println!("child: {} | {} | {}", d.spec, d.name, d.notes.join(", "));
        }
        return;
    }
    let opened = match spec.split_once(':') {
        Some(("camera", index)) => camera::open(index.parse().unwrap()),
        Some(("v4l2", path)) => gst::v4l2(Path::new(path)),
        _ => panic!("{spec}"),
    };
    let mut source = match opened {
        Ok(source) => source,
        Err(e) => return println!("child: error {e}"),
    };
    source.info().notes.iter().for_each(|note| println!("child: note {note}"));
    println!("child: info {} {:?} {:?}", source.info().format, source.info().size, source.info().rate_hz);
    let mut first = None;
    for i in 0..30 {
        match source.next() {
            Ok(Some(frame)) => {
                assert_eq!((frame.id, frame.size), (i, SIZE));
                if let Some(since) = &mut first {
                    assert!(frame.time >= *since, "time goes back");
                    *since = frame.time;
                } else {
                    first = Some(frame.time);
                }
                println!("child: frame {}", looks_like(&frame));
                println!("child: age {:?}", frame.age.map(|age| age.as_millis()));
                if i == 29 {
                    println!("child: lasted {}", frame.time.as_millis());
                }
            }
            Ok(None) => return println!("child: end"),
            Err(e) => return println!("child: error {e}"),
        }
    }
    println!("child: seek {}", source.seek(0).is_err());
    drop(source);
    if let Some(("camera", index)) = spec.split_once(':') {
        let again = camera::open(index.parse().unwrap()).and_then(|mut s| s.next().map(|f| f.is_some()));
        println!("child: again {again:?}");
    }
}

/// The number of the picture in the shim's count that it resembles most, if it does everywhere: YUV to RGB is exact to
/// one level in our decoder, to three in the fast ones of videoconvert.
fn looks_like(frame: &Frame) -> String {
    let level = |y: u32| match frame.format {
        PixelFormat::Gray8 => y as u8,
        // BT.601, studio range.
        _ => ((298 * (y as i32 - 16) + 128) >> 8).clamp(0, 255) as u8,
    };
    let places = || (0..SIZE.height).step_by(7).flat_map(|y| (0..SIZE.width).step_by(3).map(move |x| (x, y)));
    let errors = |n: u32| {
        places().map(move |(x, y)| {
            let expected = level(16 + (x + y + 4 * n) % 200);
            frame.rgb(x, y).iter().map(|v| v.abs_diff(expected)).max().unwrap_or_default()
        })
    };
    let best = (0..50).min_by_key(|&n| errors(n).map(u32::from).sum::<u32>()).expect("50 numbers");
    // Where the ramp starts again, the picture next to it is 200 levels away.
    let far = errors(best).filter(|&e| e > 3).count();
    if far * 50 <= places().count() { best.to_string() } else { "strange".to_owned() }
}

/// The numbers of the pictures that came, which must grow; the shim's count starts again after 50, ours does not.
fn pictures(lines: &[String]) -> Vec<u32> {
    let mut last = 0;
    let number = |l: &String| -> Option<u32> {
        let found: u32 = l.strip_prefix("frame ")?.parse().ok()?;
        last += (found + 50 - last % 50) % 50;
        Some(last)
    };
    let numbers: Vec<u32> = lines.iter().filter_map(number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{lines:?}");
    numbers
}

#[test]
fn a_camera_gives_its_pictures_with_the_times_of_the_driver() {
    for spec in ["camera:63", "v4l2:/dev/video63"] {
        let Some(mut lines) = probe("yuyv", spec, &[]) else { return };
        assert_eq!(lines.remove(0), "note capture stamps are those of the driver");
        let ages: Vec<u32> =
            lines.iter().filter_map(|l| l.strip_prefix("age Some(")?.trim_end_matches(')').parse().ok()).collect();
        assert!(ages.len() == 30 && ages.iter().all(|&ms| ms < 2000), "{spec}: {ages:?}");
        println!("{spec}: {}", lines[0]);
        assert!(lines[0].contains("Some(Size { width: 320, height: 240 }) Some(50.0)"), "{lines:?}");
        let numbers = pictures(&lines);
        assert_eq!(numbers.len(), 30, "{spec}: {lines:?}");
        // By the driver's stamps 20 ms lie between two pictures, however late they were fetched.
        let lasted: u32 = lines.iter().find_map(|l| l.strip_prefix("lasted ")?.parse().ok()).unwrap();
        let expected = (numbers[29] - numbers[0]) * 20;
        assert!(lasted.abs_diff(expected) <= 20, "{spec}: {lasted} ms, expected {expected} ms");
        assert!(lines.contains(&"seek true".to_owned()), "{lines:?}");
        if spec.starts_with("camera") {
            assert_eq!(lines.last().unwrap(), "again Ok(true)", "what was closed opens again");
        }
    }
}

#[test]
fn a_camera_that_sends_jpeg_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picture.jpg");
    let red = image::RgbImage::from_pixel(SIZE.width, SIZE.height, image::Rgb([200, 40, 40]));
    red.save(&path).unwrap();
    let Some(lines) = probe("mjpeg", "camera:63", &[("FAKE_JPEG", &path)]) else { return };
    assert!(lines[1].contains("MJPEG"), "{lines:?}");
    assert_eq!(lines.iter().filter(|l| *l == "frame strange").count(), 30, "{lines:?}");
    std::fs::write(&path, b"no jpeg").unwrap();
    let lines = probe("mjpeg", "camera:63", &[("FAKE_JPEG", &path)]).unwrap();
    assert!(lines.last().unwrap().contains("30 pictures in a row cannot be decoded"), "{lines:?}");
}

#[test]
fn only_what_captures_is_listed() {
    let Some(lines) = probe("yuyv", "list", &[]) else { return };
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("camera:63 | Fake Camera | 320x240@50FPS"), "{lines:?}");
    assert!(lines[1].starts_with("phantom:"), "{lines:?}");
    let lines = probe("grey", "list", &[]).unwrap();
    assert!(lines.len() == 2 && lines[0].starts_with("v4l2:/dev/video63 | Fake Camera"), "{lines:?}");
}

#[test]
fn what_nokhwa_does_not_know_comes_through_gstreamer() {
    let Some(lines) = probe("grey", "v4l2:/dev/video63", &[]) else { return };
    assert_eq!(pictures(&lines).len(), 30, "{lines:?}");
}

#[test]
fn a_camera_that_goes_away_delivers_what_it_had_and_then_says_so() {
    let Some(lines) = probe("gone", "camera:63", &[]) else { return };
    let numbers = pictures(&lines);
    assert_eq!(numbers.last(), Some(&9), "{lines:?}");
    let error = lines.last().unwrap();
    println!("{error}");
    assert!(error.contains("cannot capture from `camera:63`: after") && error.contains("check the cable"), "{error}");
}

#[test]
fn absent_busy_and_silent_cameras_are_one_clear_sentence() {
    let check = |(mode, spec, expected): (&str, &str, &str)| {
        let Some(lines) = probe(mode, spec, &[]) else { return };
        let error = lines.last().unwrap();
        println!("{error}");
        assert!(error.starts_with("error cannot capture from") && error.contains(expected), "{mode} {spec}: {error}");
    };
    // Beside each other: two of them wait for their patience to end.
    let cases = [
        ("yuyv", "camera:7", "there is no such device; there is `camera:63` (Fake Camera)"),
        ("yuyv", "camera:64", "no format that nokhwa knows"),
        ("yuyv", "v4l2:/dev/video7", "there is no such device"),
        ("busy", "camera:63", "another program uses it"),
        ("silent", "camera:63", "no picture came for 10 s"),
        ("silent", "v4l2:/dev/video63", "no picture came within 15 s"),
    ];
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}
