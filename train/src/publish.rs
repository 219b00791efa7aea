//! From the runs of a recipe to the model that ships: one file that answers with the mean of what theirs say.
//!
//! # References
//! Isensee et al., "nnU-Net", Nature Methods 2021: the models of a cross-validation, each trained without its own fold, answer
//! together.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use half::f16;
use prost::Message;
use serde_json::Value;
use sonoplex::engine::onnx::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, data_type};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network as Parsed};
use sonoplex::segmenter::{Segmenter, SegmenterConfig};

use crate::command::{CLOSE, HISTORY, MODEL, apart, lock, put};

/// A run that was read; nobody else works in its folder meanwhile.
struct Member {
    folder: PathBuf,
    graph: GraphProto,
    model: ModelProto,
    metadata: BTreeMap<String, String>,
    /// `training.settings` of its model.
    settings: Value,
    _lock: File,
}

/// Writes the best model of a run, or the mean of those of several, with some of its `sonoplex.*` metadata set anew.
///
/// `set` are keys without `sonoplex.` and values: `("uncertain", "0.3..0.9")`.
///
/// # Errors
/// In one sentence, and nothing is written: when a run has no model or is not done, runs do not fit together or were told to hold out
/// something else, or the program would refuse the model.
pub fn publish(runs: &[PathBuf], set: &[(String, String)], output: &Path) -> anyhow::Result<()> {
    for (at, run) in runs.iter().enumerate() {
        let again = runs[..at].iter().any(|other| same(other, run));
        ensure!(!again, "cannot publish `{}` twice: name each run once", run.display());
    }
    let members = runs.iter().map(|run| Member::read(run)).collect::<anyhow::Result<Vec<_>>>()?;
    let Some((first, others)) = members.split_first() else { bail!("cannot publish: expected a run, found none") };
    others.iter().try_for_each(|other| first.agrees(other))?;
    if let Some(run) = members.iter().find(|m| same(output, &m.folder.join(MODEL))) {
        bail!("cannot publish to `{}`: it is the model of the run `{}`", output.display(), run.folder.display());
    }
    let mut metadata = described(&members)?;
    metadata.extend(set.iter().map(|(key, value)| (format!("sonoplex.{key}"), value.clone())));
    let entry = |(key, value)| StringStringEntryProto { key, value };
    let model = ModelProto {
        graph: Some(if others.is_empty() { first.graph.clone() } else { mean(&members)? }),
        metadata_props: metadata.into_iter().map(entry).collect(),
        ..first.model.clone()
    };
    let bytes = model.encode_to_vec();
    let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let tried = folder.path().join(MODEL);
    put(&tried, &bytes)?;
    check(&members, &tried)?;
    put(output, &bytes)?;
    let of =
        if others.is_empty() { "the model of one run".to_owned() } else { format!("the mean of {} runs", runs.len()) };
    eprintln!("`{0}` is {of}; judge with `sonoplex evaluate {0} DATASET`", output.display());
    Ok(())
}

/// Whether two paths lead to one place.
fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

