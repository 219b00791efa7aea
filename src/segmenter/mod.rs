//! One frame in, one segmentation out.

pub mod components;
pub mod contour;
pub mod crop;
pub mod crop_tracker;
pub mod decision;
mod screen;
pub mod spec;
mod spec_values;
