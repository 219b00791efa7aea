//! What needs a process of its own: the window on the main thread, and an allocator that counts.
//!
//! The window is opened by this program started a second time, on an Xvfb that the test starts; xdotool types, and
//! ImageMagick's `import` takes the screenshot. Where one of them is missing, the test says so and is skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command as Process, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sonoplex::display::{Command, Compositor, DisplayError, Hud, Overlay, Scene, Style, Window};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::segmentation::{Class, Segmentation};

mod counting;
#[path = "it/display_scene.rs"]
mod scene;

use counting::ALLOCATIONS;

/// Set in the second process: the folder for what it has composed.
const FOLDER: &str = "SONOPLEX_TEST_WINDOW";
const TITLE: &str = "sonoplex window test";
/// After this a step counts as failed; every one takes far less.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return show(Path::new(&folder));
    }
    let tests: [(&str, fn()); 3] = [
        ("composing_allocates_nothing_once_warm", composing_allocates_nothing_once_warm),
        ("without_a_display_there_is_a_sentence", without_a_display_there_is_a_sentence),
        ("keys_arrive_and_the_window_shows_the_canvas", keys_arrive_and_the_window_shows_the_canvas),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-'));
    let chosen: Vec<_> = tests.iter().filter(|(name, _)| filter.is_none_or(|f| name.contains(f.as_str()))).collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (name, test) in &chosen {
        let ok = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        failed += usize::from(!ok);
    }
    let (word, passed, left) =
        (if failed == 0 { "ok" } else { "FAILED" }, chosen.len() - failed, tests.len() - chosen.len());
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left} filtered out\n");
    ExitCode::from(u8::from(failed > 0))
}

/// Everything that a scene borrows.
struct Parts(Frame, Segmentation, Vec<Class>, Style, Hud);

impl Parts {
    fn new() -> Self {
        Self(scene::frame(), scene::segmentation(), scene::classes(), Style::default(), scene::hud())
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            frame: &self.0,
            segmentation: Some(&self.1),
            matched: true,
            truth: None,
            classes: &self.2,
            edges: None,
            style: &self.3,
            hud: Some(&self.4),
        }
    }
}

fn composing_allocates_nothing_once_warm() {
    let mut parts = Parts::new();
    let color = Frame::new(42, scene::SIZE, PixelFormat::Rgb8, vec![90; scene::SIZE.area() * 3]);
    let truth = parts.1.mask.clone();
    let mut compositor = Compositor::new();
    for size in [Size::new(640, 480), Size::new(1280, 800), Size::new(300, 200)] {
        let mut before = 0;
        // The first round warms up, the second is counted.
        for round in 0..2 {
            before = if round == 1 { ALLOCATIONS.load(Ordering::Relaxed) } else { before };
            for overlay in [Overlay::Contour, Overlay::Fill, Overlay::Heat] {
                for (help, edges, frozen) in [(false, true, false), (true, false, true)] {
                    parts.3 = Style { overlay, help, edges, ..Style::default() };
                    parts.4.frozen = frozen;
                    parts.4.drops += 1;
                    compositor.compose(size, &parts.scene());
                    let older = Scene { matched: false, truth: Some(&truth), frame: &color, ..parts.scene() };
                    compositor.compose(size, &older);
                }
            }
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations at {size}");
    }
}

fn without_a_display_there_is_a_sentence() {
    let program = std::env::current_exe().expect("this program has a path");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Process::new(program)
        .env(FOLDER, folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let sentence = if cfg!(feature = "window") { DisplayError::NoDisplay } else { DisplayError::FeatureMissing };
    assert_eq!(said.trim(), sentence.to_string());
    if cfg!(feature = "window") {
        let output = Process::new(std::env::current_exe().expect("this program has a path"))
            .env(FOLDER, folder.path())
            .env_remove("WAYLAND_DISPLAY")
            .env("DISPLAY", ":9999")
            .output()
            .expect("this program runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("cannot open a window on DISPLAY=`:9999`:"), "{said}");
    }
}

/// A process that is ended with the test, however that ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that a process writes.
fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    let out = BufReader::new(child.stdout.take().expect("its output is piped"));
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    receive
}

fn wait_for(lines: &Receiver<String>, wanted: &str) {
    let mut seen = Vec::new();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("waiting for `{wanted}`: {e}; saw {seen:?}"));
        if line == wanted {
            return;
        }
        seen.push(line);
    }
}

