//! A network with everything settled that its description left open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::backend::cpu::mask::Meaning;
use crate::backend::cpu::resize::Filter;
use crate::engine::network::{Declared, Dim};
use crate::engine::{Plan, Precision, TensorInfo};
use crate::geometry::Size;
use crate::segmentation::Class;

use super::compute::Compute;
use super::decision::{Thresholds, least_area};
use super::spec::{Activation, Fit, ModelSpec, Output, Scale};
use super::{SegmenterConfig, SegmenterError, opening};

/// What a segmenter runs, for people and for the record of a session.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Its name: its own word, or the file's.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// SHA-256 of the plan that was built, hexadecimal.
    pub plan_sha256: String,
    /// Tactic of every step, to build the same plan again.
    pub tactics: BTreeMap<String, String>,
    /// How far its factors are rounded.
    pub precision: Precision,
    /// What computes.
    pub device: String,
    /// Size of the picture that the network takes.
    pub input_size: Size,
    /// Probability from which a pixel belongs to each class.
    pub thresholds: Vec<f32>,
    /// Where the words change, for each class.
    pub decisions: Vec<Thresholds>,
    /// Smallest region of each class, as a part of the picture.
    pub min_area: Vec<f32>,
    /// Whether a presence output says how sure it is.
    pub presence: bool,
    /// What was read, and what was assumed.
    pub notes: Vec<String>,
    /// Licence of the weights, where it is told.
    pub license: Option<String>,
    /// Whom to name, where it is told.
    pub attribution: Option<String>,
}

/// How to feed a network, and how to read it.
pub(super) struct Model {
    pub input: String,
    pub channels: usize,
    pub size: Size,
    pub mask: String,
    /// Size of the maps that come out.
    pub map_size: Size,
    pub presence: Option<String>,
    pub output: Output,
    pub activation: Activation,
    pub fit: Fit,
    pub filter: Filter,
    /// Factor and addend that make an input value of a grey level, for each channel.
    pub scale: Vec<[f32; 2]>,
    pub classes: Vec<Class>,
    pub thresholds: Vec<f32>,
    pub decisions: Vec<Thresholds>,
    pub min_area: Vec<f32>,
    /// Parts of the picture that the confidence looks at: the smallest regions as the model has them.
    pub seen_area: Vec<f32>,
}

/// The outcome of settling: what was assumed, and whom to blame when nothing fits.
pub(super) struct Settling<'a> {
    path: &'a Path,
    pub notes: Vec<String>,
}

impl<'a> Settling<'a> {
    pub fn new(path: &'a Path) -> Self {
        Self { path, notes: Vec::new() }
    }

    fn refused(&self, expected: impl Into<String>, found: impl Into<String>) -> SegmenterError {
        SegmenterError::Model { path: self.path.to_owned(), expected: expected.into(), found: found.into() }
    }

    fn assumed(&mut self, what: impl std::fmt::Display) {
        self.notes.push(format!("assumed: {what}"));
    }

    /// One value for each of `count`: the list as it is, or its only entry for all.
    fn each<T: Copy>(
        &self,
        key: &str,
        list: Option<&Vec<T>>,
        count: usize,
        other: T,
    ) -> Result<Vec<T>, SegmenterError> {
        match list {
            None => Ok(vec![other; count]),
            Some(l) if l.len() == 1 => Ok(vec![l[0]; count]),
            Some(l) if l.len() == count => Ok(l.clone()),
            Some(l) => Err(self.refused(format!("{count} entries (or 1) for `{key}`"), l.len().to_string())),
        }
    }

    /// The shape of the only input, with what the file leaves open filled in.
    pub fn input_shape(&mut self, inputs: &[Declared], spec: &ModelSpec) -> Result<Vec<usize>, SegmenterError> {
        let [input] = inputs else {
            return Err(self.refused("one input", format!("{} inputs", inputs.len())));
        };
        let expected = "an input [1, 1 or 3, height, width]";
        let Some(dims) = input.shape.as_ref().filter(|d| d.len() == 4) else {
            return Err(self.refused(expected, format!("`{}` {}", input.name, input.shape_text())));
        };
        let open = [1, 1, spec.input_size.map_or(256, |s| s[0]), spec.input_size.map_or(256, |s| s[1])];
        let mut shape = Vec::new();
        for (dim, open) in dims.iter().zip(open) {
            shape.push(match dim {
                Dim::Fixed(n) => *n,
                Dim::Dynamic(_) => open,
            });
        }
        if shape[0] != 1 || ![1, 3].contains(&shape[1]) || shape[2] * shape[3] == 0 {
            return Err(self.refused(expected, format!("`{}` {}", input.name, input.shape_text())));
        }
        if spec.input_size.is_none() && dims[2..].iter().any(|d| matches!(d, Dim::Dynamic(_))) {
            self.assumed(format_args!("input_size = {}x{}, which the model leaves open", shape[3], shape[2]));
        }
        Ok(shape)
    }

