//! A batch normalisation after a convolution becomes part of its weights and bias.
//!
//! (w ∗ x + b) · s + t = (s·w) ∗ x + (s·b + t)
//!
//! # References
//! Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
//! CVPR 2018, section 3.2.

use std::sync::Arc;

use super::super::graph::{Graph, Op};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::batch_norm_affine;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fold);
}

/// Folds the batch normalisation that reads step `at`; `None` where there is none.
fn fold(graph: &mut Graph, at: usize) -> Option<()> {
    let reader = graph.only_reader(graph.steps[at].output)?;
    let Op::BatchNorm { numbers, epsilon } = graph.steps[reader].op else { return None };
    let [gain, offset, mean, variance] = numbers.map(|n| graph.weights[n].clone());
    let (scale, shift): (Vec<f32>, Vec<f32>) =
        (0..gain.len()).map(|c| batch_norm_affine(gain[c], offset[c], mean[c], variance[c], epsilon)).unzip();
    // Where the output channel stands among the weights: OIHW has it outermost; IOHW has it second, within a group.
    let (weights, bias, group, channels, run) = match &graph.steps[at].op {
        Op::Conv { shape, weights, bias, activation: Activation::None, .. } if graph.steps[at].inputs.len() == 1 => {
            let run = shape.in_channels / shape.groups * shape.kernel[0] * shape.kernel[1];
            (*weights, *bias, shape.out_channels * run, shape.out_channels, run)
        }
        Op::ConvTranspose { shape, weights, bias, activation: Activation::None } => {
            let (taps, out) = (shape.kernel[0] * shape.kernel[1], shape.out_channels / shape.groups);
            (*weights, *bias, shape.in_channels / shape.groups * out * taps, out, taps)
        }
        _ => return None,
    };
    let channel_of = |i: usize| i / group * channels + i / run % channels;
    let scaled = graph.weights[weights].iter().enumerate().map(|(i, w)| w * scale[channel_of(i)]).collect();
    let moved = match bias {
        Some(b) => {
            graph.weights[b].iter().zip(scale.iter().zip(shift.iter())).map(|(b, (s, t))| s.mul_add(*b, *t)).collect()
        }
        None => shift.clone(),
    };
    let (scaled, moved) = (graph.weight(scaled), graph.weight(moved));
    if let Op::Conv { weights, bias, .. } | Op::ConvTranspose { weights, bias, .. } = &mut graph.steps[at].op {
        (*weights, *bias) = (scaled, Some(moved));
    }
    // The numbers that were folded are not stored with the plan.
    graph.weights[weights] = Arc::new(Vec::new());
    graph.steps[at].output = graph.steps[reader].output;
    graph.steps.remove(reader);
    Some(())
}
