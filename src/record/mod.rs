//! Keeps a run on disk so that it can be played again and proven.

#[cfg(feature = "video")]
pub mod annotated;
