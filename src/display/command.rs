//! What a key asks for.

/// Something that the viewer wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// End the run.
    Quit,
    /// Stop the picture, or let it go on.
    Freeze,
    /// Frames forward, or back when negative.
    Step(i64),
    /// Overlay on or off.
    ToggleOverlay,
    /// Contour, fill, heat map.
    NextOverlay,
    /// The next despeckle filter.
    NextDespeckle,
    /// Edges on or off.
    ToggleEdges,
    /// Change of the overlay's opacity.
    Opacity(f32),
    /// Write the picture as it is on the screen.
    Snapshot,
    /// Start or stop recording.
    Record,
    /// List the keys.
    Help,
}

/// The keys and what they do, as the help panel lists them.
pub const KEYS: [(&str, &str); 11] = [
    ("space", "freeze"),
    ("← →", "step"),
    ("o", "overlay off"),
    ("c", "contour, fill, heat"),
    ("+ −", "opacity"),
    ("d", "despeckle"),
    ("e", "edges"),
    ("s", "snapshot"),
    ("r", "record"),
    ("h", "help"),
    ("q", "quit"),
];

impl Command {
    /// The command of a typed character, in either case; `None` for a key without one.
    pub fn from_char(c: char) -> Option<Self> {
        Some(match c.to_ascii_lowercase() {
            ' ' => Self::Freeze,
            'o' => Self::ToggleOverlay,
            'c' => Self::NextOverlay,
            'd' => Self::NextDespeckle,
            'e' => Self::ToggleEdges,
            // `=` and `_` are `+` and `-` with the shift key forgotten or held.
            '+' | '=' => Self::Opacity(0.1),
            '-' | '_' | '−' => Self::Opacity(-0.1),
            's' => Self::Snapshot,
            'r' => Self::Record,
            'h' | '?' => Self::Help,
            'q' => Self::Quit,
            _ => return None,
        })
    }

    /// Whether holding the key asks again and again.
    pub const fn repeats(self) -> bool {
        matches!(self, Self::Step(_) | Self::Opacity(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_letter_has_its_command() {
        for (key, _) in KEYS.iter().filter(|(key, _)| key.chars().count() == 1) {
            let c = key.chars().next().expect("one character");
            assert!(Command::from_char(c).is_some(), "{key}");
            assert_eq!(Command::from_char(c), Command::from_char(c.to_ascii_uppercase()));
        }
        assert_eq!(Command::from_char('x'), None);
    }
}
