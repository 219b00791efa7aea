//! Plans as bytes, contexts beside each other, stored tactics, what describes a network.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sonoplex::engine::cuda::Program;
use sonoplex::engine::plan::VERSION;
use sonoplex::engine::{Builder, BuilderConfig, Device, Engine, Network, Plan, PlanFault, Precision, describe};

use crate::engine_networks::{Up, residual, unet};
use crate::kernels_cuda_net_int8::{calibrated, uneven, wide};
use crate::kernels_cuda_net_more::{irregular, normed};
use crate::onnx_writer::{Set, Writer};

fn network() -> Network {
    let bytes = unet([1, 1, 16, 24], Up::Transpose, true, false, "Sigmoid").bytes();
    Network::from_onnx(&bytes).expect("the writer writes sound files")
}

fn plan(threads: usize) -> Plan {
    let config = BuilderConfig { threads, device: Device::Cpu, ..Default::default() };
    Builder::new(config).build(&network()).expect("all of it is supported")
}

fn run(plan: Plan) -> Vec<f32> {
    let engine = Engine::new(plan).expect("tactics of this machine");
    let mut context = engine.context();
    context.input_mut("image").expect("its input").copy_from_slice(&Writer::new(13).randoms(16 * 24));
    context.enqueue().expect("the CPU never refuses");
    context.synchronize().expect("the CPU never fails");
    context.output(&engine.outputs()[0].name).expect("its output").to_vec()
}

#[test]
fn bytes_go_both_ways_and_compute_the_same_bits_on_any_number_of_threads() {
    let (one, two) = (plan(1), plan(2));
    assert_eq!((one.sha256(), one.to_bytes()), (two.sha256(), two.to_bytes()), "threads are no part of a plan");
    let read = Plan::from_bytes(&one.to_bytes()).expect("just written");
    assert_eq!((read.sha256(), read.to_bytes(), read.tactics()), (one.sha256(), one.to_bytes(), one.tactics()));
    let expected = run(one);
    assert_eq!(run(two), expected);
    assert_eq!(run(read.with_threads(3)), expected);
}

#[test]
fn damaged_plans_are_refused_with_what_to_do() {
    let bytes = plan(1).to_bytes();
    let refused = |bytes: &[u8]| Plan::from_bytes(bytes).expect_err("it is damaged");
    for at in (0..200).chain((200..bytes.len()).step_by(97)).chain(bytes.len() - 40..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped);
    }
    for length in (0..64).chain((64..bytes.len()).step_by(501)).chain([bytes.len() - 1]) {
        refused(&bytes[..length]);
    }
    let mut other = bytes.clone();
    other[8] += 1;
    assert_eq!(refused(&other), PlanFault::Version { found: VERSION + 1 });
    assert_eq!(refused(b"not a plan at all"), PlanFault::NotAPlan);
}

#[test]
fn a_damaged_file_still_says_how_it_was_built() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.plan");
    let inputs = BTreeMap::from([("image".to_owned(), vec![1, 1, 16, 24])]);
    let config = BuilderConfig { inputs, precision: Precision::Bf16, ..Default::default() };
    let built = Builder::new(config).build(&network()).expect("all of it is supported").of_model("my models/u.onnx");
    let bytes = built.to_bytes();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("a file");
        Plan::open(&file).expect_err("it is damaged").to_string()
    };
    let name = file.display();
    let command = format!("`sonoplex build 'my models/u.onnx' -o {name} --precision bf16 --input image=1x1x16x24`");
    for damaged in [&bytes[..bytes.len() - 9], &[&bytes[..bytes.len() - 40], &[7], &bytes[bytes.len() - 39..]].concat()]
    {
        let said = refused(damaged);
        assert!(said.contains(&command) && said.contains(&format!("`{name}`")), "{said}");
    }
    // Nothing that such a file says of itself can be trusted.
    let said = refused(&[&bytes[..60], &[7], &bytes[61..]].concat());
    assert!(said.contains(&format!("`sonoplex build MODEL.onnx -o {name}`")), "{said}");
    std::fs::write(&file, &bytes).expect("a file");
    let plan = Plan::open(&file).expect("it is whole");
    assert_eq!((plan.sha256(), plan.to_bytes()), (built.sha256(), bytes));
    assert_ne!(plan.sha256(), self::plan(1).sha256(), "the precision is part of a plan");
    let said = plan.on(Device::Cpu, 1, Some(Precision::Fp32)).expect_err("it is bf16").to_string();
    assert!(said.contains("expected one of precision fp32, found bf16") && said.contains("--precision fp32"), "{said}");
}

