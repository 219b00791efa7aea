//! Networks of one or two nodes, written as ONNX files, whose answers can be told beforehand.

use std::path::{Path, PathBuf};

use prost::Message;
use sonoplex::engine::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type, data_type,
};

/// The network that gives its input back: the probability of a pixel is its input value.
pub fn mirror(channels: i64, height: i64, width: i64) -> ModelProto {
    let shape = [1, channels, height, width];
    model(vec![node("Relu", "image", "maps")], value("image", &shape), vec![value("maps", &shape)])
}

/// The same with a second output: the brightest input value, as the presence of the only class.
pub fn mirror_with_presence(side: i64) -> ModelProto {
    let shape = [1, 1, side, side];
    let mut pool = node("MaxPool", "maps", "there");
    let ints = vec![side, side];
    let kernel =
        AttributeProto { name: "kernel_shape".into(), ints, r#type: attribute_type::INTS, ..Default::default() };
    pool.attribute.push(kernel);
    let outputs = vec![value("maps", &shape), value("there", &[1, 1, 1, 1])];
    model(vec![node("Relu", "image", "maps"), pool], value("image", &shape), outputs)
}

/// The logarithm of the input, which is no number where that is below 0.
pub fn logarithm(side: i64) -> ModelProto {
    let shape = [1, 1, side, side];
    model(vec![node("Log", "image", "maps")], value("image", &shape), vec![value("maps", &shape)])
}

/// The input, and as its presence the mean of its logarithm.
pub fn mirror_with_logarithm(side: i64) -> ModelProto {
    let shape = [1, 1, side, side];
    let nodes = vec![
        node("Relu", "image", "maps"),
        node("Log", "image", "logarithms"),
        node("GlobalAveragePool", "logarithms", "there"),
    ];
    let outputs = vec![value("maps", &shape), value("there", &[1, 1, 1, 1])];
    model(nodes, value("image", &shape), outputs)
}

/// Writes `model` with `metadata` as `DIR/toy.onnx`.
pub fn write(mut model: ModelProto, metadata: &[(&str, &str)], folder: &Path) -> PathBuf {
    let entry = |(k, v): &(&str, &str)| StringStringEntryProto { key: format!("sonoplex.{k}"), value: v.to_string() };
    model.metadata_props = metadata.iter().map(entry).collect();
    let path = folder.join("toy.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

fn model(node: Vec<NodeProto>, input: ValueInfoProto, output: Vec<ValueInfoProto>) -> ModelProto {
    let graph = GraphProto { node, name: "toy".into(), input: vec![input], output, ..Default::default() };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() }
}

fn node(operator: &str, input: &str, output: &str) -> NodeProto {
    let (input, output) = (vec![input.to_owned()], vec![output.to_owned()]);
    NodeProto { input, output, name: operator.to_lowercase(), op_type: operator.into(), ..Default::default() }
}

/// A dimension of −1 is left open.
fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| match n {
        -1 => DimensionProto { dim_value: None, dim_param: Some("side".into()) },
        n => DimensionProto { dim_value: Some(n), dim_param: None },
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
