//! The backend tests of the ONNX project: whatever loads is right. What passes is written into `docs/operators.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use prost::Message;
use serde::Deserialize;
use sonoplex::engine::cuda::Program;
use sonoplex::engine::lower::OPERATORS;
use sonoplex::engine::onnx::{ModelProto, TensorProto, data_type};
use sonoplex::engine::tensor::{Data, Tensor};
use sonoplex::engine::{BuildError, Builder, BuilderConfig, Engine, Network, Plan};

use crate::emulation::{Memory, ORDERS, program};
use crate::engine_mutations::{Dice, change};
use crate::kernels_cuda::Machine;

/// Cases that follow ONNX Runtime and PyTorch rather than ONNX's reference, which disagree.
const DIFFER: &[(&str, &str)] = &[
    (
        "test_resize_downsample_scales_linear_align_corners",
        "align_corners with a scale that does not divide: positions as in ONNX Runtime and PyTorch",
    ),
    (
        "test_resize_downsample_scales_cubic_align_corners",
        "align_corners with a scale that does not divide: positions as in ONNX Runtime and PyTorch",
    ),
];

#[derive(Deserialize)]
struct Case {
    name: String,
    operators: Vec<String>,
    rtol: f32,
    atol: f32,
    #[serde(default)]
    model: (usize, usize),
    #[serde(default)]
    inputs: Vec<Given>,
    #[serde(default)]
    outputs: Vec<Given>,
    skip: Option<String>,
}

#[derive(Deserialize)]
struct Given {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    whole: bool,
    data: (usize, usize),
}

impl Given {
    fn tensor(&self, blob: &[u8]) -> Tensor {
        let bytes = &blob[self.data.0..self.data.0 + self.data.1];
        if self.whole {
            let list = bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
            let dtype = (1..=16).find(|&code| data_type::name(code) == self.dtype).expect("a type that is read");
            return Tensor::integers(self.shape.clone(), list, dtype);
        }
        Tensor::floats(self.shape.clone(), bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }
}

/// What became of a case.
enum Outcome {
    Passed,
    Refused(String),
    Wrong(String),
}

type Build = fn(&Builder, &Network) -> Result<Plan, BuildError>;

/// The plan of a case, or why there is none; inputs from `first` on are made constants of its network.
fn planned(case: &Case, blob: &[u8], first: usize, build: Build) -> Result<Plan, String> {
    let (start, length) = case.model;
    let mut network = Network::from_onnx(&blob[start..start + length]).map_err(|e| e.to_string())?;
    for given in case.inputs.iter().skip(first) {
        if let Some(at) = network.inputs.iter().position(|i| i.name == given.name) {
            network.inputs.remove(at);
            network.constants.insert(given.name.clone(), Arc::new(given.tensor(blob)));
        }
    }
    let shapes = case.inputs.iter().filter(|g| network.inputs.iter().any(|i| i.name == g.name));
    let inputs = shapes.map(|g| (g.name.clone(), g.shape.clone())).collect();
    build(&Builder::new(BuilderConfig { inputs, threads: 1, ..Default::default() }), &network)
        .map_err(|e| e.to_string())
}

/// Runs a case.
fn run(case: &Case, blob: &[u8], first: usize) -> Outcome {
    let plan = match planned(case, blob, first, Builder::build) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Refused(reason),
    };
    let engine = Engine::new(plan).expect("tactics of this machine");
    let mut context = engine.context();
    for given in case.inputs.iter().filter(|g| engine.inputs().iter().any(|i| i.name == g.name)) {
        let data = given.tensor(blob).to_floats();
        context.bind(&given.name, &given.shape, &data).expect("the shape was fixed to it");
    }
    context.enqueue().expect("the CPU never refuses");
    for expected in &case.outputs {
        let Some(info) = engine.outputs().iter().find(|o| o.name == expected.name) else {
            return Outcome::Wrong(format!("it has no output `{}`", expected.name));
        };
        if info.shape != expected.shape {
            return Outcome::Wrong(format!("its shape is {:?}, expected {:?}", info.shape, expected.shape));
        }
        let found = context.output(&expected.name).expect("named by the engine");
        for (i, (&f, &e)) in found.iter().zip(&expected.tensor(blob).to_floats()).enumerate() {
            // Near zero a sum of products is as exact as its terms are large.
            let rtol = if expected.dtype == "float16" { 4.0 * case.rtol } else { case.rtol };
            let near = (f - e).abs() <= case.atol.max(2e-6) + rtol * e.abs();
            if !(f == e || f.is_nan() && e.is_nan() || near && !expected.whole) {
                return Outcome::Wrong(format!("value {i} of `{}` is {f}, expected {e}", expected.name));
            }
        }
    }
    Outcome::Passed
}