/// Shows what becomes of lies with a sound checksum: each digit of the header is changed, and the hash is made to agree.
pub fn each_lie(bytes: &[u8], mut see: impl FnMut(Result<Plan, PlanFault>)) {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let (start, length) = (28 + number(12), number(20));
    let header: serde_json::Value = serde_json::from_slice(&bytes[start..start + length]).expect("JSON");
    let runs = header["weights"].as_array().expect("their lengths").iter().map(|n| n.as_u64().expect("a length"));
    let mut weights = &bytes[start + length + 32..];
    let hashes: Vec<u8> = runs
        .flat_map(|n| {
            let (run, rest) = weights.split_at(4 * n as usize);
            weights = rest;
            Sha256::digest(run)
        })
        .collect();
    for at in (start..start + length).filter(|&i| bytes[i].is_ascii_digit()) {
        let mut lie = bytes.to_vec();
        lie[at] = if lie[at] == b'9' { b'1' } else { lie[at] + 1 };
        let (head, end) = (start + length, lie.len() - 32);
        let sha = Sha256::digest(&lie[..head]);
        lie[head..head + 32].copy_from_slice(&sha);
        let own = Sha256::new_with_prefix(&lie[start..head]).chain_update(&hashes).finalize();
        lie[end..].copy_from_slice(&own);
        see(Plan::from_bytes(&lie));
    }
}

/// How many lies are refused. What is left of a plan for a GPU becomes a program.
fn lies(bytes: &[u8]) -> usize {
    let (mut refused, mut kept) = (0, 0);
    each_lie(bytes, |read| {
        if let Ok(plan) = read.as_ref().map(|plan| plan.is_for_gpu().then_some(plan))
            && let Some(plan) = plan
        {
            refused += usize::from(Program::new(plan).is_err());
            return;
        }
        match read.map(Engine::new) {
            // What is left is sound in itself: it runs, whatever it computes. Every tenth is enough to see that.
            Ok(Ok(engine)) => {
                kept += 1;
                if kept % 10 == 0 {
                    engine.context().enqueue().expect("the CPU never refuses");
                }
            }
            _ => refused += 1,
        }
    });
    refused
}

/// Plans for a GPU, of halves and of bytes, with all that these meet, and how many lies of each have to be refused.
pub fn plans_for_a_gpu() -> Vec<(Plan, usize)> {
    let networks = [
        (wide(), false, 500),
        (wide(), true, 500),
        (normed(), false, 400),
        (irregular(), false, 400),
        (uneven(), true, 300),
    ];
    let plan = |(writer, bytes, refused): (Writer, bool, usize)| {
        let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
        let builder = Builder::default();
        let builder = if bytes { builder.rounding(Precision::Int8, Some(calibrated(&network).0)) } else { builder };
        (builder.build_for_gpu(&network).expect("supported"), refused)
    };
    networks.into_iter().map(plan).collect()
}

#[test]
fn plans_that_contradict_themselves_never_reach_an_engine_that_panics() {
    let refused = lies(&plan(1).to_bytes());
    assert!(refused > 100, "{refused} refused");
    // A step that writes two values.
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 8, 8]);
    let x = w.conv(&x, 1, 16, 3);
    let x = w.max_pool(&x);
    let x = w.conv(&x, 16, 2, 1);
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("the writer writes sound files");
    let plan = Builder::default().build(&network).expect("all of it is supported");
    assert_eq!(plan.table()[0].op, "conv 3x3 + max_pool");
    let refused = lies(&plan.to_bytes());
    assert!(refused > 60, "{refused} refused");
    for (plan, least) in plans_for_a_gpu() {
        let refused = lies(&plan.to_bytes());
        assert!(refused > least, "{refused} refused");
    }
}