    fn scale(&mut self, spec: &ModelSpec, channels: usize) -> Result<Vec<[f32; 2]>, SegmenterError> {
        if spec.scale.is_none() {
            self.assumed("scale = unit (grey level / 255)");
        }
        match &spec.scale {
            None | Some(Scale::Unit) => Ok(vec![[1.0 / 255.0, 0.0]; channels]),
            Some(Scale::Byte) => Ok(vec![[1.0, 0.0]; channels]),
            Some(Scale::Standard { mean, std }) => {
                let mean = self.each("mean", Some(mean), channels, 0.0)?;
                let std = self.each("std", Some(std), channels, 1.0)?;
                Ok(mean.iter().zip(&std).map(|(m, s)| [1.0 / 255.0 / s, -m / s]).collect())
            }
        }
    }

    /// Which output holds the maps, how many there are, and their size.
    fn maps(&mut self, outputs: &[TensorInfo], spec: &ModelSpec) -> Result<(String, usize, Size), SegmenterError> {
        let known = || outputs.iter().map(|o| format!("`{}` {:?}", o.name, o.shape)).collect::<Vec<_>>().join(", ");
        let found = match &spec.mask {
            Some(name) => outputs.iter().find(|o| o.name == *name),
            None => outputs.iter().find(|o| o.shape.len() == 4),
        };
        match found.map(|o| (o, o.shape.as_slice())) {
            Some((o, &[1, maps, h, w])) if maps * h * w > 0 && maps <= 255 => {
                if spec.mask.is_none() && outputs.len() > 1 {
                    self.assumed(format_args!("mask = {}", o.name));
                }
                Ok((o.name.clone(), maps, Size::new(w as u32, h as u32)))
            }
            _ => {
                let name = spec.mask.as_deref().map_or(String::new(), |n| format!("`{n}` "));
                Err(self.refused(format!("an output {name}[1, 1 to 255 maps, height, width]"), known()))
            }
        }
    }

    fn activation(&mut self, spec: &ModelSpec, maps: usize) -> Result<(Activation, usize), SegmenterError> {
        let named = spec.classes.as_ref().map(Vec::len);
        let activation = spec.activation.unwrap_or_else(|| {
            let softmax = named == Some(maps.wrapping_sub(1)) && maps > 1;
            self.assumed(match softmax {
                true => "activation = softmax (one map more than classes)",
                false => "activation = sigmoid (independent maps)",
            });
            if softmax { Activation::Softmax } else { Activation::Sigmoid }
        });
        let classes = if activation == Activation::Softmax { maps - 1 } else { maps };
        if classes == 0 || named.is_some_and(|n| n != classes) {
            let expected = named.map_or("a map for the background and one for each class".to_owned(), |n| {
                format!("maps for {n} classes ({activation:?})").to_lowercase()
            });
            return Err(self.refused(expected, format!("{maps} maps")));
        }
        Ok((activation, classes))
    }

    /// Logits or probability: the description's word, else the output's name, else the range on a trial picture.
    fn output(
        &mut self,
        spec: &ModelSpec,
        compute: &mut Compute,
        input: &str,
        mask: &str,
    ) -> Result<Output, SegmenterError> {
        if let Some(output) = spec.output {
            return Ok(output);
        }
        let name = mask.to_lowercase();
        let by_name = [("logit", Output::Logits), ("prob", Output::Probability), ("sigmoid", Output::Probability)];
        if let Some((_, output)) = by_name.iter().find(|(part, _)| name.contains(part)) {
            self.assumed(format_args!("output = {}, by the name `{mask}`", word(*output)));
            return Ok(*output);
        }
        let values = compute.trial(input, mask, |i| (i % 97) as f32 / 96.0)?;
        let within = values.iter().all(|v| (0.0..=1.0).contains(v));
        let output = if within { Output::Probability } else { Output::Logits };
        let range = if within { "within" } else { "beyond" };
        self.assumed(format_args!("output = {}, by values {range} 0 to 1 on a trial picture", word(output)));
        Ok(output)
    }
}

fn word(output: Output) -> &'static str {
    match output {
        Output::Logits => "logits",
        Output::Probability => "probability",
    }
}

