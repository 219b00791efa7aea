//! What is rewritten between lowering and placing: each pass leaves the outputs as they were.

pub mod alias_reshape;
pub mod block_channels;
pub mod drop_unused;
pub mod fold_batch_norm;
pub mod fold_pad;
pub mod fuse_activation;
pub mod fuse_residual;
pub mod remove_concat;

use super::graph::Graph;

/// A pass: its name and what it does.
pub type Pass = (&'static str, fn(&mut Graph));

/// All passes in their order: weights first, then what a convolution can do on its way out, then layout and memory.
pub const PASSES: &[Pass] = &[
    ("drop_unused", drop_unused::run),
    ("fold_batch_norm", fold_batch_norm::run),
    ("fold_pad", fold_pad::run),
    ("fuse_residual", fuse_residual::run),
    ("fuse_activation", fuse_activation::run),
    ("block_channels", block_channels::run),
    ("remove_concat", remove_concat::run),
    ("alias_reshape", alias_reshape::run),
];
