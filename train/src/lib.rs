//! Trains the nerve models that Sonoplex runs.
//!
//! `settings` say what and how; `material` reads it; `data` draws batches, which `augment` changes and `teacher` corrects; `architecture` draws a
//! `graph`, which `network` computes and `export` writes; `loss` says how wrong it is, `gradients` which way is down, `schedule` how far to move;
//! `trainer` is the loop, with `average`, `checkpoint`, `judge`, `progress`, `curves` and `worst` beside it; `command`
//! puts them together, and `publish` makes one model of several runs.
#![warn(missing_docs)]

pub mod architecture;
pub mod augment;
pub mod average;
pub mod checkpoint;
pub mod command;
pub mod curves;
pub mod data;
pub mod export;
pub mod gradients;
pub mod graph;
pub mod judge;
#[cfg(feature = "tch")]
mod libtorch;
pub mod loss;
pub mod material;
pub mod network;
pub mod progress;
pub mod publish;
pub mod schedule;
pub mod settings;
pub mod teacher;
pub mod trainer;
pub mod worst;