/// The case as it is; where that is refused with all inputs but the first as constants, and with all of them. What comes of it,
/// and from which input on they were constants.
fn attempt(case: &Case, run: impl Fn(usize) -> Outcome) -> (Outcome, usize) {
    if let Some(reason) = &case.skip {
        return (Outcome::Refused(reason.clone()), usize::MAX);
    }
    let mut refusals = Vec::new();
    for constant_from in [usize::MAX, 1, 0] {
        match run(constant_from) {
            Outcome::Refused(reason) => refusals.push(reason),
            other => return (other, constant_from),
        }
    }
    // With its weights given, what is left is the reason that matters.
    (Outcome::Refused(refusals.swap_remove(1)), 1)
}

fn oracle() -> Option<(Vec<Case>, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SONOPLEX_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !python.exists() {
        println!("skipped: no Python at {}; `make test` installs it, or set SONOPLEX_PYTHON", python.display());
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = root.join("tests/oracles/onnx_backend.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().expect("a Python that starts");
    assert!(output.status.success(), "the oracle failed: {}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("the oracle wrote it");
    Some((serde_json::from_slice(&read("cases.json")).expect("a list of cases"), read("data.bin")))
}

/// Passed, refused, and the first reason for that.
#[derive(Default)]
struct Row {
    passed: usize,
    refused: usize,
    differ: usize,
    reason: String,
}

/// The row that a case counts for.
fn row_of(case: &Case) -> String {
    match case.operators.as_slice() {
        _ if case.name.starts_with("pytorch") => "exported by PyTorch".to_owned(),
        _ if case.name.ends_with("_expanded") || case.operators.len() > 4 => "functions written out".to_owned(),
        [one] => format!("`{one}`"),
        _ => "several operators".to_owned(),
    }
}

/// What matters of a refusal: without the name of the node.
fn short(reason: &str) -> String {
    let tail = match reason.split_once("is not supported") {
        Some(_) => "the operator is not computed",
        None => reason.rsplit_once("): ").map_or(reason, |(_, tail)| tail),
    };
    tail.replace('|', "\\|").chars().take(110).collect()
}

#[test]
fn the_onnx_projects_own_cases_pass_or_are_refused() {
    let Some((cases, blob)) = oracle() else { return };
    let (mut rows, mut wrong) = (BTreeMap::<String, Row>::new(), Vec::new());
    for case in &cases {
        let outcome = catch_unwind(AssertUnwindSafe(|| attempt(case, |first| run(case, &blob, first)).0))
            .unwrap_or_else(|_| Outcome::Wrong("it panics".to_owned()));
        let row = rows.entry(row_of(case)).or_default();
        match outcome {
            Outcome::Passed => row.passed += 1,
            Outcome::Wrong(_) if DIFFER.iter().any(|(name, _)| *name == case.name) => row.differ += 1,
            Outcome::Wrong(what) => wrong.push(format!("{}: {what}", case.name)),
            Outcome::Refused(reason) => {
                if std::env::var_os("SONOPLEX_CASES").is_some() {
                    println!("{} refused: {reason}", case.name);
                }
                row.refused += 1;
                if row.reason.is_empty() {
                    row.reason = short(&reason);
                }
            }
        }
    }
    let total = |of: fn(&Row) -> usize| rows.values().map(of).sum::<usize>();
    let (passed, refused) = (total(|r| r.passed), total(|r| r.refused));
    println!("{} cases: {passed} pass, {refused} not supported, {} wrong", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "these load and are wrong:\n  {}", wrong.join("\n  "));
    check_page(&page(&rows, cases.len(), passed, refused));
}

/// Runs a case in the emulation of a GPU, where every step has a kernel; numbers may have been halves.
fn run_emulated(case: &Case, blob: &[u8], first: usize) -> Outcome {
    let plan = match planned(case, blob, first, Builder::build_for_gpu) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Refused(reason),
    };
    let program = match Program::apart(&plan) {
        Ok(program) => program,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    let mut memory = Memory::in_order(ORDERS[2]);
    memory.load(&program.recording());
    for (info, region) in &program.inputs {
        let given = case.inputs.iter().find(|g| g.name == info.name).expect("its own input");
        let data = given.tensor(blob).to_floats();
        memory.write(*region, &data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    }
    memory.run(&program.launches).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    for (info, region) in &program.outputs {
        let expected =
            case.outputs.iter().find(|o| o.name == info.name).expect("its own output").tensor(blob).to_floats();
        let found = memory.download(*region);
        let largest = expected.iter().filter(|x| x.is_finite()).fold(1.0f32, |m, x| m.max(x.abs()));
        for (i, (&f, &e)) in found.as_chunks().0.iter().zip(&expected).enumerate() {
            let f = f32::from_le_bytes(f);
            if !(f == e || f.is_nan() && e.is_nan() || (f - e).abs() <= 4e-3 * largest) {
                return Outcome::Wrong(format!("value {i} of `{}` is {f}, expected {e}", info.name));
            }
        }
    }
    Outcome::Passed
}

#[test]
fn the_onnx_projects_own_cases_are_right_in_the_emulation_of_a_gpu_or_refused() {
    let Some((cases, blob)) = oracle().filter(|_| program().is_some()) else { return };
    let (mut passed, mut refused, mut wrong) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for case in cases.iter().filter(|case| !DIFFER.iter().any(|(name, _)| *name == case.name)) {
        // What the CPU computes, with no more constants than it needs.
        let (Outcome::Passed, first) = attempt(case, |first| run(case, &blob, first)) else { continue };
        match catch_unwind(AssertUnwindSafe(|| run_emulated(case, &blob, first))) {
            Ok(Outcome::Passed) => passed += 1,
            Ok(Outcome::Refused(reason)) => *refused.entry(reason).or_default() += 1,
            Ok(Outcome::Wrong(what)) => wrong.push(format!("{}: {what}", case.name)),
            Err(_) => wrong.push(format!("{}: it panics", case.name)),
        }
    }
    refused.iter().for_each(|(reason, cases)| println!("{cases} refused: {reason}"));
    println!("{passed} pass, {} not supported, {} wrong", refused.values().sum::<usize>(), wrong.len());
    assert!(wrong.is_empty(), "these have kernels and are wrong:\n  {}", wrong.join("\n  "));
    assert!(passed > 1130, "{passed} pass");
}

/// The model of a case with all inputs but the first as constants in it.
fn with_constants(case: &Case, blob: &[u8]) -> Option<ModelProto> {
    let (start, length) = case.model;
    let mut model = ModelProto::decode(&blob[start..start + length]).ok()?;
    let graph = model.graph.as_mut()?;
    for given in case.inputs.iter().skip(1) {
        let at = graph.input.iter().position(|i| i.name == given.name)?;
        let info = graph.input.remove(at);
        let tensor = given.tensor(blob);
        let mut proto = TensorProto {
            name: given.name.clone(),
            dims: given.shape.iter().map(|&d| d as i64).collect(),
            data_type: info.r#type?.tensor_type?.elem_type,
            ..Default::default()
        };
        match (&tensor.data, proto.data_type) {
            (Data::Ints(list), data_type::INT64) => proto.int64_data.clone_from(list),
            (Data::Ints(list), _) => proto.int32_data = list.iter().map(|&v| v as i32).collect(),
            (Data::Floats(list), data_type::FLOAT) => proto.float_data.clone_from(list),
            _ => return None,
        }
        graph.initializer.push(proto);
    }
    Some(model)
}

#[test]
fn changed_cases_are_refused_or_run_without_a_panic() {
    let Some((cases, blob)) = oracle() else { return };
    // More of them, where somebody has the time: SONOPLEX_ROUNDS.
    let rounds = std::env::var("SONOPLEX_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut dice = Dice(77 + rounds);
    let (mut refused, mut ran) = (0, 0);
    for case in cases.iter().filter(|c| c.skip.is_none()) {
        let Some(seed) = with_constants(case, &blob) else { continue };
        for round in 0..rounds {
            let mut model = seed.clone();
            for _ in 0..=dice.below(3) {
                change(model.graph.as_mut().expect("it was there"), &mut dice);
            }
            let attempt = || {
                let network = Network::from_onnx(&model.encode_to_vec()).ok()?;
                let plan = Builder::default().build(&network).ok()?;
                let small = plan.arena_bytes() < 1 << 24;
                let read = Plan::from_bytes(&plan.to_bytes()).expect("what is built is what is read");
                let engine = Engine::new(read.with_threads(1)).expect("tactics of this machine");
                small.then(|| engine.context().enqueue().expect("the CPU never refuses"))
            };
            match catch_unwind(AssertUnwindSafe(attempt)) {
                Ok(None) => refused += 1,
                Ok(Some(())) => ran += 1,
                Err(_) => panic!("{}, round {round}: it panics", case.name),
            }
        }
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 500 && ran > 500, "{refused} refused, {ran} ran");
}

/// The text of `docs/operators.md`.
fn page(rows: &BTreeMap<String, Row>, cases: usize, passed: usize, refused: usize) -> String {
    let mut t = include_str!("operators_head.md").to_owned();
    let apart = cases - passed - refused;
    writeln!(
        t,
        "{cases} cases: {passed} pass, {refused} are refused with a sentence, {apart} run and differ where references"
    )
    .ok();
    writeln!(t, "disagree (listed at the end).\n").ok();
    writeln!(t, "| operator | pass | not supported | the first reason |\n| --- | ---: | ---: | --- |").ok();
    let known: BTreeSet<String> = OPERATORS.iter().map(|o| format!("`{o}`")).collect();
    let some = rows.iter().filter(|(name, row)| row.passed > 0 || known.contains(*name));
    for (name, row) in some {
        writeln!(t, "| {name} | {} | {} | {} |", row.passed, row.refused, row.reason).ok();
    }
    let untested: Vec<&String> = known.iter().filter(|o| !rows.contains_key(*o)).collect();
    if !untested.is_empty() {
        writeln!(t, "\nComputed, without a case of their own there: {}.", list(&untested)).ok();
    }
    let none: Vec<&String> =
        rows.iter().filter(|(name, row)| row.passed == 0 && !known.contains(*name)).map(|(n, _)| n).collect();
    writeln!(t, "\nNot computed: {}.", list(&none)).ok();
    writeln!(t, "\n## Where references disagree\n").ok();
    for (name, why) in DIFFER {
        writeln!(t, "- `{name}`: {why}.").ok();
    }
    t
}

fn list(names: &[&String]) -> String {
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
}

fn check_page(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators.md");
    if std::env::var_os("SONOPLEX_BLESS").is_some() {
        return std::fs::write(&path, text).expect("docs/ can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "docs/operators.md is not what the tests say; SONOPLEX_BLESS=1 cargo test onnx_backend writes it"
    );
}
