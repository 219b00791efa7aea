//! What is written after `phantom:`.

use crate::geometry::Size;
use crate::source::SourceError;

/// Which phantom: every field changes the pictures, nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomOptions {
    /// Chooses anatomy, scatterers and noise.
    pub seed: u64,
    /// Size of every frame in pixels.
    pub size: Size,
    /// Number of frames.
    pub frames: u64,
    /// Frames a second.
    pub fps: f64,
    /// Whether there are nerves (a vessel there is always).
    pub nerve: bool,
    /// Whether the picture sits in the middle of a scanner's screen, with text and a depth ruler around it.
    pub screen: bool,
}

impl Default for PhantomOptions {
    fn default() -> Self {
        Self { seed: 7, size: Size::new(640, 480), frames: 300, fps: 30.0, nerve: true, screen: false }
    }
}

/// The keys, in the order in which they are written.
const KEYS: [&str; 6] = ["seed", "size", "frames", "fps", "nerve", "screen"];
const SMALLEST: u32 = 64;
const LARGEST: u32 = 4096;
const MOST_PIXELS: usize = 4096 * 2304;

impl std::fmt::Display for PhantomOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let switch = |on| if on { "on" } else { "off" };
        write!(
            f,
            "phantom:seed={},size={},frames={},fps={},nerve={},screen={}",
            self.seed,
            self.size,
            self.frames,
            self.fps,
            switch(self.nerve),
            switch(self.screen)
        )
    }
}

/// `phantom:` alone, or followed by `key=value` pairs with commas between; what is not given keeps its default.
impl std::str::FromStr for PhantomOptions {
    type Err = SourceError;

    fn from_str(spec: &str) -> Result<Self, SourceError> {
        let bad = |found: String, advice: String| SourceError::Options { name: spec.to_owned(), found, advice };
        let rest = spec
            .strip_prefix("phantom:")
            .or_else(|| (spec == "phantom").then_some(""))
            .ok_or_else(|| bad("it does not begin with `phantom:`".into(), "write `phantom:`".into()))?;
        let mut options = Self::default();
        for pair in rest.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(bad(
                    format!("`{pair}` has no value"),
                    format!("write `{pair}=…`; keys: {}", KEYS.join(", ")),
                ));
            };
            let (key, value) = (key.trim(), value.trim());
            let wrong = |expected: &str| bad(format!("`{key}` is `{value}`"), format!("give {expected}"));
            match key {
                "seed" => options.seed = value.parse().map_err(|_| wrong("a whole number from 0"))?,
                "size" => options.size = size(value).ok_or_else(|| wrong(&size_advice()))?,
                "frames" => {
                    options.frames =
                        value.parse().ok().filter(|&n| n > 0).ok_or_else(|| wrong("a whole number from 1"))?;
                }
                "fps" => {
                    let fps = value.parse().ok().filter(|f| (0.1..=1000.0).contains(f));
                    options.fps = fps.ok_or_else(|| wrong("a number from 0.1 to 1000"))?;
                }
                "nerve" => options.nerve = switch(value).ok_or_else(|| wrong("`on` or `off`"))?,
                "screen" => options.screen = switch(value).ok_or_else(|| wrong("`on` or `off`"))?,
                _ => {
                    let near = KEYS.iter().min_by_key(|k| strsim::damerau_levenshtein(k, key)).expect("KEYS has keys");
                    let advice = format!("did you mean `{near}`? keys: {}", KEYS.join(", "));
                    return Err(bad(format!("there is no key `{key}`"), advice));
                }
            }
        }
        Ok(options)
    }
}

fn size(text: &str) -> Option<Size> {
    let size: Size = text.parse().ok()?;
    let side = SMALLEST..=LARGEST;
    (side.contains(&size.width) && side.contains(&size.height) && size.area() <= MOST_PIXELS).then_some(size)
}

fn size_advice() -> String {
    format!("WIDTHxHEIGHT from {SMALLEST}x{SMALLEST} to {LARGEST}x2304 pixels, for example 640x480")
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}
