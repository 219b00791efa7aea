//! Rounding to bytes: what it changes, where it stays away, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};

use sonoplex::backend::cpu::isa::{self, Isa};
use sonoplex::backend::cpu::layout::{Grid, Layout};
use sonoplex::engine::{
    BuildError, Builder, BuilderConfig, Calibration, Calibrator, Engine, Network, Plan, Precision, Threshold,
};

use super::engine_networks::wide;
use super::kernels_cuda_net_int8::deviation;
use super::naive::Random;
use super::onnx_writer::{Set, Writer};

fn plan(network: &Network, precision: Precision, calibration: Option<Calibration>) -> Result<Plan, BuildError> {
    Builder::new(BuilderConfig { threads: 2, precision, calibration, ..BuilderConfig::default() }).build(network)
}

fn run(plan: Plan, input: &[f32]) -> Vec<f32> {
    let engine = Engine::new(plan).expect("an engine");
    let mut context = engine.context();
    let shape = engine.inputs()[0].shape.clone();
    context.bind("image", &shape, input).expect("an input");
    context.enqueue().expect("a run");
    context.output(&engine.outputs()[0].name).expect("an output").to_vec()
}

/// The network, a few inputs of it, and what its tensors hold on them.
fn calibrated(images: usize) -> (Network, Vec<Vec<f32>>, Calibration) {
    let network = Network::from_onnx(&wide(images).bytes()).expect("a network");
    let engine = Engine::new(plan(&network, Precision::Fp32, None).expect("a plan")).expect("an engine");
    let (mut context, mut calibrator, mut random) = (engine.context(), Calibrator::default(), Random(11));
    let shape = engine.inputs()[0].shape.clone();
    let inputs: Vec<Vec<f32>> = (0..4).map(|_| random.floats(shape.iter().product())).collect();
    for input in &inputs {
        context.bind("image", &shape, input).expect("an input");
        calibrator.observe(&mut context).expect("a run");
    }
    (network, inputs, calibrator.calibration(Threshold::Max))
}

fn in_bytes(plan: &Plan) -> Vec<String> {
    plan.steps().iter().filter(|s| s.tactic.contains("_int8")).map(|s| s.name.clone()).collect()
}

#[test]
fn bytes_change_little_whatever_the_tensors_meet_in() {
    for images in [1, 2] {
        let (network, inputs, calibration) = calibrated(images);
        let exact = plan(&network, Precision::Fp32, None).expect("a plan");
        let own = plan(&network, Precision::Int8, Some(calibration)).expect("a plan");
        assert!(in_bytes(&own).len() >= 5, "{:?}", own.tactics());
        // Where bf16 is multiplied, what is not kept as bytes is kept as halves.
        let [most, of] = if Isa::has_bf16() { [2, 3] } else { [4, 5] };
        assert!(own.arena_bytes() < exact.arena_bytes() * most / of, "{} {}", own.arena_bytes(), exact.arena_bytes());
        let expected = run(exact, &inputs[0]);
        let found = run(own.clone(), &inputs[0]);
        let apart = deviation(&found, &expected);
        // Its quotient by values near zero enlarges what is rounded.
        assert!(apart > 0.0 && apart < 0.15, "{apart}");
        // As bytes of a file, and on any number of threads.
        let read = Plan::from_bytes(&own.to_bytes()).expect("a plan");
        assert_eq!(run(read.with_threads(1), &inputs[0]), found);
    }
}