/// Joined tensors have places of nothing between their parts: a few weights may stand for very many.
#[test]
fn weights_that_would_fill_the_memory_are_refused_before_they_do() {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 1, 2, 2]);
    let (weight, bias) = (w.weights(&[1, 1, 1, 1], 1), w.weights(&[1], 1));
    let mut x = w.node("Conv", &[&x, &weight, &bias], &[]);
    for parts in [8, 8, 8, 16] {
        x = w.node("Concat", &vec![x.as_str(); parts], &[("axis", Set::Int(1))]);
    }
    let x = w.node("Relu", &[&x], &[]);
    let (weight, bias) = (w.weights(&[8192, 2, 3, 3], 18), w.weights(&[8192], 8));
    let settings = [("group", Set::Int(4096)), ("pads", Set::Ints(&[1, 1, 1, 1]))];
    let x = w.node("Conv", &[&x, &weight, &bias], &settings);
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("the writer writes sound files");
    let plan = Builder::default().build_for_gpu(&network).expect("supported");
    let said = Program::new(&plan).expect_err("too many").to_string();
    assert!(said.contains("weights so far take more than") && said.contains("--device cpu"), "{said}");
}

/// As large networks for pictures have them: as dense ones they would be a thousand million numbers.
#[test]
fn many_layers_whose_channels_stand_each_for_itself_are_no_many_weights() {
    let mut w = Writer::new(13);
    let mut x = w.input("image", &[1, 768, 2, 2]);
    let weight = w.weights(&[768, 1, 7, 7], 49);
    for _ in 0..38 {
        x = w.node("Conv", &[&x, &weight], &[("group", Set::Int(768)), ("pads", Set::Ints(&[3, 3, 3, 3]))]);
        x = w.node("Softplus", &[&x], &[]);
    }
    w.output(&x);
    let network = Network::from_onnx(&w.bytes()).expect("the writer writes sound files");
    let plan = Builder::default().build_for_gpu(&network).expect("supported");
    let room: usize = Program::new(&plan).expect("it has kernels").constants.iter().map(|(_, own)| own.len()).sum();
    assert!(room < 38 * 768 * 64 * 4, "{room} bytes");
}

#[test]
fn a_plan_knows_its_kind_of_device() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.plan");
    let open = |plan: Plan| {
        std::fs::write(&file, plan.of_model("u.onnx").to_bytes()).expect("a file");
        Plan::open(&file).expect("it is whole")
    };
    let name = file.display();
    let network = network();
    let own = open(Builder::default().build_for_gpu(&network).expect("supported"));
    assert!(own.is_for_gpu() && own.precision() == Precision::Fp16);
    let said = Engine::new(own.clone()).map(drop).expect_err("it is for another device").to_string();
    assert!(said.contains("another kind of device"), "{said}");
    let said = own.clone().on(Device::Cpu, 1, None).expect_err("it is for a GPU").to_string();
    assert_eq!(
        said,
        format!(
            "cannot run the plan `{name}` on the processor: it was built for a GPU; give `--device cuda:0`, or build one for the \
             processor: `sonoplex build u.onnx -o {name}`"
        )
    );
    let command = format!("`sonoplex build u.onnx -o {name} --precision fp16 --device cuda:0`");
    assert!(format!("`{}`", own.command()) == command, "{}", own.command());
    assert!(!open(plan(1)).is_for_gpu());
}

