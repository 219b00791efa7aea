//! LibTorch's own autograd and burn's say the same.

use burn::backend::libtorch::LibTorchDevice;
use burn::backend::{Autodiff, LibTorch};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::nn::BatchNorm;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use clap::ValueEnum;
use sonoplex_train::architecture::{Architecture, Width};
use sonoplex_train::export::values;
use sonoplex_train::gradients::{Learn, Lesson, by_burn};
use sonoplex_train::loss::{Loss, Truth};
use sonoplex_train::network::{Network, Precision};

type B = Autodiff<LibTorch>;

/// How far gradients differ: the most in any tensor, as part of its largest; and the squares of all, with those of the gradients.
struct Compare {
    ours: GradientsParams,
    burns: GradientsParams,
    most: f32,
    squares: [f32; 2],
    count: usize,
}

impl ModuleVisitor<B> for Compare {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(b) = self.burns.remove::<LibTorch, D>(param.id) else { return };
        let a = self.ours.remove::<LibTorch, D>(param.id).expect("a gradient of every weight that burn moves");
        assert_eq!(a.dims(), b.dims());
        let largest = b.clone().abs().max().into_scalar().max(1e-4);
        let square = |t: &Tensor<LibTorch, D>| t.clone().powi_scalar(2).sum().into_scalar();
        self.squares[0] += square(&(a.clone() - b.clone()));
        self.squares[1] += square(&b);
        self.most = self.most.max((a - b).abs().max().into_scalar() / largest);
        self.count += 1;
    }
}

fn differ(architecture: Architecture, presence: bool, precision: Precision) -> (Compare, f64) {
    let device = LibTorchDevice::Cpu;
    let graph = architecture.graph(Width { base: 4, levels: 3, cap: 16 }, 2, presence);
    let network: Network<B> = Network::new(graph, 0.1, precision, 7, &device);
    // no two values and no two neighbourhoods are alike: which of equals a pool takes, rounding would decide
    let level = |i: u32| (i.wrapping_mul(2_654_435_761) ^ (i * i).wrapping_mul(40_503)) >> 8;
    let picture = || {
        let values: Vec<f32> = (0..3 * 16 * 32).map(|i| level(i) as f32 / 16_777_216.0).collect();
        Tensor::from_data(TensorData::new(values, [3, 1, 16, 32]), &device)
    };
    let truth = Truth {
        maps: Tensor::cat(vec![picture().greater_elem(0.7).float(), picture().lower_elem(0.1).float()], 1),
        present: Tensor::from_data([[1.0f32, 1.0], [0.0, 1.0], [1.0, 0.0]], &device),
        labelled: Tensor::from_data([[1.0f32, 1.0], [1.0, 1.0], [1.0, 0.0]], &device),
    };
    let loss: Loss = "bce+dice".parse().expect("a loss");
    let lesson = || Lesson { picture: picture(), truth: &truth, loss: &loss, noise: 5 };
    // a clone would share its running statistics
    let twin: Network<B> = Network::new(network.graph().clone(), 0.1, precision, 7, &device);
    let twin = twin.load_record(network.clone().into_record());
    let (other, burns) = by_burn(&twin, lesson());
    let (value, ours) = B::gradients(&network, lesson());
    let mut compare = Compare { ours, burns, most: 0.0, squares: [0.0; 2], count: 0 };
    Module::<B>::visit(&network, &mut compare);
    let weights = network.convs.len() + 2 * network.norms.len() + 2 * network.ups.len();
    assert!(compare.count > weights, "{architecture:?}: {} of more than {weights} tensors", compare.count);
    // both have seen one batch
    let statistics = |n: &Network<B>| -> Vec<f32> {
        let of = |n: &BatchNorm<LibTorch>| {
            [values(n.running_mean.value_sync()), values(n.running_var.value_sync())].concat()
        };
        n.valid().norms.iter().flat_map(of).collect()
    };
    let near = if precision == Precision::Fp32 { 1e-5 } else { 0.02 };
    for (a, b) in statistics(&network).iter().zip(statistics(&twin)) {
        assert!((a - b).abs() < near * b.abs().max(1.0), "{architecture:?}: {a} and {b}");
    }
    let loss = (value - other).abs();
    (compare, loss)
}

#[test]
fn both_ways_to_a_gradient_meet() {
    for &architecture in Architecture::value_variants() {
        for presence in [false, true] {
            let (Compare { most, .. }, loss) = differ(architecture, presence, Precision::Fp32);
            assert!(most < 1e-2 && loss < 1e-5, "{architecture:?}, presence {presence}: {most}, loss {loss}");
        }
    }
}

#[test]
fn rounded_factors_stay_near() {
    for architecture in [Architecture::Unet, Architecture::Resunet, Architecture::AttentionUnet] {
        let (Compare { squares: [off, all], .. }, loss) = differ(architecture, true, Precision::Mixed);
        let off = (off / all).sqrt();
        assert!(off < 0.3 && loss < 0.02, "{architecture:?}: {off} of the gradient, loss {loss}");
    }
}
