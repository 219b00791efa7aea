//! How fast a recording is played.

use std::fmt;
use std::str::FromStr;

/// How fast a recording is played. A device has its own pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many seconds of recording in one second.
    Times(f64),
    /// As fast as possible; without a window, nothing is dropped.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(speed) => write!(f, "{speed}"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// `1`, `0.5`, `max`.
impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let speed = text.parse().ok().filter(|s: &f64| (1e-3..=1e3).contains(s));
        speed.map(Self::Times).ok_or_else(|| SpeedError { found: text.to_owned() })
    }
}

/// Not a speed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the speed `{found}`: expected a number from 0.001 to 1000, for example 0.5, or `max`")]
pub struct SpeedError {
    /// What was written.
    pub found: String,
}
