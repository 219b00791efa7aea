//! Seconds of one training step of the network of `benches/step.rs` (U-Net, three levels, presence output, BCE + Dice, AdamW)
//! on burn 0.22's Flex: `cargo run --release -- [WIDTH HEIGHT BASE]` in this folder.
//!
//! Written for it, since 0.22 has no type parameter for backends any more.

use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor, activation};

const LEVELS: usize = 3;
const ROUNDS: usize = 12;
const BATCH: usize = 8;

/// Two convolutions, each with batch norm and ReLU.
#[derive(Module, Debug)]
struct Block {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Block {
    fn new(input: usize, output: usize, device: &Device) -> Self {
        let conv = |input| {
            let config = Conv2dConfig::new([input, output], [3, 3]).with_bias(false);
            config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        Self {
            convs: vec![conv(input), conv(output)],
            norms: (0..2).map(|_| BatchNormConfig::new(output).init(device)).collect(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let each = self.convs.iter().zip(&self.norms);
        each.fold(x, |x, (conv, norm)| activation::relu(norm.forward(conv.forward(x))))
    }
}

#[derive(Module, Debug)]
struct Unet {
    down: Vec<Block>,
    ups: Vec<ConvTranspose2d>,
    up: Vec<Block>,
    pool: MaxPool2d,
    maps: Conv2d,
    presence: Conv2d,
}

impl Unet {
    fn new(base: usize, device: &Device) -> Self {
        let width = |level: usize| base << level;
        let down = |level: usize| Block::new(if level == 0 { 1 } else { width(level - 1) }, width(level), device);
        let twice = |level: usize| {
            ConvTranspose2dConfig::new([width(level + 1), width(level)], [2, 2]).with_stride([2, 2]).init(device)
        };
        Self {
            down: (0..=LEVELS).map(down).collect(),
            ups: (0..LEVELS).map(twice).collect(),
            up: (0..LEVELS).map(|level| Block::new(2 * width(level), width(level), device)).collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            maps: Conv2dConfig::new([base, 1], [1, 1]).init(device),
            presence: Conv2dConfig::new([width(LEVELS), 1], [1, 1]).init(device),
        }
    }

    fn forward(&self, picture: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let mut skips = vec![];
        let mut x = picture;
        for (level, block) in self.down.iter().enumerate() {
            if level > 0 {
                x = self.pool.forward(x);
            }
            x = block.forward(x);
            skips.push(x.clone());
        }
        let presence = self.presence.forward(x.clone().mean_dim(2).mean_dim(3));
        for level in (0..LEVELS).rev() {
            let below = self.ups[level].forward(x);
            x = self.up[level].forward(Tensor::cat(vec![skips[level].clone(), below], 1));
        }
        (self.maps.forward(x), presence)
    }
}

/// Binary cross-entropy of logits.
fn entropy(logits: Tensor<4>, truth: Tensor<4>) -> Tensor<1> {
    (activation::relu(logits.clone()) - logits.clone() * truth + logits.abs().neg().exp().log1p()).mean()
}

fn main() {
    let mut given = std::env::args().skip(1).map(|a| a.parse().expect("a number: WIDTH HEIGHT BASE"));
    let mut next = |default| given.next().unwrap_or(default);
    let (width, height, base) = (next(128), next(128), next(16));
    let device = Device::flex().autodiff();
    let mut network = Unet::new(base, &device);
    let mut optimizer = AdamWConfig::new().with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();
    let random = || Tensor::<4>::random([BATCH, 1, height, width], Distribution::Default, &device);
    let truth = random().greater_elem(0.9).float();
    let mut seconds = vec![];
    for _ in 0..ROUNDS {
        let picture = random();
        let start = Instant::now();
        let (maps, presence) = network.forward(picture);
        let found = activation::sigmoid(maps.clone());
        let both = (found.clone() * truth.clone()).sum();
        let dice = (both * 2.0 + 1.0) / (found.sum() + truth.clone().sum() + 1.0);
        let loss = entropy(maps, truth.clone()) + entropy(presence.clone(), presence.ones_like()) * 0.2 - dice;
        let moves = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, moves);
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!("burn 0.22's autodiff over Flex  {:.3} s", seconds[ROUNDS / 2]);
}
