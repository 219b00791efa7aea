//! Finds nerves in live ultrasound, and says how sure it is and how long it took.
//!
//! A frame travels down this list: a [`source`] makes it, the [`segmenter`] finds the nerve with a network that
//! the [`engine`] runs on a [`backend`], the [`display`] shows it, [`record`] keeps it, and the [`pipeline`]
//! moves it from one to the next; whole data sets are read and judged by [`mod@evaluate`]. What travels is plain: [`frame`], [`mask`], [`segmentation`], [`geometry`],
//! [`latency`], [`session`]; files are put in their place by [`mod@write`].
//!
//! Research use only: not a medical device.
#![warn(missing_docs)]

pub mod frame;
pub mod geometry;
pub mod latency;
pub mod mask;
pub mod segmentation;
pub mod session;
pub mod write;

pub mod backend;
pub mod engine;

pub mod display;
pub mod record;
pub mod segmenter;
pub mod source;

pub mod evaluate;
pub mod pipeline;
