//! From the runs of a recipe to the model that ships: one file that answers with the mean of what theirs say.
//!
//! # References
//! Isensee et al., "nnU-Net", Nature Methods 2021: the models of a cross-validation, each trained without its own fold, answer
//! together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use half::f16;
use prost::Message;
use sonoplex::engine::onnx::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, data_type};
use sonoplex::engine::{Builder, BuilderConfig, Engine, Network as Parsed};
use sonoplex::segmenter::{Segmenter, SegmenterConfig};

use crate::command::{CLOSE, MODEL, SETTINGS, put};
use crate::settings::Settings;

/// A run that was read.
struct Member {
    folder: PathBuf,
    settings: Settings,
    graph: GraphProto,
    model: ModelProto,
    metadata: BTreeMap<String, String>,
}

/// Writes the best model of a run, or the mean of those of several, with some of its `sonoplex.*` metadata set anew.
///
/// `set` are keys without `sonoplex.` and values: `("uncertain", "0.3..0.9")`.
///
/// # Errors
/// In one sentence, and nothing is written: when a run has no model, runs do not fit together or held out different frames, or the
/// program would refuse the model.
pub fn publish(runs: &[PathBuf], set: &[(String, String)], output: &Path) -> anyhow::Result<()> {
    let members = runs.iter().map(|run| Member::read(run)).collect::<anyhow::Result<Vec<_>>>()?;
    let Some((first, others)) = members.split_first() else { bail!("cannot publish: expected a run, found none") };
    if let Some((at, run)) = runs.iter().enumerate().find(|(at, run)| runs[..*at].contains(run)) {
        bail!("cannot publish `{}` twice (run {}): expected different runs", run.display(), at + 1);
    }
    others.iter().try_for_each(|other| first.agrees(other))?;
    let mut metadata = described(&members)?;
    metadata.extend(set.iter().map(|(key, value)| (format!("sonoplex.{key}"), value.clone())));
    let entry = |(key, value)| StringStringEntryProto { key, value };
    let model = ModelProto {
        graph: Some(if others.is_empty() { first.graph.clone() } else { mean(&members)? }),
        metadata_props: metadata.into_iter().map(entry).collect(),
        ..first.model.clone()
    };
    let fresh = output.with_extension("new.onnx");
    put(&fresh, &model.encode_to_vec())?;
    if let Err(error) = check(&members, &fresh) {
        // the runs hold everything that it was made of
        let _ = std::fs::remove_file(&fresh);
        return Err(error);
    }
    std::fs::rename(&fresh, output).with_context(|| format!("cannot write `{}`", output.display()))?;
    let of =
        if others.is_empty() { "the model of one run".to_owned() } else { format!("the mean of {} runs", runs.len()) };
    eprintln!("`{0}` is {of}; judge with `sonoplex evaluate {0} DATASET`", output.display());
    Ok(())
}

impl Member {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MODEL);
        let bytes = std::fs::read(&path).with_context(|| {
            format!("cannot publish `{}`: expected the folder of a run with `{MODEL}`", folder.display())
        })?;
        let model = ModelProto::decode(&*bytes).with_context(|| format!("cannot read `{}`", path.display()))?;
        let Some(graph) = model.graph.clone() else { bail!("cannot read `{}`: it holds no network", path.display()) };
        let metadata = model.metadata_props.iter().map(|e| (e.key.clone(), e.value.clone())).collect();
        let settings = Settings::read(&folder.join(SETTINGS))?;
        Ok(Self { folder: folder.to_owned(), settings, graph, model, metadata })
    }

    /// Whether the mean of both means something, and was judged on nothing that either has seen.
    fn agrees(&self, other: &Self) -> anyhow::Result<()> {
        let (a, b) = (self.folder.display(), other.folder.display());
        let pair = |m: &Self| (m.settings.size, m.settings.despeckle.clone(), m.settings.hold_out.clone());
        for (key, value) in
            self.metadata.iter().filter(|(key, _)| key.starts_with("sonoplex.") && *key != "sonoplex.name")
        {
            let found = other.metadata.get(key).map_or("nothing", String::as_str);
            ensure!(
                found == value,
                "cannot publish `{a}` and `{b}` as one: expected `{key} = {value}` of both, found {found}"
            );
        }
        ensure!(
            self.graph.input == other.graph.input && self.graph.output == other.graph.output,
            "cannot publish `{a}` and `{b}` as one: expected inputs and outputs of the same shapes"
        );
        ensure!(
            pair(self) == pair(other),
            "cannot publish `{a}` and `{b}` as one: expected the same `--size`, `--despeckle` and `--hold-out`, found {:?} and {:?}",
            pair(self),
            pair(other)
        );
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
            *value = serde_json::to_string(&each.collect::<Vec<serde_json::Value>>())?;
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
    let [width, height] = members[0].settings.size;
    // a coarse chequered ramp: neither even nor noise
    let picture: Vec<f32> = (0..width * height)
        .map(|i| (i % width) as f32 / width as f32 * if (i / width / 8 + i % width / 8) % 2 == 0 { 1.0 } else { 0.3 })
        .collect();
    let said = |path: &Path| -> anyhow::Result<Vec<Vec<f32>>> {
        let engine = Engine::new(Builder::new(BuilderConfig::default()).build(&Parsed::open(path)?)?)?;
        let mut context = engine.context();
        context.bind("image", &[1, 1, height, width], &picture)?;
        context.enqueue()?;
        context.synchronize()?;
        let outputs = members[0].graph.output.iter();
        outputs.map(|output| Ok(context.output(&output.name)?.to_vec())).collect()
    };
    let own = said(model)?;
    let each = members.iter().map(|m| said(&m.folder.join(MODEL))).collect::<anyhow::Result<Vec<_>>>()?;
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    for (output, values) in own.iter().enumerate() {
        for (at, value) in values.iter().enumerate() {
            let wanted = each.iter().map(|m| m[output][at]).sum::<f32>() / members.len() as f32;
            let off = (sigmoid(*value) - sigmoid(wanted)).abs();
            ensure!(
                off < CLOSE,
                "cannot publish: expected probabilities within {CLOSE} of the mean of the runs, found {off}"
            );
        }
    }
    Ok(())
}
