//! LibTorch's own autograd and burn's say the same.

use burn::backend::libtorch::LibTorchDevice;
use burn::backend::{Autodiff, LibTorch};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use clap::ValueEnum;
use sonoplex_train::architecture::{Architecture, Width};
use sonoplex_train::gradients::Learn;
use sonoplex_train::loss::{Loss, Truth};
use sonoplex_train::network::{Network, Precision};

type B = Autodiff<LibTorch>;

/// The largest difference of any gradient, as part of the largest gradient of its tensor, and how many tensors were compared.
struct Compare {
    ours: GradientsParams,
    burns: GradientsParams,
    most: f32,
    count: usize,
}

impl ModuleVisitor<B> for Compare {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(b) = self.burns.remove::<LibTorch, D>(param.id) else { return };
        let a = self.ours.remove::<LibTorch, D>(param.id).expect("a gradient of every weight that burn moves");
        assert_eq!(a.dims(), b.dims());
        let largest = b.clone().abs().max().into_scalar().max(1e-4);
        self.most = self.most.max((a - b).abs().max().into_scalar() / largest);
        self.count += 1;
    }
}

fn differ(architecture: Architecture, presence: bool, precision: Precision) -> (f32, f64) {
    let device = LibTorchDevice::Cpu;
    let graph = architecture.graph(Width { base: 4, levels: 3, cap: 16 }, 2, presence);
    let network: Network<B> = Network::new(graph, 0.1, precision, 7, &device);
    let picture = || {
        let values: Vec<f32> = (0..3 * 16 * 32).map(|i| ((i * 7919 + i / 7) % 97) as f32 / 97.0).collect();
        Tensor::from_data(TensorData::new(values, [3, 1, 16, 32]), &device)
    };
    let truth = Truth {
        maps: Tensor::cat(vec![picture().greater_elem(0.7).float(), picture().lower_elem(0.1).float()], 1),
        present: Tensor::from_data([[1.0f32, 1.0], [0.0, 1.0], [1.0, 0.0]], &device),
        labelled: Tensor::from_data([[1.0f32, 1.0], [1.0, 1.0], [1.0, 0.0]], &device),
    };
    let loss: Loss = "bce+dice".parse().expect("a loss");
    let twin = network.clone().fork(&device);
    let value = loss.of(twin.forward(picture(), Some(5)), &truth);
    let other = f64::from(value.clone().into_scalar());
    let burns = GradientsParams::from_grads(value.backward(), &twin);
    let (value, ours) = B::gradients(&network, picture(), &truth, &loss, 5);
    let mut compare = Compare { ours, burns, most: 0.0, count: 0 };
    Module::<B>::visit(&network, &mut compare);
    let weights = network.convs.len() + 2 * network.norms.len() + 2 * network.ups.len();
    assert!(compare.count > weights, "{architecture:?}: {} of more than {weights} tensors", compare.count);
    // both have seen one batch
    let means =
        |n: &Network<B>| n.valid().norms.iter().map(|n| n.running_mean.value_sync().into_data()).collect::<Vec<_>>();
    for (a, b) in means(&network).iter().zip(means(&twin)) {
        a.assert_approx_eq::<f32>(
            &b,
            burn::tensor::Tolerance::absolute(if precision == Precision::Fp32 { 1e-5 } else { 0.02 }),
        );
    }
    (compare.most, (value - other).abs())
}

#[test]
fn both_ways_to_a_gradient_meet() {
    for &architecture in Architecture::value_variants() {
        for presence in [false, true] {
            let (most, loss) = differ(architecture, presence, Precision::Fp32);
            assert!(most < 1e-2 && loss < 1e-5, "{architecture:?}, presence {presence}: {most}, loss {loss}");
        }
    }
}

#[test]
fn rounded_factors_stay_near() {
    for architecture in [Architecture::Unet, Architecture::Resunet, Architecture::AttentionUnet] {
        let (_, loss) = differ(architecture, true, Precision::Mixed);
        assert!(loss < 0.02, "{architecture:?}: loss {loss}");
    }
}
