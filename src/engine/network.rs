//! A network as a file declares it: named nodes in an order in which they can be computed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};

use super::attribute::{Attribute, Node};
use super::onnx::{AttributeProto, ModelProto, NodeProto, ValueInfoProto, attribute_type, data_type};
use super::tensor::{self, Tensor};

/// Largest model file that is read: the limit of protobuf itself.
pub const MAX_FILE: u64 = 2 << 30;

/// A network: what an ONNX file says, checked for names and order, with nothing assumed about sizes.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name of the graph.
    pub name: String,
    /// What wrote the file.
    pub producer: String,
    /// Version of ONNX's operators that the nodes mean.
    pub opset: i64,
    /// `metadata_props` of the file.
    pub metadata: BTreeMap<String, String>,
    /// What has to be given.
    pub inputs: Vec<Declared>,
    /// What comes out.
    pub outputs: Vec<Declared>,
    /// Operations; each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Weights and other constants by name.
    pub constants: BTreeMap<String, Arc<Tensor>>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// Name, shape and type of an input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Name.
    pub name: String,
    /// Dimensions; `None` where the file leaves the shape out.
    pub shape: Option<Vec<Dim>>,
    /// Type of the elements: `float32`.
    pub dtype: String,
}

/// One declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Known.
    Fixed(usize),
    /// To be fixed when the plan is built; the name is the file's, or empty.
    Dynamic(String),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Dynamic(name) if name.is_empty() => write!(f, "?"),
            Self::Dynamic(name) => write!(f, "{name}"),
        }
    }
}

impl Declared {
    /// The shape for people: `[1, 1, height, width]`.
    pub fn shape_text(&self) -> String {
        match &self.shape {
            None => "of any shape".to_owned(),
            Some(dims) => format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Network {
    /// Reads an ONNX file, and weights that lie in files beside it.
    ///
    /// # Errors
    /// When it cannot be read, is no ONNX model, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, NetworkError> {
        let within = |cause| NetworkError::File { path: path.to_owned(), cause: Box::new(cause) };
        let io = |cause| NetworkError::Io { path: path.to_owned(), cause };
        let about = std::fs::metadata(path).map_err(io)?;
        if !about.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file")));
        }
        let length = about.len();
        if length > MAX_FILE {
            return Err(within(NetworkError::TooLarge { found: length }));
        }
        let bytes = std::fs::read(path).map_err(|cause| NetworkError::Io { path: path.to_owned(), cause })?;
        let folder = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
        Self::read(&bytes, folder).map_err(within)
    }

    /// Reads an ONNX model that is wholly in memory.
    ///
    /// # Errors
    /// When it is no ONNX model, contradicts itself, or keeps weights in another file.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, NetworkError> {
        Self::read(bytes, None)
    }

    fn read(bytes: &[u8], folder: Option<&Path>) -> Result<Self, NetworkError> {
        if bytes.len() as u64 > MAX_FILE {
            return Err(NetworkError::TooLarge { found: bytes.len() as u64 });
        }
        let malformed = |found: String| NetworkError::Malformed { found };
        if bytes.is_empty() {
            return Err(malformed("it is empty".to_owned()));
        }
        let model = ModelProto::decode(bytes).map_err(|e| malformed(e.to_string()))?;
        let graph = model.graph.ok_or_else(|| malformed("there is no graph in it".to_owned()))?;
        let opset =
            model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map_or(0, |o| o.version);
        if opset < 6 {
            return Err(NetworkError::Opset { found: opset });
        }
        if graph.output.is_empty() {
            return Err(malformed("it has no outputs".to_owned()));
        }
        let mut constants = BTreeMap::new();
        for proto in &graph.initializer {
            let value = tensor::read(proto, folder)
                .map_err(|found| NetworkError::Tensor { name: proto.name.clone(), found })?;
            constants.insert(proto.name.clone(), Arc::new(value));
        }
        let mut nodes = Vec::with_capacity(graph.node.len());
        let mut names = HashSet::new();
        for (index, proto) in graph.node.iter().enumerate() {
            let mut node = read_node(proto, folder)?;
            if node.name.is_empty() || names.contains(&node.name) {
                node.name = format!("{}_{index}", node.operator);
            }
            names.insert(node.name.clone());
            nodes.push(node);
        }
        // Before IR version 4 the weights had to be listed among the inputs too.
        let inputs: Vec<_> = graph.input.iter().map(declared).filter(|d| !constants.contains_key(&d.name)).collect();
        let outputs: Vec<_> = graph.output.iter().map(declared).collect();
        let nodes = in_order(nodes, &inputs, &outputs, &constants)?;
        Ok(Self {
            name: graph.name,
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
            opset,
            metadata: model.metadata_props.into_iter().map(|e| (e.key, e.value)).collect(),
            inputs,
            outputs,
            nodes,
            constants,
            sha256: hex(&Sha256::digest(bytes)),
        })
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn declared(info: &ValueInfoProto) -> Declared {
    let kind = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = kind.and_then(|t| t.shape.as_ref()).map(|s| {
        let dim = |d: &super::onnx::DimensionProto| match d.dim_value.and_then(|v| usize::try_from(v).ok()) {
            Some(n) if n > 0 => Dim::Fixed(n),
            _ => Dim::Dynamic(d.dim_param.clone().unwrap_or_default()),
        };
        s.dim.iter().map(dim).collect()
    });
    Declared { name: info.name.clone(), shape, dtype: data_type::name(kind.map_or(0, |t| t.elem_type)) }
}

fn read_node(proto: &NodeProto, folder: Option<&Path>) -> Result<Node, NetworkError> {
    let operator = match proto.domain.as_str() {
        "" | "ai.onnx" => proto.op_type.clone(),
        domain => format!("{domain}.{}", proto.op_type),
    };
    let attributes = proto
        .attribute
        .iter()
        .map(|a| {
            let value = read_attribute(a, folder)
                .map_err(|found| NetworkError::Tensor { name: format!("{}.{}", proto.name, a.name), found })?;
            Ok((a.name.clone(), value))
        })
        .collect::<Result<_, NetworkError>>()?;
    Ok(Node {
        name: proto.name.clone(),
        operator,
        inputs: proto.input.clone(),
        outputs: proto.output.clone(),
        attributes,
    })
}

fn read_attribute(proto: &AttributeProto, folder: Option<&Path>) -> Result<Attribute, String> {
    Ok(match proto.r#type {
        attribute_type::FLOAT => Attribute::Float(proto.f),
        attribute_type::INT => Attribute::Int(proto.i),
        attribute_type::STRING => Attribute::Text(String::from_utf8_lossy(&proto.s).into_owned()),
        attribute_type::FLOATS => Attribute::Floats(proto.floats.clone()),
        attribute_type::INTS => Attribute::Ints(proto.ints.clone()),
        attribute_type::TENSOR => {
            let value = proto.t.as_ref().ok_or("it should hold a tensor and does not")?;
            Attribute::Tensor(Arc::new(tensor::read(value, folder)?))
        }
        // Whatever else it is, no operator that is read here has it.
        _ => Attribute::Graph,
    })
}

/// The nodes, each after those it reads from; those that can go first keep the order of the file.
fn in_order(
    nodes: Vec<Node>,
    inputs: &[Declared],
    outputs: &[Declared],
    constants: &BTreeMap<String, Arc<Tensor>>,
) -> Result<Vec<Node>, NetworkError> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    let given: HashSet<&str> =
        inputs.iter().map(|d| d.name.as_str()).chain(constants.keys().map(String::as_str)).collect();
    for (index, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if given.contains(output.as_str()) || producer.insert(output, index).is_some() {
                return Err(NetworkError::Twice { node: node.name.clone(), tensor: output.clone() });
            }
        }
    }
    let mut waits = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for input in node.inputs.iter().filter(|i| !i.is_empty() && !given.contains(i.as_str())) {
            let &from = producer.get(input.as_str()).ok_or_else(|| NetworkError::Missing {
                reader: format!("the node `{}` ({})", node.name, node.operator),
                tensor: input.clone(),
            })?;
            readers[from].push(index);
            waits[index] += 1;
        }
    }
    if let Some(lost) =
        outputs.iter().find(|o| !given.contains(o.name.as_str()) && !producer.contains_key(o.name.as_str()))
    {
        return Err(NetworkError::Missing { reader: "the list of outputs".to_owned(), tensor: lost.name.clone() });
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..nodes.len()).filter(|&i| waits[i] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    if order.len() < nodes.len() {
        return Err(NetworkError::Cycle { nodes: cycle(&nodes, &producer, &waits) });
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().map(|i| nodes[i].take().expect("every node is in the order once")).collect())
}

