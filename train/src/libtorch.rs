//! The same network on LibTorch's own autograd: one operation for a batch norm where burn records a dozen, and half the
//! memory where factors are rounded.

use burn::backend::libtorch::TchTensor;
use burn::backend::{Autodiff, LibTorch};
use burn::module::{Param, ParamId};
use burn::nn::BatchNorm;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorPrimitive};
use tch::Kind;

use crate::export::values;
use crate::gradients::{Learn, Lesson};
use crate::graph::Step;
use crate::network::{Answer, Network, Precision};

type Learning = Autodiff<LibTorch>;

impl Learn for Learning {
    fn gradients(network: &Network<Self>, lesson: Lesson<Self>) -> (f64, GradientsParams) {
        let mut leaves = Leaves::default();
        let (logits, presence) = forward(network, raw(lesson.picture), lesson.noise, &mut leaves);
        // the loss is burn's: it begins where the network ends
        let maps = burned::<4>(&logits).require_grad();
        let seen = presence.as_ref().map(|p| burned::<2>(p).require_grad());
        let loss = lesson.loss.of(Answer { logits: maps.clone(), presence: seen.clone() }, lesson.truth);
        let down = loss.backward();
        let towards = |value: &tch::Tensor, gradient: tch::Tensor| (value * gradient).sum(Kind::Float);
        let mut sum = towards(&logits, tensor(maps.grad(&down).expect("the maps are compared")));
        if let (Some(value), Some(leaf)) = (&presence, seen) {
            sum += towards(value, tensor(leaf.grad(&down).expect("the presence is compared")));
        }
        let gradients = tch::Tensor::run_backward(&[sum], &leaves.tensors, false, false);
        let mut named = GradientsParams::new();
        for (id, gradient) in leaves.ids.into_iter().zip(gradients) {
            match gradient.dim() {
                4 => named.register::<LibTorch, 4>(id, own(gradient)),
                _ => named.register::<LibTorch, 1>(id, own(gradient)),
            }
        }
        (f64::from(values(loss)[0]), named)
    }
}

/// What gradients are taken by.
#[derive(Default)]
struct Leaves {
    ids: Vec<ParamId>,
    tensors: Vec<tch::Tensor>,
}

impl Leaves {
    fn add<const D: usize>(&mut self, param: &Param<Tensor<Learning, D>>) -> tch::Tensor {
        let leaf = raw(param.val()).detach().set_requires_grad(true);
        self.ids.push(param.id);
        self.tensors.push(leaf.shallow_clone());
        leaf
    }
}

