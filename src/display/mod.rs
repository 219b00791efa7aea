//! The moving picture with the nerve over it: overlay, HUD and the window.
//!
//! A [`Scene`] is all that a picture is made of; the [`Compositor`] lays it out on a [`Canvas`]; the [`Window`] shows
//! it. The HUD stands beside the picture and never on it; what is drawn on it is the overlay, which one key takes off.

mod canvas;
mod color;
mod command;
mod compositor;
mod edges;
mod hud;
mod layout;
mod overlay;
mod paint;
mod panel;
mod scale;
mod sheet;
mod stroke;
mod text;
mod window;

use std::path::PathBuf;

use crate::frame::Frame;
use crate::mask::Mask;
use crate::segmentation::{Class, Segmentation};

pub use canvas::Canvas;
pub use command::{Command, KEYS};
pub use compositor::Compositor;
pub use hud::{Banner, Hud, StageBar};
pub use sheet::{Tile, contact_sheet};
pub use window::Window;

/// How a mask is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Overlay {
    /// Outline only.
    #[default]
    Contour,
    /// Outline and a tint.
    Fill,
    /// Probability of the first class as colour, with the outline.
    Heat,
}

impl Overlay {
    /// The one that the key `c` brings next.
    pub const fn next(self) -> Self {
        match self {
            Self::Contour => Self::Fill,
            Self::Fill => Self::Heat,
            Self::Heat => Self::Contour,
        }
    }

    /// The word in the HUD.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contour => "contour",
            Self::Fill => "fill",
            Self::Heat => "heat map",
        }
    }
}

/// What the viewer has chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// How a mask is drawn.
    pub overlay: Overlay,
    /// Whether it is drawn at all.
    pub overlay_on: bool,
    /// Opacity of the overlay, 0..=1.
    pub opacity: f32,
    /// Whether edges are drawn as an aid.
    pub edges: bool,
    /// Whether the keys are listed instead of the numbers.
    pub help: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { overlay: Overlay::Contour, overlay_on: true, opacity: 0.9, edges: false, help: false }
    }
}

impl Style {
    /// Does what a command says about the look; `false` where it is not about that.
    pub fn apply(&mut self, command: Command) -> bool {
        match command {
            Command::ToggleOverlay => self.overlay_on = !self.overlay_on,
            Command::NextOverlay => {
                // The key that changes the overlay also brings it back: a press without effect would puzzle.
                self.overlay = if self.overlay_on { self.overlay.next() } else { self.overlay };
                self.overlay_on = true;
            }
            Command::ToggleEdges => self.edges = !self.edges,
            Command::Opacity(by) => self.opacity = (self.opacity + by).clamp(0.1, 1.0),
            Command::Help => self.help = !self.help,
            _ => return false,
        }
        true
    }
}

/// All that one picture on the screen is made of.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The picture.
    pub frame: &'a Frame,
    /// What was found, in this frame or in an older one.
    pub segmentation: Option<&'a Segmentation>,
    /// Whether it was found in this very frame; if not, it is dashed and its age is written beside it.
    pub matched: bool,
    /// The true mask, dotted.
    pub truth: Option<&'a Mask>,
    /// Names and colours, class 1 first.
    pub classes: &'a [Class],
    /// Edge map of the frame (`height × width`, above 0 is an edge), drawn when the style says so; without one the
    /// compositor finds the edges itself.
    pub edges: Option<&'a [u8]>,
    /// What the viewer has chosen.
    pub style: &'a Style,
    /// Numbers and words beside the picture; `None` shows the picture alone with one line below.
    pub hud: Option<&'a Hud>,
}

/// What can go wrong with showing a picture.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// There is nothing to open a window on.
    #[error(
        "cannot open a window: neither `WAYLAND_DISPLAY` nor `DISPLAY` is set; add `--headless`, or run it on a desktop"
    )]
    NoDisplay,
    /// The window system refused.
    #[error("cannot open a window on {display}: {cause}; check that the display is up, or add `--headless`")]
    Open {
        /// Which display was asked, for example ``DISPLAY=`:0` ``.
        display: String,
        /// What it answered.
        cause: String,
    },
    /// The picture did not reach the window.
    #[error("cannot show a {width}x{height} picture in the window: {cause}; open it again, or add `--headless`")]
    Present {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// What the window system answered.
        cause: String,
    },
    /// Built without windows.
    #[error(
        "cannot open a window: this build is without `window`; rebuild with `cargo build --release --features window`, or add `--headless`"
    )]
    FeatureMissing,
    /// A picture cannot be written.
    #[error("cannot write the picture `{path}`: {cause}; check that the folder is there and has room")]
    Write {
        /// File.
        path: PathBuf,
        /// What the system or the encoder said.
        cause: String,
    },
}
