//! Networks that come quantised: in bytes with the grids that they bring along.

use sonoplex::engine::cuda::Program;
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network, Plan, Precision};

use super::naive::Random;
use super::onnx_writer::{Set, Writer};

/// Where the rounding stands, and what stands in it.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// Around every operator; a ReLU is left out where the smallest code is zero.
    Pairs,
    /// Once around convolution and pooling together, which then works on codes.
    Codes,
}

fn round(w: &mut Writer, x: &str, scale: f32, zero: i64) -> [String; 3] {
    let (scale, zero) = (w.floats(&[], vec![scale]), w.bytes_of(&[], &[zero]));
    [w.node("QuantizeLinear", &[x, &scale, &zero], &[]), scale, zero]
}

fn pair(w: &mut Writer, x: &str, scale: f32, zero: i64) -> String {
    let [q, scale, zero] = round(w, x, scale, zero);
    w.node("DequantizeLinear", &[&q, &scale, &zero], &[])
}

fn network(style: Style) -> Network {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 3, 20, 20]);
    let x = w.conv(&x, 3, 16, 3);
    let x = pair(&mut w, &x, 0.012, -128);
    let a = w.conv(&x, 16, 32, 3);
    let a = match style {
        Style::Pairs => {
            let a = pair(&mut w, &a, 0.01, -128);
            let a = w.max_pool(&a);
            pair(&mut w, &a, 0.01, -128)
        }
        Style::Codes => {
            let [q, scale, zero] = round(&mut w, &a, 0.01, -128);
            let q = w.max_pool(&q);
            w.node("DequantizeLinear", &[&q, &scale, &zero], &[])
        }
    };
    let b = w.conv(&a, 32, 32, 3);
    // Of both signs: its ends only cut.
    let b = pair(&mut w, &b, 0.02, 3);
    let b = w.node("Relu", &[&b], &[]);
    let b = pair(&mut w, &b, 0.01, -128);
    let joined = w.node("Concat", &[&a, &b], &[("axis", Set::Int(1))]);
    let x = w.conv(&joined, 64, 16, 3);
    let x = w.node("Relu", &[&x], &[]);
    let x = pair(&mut w, &x, 0.01, -128);
    let x = w.conv(&x, 16, 2, 1);
    w.output(&x);
    Network::from_onnx(&w.bytes()).expect("a network")
}

fn plan(network: &Network, precision: Precision) -> Plan {
    let config = BuilderConfig { threads: 1, precision, ..BuilderConfig::default() };
    Builder::new(config).build(network).unwrap_or_else(|e| panic!("{e}"))
}

fn run(plan: Plan, input: &[f32]) -> Vec<f32> {
    let engine = Engine::new(plan).expect("an engine");
    let mut context = engine.context();
    context.bind("image", &[1, 3, 20, 20], input).expect("an input");
    context.enqueue().expect("a run");
    context.output(&engine.outputs()[0].name).expect("an output").to_vec()
}

fn count(plan: &Plan, word: &str) -> usize {
    plan.table().iter().filter(|row| row.op.split(' ').any(|w| w == word)).count()
}

#[test]
fn rounding_becomes_the_grids_of_tensors() {
    let input = Random(5).floats(3 * 20 * 20);
    for style in [Style::Pairs, Style::Codes] {
        let network = network(style);
        let (exact, own) = (plan(&network, Precision::Fp32), plan(&network, Precision::Int8));
        assert!(count(&exact, "quantize") >= 5 && count(&exact, "dequantize") >= 5);
        let table = own.table();
        assert_eq!((count(&own, "quantize"), count(&own, "dequantize")), (0, 0), "{table:#?}");
        // All that is left are convolutions, with what was between them, one of them with the pooling.
        assert_eq!(table.len(), 5, "{table:#?}");
        assert_eq!(count(&own, "max_pool"), 1, "{table:#?}");
        let bytes = own.steps().iter().filter(|s| s.tactic.contains("_int8")).count();
        assert_eq!(bytes, 3, "{table:#?}");
        let (expected, found) = (run(exact, &input), run(own, &input));
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let apart = square(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
        let apart = (apart / square(&mut expected.iter().copied())).sqrt();
        // The same grids; weights, which here come as floats, are rounded too.
        assert!(apart < 0.03, "{apart}");
    }
}

#[test]
fn on_a_gpu_they_are_computed_in_bytes_too() {
    for style in [Style::Pairs, Style::Codes] {
        let config = BuilderConfig { precision: Precision::Int8, ..BuilderConfig::default() };
        let plan = Builder::new(config).build_for_gpu(&network(style)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((count(&plan, "quantize"), plan.precision()), (0, Precision::Int8));
        let program = Program::new(&plan).unwrap_or_else(|e| panic!("{e}"));
        let kernels: Vec<&str> = program.launches.iter().map(|launch| launch.kernel()).collect();
        assert_eq!(kernels.iter().filter(|kernel| kernel.starts_with("conv_int8_")).count(), 3, "{kernels:?}");
        // The first layer's halves.
        assert_eq!(kernels.iter().filter(|kernel| **kernel == "to_codes").count(), 1, "{kernels:?}");
    }
}

#[test]
fn in_full_precision_rounding_stays_as_it_is() {
    let plan = plan(&network(Style::Pairs), Precision::Fp32);
    assert_eq!(count(&plan, "quantize"), 6);
}

#[test]
fn bytes_that_something_else_computes_with_stay() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 3, 20, 20]);
    let x = w.conv(&x, 3, 16, 3);
    let x = pair(&mut w, &x, 0.012, -128);
    let a = w.conv(&x, 16, 16, 3);
    let [q, scale, zero] = round(&mut w, &a, 0.01, 0);
    // Asked for as codes.
    w.output(&q);
    let a = w.node("DequantizeLinear", &[&q, &scale, &zero], &[]);
    let a = w.conv(&a, 16, 16, 3);
    w.output(&a);
    let network = Network::from_onnx(&w.bytes()).expect("a network");
    let own = plan(&network, Precision::Int8);
    assert_eq!(count(&own, "quantize"), 1);
    let input = Random(5).floats(3 * 20 * 20);
    // Codes are whole numbers from -128 to 127.
    let codes = run(own, &input);
    assert!(codes.iter().all(|c| c.fract() == 0.0 && (-128.0..=127.0).contains(c)));
}
