//! Writes small ONNX models for tests, with the messages that the reader declares.

use prost::Message;
use sonoplex::engine::onnx::*;

/// A model under construction.
pub struct Writer {
    pub model: ModelProto,
    seed: u64,
}

/// A setting of a node.
pub enum Set<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

impl Writer {
    pub fn new(opset: i64) -> Self {
        let graph = GraphProto { name: "test".to_owned(), ..Default::default() };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
        let ir_version = if opset < 11 { 4 } else { 8 };
        Self { model: ModelProto { ir_version, graph: Some(graph), opset_import, ..Default::default() }, seed: 7 }
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().expect("made in new")
    }

    /// A number in -1..1, the same ones in every run.
    pub fn random(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn randoms(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random()).collect()
    }

    /// Declares an input; a dimension of 0 is left open under the name `size`.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        let info = info(name, Some(shape));
        self.graph().input.push(info);
        name.to_owned()
    }

    pub fn output(&mut self, name: &str) {
        let info = info(name, None);
        self.graph().output.push(info);
    }

    pub fn floats(&mut self, shape: &[usize], data: Vec<f32>) -> String {
        self.constant(shape, TensorProto { data_type: data_type::FLOAT, float_data: data, ..Default::default() })
    }

    pub fn ints(&mut self, data: &[i64]) -> String {
        let tensor = TensorProto { data_type: data_type::INT64, int64_data: data.to_vec(), ..Default::default() };
        self.constant(&[data.len()], tensor)
    }

    /// Whole numbers of 8 bits.
    pub fn bytes_of(&mut self, shape: &[usize], data: &[i64]) -> String {
        let int32_data = data.iter().map(|&v| v as i32).collect();
        self.constant(shape, TensorProto { data_type: data_type::INT8, int32_data, ..Default::default() })
    }

    /// Weights of which a sum over `fan` stays near 1.
    pub fn weights(&mut self, shape: &[usize], fan: usize) -> String {
        let scale = (3.0 / fan.max(1) as f32).sqrt();
        let data = self.randoms(shape.iter().product()).iter().map(|v| v * scale).collect();
        self.floats(shape, data)
    }

    /// The same, stored in 16 bits.
    pub fn halves(&mut self, shape: &[usize], fan: usize) -> String {
        let scale = (3.0 / fan as f32).sqrt();
        let data = self.randoms(shape.iter().product());
        let raw_data = data.iter().flat_map(|v| half::f16::from_f32(v * scale).to_le_bytes()).collect();
        self.constant(shape, TensorProto { data_type: data_type::FLOAT16, raw_data, ..Default::default() })
    }

    fn constant(&mut self, shape: &[usize], mut tensor: TensorProto) -> String {
        tensor.dims = shape.iter().map(|&d| d as i64).collect();
        tensor.name = format!("c{}", self.graph().initializer.len());
        let name = tensor.name.clone();
        self.graph().initializer.push(tensor);
        name
    }

    /// Adds a node and returns the name of its output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], settings: &[(&str, Set)]) -> String {
        let index = self.graph().node.len();
        let output = format!("t{index}");
        let node = NodeProto {
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.clone()],
            name: format!("{}_{index}", operator.to_lowercase()),
            op_type: operator.to_owned(),
            attribute: settings.iter().map(attribute).collect(),
            domain: String::new(),
        };
        self.graph().node.push(node);
        output
    }

    /// A square convolution with random weights that keeps height and width.
    pub fn conv(&mut self, input: &str, from: usize, to: usize, kernel: usize) -> String {
        let (weight, bias) =
            (self.weights(&[to, from, kernel, kernel], from * kernel * kernel), self.weights(&[to], 8));
        let (k, p) = (kernel as i64, (kernel / 2) as i64);
        self.node(
            "Conv",
            &[input, &weight, &bias],
            &[("kernel_shape", Set::Ints(&[k, k])), ("pads", Set::Ints(&[p, p, p, p]))],
        )
    }

    /// A batch normalisation with random statistics.
    pub fn batch_norm(&mut self, input: &str, channels: usize) -> String {
        let near = |w: &mut Self, middle: f32| {
            let data = w.randoms(channels).iter().map(|v| middle + 0.4 * v).collect();
            w.floats(&[channels], data)
        };
        let (scale, bias, mean, variance) = (near(self, 1.0), near(self, 0.0), near(self, 0.0), near(self, 0.8));
        self.node("BatchNormalization", &[input, &scale, &bias, &mean, &variance], &[])
    }

    pub fn max_pool(&mut self, input: &str) -> String {
        self.node("MaxPool", &[input], &[("kernel_shape", Set::Ints(&[2, 2])), ("strides", Set::Ints(&[2, 2]))])
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }
}

fn info(name: &str, shape: Option<&[usize]>) -> ValueInfoProto {
    let dim = |&d: &usize| match d {
        0 => DimensionProto { dim_value: None, dim_param: Some("size".to_owned()) },
        d => DimensionProto { dim_value: Some(d as i64), dim_param: None },
    };
    let shape = shape.map(|s| TensorShapeProto { dim: s.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

fn attribute((name, set): &(&str, Set)) -> AttributeProto {
    let mut proto = AttributeProto { name: (*name).to_owned(), ..Default::default() };
    match set {
        Set::Int(v) => (proto.r#type, proto.i) = (attribute_type::INT, *v),
        Set::Ints(v) => (proto.r#type, proto.ints) = (attribute_type::INTS, v.to_vec()),
        Set::Float(v) => (proto.r#type, proto.f) = (attribute_type::FLOAT, *v),
        Set::Text(v) => (proto.r#type, proto.s) = (attribute_type::STRING, v.as_bytes().to_vec()),
    }
    proto
}