impl Member {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let at = folder.display();
        let path = folder.join(MODEL);
        let none = || format!("cannot publish `{at}`: expected the folder of a run with `{MODEL}`");
        std::fs::metadata(&path).with_context(none)?;
        let lock = lock(folder)?;
        let model = ModelProto::decode(&*std::fs::read(&path).with_context(none)?)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let Some(graph) = model.graph.clone() else { bail!("cannot read `{}`: it holds no network", path.display()) };
        let metadata: BTreeMap<_, _> = model.metadata_props.iter().map(|e| (e.key.clone(), e.value.clone())).collect();
        let said = |key: &str| -> Value {
            metadata.get(key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
        };
        let (settings, metrics) = (said("training.settings"), said("training.metrics"));
        let number = |of: &Value, key: &str| of[key].as_u64().unwrap_or(0);
        let history = std::fs::read(folder.join(HISTORY)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let done = history.map_or(0, |history: Vec<Value>| history.len() as u64);
        let (epochs, patience) = (number(&settings, "epochs"), number(&settings, "patience"));
        let early = patience > 0 && done.saturating_sub(number(&metrics, "epoch")) >= patience;
        ensure!(
            done >= epochs || early,
            "cannot publish `{at}`: it has done {done} of {epochs} epochs; go on with `sonoplex train --resume {at}`"
        );
        Ok(Self { folder: folder.to_owned(), graph, model, metadata, settings, _lock: lock })
    }

    /// Whether the mean of both means something, and both were told to hold out the same of the same.
    fn agrees(&self, other: &Self) -> anyhow::Result<()> {
        let pair = format!("cannot publish `{}` and `{}` as one", self.folder.display(), other.folder.display());
        let decides = |key: &&String| key.starts_with("sonoplex.") && *key != "sonoplex.name";
        for key in self.metadata.keys().chain(other.metadata.keys()).filter(decides) {
            let [a, b] = [self, other].map(|m| m.metadata.get(key).map_or("nothing", String::as_str));
            ensure!(a == b, "{pair}: expected the same `{key}` of both, found `{a}` and `{b}`");
        }
        for key in ["size", "despeckle", "data", "hold_out"] {
            let [a, b] = [&self.settings[key], &other.settings[key]];
            let option = key.replace('_', "-");
            ensure!(a == b, "{pair}: expected the same `--{option}` of both, found {a} and {b}");
        }
        ensure!(
            self.graph.input == other.graph.input && self.graph.output == other.graph.output,
            "{pair}: expected inputs and outputs of the same shapes"
        );
        ensure!(self.graph != other.graph, "{pair}: their models are the same; name each run once");
        Ok(())
    }
}

/// The metadata of the first; of what each was trained on and how it was judged, a list.
fn described(members: &[Member]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut metadata = members[0].metadata.clone();
    if members.len() > 1 {
        for (key, value) in metadata.iter_mut().filter(|(key, _)| key.starts_with("training.")) {
            let each = members.iter().map(|m| m.metadata.get(key).map_or("", String::as_str));
            // texts as strings of JSON, what is JSON as it is
            let each = each.map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
            *value = serde_json::to_string(&each.collect::<Vec<Value>>())?;
        }
    }
    Ok(metadata)
}

/// The networks side by side on the same picture, and the sum of what each says, which is the mean since their last layers are
/// divided by their number: a division of its own would be a step more, and one that is not for every device.
fn mean(members: &[Member]) -> anyhow::Result<GraphProto> {
    let (inputs, outputs) = (&members[0].graph.input, &members[0].graph.output);
    let own = |at: usize, name: &str| {
        // an optional input that is left out has no name
        if name.is_empty() || inputs.iter().any(|i| i.name == name) { name.to_owned() } else { format!("{at}/{name}") }
    };
    let mut joined = GraphProto { node: vec![], initializer: vec![], ..members[0].graph.clone() };
    for (at, member) in members.iter().enumerate() {
        let mut graph = member.graph.clone();
        for output in outputs {
            let done = divide(&mut graph, &output.name, members.len() as f32);
            done.with_context(|| format!("cannot publish `{}` with others", member.folder.display()))?;
        }
        joined.initializer.extend(graph.initializer.into_iter().map(|mut weight| {
            weight.name = own(at, &weight.name);
            weight
        }));
        joined.node.extend(graph.node.into_iter().map(|mut node| {
            node.input.iter_mut().chain(&mut node.output).chain([&mut node.name]).for_each(|n| *n = own(at, n));
            node
        }));
    }
    joined.node.extend(outputs.iter().map(|output| NodeProto {
        input: (0..members.len()).map(|at| own(at, &output.name)).collect(),
        output: vec![output.name.clone()],
        name: format!("sum.{}", output.name),
        op_type: "Sum".into(),
        ..NodeProto::default()
    }));
    Ok(joined)
}

/// Divides the weights and the bias of the convolution that an output comes from.
fn divide(graph: &mut GraphProto, output: &str, by: f32) -> anyhow::Result<()> {
    let from = |name: &str| graph.node.iter().find(|node| node.output.iter().any(|o| o == name));
    let mut last = from(output);
    while let Some(node) = last.filter(|node| ["Flatten", "GlobalAveragePool"].contains(&node.op_type.as_str())) {
        last = from(&node.input[0]);
    }
    let last = last.filter(|node| node.op_type == "Conv");
    let Some(conv) = last else { bail!("expected that a convolution gives `{output}`, found none") };
    let casts = conv.input[1..].iter().filter_map(|name| from(name));
    let stored: Vec<String> = casts.map(|cast| cast.input[0].clone()).collect();
    for weight in graph.initializer.iter_mut().filter(|weight| stored.contains(&weight.name)) {
        ensure!(weight.data_type == data_type::FLOAT16, "expected `{}` as fp16", weight.name);
        let values =
            weight.raw_data.as_chunks::<2>().0.iter().map(|v| f16::from_f32(f16::from_le_bytes(*v).to_f32() / by));
        weight.raw_data = values.flat_map(f16::to_le_bytes).collect();
    }
    Ok(())
}

/// Opens it as the program will, and holds what it says to the mean of what the runs say.
fn check(members: &[Member], model: &Path) -> anyhow::Result<()> {
    Segmenter::open(&SegmenterConfig { model: model.to_owned(), ..SegmenterConfig::default() })?;
    let said = |path: &Path| -> anyhow::Result<Vec<Vec<f32>>> {
        let engine = Engine::new(Builder::new(BuilderConfig::default()).build(&Parsed::open(path)?)?)?;
        let input = &engine.inputs()[0];
        let (count, width) = (input.shape.iter().product::<usize>(), input.shape[3]);
        // a coarse chequered ramp: neither even nor noise
        let chequered = |i: usize| if (i / width / 8 + i % width / 8).is_multiple_of(2) { 1.0 } else { 0.3 };
        let picture: Vec<f32> = (0..count).map(|i| (i % width) as f32 / width as f32 * chequered(i)).collect();
        let mut context = engine.context();
        context.bind(&input.name, &input.shape, &picture)?;
        context.enqueue()?;
        context.synchronize()?;
        let outputs = members[0].graph.output.iter();
        outputs.map(|output| Ok(context.output(&output.name)?.to_vec())).collect()
    };
    let own = said(model)?;
    let each = members.iter().map(|m| said(&m.folder.join(MODEL))).collect::<anyhow::Result<Vec<_>>>()?;
    for (output, values) in own.iter().enumerate() {
        let sum = |at: usize| each.iter().map(|m| m[output][at]).sum::<f32>();
        let wanted: Vec<f32> = (0..values.len()).map(|at| sum(at) / members.len() as f32).collect();
        let off = apart(values, &wanted);
        ensure!(
            off < CLOSE,
            "cannot publish: expected probabilities within {CLOSE} of the mean of the runs, found {off}"
        );
    }
    Ok(())
}
