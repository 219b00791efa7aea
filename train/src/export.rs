//! A trained network as one ONNX file that needs nothing beside it.

use burn::tensor::{Tensor, backend::Backend};
use half::f16;
use prost::Message;
use sonoplex::engine::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

use crate::graph::Step;
use crate::network::Network;

/// Cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A weight is too large for 16 bits, or not a number.
    #[error(
        "cannot store `{name}` as fp16: expected values up to 65504, found {found}; train again with a smaller learning rate"
    )]
    Range {
        /// The weight.
        name: String,
        /// The first such value.
        found: f32,
    },
}

/// Writes the network with its batch norms folded, weights as fp16 with a cast to f32 in front of each use.
///
/// # Shapes
/// `image` `[1, 1, H, W]` gives `logits` `[1, classes, H, W]` and, where the network has it, `presence` `[1, classes]`: both
/// before the sigmoid, which is what `output = logits` in the metadata says of either.
///
/// # Errors
/// `Range` when fp16 cannot hold a weight.
pub fn onnx<B: Backend>(
    network: &Network<B>,
    [width, height]: [usize; 2],
    metadata: &[(String, String)],
) -> Result<Vec<u8>, ExportError> {
    let graph = network.graph();
    let classes = graph.channels(graph.logits);
    let mut file = File::default();
    let mut names = vec!["image".to_owned()];
    let norm_of = network.norm_of();
    for (at, step) in graph.steps.iter().enumerate().skip(1) {
        let of = |value: &usize| names[*value].clone();
        let mut name = match step {
            Step::Picture => continue,
            Step::Conv { from, layer, .. } => {
                let (weight, bias) = folded(network, *layer, norm_of[*layer]);
                let shape = graph.convs[*layer];
                let dims = [shape.output, shape.input, shape.kernel, shape.kernel];
                let weight = file.weight(&format!("conv{layer}.weight"), &dims, &weight)?;
                let bias = file.weight(&format!("conv{layer}.bias"), &[shape.output], &bias)?;
                let (kernel, side) = (shape.kernel as i64, (shape.kernel / 2) as i64);
                let settings = [ints("kernel_shape", &[kernel, kernel]), ints("pads", &[side; 4])];
                file.node(at, "Conv", &[of(from), weight, bias], &settings)
            }
            Step::Up { from, layer } => {
                let [input, output] = graph.ups[*layer];
                let up = &network.ups[*layer];
                let weight =
                    file.weight(&format!("up{layer}.weight"), &[input, output, 2, 2], &values(up.weight.val()))?;
                let bias = up.bias.as_ref().map_or(vec![0.0; output], |b| values(b.val()));
                let bias = file.weight(&format!("up{layer}.bias"), &[output], &bias)?;
                let settings = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
                file.node(at, "ConvTranspose", &[of(from), weight, bias], &settings)
            }
            Step::Pool { from } => {
                file.node(at, "MaxPool", &[of(from)], &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
            }
            Step::Join { from } => {
                let from: Vec<String> = from.iter().map(of).collect();
                file.node(at, "Concat", &from, &[int("axis", 1)])
            }
            Step::Add { a, b, .. } => file.node(at, "Add", &[of(a), of(b)], &[]),
            Step::Gate { a, b } => file.node(at, "Mul", &[of(a), of(b)], &[]),
            Step::Sigmoid { from } => file.node(at, "Sigmoid", &[of(from)], &[]),
            Step::Mean { from } => file.node(at, "GlobalAveragePool", &[of(from)], &[]),
            Step::Dropout { from } => of(from),
        };
        if matches!(step, Step::Conv { relu: true, .. } | Step::Add { relu: true, .. }) {
            name = file.node(at, "Relu", &[name], &[]);
        }
        names.push(name);
    }
    file.rename(&names[graph.logits], "logits");
    let mut outputs = vec![tensor("logits", &[1, classes, height, width])];
    if let Some(presence) = graph.presence {
        let name = file.node(presence, "Flatten", &[names[presence].clone()], &[int("axis", 1)]);
        file.rename(&name, "presence");
        outputs.push(tensor("presence", &[1, classes]));
    }
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let mut node = file.casts;
    node.append(&mut file.nodes);
    let model = ModelProto {
        ir_version: 8,
        producer_name: "sonoplex-train".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(GraphProto {
            node,
            name: "network".into(),
            initializer: file.weights,
            input: vec![tensor("image", &[1, 1, height, width])],
            output: outputs,
        }),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        metadata_props: metadata.iter().map(entry).collect(),
    };
    Ok(model.encode_to_vec())
}

#[derive(Default)]
struct File {
    weights: Vec<TensorProto>,
    casts: Vec<NodeProto>,
    nodes: Vec<NodeProto>,
}

impl File {
    /// Stores numbers as fp16; returns the name under which they are f32 again.
    fn weight(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Result<String, ExportError> {
        let stored: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
        if let Some(at) = stored.iter().position(|v| !v.is_finite()) {
            return Err(ExportError::Range { name: name.to_owned(), found: values[at] });
        }
        let short = format!("{name}.f16");
        self.weights.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: data_type::FLOAT16,
            name: short.clone(),
            raw_data: stored.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        let to = [int("to", i64::from(data_type::FLOAT))];
        self.casts.push(node(&format!("{name}.cast"), "Cast", &[short], name, &to));
        Ok(name.to_owned())
    }

    /// Adds an operation of the step `at`; returns the name of its result.
    fn node(&mut self, at: usize, operator: &str, inputs: &[String], settings: &[AttributeProto]) -> String {
        let name = format!("{at}.{}", operator.to_lowercase());
        self.nodes.push(node(&name, operator, inputs, &name, settings));
        name
    }

    fn rename(&mut self, from: &str, to: &str) {
        for name in self.nodes.iter_mut().flat_map(|n| n.input.iter_mut().chain(&mut n.output)) {
            if name == from {
                to.clone_into(name);
            }
        }
    }
}

/// Weights and bias of a convolution with the batch norm behind it multiplied in.
///
/// # References
/// Ioffe & Szegedy, ICML 2015: y = γ (x − µ) / √(σ² + ε) + β with the statistics of training.
fn folded<B: Backend>(network: &Network<B>, layer: usize, norm: Option<usize>) -> (Vec<f32>, Vec<f32>) {
    let conv = &network.convs[layer];
    let mut weight = values(conv.weight.val());
    let outputs = network.graph().convs[layer].output;
    let Some(norm) = norm.map(|n| &network.norms[n]) else {
        return (weight, conv.bias.as_ref().map_or(vec![0.0; outputs], |b| values(b.val())));
    };
    let (gamma, beta) = (values(norm.gamma.val()), values(norm.beta.val()));
    let (mean, variance) = (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync()));
    let each = weight.len() / outputs;
    let mut bias = vec![];
    for (channel, weight) in weight.chunks_exact_mut(each).enumerate() {
        let factor = f64::from(gamma[channel]) / (f64::from(variance[channel]) + norm.epsilon).sqrt();
        weight.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
        bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * factor) as f32);
    }
    (weight, bias)
}

/// The numbers of a tensor.
pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("converted to f32 just now")
}

fn node(name: &str, operator: &str, inputs: &[String], output: &str, settings: &[AttributeProto]) -> NodeProto {
    NodeProto {
        input: inputs.to_vec(),
        output: vec![output.to_owned()],
        name: name.to_owned(),
        op_type: operator.to_owned(),
        attribute: settings.to_vec(),
        domain: String::new(),
    }
}

/// `AttributeProto.AttributeType`: 2 is a whole number, 7 a list of them.
fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: 2, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints: ints.to_vec(), r#type: 7, ..AttributeProto::default() }
}

fn tensor(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| DimensionProto { dim_value: Some(d as i64), dim_param: None }).collect();
    let tensor_type = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