impl Model {
    /// Settles everything about `plan`, which stands for the model of `config` and runs on `compute`, a `device`.
    pub fn new(
        plan: &Plan,
        (compute, device): (&mut Compute, String),
        config: &SegmenterConfig,
    ) -> Result<(Self, ModelInfo), SegmenterError> {
        let path = config.model.as_path();
        let spec = ModelSpec::read(path, &plan.origin().metadata)?;
        let mut s = Settling { path, notes: spec.notes.clone() };
        let inputs = opening::declared(plan);
        let shape = s.input_shape(&inputs, &spec)?;
        let input = inputs[0].name.clone();
        if let Compute::Gpu(_) = compute {
            let precision = plan.precision();
            s.notes.push(format!(
                "{precision} on a GPU, proven in an emulation and on no device yet: compare with the CPU"
            ));
            s.notes.push("a frame is one graph from crop to regions: its time stands as that of the network".into());
        }

        let outputs = plan.outputs();
        let (mask, maps, map_size) = s.maps(&outputs, &spec)?;
        let (activation, count) = s.activation(&spec, maps)?;
        let output = s.output(&spec, compute, &input, &mask)?;
        let scale = s.scale(&spec, shape[1])?;
        if let Some(name) = &spec.presence {
            let values = outputs.iter().find(|o| o.name == *name).map(|o| o.shape.iter().product::<usize>());
            if values != Some(count) {
                let found = values.map_or("no such output".to_owned(), |n| format!("{n} values"));
                return Err(s.refused(format!("a presence output `{name}` with {count} values"), found));
            }
        } else {
            s.notes.push(
                "no presence output: confidence is the mean of the 100 highest probabilities, uncalibrated".into(),
            );
        }
        if spec.resize.is_none() {
            s.assumed("resize = stretch");
        }
        if spec.filter.is_none() {
            s.assumed("filter = area");
        }
        if spec.thresholds.is_none() && config.threshold.is_none() {
            s.assumed("thresholds = 0.5");
        }
        let mut thresholds = s.each("thresholds", spec.thresholds.as_ref(), count, 0.5)?;
        let uncertain = s.each("uncertain", spec.uncertain.as_ref(), count, [0.5, 0.8])?;
        if spec.uncertain.is_none() {
            s.assumed("uncertain = 0.5..0.8");
        }
        if spec.hysteresis.is_none() {
            s.assumed("hysteresis = 0.05");
        }
        if spec.min_area.is_none() {
            s.assumed("min_area = 0.0005");
        }
        let hysteresis = spec.hysteresis.unwrap_or(0.05);
        let mut decisions: Vec<Thresholds> =
            uncertain.iter().map(|&[absent, present]| Thresholds { absent, present, hysteresis }).collect();
        if let Some(threshold) = config.threshold {
            if !(0.0..=1.0).contains(&threshold) {
                return Err(s.refused("a threshold from 0 to 1", threshold.to_string()));
            }
            thresholds.fill(threshold);
            // What is drawn at a lower threshold is not at the same time said to be absent.
            decisions.iter_mut().for_each(|d| d.absent = d.absent.min(threshold));
            s.notes.push(format!("given: thresholds = {threshold}"));
        }
        let min_area = s.each("min_area", spec.min_area.as_ref(), count, 0.0005)?;
        let classes = spec.name_classes(count, &mut s.notes);
        let stem = path.file_stem().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let size = Size::new(shape[3] as u32, shape[2] as u32);
        let info = ModelInfo {
            name: spec.name.clone().unwrap_or(stem),
            path: path.to_owned(),
            sha256: plan.network_sha256().to_owned(),
            plan_sha256: plan.sha256().to_owned(),
            tactics: plan.tactics(),
            precision: plan.precision(),
            device,
            input_size: size,
            thresholds: thresholds.clone(),
            decisions: decisions.clone(),
            min_area: min_area.clone(),
            presence: spec.presence.is_some(),
            notes: s.notes,
            license: spec.license.clone(),
            attribution: spec.attribution.clone(),
        };
        let model = Self {
            input,
            channels: shape[1],
            size,
            mask,
            map_size,
            presence: spec.presence.clone(),
            output,
            activation,
            fit: spec.resize.unwrap_or(Fit::Stretch),
            filter: match spec.filter.as_deref() {
                Some("bilinear") => Filter::Bilinear,
                Some("nearest") => Filter::Nearest,
                // The description has been checked for others.
                _ => Filter::Area,
            },
            scale,
            classes,
            thresholds,
            decisions,
            seen_area: min_area.clone(),
            min_area,
        };
        Ok((model, info))
    }

    /// What the values of its maps mean.
    pub fn meaning(&self) -> Meaning {
        Meaning { logits: self.output == Output::Logits, softmax: self.activation == Activation::Softmax }
    }

    /// Pixels that a region of a class has at least, in a crop of that size.
    pub fn least_area(&self, class: usize, crop: Size) -> usize {
        least_area(self.min_area[class], crop)
    }
}
