//! Every network by name computes the same here, in the ONNX file, and in the engine that will run it.

use std::path::Path;

use burn::backend::{Autodiff, Flex};
use clap::ValueEnum;
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{CropChoice, Segmenter, SegmenterConfig};
use sonoplex_train::architecture::{Architecture, Width};
use sonoplex_train::command::compare;
use sonoplex_train::data::Example;
use sonoplex_train::export::onnx;
use sonoplex_train::network::{Network, Precision};

fn example(size: [usize; 2], seed: usize) -> Example {
    let area = size[0] * size[1];
    Example {
        id: "0".into(),
        size,
        picture: (0..area).map(|i| ((i * 7919 + seed * 31) % 251) as u8).collect(),
        truth: vec![0; area],
        labelled: vec![true; 2],
        weight: 1.0,
    }
}

fn difference(architecture: Architecture, presence: bool, path: &Path) -> f32 {
    let size = [32, 16];
    let graph = architecture.graph(Width { base: 4, levels: 3, cap: 16 }, 2, presence);
    let device = Default::default();
    let network: Network<Autodiff<Flex>> = Network::new(graph, 0.1, Precision::Fp32, 7, &device);
    // a forward pass moves the running statistics, so that folding them has something to fold
    let picture = burn::tensor::Tensor::from_data(
        burn::tensor::TensorData::new((0..2 * 512).map(|i| (i % 97) as f32 / 97.0).collect(), [2, 1, 16, 32]),
        &device,
    );
    network.forward(picture, Some(1));
    let network = burn::module::AutodiffModule::valid(&network);
    let bytes = onnx(&network, size, &[]).expect("weights are small");
    std::fs::write(path, bytes).expect("a file");
    compare(&network, path, &[example(size, 0), example(size, 1)], size, &device).expect("the engine takes it")
}

#[test]
fn the_engine_computes_what_the_trainer_computes() {
    let folder = tempfile::tempdir().expect("a folder");
    for &architecture in Architecture::value_variants() {
        for presence in [false, true] {
            let path = folder.path().join("m.onnx");
            let most = difference(architecture, presence, &path);
            // weights are rounded to 11 bits on their way into the file
            assert!(most < 0.01, "{architecture:?}, presence {presence}: differs by {most}");
        }
    }
}

/// What the program says is there, and how sure the trainer's network is: by the lesser of its presence and its map.
#[test]
fn the_program_is_as_sure_as_the_trainer() {
    let (size, device) = ([32, 16], Default::default());
    let metadata = [("sonoplex.output", "logits"), ("sonoplex.mask", "logits"), ("sonoplex.presence", "presence")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    let config = SegmenterConfig { model: path.clone(), crop: CropChoice::Full, ..SegmenterConfig::default() };
    let mut lesser = [0; 2];
    for seed in 0..12 {
        let graph = Architecture::MiniUnet.graph(Width { base: 4, levels: 3, cap: 16 }, 1, true);
        let network: Network<Flex> = Network::new(graph, 0.0, Precision::Fp32, seed, &device);
        std::fs::write(&path, onnx(&network, size, &metadata).expect("weights are small")).expect("a file");
        let mut segmenter = Segmenter::open(&config).expect("the program takes it");
        let Example { picture, .. } = example(size, seed as usize);
        let values: Vec<f32> = picture.iter().map(|v| f32::from(*v) / 255.0).collect();
        let input = burn::tensor::Tensor::from_data(burn::tensor::TensorData::new(values, [1, 1, 16, 32]), &device);
        let own = network.forward(input, None);
        let sure = burn::tensor::activation::sigmoid(own.presence.expect("it has one")).into_scalar();
        // the smallest region that the file lets stay is one pixel here
        let seen = burn::tensor::activation::sigmoid(own.logits).max().into_scalar();
        let frame = Frame::new(seed, Size::new(32, 16), PixelFormat::Gray8, picture);
        let mut answer = Segmentation::default();
        segmenter.segment(&frame, &Clock::monotonic(), &mut answer).expect("an answer");
        let (own, said) = (sure.min(seen), answer.findings[0].confidence);
        assert!((own - said).abs() < 0.01, "{own} in the trainer, {said} in the program");
        lesser[usize::from(seen < sure)] += 1;
    }
    assert!(lesser.iter().all(|n| *n > 0), "each decides at times: {lesser:?}");
}

#[test]
fn a_network_has_the_weights_that_its_name_promises() {
    let count = |a: Architecture, base| a.graph(Width { base, levels: 4, cap: 256 }, 1, false).weights();
    // by hand: 9 · (130,832 down + 65,280 up) + 174,080 transposed + 16 of the head, and 1,713 biases
    assert_eq!(count(Architecture::Unet, 16), 9 * (130_832 + 65_280) + 174_080 + 16 + 1_713);
    assert!(count(Architecture::MiniUnet, 12) < 300_000);
    assert!(count(Architecture::Resunet, 16) > count(Architecture::Unet, 16));
}

#[test]
fn a_seed_gives_the_same_weights_and_another_seed_others() {
    let device = Default::default();
    let graph = || Architecture::Unet.graph(Width { base: 4, levels: 2, cap: 16 }, 1, true);
    let first = |seed| {
        let network: Network<Flex> = Network::new(graph(), 0.0, Precision::Fp32, seed, &device);
        sonoplex_train::export::values(network.convs[0].weight.val())
    };
    assert_eq!(first(3), first(3));
    assert_ne!(first(3), first(4));
}