fn keys_arrive_and_the_window_shows_the_canvas() {
    if !cfg!(feature = "window") {
        println!("skipped: this build is without `window`");
        return;
    }
    for (tool, probe) in [("Xvfb", "-help"), ("xdotool", "version"), ("import", "-version")] {
        if Process::new(tool).arg(probe).output().is_err() {
            println!("skipped: `{tool}` is not installed (apt install xvfb xdotool imagemagick)");
            return;
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Process::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Guard)
        .expect("Xvfb starts");
    let number = lines(&mut server.0).recv_timeout(PATIENCE).expect("Xvfb names its display");
    let display = format!(":{}", number.trim());
    let run = |tool: &str, arguments: &[&str]| {
        let output = Process::new(tool).args(arguments).env("DISPLAY", &display).output().expect("the tool runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{tool} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let mut child = Process::new(std::env::current_exe().expect("this program has a path"))
        .env(FOLDER, folder.path())
        .env_remove("WAYLAND_DISPLAY")
        .env("DISPLAY", &display)
        .stdout(Stdio::piped())
        .spawn()
        .map(Guard)
        .expect("this program runs");
    let said = lines(&mut child.0);
    wait_for(&said, "shown 640x480");
    let found = run("xdotool", &["search", "--sync", "--name", TITLE]);
    let id = found.lines().next().expect("xdotool finds the window").to_owned();
    run("xdotool", &["windowfocus", "--sync", &id]);
    let compare = |size: &str| {
        let shot = folder.path().join("shot.png");
        run("import", &["-window", &id, &format!("png24:{}", shot.display())]);
        let open = |path: &Path| image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
        let (shown, composed) = (open(&shot), open(&folder.path().join(format!("{size}.png"))));
        assert!(shown == composed, "the screenshot differs from the canvas at {size}");
    };
    compare("640x480");
    // Every key in the order in which it is typed; both cases; with and without shift.
    for (key, command) in [
        ("space", Command::Freeze),
        ("Left", Command::Step(-1)),
        ("Right", Command::Step(1)),
        ("o", Command::ToggleOverlay),
        ("c", Command::NextOverlay),
        ("d", Command::NextDespeckle),
        ("e", Command::ToggleEdges),
        ("plus", Command::Opacity(0.1)),
        ("minus", Command::Opacity(-0.1)),
        ("s", Command::Snapshot),
        ("shift+r", Command::Record),
        ("h", Command::Help),
    ] {
        run("xdotool", &["key", key]);
        let line = said.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{key}: {e}"));
        assert_eq!(line, format!("{command:?}"), "{key}");
    }
    // An arrow that is held asks again; a letter does not.
    run("xdotool", &["keydown", "Right"]);
    for _ in 0..3 {
        wait_for(&said, &format!("{:?}", Command::Step(1)));
    }
    run("xdotool", &["keyup", "Right"]);
    run("xdotool", &["windowsize", "--sync", &id, "900", "640"]);
    wait_for(&said, "shown 900x640");
    compare("900x640");
    run("xdotool", &["key", "q"]);
    wait_for(&said, &format!("{:?}", Command::Quit));
    let status = child.0.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

/// The second process: shows the scene until it is told to quit, and says what it hears.
fn show(folder: &Path) -> ExitCode {
    let say = |line: &str| {
        println!("{line}");
        std::io::stdout().flush().expect("somebody listens");
    };
    let mut window = match Window::open(TITLE, Size::new(640, 480)) {
        Ok(window) => window,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let (parts, mut compositor, mut shown) = (Parts::new(), Compositor::new(), None);
    while window.is_open() {
        let size = window.size();
        let canvas = compositor.compose(size, &parts.scene());
        if shown != Some(size) {
            canvas.save_png(&folder.join(format!("{size}.png"))).expect("the folder is there");
        }
        window.present(canvas).expect("the window takes the canvas");
        if shown != Some(size) {
            // The server may map the window after the first update: what is announced is there.
            std::thread::sleep(Duration::from_millis(200));
            window.present(compositor.canvas()).expect("the window takes the canvas");
            say(&format!("shown {size}"));
            shown = Some(size);
        }
        for command in window.commands().collect::<Vec<_>>() {
            say(&format!("{command:?}"));
            if command == Command::Quit {
                return ExitCode::SUCCESS;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ExitCode::SUCCESS
}
