//! The layers of a [`Graph`], and what they compute.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Tensor, TensorData, activation, backend::Backend};
use clap::ValueEnum;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::augment;
use crate::graph::{ConvShape, Graph, Step};

/// Weights, and the graph that says where they belong.
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    /// One for each of [`Graph::convs`].
    pub convs: Vec<Conv2d<B>>,
    /// For those convolutions that have one, in their order.
    pub norms: Vec<BatchNorm<B>>,
    /// One for each of [`Graph::ups`].
    pub ups: Vec<ConvTranspose2d<B>>,
    #[module(skip)]
    graph: Graph,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    precision: Precision,
}

/// How far factors are rounded while a network learns; what it is judged by and what is written is never rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Not at all.
    #[default]
    Fp32,
    /// Convolutions in front of a batch norm multiply bf16, and on LibTorch all that lies between layers is bf16 too; weights, the
    /// statistics of norms, the outputs, the loss and the optimizer stay fp32.
    Mixed,
}

/// What a network says about a batch, before the sigmoid.
pub struct Answer<B: Backend> {
    /// `[N, classes, H, W]`.
    pub logits: Tensor<B, 4>,
    /// `[N, classes]`.
    pub presence: Option<Tensor<B, 2>>,
}

impl<B: Backend> Network<B> {
    /// Draws the weights: the same for the same seed, whatever the backend.
    ///
    /// # References
    /// He et al., "Delving deep into rectifiers", ICCV 2015: normal with variance 2 / fan-in.
    pub fn new(graph: Graph, dropout: f64, precision: Precision, seed: u64, device: &B::Device) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |shape: [usize; 4], fan_in: usize| {
            let spread = (2.0 / fan_in as f32).sqrt();
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| augment::normal(&mut random) * spread).collect();
            Param::from_data(TensorData::new(values, shape), device)
        };
        let mut convs = vec![];
        let mut norms = vec![];
        let last = match graph.steps.get(graph.logits) {
            Some(Step::Conv { layer, .. }) => Some(*layer),
            _ => None,
        };
        for (layer, shape) in graph.convs.iter().enumerate() {
            let kernel = [shape.kernel; 2];
            let side = shape.kernel / 2;
            let config = Conv2dConfig::new([shape.input, shape.output], kernel)
                .with_padding(PaddingConfig2d::Explicit(side, side, side, side))
                .with_bias(false);
            let mut conv: Conv2d<B> = config.init(device);
            let fan_in = shape.input * shape.kernel * shape.kernel;
            conv.weight = normal([shape.output, shape.input, shape.kernel, shape.kernel], fan_in);
            if shape.norm {
                norms.push(BatchNormConfig::new(shape.output).init(device));
            } else {
                // most pixels are background: the maps begin with "probably not"
                let start = if last == Some(layer) { -2.0f32 } else { 0.0 };
                let bias = TensorData::new(vec![start; shape.output], [shape.output]);
                conv.bias = Some(Param::from_data(bias, device));
            }
            convs.push(conv);
        }
        let mut ups = vec![];
        for &[input, output] in &graph.ups {
            let mut up: ConvTranspose2d<B> =
                ConvTranspose2dConfig::new([input, output], [2, 2]).with_stride([2, 2]).init(device);
            up.weight = normal([input, output, 2, 2], input * 2);
            up.bias = Some(Param::from_data(TensorData::new(vec![0.0f32; output], [output]), device));
            ups.push(up);
        }
        Self { convs, norms, ups, graph, dropout, precision }
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether every weight has the shape that the graph gives it.
    pub fn fits(&self) -> bool {
        let conv = |(c, s): (&Conv2d<B>, &ConvShape)| c.weight.dims() == [s.output, s.input, s.kernel, s.kernel];
        let up = |(u, s): (&ConvTranspose2d<B>, &[usize; 2])| u.weight.dims() == [s[0], s[1], 2, 2];
        let count = self.convs.len() == self.graph.convs.len() && self.ups.len() == self.graph.ups.len();
        count && self.convs.iter().zip(&self.graph.convs).all(conv) && self.ups.iter().zip(&self.graph.ups).all(up)
    }

    /// Runs a batch; batch norms act as in training where gradients are kept, dropout where it is given its seed.
    ///
    /// # Shapes
    /// `[N, 1, H, W]`, sides that [`Graph::divisor`] divides.
    pub fn forward(&self, picture: Tensor<B, 4>, noise: Option<u64>) -> Answer<B> {
        let last = self.graph.last_use();
        let mut values: Vec<Option<Tensor<B, 4>>> = vec![None; self.graph.steps.len()];
        values[0] = Some(picture);
        let norm_of = self.norm_of();
        for (at, step) in self.graph.steps.iter().enumerate().skip(1) {
            let mut take = |value: usize| {
                let tensor = if last[value] == at { values[value].take() } else { values[value].clone() };
                tensor.expect("computed before it is read, and kept until then")
            };
            let done = match step {
                Step::Picture => continue,
                Step::Conv { from, layer, relu } => {
                    let mixed = noise.is_some() && self.precision == Precision::Mixed && norm_of[*layer].is_some();
                    let conv = &self.convs[*layer];
                    let mut x = if mixed { rounded(conv, take(*from)) } else { conv.forward(take(*from)) };
                    if let Some(norm) = norm_of[*layer] {
                        x = self.norms[norm].forward(x);
                    }
                    if *relu { activation::relu(x) } else { x }
                }
                Step::Up { from, layer } => self.ups[*layer].forward(take(*from)),
                Step::Pool { from } => max_pool2d(take(*from), [2, 2], [2, 2], [0, 0], [1, 1], false),
                Step::Join { from } => Tensor::cat(from.iter().map(|&v| take(v)).collect(), 1),
                Step::Add { a, b, relu } => {
                    let sum = take(*a) + take(*b);
                    if *relu { activation::relu(sum) } else { sum }
                }
                Step::Gate { a, b } => take(*a) * take(*b),
                Step::Sigmoid { from } => activation::sigmoid(take(*from)),
                Step::Mean { from } => take(*from).mean_dim(2).mean_dim(3),
                Step::Dropout { from } => self.drop_channels(take(*from), noise),
            };
            values[at] = Some(done);
        }
        let mut kept = |value: usize| values[value].take().expect("kept to the end");
        let presence = self.graph.presence.map(|p| kept(p).flatten::<2>(1, 3));
        Answer { logits: kept(self.graph.logits), presence }
    }

    /// The batch norm of every convolution.
    pub fn norm_of(&self) -> Vec<Option<usize>> {
        let mut next = 0..;
        self.graph.convs.iter().map(|c| if c.norm { next.next() } else { None }).collect()
    }

    fn drop_channels(&self, x: Tensor<B, 4>, noise: Option<u64>) -> Tensor<B, 4> {
        let [n, c, ..] = x.dims();
        let Some(scale) = noise.and_then(|seed| self.kept(n * c, seed)) else { return x };
        let scale = Tensor::from_data(TensorData::new(scale, [n, c, 1, 1]), &x.device());
        x * scale
    }

    /// Leaves out whole channels and makes up for them: what each of `channels` is multiplied by, or nothing without dropout.
    ///
    /// # References
    /// Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    pub fn kept(&self, channels: usize, seed: u64) -> Option<Vec<f32>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let kept = 1.0 / (1.0 - self.dropout) as f32;
        let mut draw = || if random.random_bool(self.dropout) { 0.0 } else { kept };
        (self.dropout > 0.0).then(|| (0..channels).map(|_| draw()).collect())
    }

    /// How far factors are rounded while it learns.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// A convolution without bias whose factors are rounded to bf16.
fn rounded<B: Backend>(conv: &Conv2d<B>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    let options = ConvOptions::new([1, 1], conv.kernel_size.map(|k| k / 2), [1, 1], 1);
    conv2d(x.cast(FloatDType::BF16), conv.weight.val().cast(FloatDType::BF16), None, options).cast(FloatDType::F32)
}