#[test]
fn every_set_of_instructions_rounds_alike() {
    let (network, inputs, calibration) = calibrated(1);
    let own = plan(&network, Precision::Int8, Some(calibration.clone())).expect("a plan");
    let expected = run(own.clone(), &inputs[0]);
    let narrower = [Isa::Avx2, Isa::Neon, Isa::Portable].into_iter().filter(|isa| Isa::detect().includes(*isa));
    for ending in narrower.map(Isa::suffix) {
        let narrow = |(step, tactic): (String, String)| {
            // Factors of 16 bits are multiplied by the widest set alone.
            let stem = isa::split(&tactic).0.trim_end_matches("_bf16");
            (step, if stem == "naive" { tactic.clone() } else { format!("{stem}{ending}") })
        };
        let tactics: BTreeMap<_, _> = own.tactics().into_iter().map(narrow).collect();
        let config = BuilderConfig {
            threads: 1,
            precision: Precision::Int8,
            calibration: Some(calibration.clone()),
            tactics: Some(tactics),
            ..BuilderConfig::default()
        };
        let plan = Builder::new(config).build(&network).expect("a plan");
        assert!(deviation(&run(plan, &inputs[0]), &expected) < 0.02, "{ending}");
    }
}

#[test]
fn tensors_that_pass_codes_on_share_a_grid() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 16, 16]);
    let first = w.conv(&x, 1, 16, 3);
    let pooled = w.max_pool(&first);
    let second = w.conv(&pooled, 16, 32, 3);
    let joined = w.node("Concat", &[&pooled, &second], &[("axis", Set::Int(1))]);
    let apart = w.conv(&joined, 48, 16, 3);
    let x = w.conv(&apart, 16, 1, 1);
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("a network");
    let ranges = [(&first, [0.0, 1.0]), (&second, [-1.0, 3.0]), (&apart, [0.0, 0.5])];
    let ranges = ranges.into_iter().map(|(name, range)| (name.clone(), range)).collect();
    let kept = BTreeSet::new();
    let plan = plan(&network, Precision::Int8, Some(Calibration { ranges, kept })).expect("a plan");
    let bytes = |range: [f32; 2]| Layout::BlockedU8(Grid::between(range[0], range[1]));
    let layouts: Vec<[Layout; 2]> = plan.steps().iter().map(|step| plan.layouts(step)).collect();
    // The first convolution with its pooling and what is joined reach as far as the farthest of them; the last convolution
    // multiplies no bytes, so what it reads keeps its own floats.
    let shared = bytes([-1.0, 3.0]);
    assert_eq!(layouts[0], [Layout::Planar, shared]);
    assert!(plan.table()[0].op.ends_with("max_pool"), "{:?}", plan.table());
    // This one reads what is pooled.
    assert_eq!(layouts[1], [shared; 2]);
    let [from, to] = layouts[2];
    assert!(from == shared && matches!(to, Layout::Blocked | Layout::BlockedBf16), "{layouts:?}");
    assert_eq!(layouts.len(), 4, "{:?}", plan.tactics());
    assert_eq!(layouts[3][1], Layout::Planar);
}

#[test]
fn layers_that_are_kept_do_not_multiply_bytes() {
    let (network, inputs, mut calibration) = calibrated(1);
    let all = plan(&network, Precision::Int8, Some(calibration.clone())).expect("a plan");
    let layers = in_bytes(&all);
    let exact = run(plan(&network, Precision::Fp32, None).expect("a plan"), &inputs[0]);
    calibration.kept.insert(layers[0].clone());
    let one = plan(&network, Precision::Int8, Some(calibration.clone())).expect("a plan");
    assert_eq!(in_bytes(&one), layers[1..]);
    calibration.kept.extend(layers);
    let none = plan(&network, Precision::Int8, Some(calibration)).expect("a plan");
    assert!(in_bytes(&none).is_empty());
    let apart = [all, none].map(|plan| deviation(&run(plan, &inputs[0]), &exact));
    assert!(apart[1] < apart[0], "{apart:?}");
}

#[test]
fn bytes_need_frames_to_calibrate_on() {
    let (network, _, _) = calibrated(1);
    let refused = plan(&network, Precision::Int8, None).expect_err("no ranges").to_string();
    assert!(refused.contains("--precision int8 --calibrate FRAMES"), "{refused}");
    // Ranges of another network are no ranges: nothing is rounded to bytes.
    let other = Calibration { ranges: [("other".to_owned(), [0.0, 1.0])].into(), ..Calibration::default() };
    assert!(in_bytes(&plan(&network, Precision::Int8, Some(other)).expect("a plan")).is_empty());
}