/// Maps `[N, classes, H, W]` and presence `[N, classes]` as [`Network::forward`], with LibTorch's autograd.
fn forward(
    network: &Network<Learning>,
    picture: tch::Tensor,
    noise: u64,
    leaves: &mut Leaves,
) -> (tch::Tensor, Option<tch::Tensor>) {
    let kind = if network.precision() == Precision::Mixed { Kind::BFloat16 } else { Kind::Float };
    let graph = network.graph();
    let last = graph.last_use();
    let norm_of = network.norm_of();
    let mut values: Vec<Option<tch::Tensor>> = graph.steps.iter().map(|_| None).collect();
    values[0] = Some(channels_last(&picture.to_kind(kind)));
    for (at, step) in graph.steps.iter().enumerate().skip(1) {
        let mut take = |value: usize| {
            let tensor = if last[value] == at {
                values[value].take()
            } else {
                values[value].as_ref().map(tch::Tensor::shallow_clone)
            };
            tensor.expect("computed before it is read, and kept until then")
        };
        let relu = |x: tch::Tensor, relu: bool| if relu { x.relu() } else { x };
        let done = match step {
            Step::Picture => continue,
            Step::Conv { from, layer, relu: rectified } => {
                let conv = &network.convs[*layer];
                let side = conv.kernel_size[0] as i64 / 2;
                let weight = leaves.add(&conv.weight);
                let convolve = |x: tch::Tensor, kind, bias: Option<tch::Tensor>| {
                    x.to_kind(kind).conv2d(&channels_last(&weight.to_kind(kind)), bias, [1, 1], [side, side], [1, 1], 1)
                };
                let x = match norm_of[*layer] {
                    Some(norm) => normalised(&network.norms[norm], &convolve(take(*from), kind, None), leaves),
                    // what is compared is not rounded
                    None => {
                        let bias = conv.bias.as_ref().map(|b| leaves.add(b));
                        convolve(take(*from), Kind::Float, bias)
                    }
                };
                relu(x, *rectified)
            }
            Step::Up { from, layer } => {
                let up = &network.ups[*layer];
                let weight = channels_last(&leaves.add(&up.weight).to_kind(kind));
                let bias = up.bias.as_ref().map(|b| leaves.add(b).to_kind(kind));
                take(*from).conv_transpose2d(&weight, bias, [2, 2], [0, 0], [0, 0], 1, [1, 1])
            }
            Step::Pool { from } => take(*from).max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
            Step::Join { from } => tch::Tensor::cat(&from.iter().map(|&v| take(v)).collect::<Vec<_>>(), 1),
            Step::Add { a, b, relu: rectified } => relu(take(*a) + take(*b), *rectified),
            Step::Gate { a, b } => {
                let map = take(*b).to_kind(kind);
                take(*a) * map
            }
            Step::Sigmoid { from } => take(*from).sigmoid(),
            Step::Mean { from } => take(*from).mean_dim([2i64, 3].as_slice(), true, Kind::Float),
            Step::Dropout { from } => {
                let x = take(*from);
                let size = x.size();
                match network.kept((size[0] * size[1]) as usize, noise) {
                    Some(kept) => x * tch::Tensor::from_slice(&kept).view([size[0], size[1], 1, 1]).to_kind(kind),
                    None => x,
                }
            }
        };
        values[at] = Some(done);
    }
    let mut kept = |value: usize| values[value].take().expect("kept to the end");
    let presence = graph.presence.map(|p| kept(p).flatten(1, 3));
    (kept(graph.logits), presence)
}

/// Batch norm by the values of the batch, which move the running statistics.
fn normalised(norm: &BatchNorm<Learning>, x: &tch::Tensor, leaves: &mut Leaves) -> tch::Tensor {
    let (gamma, beta) = (leaves.add(&norm.gamma), leaves.add(&norm.beta));
    let [mean, variance] = [&norm.running_mean, &norm.running_var].map(|r| raw(r.value_sync()));
    // moved in place: copies, since others may read the old ones
    let (to_mean, to_variance) = (mean.copy(), variance.copy());
    let (gamma, beta, running) = (Some(&gamma), Some(&beta), (Some(&to_mean), Some(&to_variance)));
    let y = x.batch_norm(gamma, beta, running.0, running.1, true, norm.momentum, norm.epsilon, false);
    // LibTorch's variance is that of a sample (n - 1), burn's that of the batch
    let count = (x.numel() / mean.numel()) as f64;
    let old = variance * (1.0 - norm.momentum);
    let to_variance = (to_variance - &old) * ((count - 1.0) / count) + old;
    norm.running_mean.update(burned(&to_mean));
    norm.running_var.update(burned(&to_variance));
    y
}

/// LibTorch's tensor of burn's.
fn raw<const D: usize>(tensor: Tensor<Learning, D>) -> tch::Tensor {
    self::tensor(tensor.inner())
}

fn tensor<const D: usize>(tensor: Tensor<LibTorch, D>) -> tch::Tensor {
    tensor.into_primitive().tensor().tensor
}

/// Burn's tensor of LibTorch's.
fn own<const D: usize>(tensor: tch::Tensor) -> Tensor<LibTorch, D> {
    Tensor::from_primitive(TensorPrimitive::Float(TchTensor::new(tensor)))
}

fn burned<const D: usize>(tensor: &tch::Tensor) -> Tensor<Learning, D> {
    Tensor::from_inner(own(tensor.detach().contiguous().copy()))
}

/// The same values with their channels side by side in memory, as LibTorch's convolutions like them best.
fn channels_last(tensor: &tch::Tensor) -> tch::Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
