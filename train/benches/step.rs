//! Seconds of one training step on every CPU backend that is built in, for the settings of the trainer that are given after `--`.
//!
//! Pictures are random: their content does not change what is computed. PyTorch's step is in `benches/peers/train_step.py`.

use std::time::Instant;

use burn::backend::{Autodiff, Flex};
use burn::optim::{AdamWConfig, Optimizer};
use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use sonoplex_train::gradients::Learn;
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

fn time<B: Learn>(settings: &Settings) -> f64 {
    let device = B::Device::default();
    let classes = 1;
    let graph = settings.architecture.graph(settings.width(), classes, !settings.no_presence);
    let mut network: Network<B> = Network::new(graph, settings.dropout, settings.precision, 1, &device);
    let mut optimizer = AdamWConfig::new().init();
    let ([width, height], batch) = (settings.size, usize::from(settings.batch));
    let random = |channels| Tensor::random([batch, channels, height, width], Distribution::Default, &device);
    let truth = Truth {
        maps: random(classes).greater_elem(0.9).float(),
        present: Tensor::ones([batch, classes], &device),
        labelled: Tensor::ones([batch, classes], &device),
    };
    let mut seconds = vec![];
    for round in 0..ROUNDS {
        let picture = random(1);
        let start = Instant::now();
        let (_, gradients) = B::gradients(&network, picture, &truth, &settings.loss, round as u64);
        network = optimizer.step(1e-3, network, gradients);
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn main() {
    let data = ["--data", "random"].map(str::to_owned);
    let Line { settings, .. } = Line::parse_from(std::env::args().chain(data));
    #[cfg(feature = "tch")]
    println!("tch   {:.3} s", time::<Autodiff<burn::backend::LibTorch>>(&settings));
    println!("flex  {:.3} s", time::<Autodiff<Flex>>(&settings));
}
