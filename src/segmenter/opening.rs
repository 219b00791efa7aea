//! From a model's file to a plan and its description: a network is built, a plan is read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::engine::network::{Declared, Dim, NetworkError};
use crate::engine::{Builder, BuilderConfig, Network, Plan, Precision};

use super::model::Settling;
use super::spec::ModelSpec;
use super::{BUILT_IN, SegmenterConfig, SegmenterError};

/// Nerve and vessel; its card is `models/nerve-vessel.md`.
const BUILT_IN_ONNX: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/nerve-vessel.onnx"));

/// Reads a model file, or [`BUILT_IN`].
///
/// # Errors
/// As [`Network::open`].
pub fn open_network(path: &Path) -> Result<Network, NetworkError> {
    if path == Path::new(BUILT_IN) { Network::from_onnx(BUILT_IN_ONNX) } else { Network::open(path) }
}

/// The plan of the model of `config`, read where the file is a plan, built where it is a network; and what was assumed.
pub(super) fn plan(config: &SegmenterConfig) -> Result<(Plan, Vec<String>), SegmenterError> {
    let path = config.model.as_path();
    if Plan::is_plan(path) {
        return Ok((Plan::open(path)?.on(config.device, config.threads, config.precision)?, Vec::new()));
    }
    let network = open_network(path)?;
    let (builder, assumed) = sized(config, &network)?;
    let plan = builder.build(&network).map_err(|source| SegmenterError::Build { path: path.to_owned(), source })?;
    Ok((plan, assumed))
}

/// What builds `network` as a segmenter of `config` takes it: its size fixed as its description says.
///
/// # Errors
/// When its description is wrong, or it is no segmenter of pictures.
pub fn builder(config: &SegmenterConfig, network: &Network) -> Result<Builder, SegmenterError> {
    Ok(sized(config, network)?.0)
}

fn sized(config: &SegmenterConfig, network: &Network) -> Result<(Builder, Vec<String>), SegmenterError> {
    let spec = ModelSpec::read(&config.model, &network.metadata)?;
    let mut settling = Settling::new(&config.model);
    let shape = settling.input_shape(&network.inputs, &spec)?;
    let builder = Builder::new(BuilderConfig {
        device: config.device,
        threads: config.threads,
        precision: Precision::on(config.precision, config.device),
        inputs: BTreeMap::from([(network.inputs[0].name.clone(), shape)]),
        tactics: config.tactics.clone(),
        calibration: None,
    });
    Ok((builder, settling.notes))
}

/// The inputs of a plan as a file would declare them.
pub(super) fn declared(plan: &Plan) -> Vec<Declared> {
    let declare = |input: crate::engine::TensorInfo| Declared {
        shape: Some(input.shape.into_iter().map(Dim::Fixed).collect()),
        name: input.name,
        dtype: "float32".to_owned(),
    };
    plan.inputs().into_iter().map(declare).collect()
}
