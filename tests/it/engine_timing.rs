//! Tactics chosen by timing, with a clock that says what the test wants.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use sonoplex::backend::cpu::isa;
use sonoplex::engine::timing::{TimingCache, build};
use sonoplex::engine::{BuilderConfig, Device, Engine, EngineError, Network, Plan, Precision};

use super::engine_networks::wide;

fn network() -> Network {
    Network::from_onnx(&wide(1).bytes()).expect("a network")
}

fn config() -> BuilderConfig {
    BuilderConfig { threads: 1, ..BuilderConfig::default() }
}

/// Builds with a clock by which a step takes what `microseconds` says of its tactic; how often it was asked.
fn timed(cache: &mut TimingCache, microseconds: impl Fn(&str) -> u64) -> (Plan, usize) {
    let asked = RefCell::new(0);
    let mut timer = |plan: Plan| -> Result<Vec<Duration>, EngineError> {
        *asked.borrow_mut() += 1;
        Ok(plan.steps().iter().map(|s| Duration::from_micros(microseconds(&s.tactic))).collect())
    };
    let plan = build(&config(), &network(), cache, &mut timer, &mut |_, _| ()).expect("a plan");
    (plan, asked.into_inner())
}

/// How many steps have a tactic of each family.
fn families(plan: &Plan) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for tactic in plan.tactics().into_values() {
        *count.entry(isa::split(&tactic).0.to_owned()).or_default() += 1;
    }
    count
}

#[test]
fn the_fastest_is_taken_and_a_hair_is_not_enough() {
    let guess = sonoplex::engine::Builder::new(config()).build(&network()).expect("a plan");
    // All take the same, or nearly: the guess stays.
    let (same, _) = timed(&mut TimingCache::default(), |_| 1000);
    assert_eq!(same.tactics(), guess.tactics());
    let (nearly, _) =
        timed(&mut TimingCache::default(), |tactic| if tactic.starts_with("winograd2") { 990 } else { 1000 });
    assert_eq!(nearly.tactics(), guess.tactics());
    // One is clearly faster: it is taken where it is offered, and nowhere else.
    let (faster, _) =
        timed(&mut TimingCache::default(), |tactic| if tactic.starts_with("winograd2") { 500 } else { 1000 });
    let (before, after) = (families(&guess), families(&faster));
    let threes = |f: &BTreeMap<String, usize>| {
        f.iter().filter(|(name, _)| name.starts_with("winograd")).map(|(_, n)| n).sum::<usize>()
    };
    assert!(after["winograd2"] >= threes(&before) && !after.contains_key("winograd4"), "{before:?} {after:?}");
    assert!(after.keys().all(|family| !family.contains("_bf16") && family != "naive"), "{after:?}");
}

#[test]
fn what_was_timed_is_not_timed_again() {
    let mut cache = TimingCache::default();
    let clock = |tactic: &str| if tactic.starts_with("taps") { 10 } else { 100 };
    let (first, rounds) = timed(&mut cache, clock);
    assert!((2..=6).contains(&rounds), "{rounds}");
    let kept = serde_json::to_string(&cache).expect("JSON");
    let mut cache: TimingCache = serde_json::from_str(&kept).expect("a cache");
    assert!(cache.is_like(&TimingCache::of(Device::Cpu).expect("it is always there")));
    let (again, rounds) = timed(&mut cache, |_| unreachable!("all is known"));
    assert_eq!((again.sha256(), rounds), (first.sha256(), 0));
    // Other numbers of threads are other layers.
    let config = BuilderConfig { threads: 3, ..config() };
    let mut asked = 0;
    let mut timer = |plan: Plan| {
        asked += 1;
        Ok(vec![Duration::from_micros(5); plan.steps().len()])
    };
    build(&config, &network(), &mut cache, &mut timer, &mut |_, _| ()).expect("a plan");
    assert!(asked > 0);
    let foreign: TimingCache =
        serde_json::from_str(&kept.replace("\"machine\":\"", "\"machine\":\"another ")).expect("a cache");
    assert!(!foreign.is_like(&cache));
}

#[test]
fn timed_tactics_compute_the_same() {
    let plan = |timer: &mut dyn FnMut(Plan) -> Result<Vec<Duration>, EngineError>| {
        let config = BuilderConfig { precision: Precision::Fp32, ..config() };
        build(&config, &network(), &mut TimingCache::default(), timer, &mut |_, _| ()).expect("a plan")
    };
    let guessed = plan(&mut |plan| Ok(vec![Duration::ZERO; plan.steps().len()]));
    let timed = plan(&mut |plan| sonoplex::engine::timing::measure(plan));
    let [a, b] = [guessed, timed].map(|plan| {
        let engine = Engine::new(plan).expect("an engine");
        let mut context = engine.context();
        context.bind_noise();
        context.enqueue().expect("a run");
        context.output(&engine.outputs()[0].name).expect("an output").to_vec()
    });
    let largest = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-3 * largest));
}