#[test]
fn stored_tactics_are_taken_or_refused() {
    let stored: BTreeMap<_, _> = plan(1).tactics().into_keys().map(|k| (k, "naive".to_owned())).collect();
    let with = |tactics| Builder::new(BuilderConfig { tactics: Some(tactics), ..Default::default() }).build(&network());
    let naive = with(stored.clone()).expect("naive is always offered");
    assert_eq!(naive.tactics(), stored);
    assert_ne!(naive.sha256(), plan(1).sha256());
    let (a, b) = (run(naive), run(plan(1)));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
    let wrong = stored.into_keys().map(|k| (k, "abacus".to_owned())).collect();
    let said = with(wrong).expect_err("there is no such tactic").to_string();
    assert!(said.contains("`abacus`") && said.contains("`naive`"), "{said}");
}

#[test]
fn stored_tactics_of_a_gpu_are_taken_or_refused() {
    let network = Network::from_onnx(&wide().bytes()).expect("the writer writes sound files");
    let with = |tactics: BTreeMap<String, String>| {
        let config = BuilderConfig { tactics: Some(tactics), ..Default::default() };
        Program::new(&Builder::new(config).build_for_gpu(&network).expect("supported"))
    };
    let step = Builder::default().build_for_gpu(&network).expect("supported").steps()[2].name.clone();
    let program = |tactic: &str| with(BTreeMap::from([(step.clone(), tactic.to_owned())]));
    let launches = |tactic| program(tactic).expect("it has that").launches.len();
    assert!(launches("64x64/2") > launches("64x64"), "the sums of parts are added");
    let said = program("abacus").expect_err("there is no such tactic").to_string();
    assert!(said.contains(&format!("`{step}`")) && said.contains("`abacus`") && said.contains("build"), "{said}");
}

#[test]
fn contexts_do_not_see_each_other() {
    let engine = Engine::new(plan(2)).expect("tactics of this machine");
    let (input, output) = (&engine.inputs()[0], &engine.outputs()[0]);
    let data = Writer::new(13).randoms(16 * 24);
    let results: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let (engine, data) = (engine.clone(), &data);
                scope.spawn(move || {
                    let mut context = engine.context();
                    let scaled: Vec<f32> = data.iter().map(|v| v * (i % 2) as f32).collect();
                    context.bind(&input.name, &input.shape, &scaled).expect("its own shape");
                    (0..5).for_each(|_| context.enqueue().expect("the CPU never refuses"));
                    context.output(&output.name).expect("its output").to_vec()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(results[0], results[2]);
    assert_ne!(results[0], results[1]);
    let mut context = engine.context();
    let said = context.bind("image", &[1, 1, 24, 16], &data).expect_err("turned").to_string();
    assert_eq!(said, "cannot bind `image`: expected [1, 1, 16, 24] f32, got [1, 1, 24, 16] f32 with 384 elements");
    let said = context.output("mask").expect_err("no such output").to_string();
    assert!(said.contains(&format!("`{}`", output.name)), "{said}");
}

#[test]
fn a_network_is_described() {
    let mut writer = residual(2);
    writer
        .model
        .metadata_props
        .push(sonoplex::engine::onnx::StringStringEntryProto { key: "classes".to_owned(), value: "nerve".to_owned() });
    let network = Network::from_onnx(&writer.bytes()).expect("sound");
    let summary = describe(&network);
    assert_eq!((summary.opset, summary.operators["Conv"], summary.problem.as_deref()), (13, 5, None));
    assert_eq!((summary.inputs[0].shape.as_str(), summary.inputs[0].dtype.as_str()), ("[2, 3, 12, 14]", "float32"));
    assert_eq!(summary.metadata["classes"], "nerve");
    let table = Builder::default().build(&network).expect("supported").table();
    let total: f64 = table.iter().map(|row| row.gflop).sum();
    assert!((total * 1e9 - summary.flops.expect("no shape is open") as f64).abs() < 1.0);
    let open = describe(&Network::from_onnx(&unet([1, 1, 0, 0], Up::Linear, false, false, "").bytes()).expect("sound"));
    assert_eq!((open.flops, open.inputs[0].shape.as_str()), (None, "[1, 1, size, size]"));
    assert!(open.problem.expect("its size is open").contains("--input image=1x1x256x256"));
}
