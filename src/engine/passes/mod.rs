//! What is rewritten between lowering and placing: each pass leaves the outputs as they were.

pub mod adopt_grids;
pub mod affine;
pub mod alias_reshape;
pub mod alias_slice;
pub mod block_channels;
mod conversions;
pub mod drop_unused;
pub mod fold_batch_norm;
pub mod fold_pad;
pub mod fuse_activation;
pub mod fuse_bias;
pub mod fuse_max_pool;
pub mod fuse_residual;
pub mod fuse_softmax;
pub mod grids;
pub mod keep_codes;
pub mod merge_moves;
pub mod merge_norm;
pub mod name_activation;
pub mod open_binary;
pub mod pool_planes;
pub mod remove_concat;
pub mod scale_channels;
pub mod sink_transpose;

use super::graph::Graph;

/// A pass: its name and what it does.
pub type Pass = (&'static str, fn(&mut Graph));

/// Tries `change` at every step, and where it changed something once more: another step may stand there now.
fn at_every_step(graph: &mut Graph, change: impl Fn(&mut Graph, usize) -> Option<()>) {
    let mut at = 0;
    while at < graph.steps.len() {
        if change(graph, at).is_none() {
            at += 1;
        }
    }
}

/// Passes that a GPU does without: there tensors are channels-last whatever the steps, and joined ones placed by
/// [`super::cuda`].
pub const CPU_ALONE: [&str; 7] = [
    "pool_planes",
    "block_channels",
    "reduce_planes",
    "remove_concat",
    "alias_reshape",
    "alias_slice",
    "fuse_max_pool",
];

/// Passes for a GPU alone, after all others.
pub const GPU_ALONE: [Pass; 1] = [("keep_codes", keep_codes::run)];

/// All passes in their order: what exporters wrote apart first, then weights, then what a convolution can do on its way
/// out, then layout and memory.
pub const PASSES: &[Pass] = &[
    ("drop_unused", drop_unused::run),
    ("adopt_grids", adopt_grids::run),
    ("merge_norm", merge_norm::run),
    ("sink_transpose", sink_transpose::run),
    ("merge_moves", merge_moves::run),
    ("name_activation", name_activation::run),
    // Once more, for what was channels-last.
    ("merge_norm_moved", merge_norm::run),
    ("fuse_bias", fuse_bias::run),
    ("scale_channels", scale_channels::run),
    ("fold_batch_norm", fold_batch_norm::run),
    ("fold_pad", fold_pad::run),
    ("fuse_residual", fuse_residual::run),
    ("fuse_activation", fuse_activation::run),
    ("pool_planes", pool_planes::run),
    ("block_channels", block_channels::run),
    ("reduce_planes", pool_planes::back),
    // What is not in blocks takes its activation along too.
    ("affine", affine::run),
    ("open_binary", open_binary::run),
    ("fuse_activation_planar", fuse_activation::run),
    ("fuse_softmax", fuse_softmax::run),
    ("remove_concat", remove_concat::run),
    ("alias_reshape", alias_reshape::run),
    ("alias_slice", alias_slice::run),
    ("fuse_max_pool", fuse_max_pool::run),
];
