//! A stretch of another source: from one presentation time to another.

use std::time::Duration;

use super::{Source, SourceError, SourceInfo};
use crate::frame::Frame;

/// Frames of another source with `start` ≤ time < `end`; they keep their times and are counted from 0.
///
/// Frames before `start` are read and left out, so it is exact for every kind of recording.
pub struct Trim {
    inner: Box<dyn Source>,
    info: SourceInfo,
    start: Duration,
    end: Duration,
    /// Index of the first frame in the inner source, once known.
    first: Option<u64>,
    /// Index of the frame that the inner source gives next.
    position: u64,
    delivered: u64,
}

impl Trim {
    /// # Errors
    /// `Options` for a device, which has no beginning, and when `end` is not after `start`.
    pub fn new(inner: Box<dyn Source>, start: Option<Duration>, end: Option<Duration>) -> Result<Self, SourceError> {
        let mut info = inner.info().clone();
        let bad = |found: String, advice: &str| SourceError::Options {
            name: info.name.clone(),
            found,
            advice: advice.to_owned(),
        };
        if info.live {
            return Err(bad("a device has no `--start` and `--end`".into(), "leave them out"));
        }
        let (from, to) = (start.unwrap_or_default(), end.unwrap_or(Duration::MAX));
        if to <= from {
            return Err(bad(format!("`--end` {to:?} is not after `--start` {from:?}"), "give a later `--end`"));
        }
        info.notes.push(match end {
            Some(end) => format!("only from {from:?} to {end:?}"),
            None => format!("only from {from:?} on"),
        });
        info.frames = None; // known when it has been read
        Ok(Self { inner, info, start: from, end: to, first: None, position: 0, delivered: 0 })
    }

    /// The next frame at or after the start.
    fn advance(&mut self) -> Result<Option<Frame>, SourceError> {
        loop {
            let Some(frame) = self.inner.next()? else {
                if self.first.is_none() {
                    return Err(SourceError::Options {
                        name: self.info.name.clone(),
                        found: format!("`--start` {:?} lies after its last frame", self.start),
                        advice: "give an earlier `--start`".into(),
                    });
                }
                return Ok(None);
            };
            self.position += 1;
            if frame.time >= self.start {
                self.first.get_or_insert(self.position - 1);
                return Ok(Some(frame));
            }
        }
    }
}

impl Source for Trim {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(mut frame) = self.advance()? else { return Ok(None) };
        if frame.time >= self.end {
            // asked again, it must end again
            self.inner.seek(self.position - 1)?;
            self.position -= 1;
            return Ok(None);
        }
        frame.id = self.delivered;
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    fn goes_on(&self) -> bool {
        self.inner.goes_on()
    }

    fn seek(&mut self, index: u64) -> Result<(), SourceError> {
        if self.first.is_none() {
            self.advance()?;
        }
        let first = self.first.expect("advance found the first frame or failed");
        self.position = first.saturating_add(index);
        self.inner.seek(self.position)
    }
}
