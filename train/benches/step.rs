//! Seconds of one training step on every CPU backend that is built in, for the settings of the trainer that are given after `--`.
//!
//! Pictures are random: their content does not change what is computed. PyTorch's step is in `benches/peers/train_step.py`.

use std::time::Instant;

use burn::backend::{Autodiff, Flex};
use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use sonoplex_train::gradients::{Learn, Lesson, by_burn};
use sonoplex_train::loss::Truth;
use sonoplex_train::network::Network;
use sonoplex_train::settings::Settings;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
    #[arg(long, hide = true)]
    resume: Option<String>,
    /// What Cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const ROUNDS: usize = 12;

type Gradients<B> = fn(&Network<B>, Lesson<B>) -> (f64, GradientsParams);

fn time<B: Learn>(settings: &Settings, gradients: Gradients<B>) -> f64 {
    let device = B::Device::default();
    let classes = 1;
    let graph = settings.architecture.graph(settings.width(), classes, !settings.no_presence);
    let mut network: Network<B> = Network::new(graph, settings.dropout, settings.precision, 1, &device);
    let clip = GradientClippingConfig::Norm(settings.clip);
    let mut optimizer = AdamWConfig::new().with_grad_clipping(Some(clip)).init();
    let ([width, height], batch) = (settings.size, usize::from(settings.batch));
    let random = |channels| Tensor::random([batch, channels, height, width], Distribution::Default, &device);
    let truth = Truth {
        maps: random(classes).greater_elem(0.9).float(),
        present: Tensor::ones([batch, classes], &device),
        labelled: Tensor::ones([batch, classes], &device),
    };
    let mut seconds = vec![];
    for round in 0..ROUNDS {
        let lesson = Lesson { picture: random(1), truth: &truth, loss: &settings.loss, noise: round as u64 };
        let start = Instant::now();
        let (_, moves) = gradients(&network, lesson);
        network = optimizer.step(1e-3, network, moves);
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn main() {
    let data = ["--data", "random"].map(str::to_owned);
    let Line { settings, .. } = Line::parse_from(std::env::args().chain(data));
    #[cfg(feature = "tch")]
    {
        type B = Autodiff<burn::backend::LibTorch>;
        println!("LibTorch's autograd            {:.3} s", time::<B>(&settings, B::gradients));
        println!("burn's autodiff over LibTorch  {:.3} s", time::<B>(&settings, by_burn));
    }
    println!("burn's autodiff over Flex      {:.3} s", time::<Autodiff<Flex>>(&settings, by_burn));
}