/// Names along one cycle, the first one again at the end. Every node that still waits reads from another that does.
fn cycle(nodes: &[Node], producer: &HashMap<&str, usize>, waits: &[usize]) -> String {
    let mut path: Vec<usize> = Vec::new();
    let mut at = waits.iter().position(|&w| w > 0);
    while let Some(index) = at {
        if let Some(start) = path.iter().position(|&p| p == index) {
            path.push(index);
            let mut names: Vec<_> = path[start..].iter().map(|&i| format!("`{}`", nodes[i].name)).collect();
            names.reverse(); // the walk went against the arrows
            if names.len() > 12 {
                names.splice(6..names.len() - 5, ["…".to_owned()]);
            }
            return names.join(" → ");
        }
        path.push(index);
        at = nodes[index].inputs.iter().filter_map(|i| producer.get(i.as_str()).copied()).find(|&p| waits[p] > 0);
    }
    String::new()
}

/// What can be wrong with a network. The message says what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file cannot be read.
    #[error("cannot read the model `{path}`: {cause}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file can be read, but not used.
    #[error("cannot use the model `{path}`: {cause}")]
    File {
        /// File.
        path: PathBuf,
        /// Why.
        cause: Box<NetworkError>,
    },
    /// Too large.
    #[error(
        "it has {found} bytes, more than the {MAX_FILE} that an ONNX file can have; keep weights in a file beside it"
    )]
    TooLarge {
        /// Bytes.
        found: u64,
    },
    /// No ONNX.
    #[error("expected an ONNX model, found that {found}; is it complete, and is it ONNX?")]
    Malformed {
        /// What the reader said.
        found: String,
    },
    /// Too old.
    #[error("expected operators of opset 6 or newer, found {found}; export the model again with opset 13 to 20")]
    Opset {
        /// Version in the file; 0 where there is none.
        found: i64,
    },
    /// A constant contradicts itself.
    #[error("cannot read the tensor `{name}`: {found}")]
    Tensor {
        /// Tensor.
        name: String,
        /// What is wrong.
        found: String,
    },
    /// Something is read that nobody writes.
    #[error("{reader} reads the tensor `{tensor}`, which nothing produces; the file is damaged or was cut by hand")]
    Missing {
        /// Who reads it.
        reader: String,
        /// Tensor.
        tensor: String,
    },
    /// One name, two writers.
    #[error(
        "the node `{node}` writes the tensor `{tensor}`, which exists already; every tensor needs a name of its own"
    )]
    Twice {
        /// The second writer.
        node: String,
        /// Tensor.
        tensor: String,
    },
    /// Nodes wait for each other.
    #[error("its nodes wait for each other in a circle: {nodes}; a network must run from inputs to outputs")]
    Cycle {
        /// Along the circle.
        nodes: String,
    },
}
