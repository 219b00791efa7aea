//! The window, on X11 or Wayland.

#[cfg(feature = "window")]
pub use opened::Window;

#[cfg(not(feature = "window"))]
pub use absent::Window;

#[cfg(feature = "window")]
mod opened {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use minifb::{InputCallback, Key, ScaleMode, WindowOptions};

    use crate::display::{Canvas, Command, DisplayError};
    use crate::geometry::Size;

    /// A held key asks again after this time,
    const REPEAT_AFTER: Duration = Duration::from_millis(350);
    /// and then this often.
    const REPEAT_EVERY: Duration = Duration::from_millis(60);

    /// What the keyboard has asked for since it was last looked at.
    #[derive(Default)]
    struct Keyboard {
        commands: VecDeque<Command>,
        /// Keys that are down, so that the repeats of the window system are told from presses.
        down: Vec<Key>,
        /// The key that repeats, what it asks for, and when again.
        held: Option<(Key, Command, Instant)>,
        /// The key whose character comes next.
        latest: Option<(Key, bool)>,
    }

    impl Keyboard {
        fn repeat(&mut self, now: Instant) {
            if let Some((_, command, next)) = &mut self.held
                && now >= *next
            {
                self.commands.push_back(*command);
                // Counted from now: after a stall the picture shall not run on.
                *next = now + REPEAT_EVERY;
            }
        }

        fn ask(&mut self, key: Option<Key>, command: Command) {
            self.commands.push_back(command);
            if let (true, Some(key)) = (command.repeats(), key) {
                self.held = Some((key, command, Instant::now() + REPEAT_AFTER));
            }
        }
    }

    /// minifb calls this for every event; asking for the keys that are down would lose a press that is over before the
    /// next picture.
    struct Listener(Rc<RefCell<Keyboard>>);

    impl InputCallback for Listener {
        fn add_char(&mut self, code: u32) {
            let mut keyboard = self.0.borrow_mut();
            let (key, repeated) = keyboard.latest.map_or((None, false), |(key, repeated)| (Some(key), repeated));
            if let (false, Some(command)) = (repeated, char::from_u32(code).and_then(Command::from_char)) {
                keyboard.ask(key, command);
            }
        }

        fn set_key_state(&mut self, key: Key, pressed: bool) {
            let mut keyboard = self.0.borrow_mut();
            if !pressed {
                keyboard.down.retain(|&k| k != key);
                keyboard.held = keyboard.held.filter(|&(k, ..)| k != key);
                keyboard.latest = None;
                return;
            }
            let repeated = keyboard.down.contains(&key);
            keyboard.latest = Some((key, repeated));
            if repeated {
                return;
            }
            keyboard.down.push(key);
            match key {
                Key::Left => keyboard.ask(Some(key), Command::Step(-1)),
                Key::Right => keyboard.ask(Some(key), Command::Step(1)),
                Key::Escape => keyboard.ask(None, Command::Quit),
                _ => {}
            }
        }
    }

    /// A window that shows canvases and listens to keys. It lives on the main thread.
    pub struct Window {
        window: minifb::Window,
        keyboard: Rc<RefCell<Keyboard>>,
    }

    impl Window {
        /// Opens a window with room for a canvas of `size`.
        ///
        /// # Errors
        /// Where there is no display, or where it refuses.
        pub fn open(title: &str, size: Size) -> Result<Self, DisplayError> {
            let named =
                |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty()).map(|v| format!("{name}=`{v}`"));
            let display = named("WAYLAND_DISPLAY").or_else(|| named("DISPLAY")).ok_or(DisplayError::NoDisplay)?;
            // Canvases are composed at the size of the window; one that comes late after a resize is cut, not stretched.
            let options = WindowOptions { resize: true, scale_mode: ScaleMode::UpperLeft, ..WindowOptions::default() };
            let (width, height) = (size.width.max(1) as usize, size.height.max(1) as usize);
            let mut window = minifb::Window::new(title, width, height, options)
                .map_err(|cause| DisplayError::Open { display, cause: cause.to_string() })?;
            // The pipeline keeps time; minifb would sleep in every update.
            window.set_target_fps(0);
            let keyboard = Rc::new(RefCell::new(Keyboard::default()));
            window.set_input_callback(Box::new(Listener(Rc::clone(&keyboard))));
            Ok(Self { window, keyboard })
        }

        /// Shows a canvas and hears what was typed meanwhile.
        ///
        /// # Errors
        /// When the window system does not take it.
        pub fn present(&mut self, canvas: &Canvas) -> Result<(), DisplayError> {
            let Size { width, height } = canvas.size;
            self.window
                .update_with_buffer(&canvas.pixels, width as usize, height as usize)
                .map_err(|cause| DisplayError::Present { width, height, cause: cause.to_string() })?;
            self.keyboard.borrow_mut().repeat(Instant::now());
            Ok(())
        }

        /// Hears what was typed without a new picture.
        pub fn listen(&mut self) {
            self.window.update();
            self.keyboard.borrow_mut().repeat(Instant::now());
        }

        /// What was asked for since the last call, oldest first. A closed window asks to quit.
        pub fn commands(&mut self) -> impl Iterator<Item = Command> {
            if !self.is_open() {
                self.keyboard.borrow_mut().commands.push_back(Command::Quit);
            }
            std::iter::from_fn(|| self.keyboard.borrow_mut().commands.pop_front())
        }

        /// Size of its inside, now.
        pub fn size(&self) -> Size {
            let (width, height) = self.window.get_size();
            Size::new(width.max(1) as u32, height.max(1) as u32)
        }

        /// Whether the viewer has left it open.
        pub fn is_open(&self) -> bool {
            self.window.is_open()
        }

        /// Writes another title.
        pub fn set_title(&mut self, title: &str) {
            self.window.set_title(title);
        }
    }
}

#[cfg(not(feature = "window"))]
mod absent {
    use std::convert::Infallible;

    use crate::display::{Canvas, Command, DisplayError};
    use crate::geometry::Size;

    /// Stands in for the window in a build without the feature `window`: it cannot be opened, so there never is one.
    pub struct Window(Infallible);

    impl Window {
        /// Refuses.
        ///
        /// # Errors
        /// Always.
        pub fn open(_title: &str, _size: Size) -> Result<Self, DisplayError> {
            Err(DisplayError::FeatureMissing)
        }

        /// Never called.
        ///
        /// # Errors
        /// None.
        pub fn present(&mut self, _canvas: &Canvas) -> Result<(), DisplayError> {
            match self.0 {}
        }

        /// Never called.
        pub fn listen(&mut self) {
            match self.0 {}
        }

        /// Never called.
        pub fn commands(&mut self) -> impl Iterator<Item = Command> {
            std::iter::from_fn(|| match self.0 {})
        }

        /// Never called.
        pub fn size(&self) -> Size {
            match self.0 {}
        }

        /// Never called.
        pub fn is_open(&self) -> bool {
            match self.0 {}
        }

        /// Never called.
        pub fn set_title(&mut self, _title: &str) {
            match self.0 {}
        }
    }
}
