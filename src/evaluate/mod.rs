//! Whole data sets: reading them, splitting them, and saying how good a model is on them.

pub mod dataset;
