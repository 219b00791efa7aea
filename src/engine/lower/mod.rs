//! From declared nodes to steps: shapes inferred, constants folded, settings turned into geometry.

mod binary;
mod convolution;
mod fold;
mod layout;
mod pool;
mod resample;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::attribute::{Attribute, Node};
use super::builder::BuildError;
use super::graph::{Graph, Op, Step};
use super::network::{Declared, Dim, Network};
use super::onnx::data_type;
use super::tensor::{self, Data, Tensor};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;

/// Operators that are understood, for the message about one that is not.
pub const OPERATORS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Div",
    "Dropout",
    "Elu",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];

/// What a name of the file stands for.
#[derive(Clone)]
enum Known {
    /// Numbers that do not depend on the inputs.
    Constant(Arc<Tensor>),
    /// A value of the graph.
    Value(usize),
}

/// Why a node cannot be lowered; the caller adds which node it was.
enum Refusal {
    /// Something about this node.
    Found(String),
    /// The operator as a whole.
    Operator,
}

impl From<String> for Refusal {
    fn from(found: String) -> Self {
        Self::Found(found)
    }
}

impl From<&str> for Refusal {
    fn from(found: &str) -> Self {
        Self::Found(found.to_owned())
    }
}

/// The graph of `network` with the shapes of `given` where the file leaves them open.
///
/// # Errors
/// When an input has no fixed shape, an operator is not understood, or a node contradicts its inputs.
pub(super) fn lower(network: &Network, given: &BTreeMap<String, Vec<usize>>) -> Result<Graph, BuildError> {
    let mut lowering = Lowering {
        opset: network.opset,
        folded: 0,
        graph: Graph::default(),
        known: HashMap::new(),
        constants: HashMap::new(),
    };
    for name in given.keys().filter(|name| !network.inputs.iter().any(|d| d.name == **name)) {
        let known = network.inputs.iter().map(|d| format!("`{}`", d.name)).collect::<Vec<_>>().join(", ");
        return Err(BuildError::UnknownInput { name: name.clone(), known });
    }
    for input in &network.inputs {
        let shape = input_shape(input, given.get(&input.name))?;
        let value = lowering.graph.value(&input.name, shape);
        lowering.graph.inputs.push(value);
        lowering.known.insert(input.name.clone(), Known::Value(value));
    }
    for (name, constant) in &network.constants {
        lowering.known.insert(name.clone(), Known::Constant(constant.clone()));
    }
    for node in &network.nodes {
        lowering.node(node).map_err(|refusal| match refusal {
            Refusal::Found(found) => {
                BuildError::Node { node: node.name.clone(), operator: node.operator.clone(), found }
            }
            Refusal::Operator => BuildError::unsupported(node, OPERATORS),
        })?;
    }
    for output in &network.outputs {
        let value =
            lowering.output(&output.name).map_err(|found| BuildError::Output { name: output.name.clone(), found })?;
        lowering.graph.outputs.push((output.name.clone(), value));
    }
    Ok(lowering.graph)
}

fn input_shape(input: &Declared, given: Option<&Vec<usize>>) -> Result<Vec<usize>, BuildError> {
    let float = [data_type::FLOAT, data_type::FLOAT16].map(data_type::name);
    if !float.contains(&input.dtype) {
        return Err(BuildError::InputType { name: input.name.clone(), found: input.dtype.clone() });
    }
    let wrong = || BuildError::InputShape {
        name: input.name.clone(),
        declared: input.shape_text(),
        given: given.cloned().unwrap_or_default(),
    };
    let fits = |shape: &[usize]| match &input.shape {
        None => true,
        Some(dims) => {
            dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(d, &n)| matches!(d, Dim::Dynamic(_)) || *d == Dim::Fixed(n))
        }
    };
    let shape = match (given, &input.shape) {
        (Some(shape), _) if fits(shape) && !shape.contains(&0) => shape.clone(),
        (Some(_), _) => return Err(wrong()),
        (None, Some(dims)) if dims.iter().all(|d| matches!(d, Dim::Fixed(_))) => {
            dims.iter().filter_map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }).collect()
        }
        (None, dims) => {
            let example = dims.as_ref().map_or_else(
                || "1x1x256x256".to_owned(),
                |dims| {
                    let guess = |(i, d): (usize, &Dim)| match d {
                        Dim::Fixed(n) => n.to_string(),
                        Dim::Dynamic(_) => {
                            if i < 2 {
                                "1".to_owned()
                            } else {
                                "256".to_owned()
                            }
                        }
                    };
                    dims.iter().enumerate().map(guess).collect::<Vec<_>>().join("x")
                },
            );
            return Err(BuildError::InputOpen { name: input.name.clone(), declared: input.shape_text(), example });
        }
    };
    tensor::elements(&shape).map_err(|found| BuildError::Output { name: input.name.clone(), found })?;
    Ok(shape)
}

/// Most elements that all folded constants together may take: a chain of nodes must not fill the memory.
const MAX_FOLDED: usize = 1 << 29;

struct Lowering {
    opset: i64,
    /// Elements of the constants that were folded so far.
    folded: usize,
    graph: Graph,
    known: HashMap<String, Known>,
    /// Values made of constants, by the address of the constant: one that is read twice is stored once.
    constants: HashMap<*const Tensor, usize>,
}

impl Lowering {
    fn node(&mut self, node: &Node) -> Result<(), Refusal> {
        if let Some(tensor) = fold::fold(self, node)? {
            self.folded += tensor.data.len();
            if self.folded > MAX_FOLDED {
                return Err(format!("constants that are computed take more than {MAX_FOLDED} elements").into());
            }
            self.known.insert(output_name(node)?.to_owned(), Known::Constant(Arc::new(tensor)));
            return Ok(());
        }
        match node.operator.as_str() {
            "Conv" => convolution::conv(self, node),
            "ConvTranspose" => convolution::conv_transpose(self, node),
            "BatchNormalization" => convolution::batch_norm(self, node),
            "Gemm" => convolution::gemm(self, node),
            "Relu" => self.activation(node, Activation::Relu),
            "LeakyRelu" => {
                let slope = node.float("alpha", 0.01)?;
                self.activation(node, Activation::LeakyRelu(slope))
            }
            "Sigmoid" => self.activation(node, Activation::Sigmoid),
            "Tanh" => self.activation(node, Activation::Tanh),
            "HardSwish" => self.activation(node, Activation::HardSwish),
            "HardSigmoid" => {
                let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
                self.activation(node, Activation::HardSigmoid { alpha, beta })
            }
            "Elu" => {
                let alpha = node.float("alpha", 1.0)?;
                self.activation(node, Activation::Elu(alpha))
            }
            "Clip" => {
                let (low, high) = (self.bound(node, "min", 1, f32::MIN)?, self.bound(node, "max", 2, f32::MAX)?);
                self.activation(node, Activation::Clip(low, high))
            }
            "MaxPool" | "AveragePool" => pool::pool(self, node),
            "GlobalAveragePool" => pool::global(self, node),
            "Add" => binary::binary(self, node, Arithmetic::Add),
            "Sub" => binary::binary(self, node, Arithmetic::Sub),
            "Mul" => binary::binary(self, node, Arithmetic::Mul),
            "Div" => binary::binary(self, node, Arithmetic::Div),
            "Softmax" => binary::softmax(self, node),
            "Concat" => layout::concat(self, node),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => layout::reshape(self, node),
            "Pad" => layout::pad(self, node),
            "Resize" | "Upsample" => resample::resize(self, node),
            "Identity" | "Dropout" => self.same(node),
            "Cast" => match node.int("to", 0)? as i32 {
                data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE | data_type::BFLOAT16 => self.same(node),
                other => Err(format!(
                    "it turns what depends on the input into {}; only floating types are computed",
                    data_type::name(other)
                )
                .into()),
            },
            "Slice" | "Gather" | "Transpose" | "ConstantOfShape" | "Floor" => {
                Err("it depends on the input; this operator is only computed where its inputs are constant".into())
            }
            _ => Err(Refusal::Operator),
        }
    }

    /// What input `index` is, where it is given.
    fn known(&self, node: &Node, index: usize) -> Option<Known> {
        node.inputs.get(index).filter(|n| !n.is_empty()).and_then(|n| self.known.get(n)).cloned()
    }

    /// Input `index` as a constant, where it is given.
    fn constant(&self, node: &Node, index: usize, what: &str) -> Result<Option<Arc<Tensor>>, String> {
        match self.known(node, index) {
            None => Ok(None),
            Some(Known::Constant(tensor)) => Ok(Some(tensor)),
            Some(Known::Value(_)) => Err(format!("its {what} depends on the input; it must be constant")),
        }
    }

    /// Input `index` as a constant that must be there.
    fn required(&self, node: &Node, index: usize, what: &str) -> Result<Arc<Tensor>, String> {
        self.constant(node, index, what)?.ok_or_else(|| format!("its {what} is missing"))
    }

    /// Input `index` as a value; a constant becomes one.
    fn input(&mut self, node: &Node, index: usize) -> Result<usize, String> {
        match self.known(node, index).ok_or_else(|| format!("its input {index} is missing"))? {
            Known::Value(value) => Ok(value),
            Known::Constant(tensor) => {
                let key = Arc::as_ptr(&tensor);
                if let Some(&value) = self.constants.get(&key) {
                    return Ok(value);
                }
                let Data::Floats(numbers) = &tensor.data else {
                    return Err(format!(
                        "its input `{}` is made of integers; only floating types are computed",
                        node.inputs[index]
                    ));
                };
                let value = self.graph.value(&node.inputs[index], tensor.shape.clone());
                self.graph.values[value].constant = Some(self.graph.weight(numbers.clone()));
                self.constants.insert(key, value);
                Ok(value)
            }
        }
    }

    fn shape(&self, value: usize) -> &[usize] {
        &self.graph.values[value].shape
    }

    /// Input 0 as images of planes: its value, images, channels, height and width.
    fn planes(&mut self, node: &Node) -> Result<(usize, [usize; 4]), String> {
        let value = self.input(node, 0)?;
        let shape = self.shape(value);
        let dims = shape.try_into().map_err(|_| {
            format!("its input has the shape {shape:?}; expected 4 dimensions (images, channels, height, width)")
        })?;
        Ok((value, dims))
    }

    /// Adds a step whose output has `shape`.
    fn step(&mut self, node: &Node, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> Result<(), Refusal> {
        if tensor::elements(&shape)? == 0 {
            return Err(format!("its output would have the shape {shape:?}, which holds nothing").into());
        }
        let name = output_name(node)?;
        let output = self.graph.value(name, shape);
        self.graph.steps.push(Step { name: node.name.clone(), op, inputs, output });
        self.known.insert(name.to_owned(), Known::Value(output));
        Ok(())
    }

    fn activation(&mut self, node: &Node, activation: Activation) -> Result<(), Refusal> {
        let value = self.input(node, 0)?;
        let shape = self.shape(value).to_vec();
        self.step(node, Op::Activate(activation), vec![value], shape)
    }

    /// A bound of Clip: an attribute before opset 11, an input since.
    fn bound(&self, node: &Node, name: &str, index: usize, default: f32) -> Result<f32, String> {
        match self.constant(node, index, name)?.map(|t| t.to_floats()) {
            None => node.float(name, default),
            Some(v) if v.len() == 1 && !v[0].is_nan() => Ok(v[0].clamp(f32::MIN, f32::MAX)),
            Some(v) => Err(format!("its {name} should be one number, found {}", v.len())),
        }
    }

    /// The output is the input under another name.
    fn same(&mut self, node: &Node) -> Result<(), Refusal> {
        let known = self.known(node, 0).ok_or("its input is missing")?;
        self.known.insert(output_name(node)?.to_owned(), known);
        Ok(())
    }

    /// The value of an output of the network, with a writer of its own.
    fn output(&mut self, name: &str) -> Result<usize, String> {
        let value = match self.known.get(name) {
            None => return Err("no node gives a number to it".to_owned()),
            Some(Known::Value(v)) if self.graph.writer(*v).is_some() && !self.graph.is_output(*v) => return Ok(*v),
            Some(_) => {
                let node = Node {
                    name: String::new(),
                    operator: String::new(),
                    inputs: vec![name.to_owned()],
                    outputs: Vec::new(),
                    attributes: BTreeMap::new(),
                };
                self.input(&node, 0)?
            }
        };
        let shape = self.shape(value).to_vec();
        if tensor::elements(&shape)? == 0 {
            return Err("it holds nothing".to_owned());
        }
        let output = self.graph.value(name, shape);
        self.graph.steps.push(Step { name: format!("output {name}"), op: Op::Copy, inputs: vec![value], output });
        Ok(output)
    }
}

/// The name of the only output that is computed.
fn output_name(node: &Node) -> Result<&str, String> {
    node.outputs.first().map(String::as_str).filter(|n| !n.is_empty()).ok_or_else(|| "it has no output".to_owned())
}

/// The attribute that a `Constant` node holds.
fn constant_of(node: &Node) -> Result<Tensor, String> {
    let scalar = |data| Tensor { shape: Vec::new(), data };
    match (node.attributes.get("value"), node.floats("value_floats")?, node.ints("value_ints")?) {
        (Some(Attribute::Tensor(tensor)), _, _) => Ok(tensor.as_ref().clone()),
        (_, Some(v), _) => Ok(Tensor { shape: vec![v.len()], data: Data::Floats(v.to_vec()) }),
        (_, _, Some(v)) => Ok(Tensor::ints(v.to_vec())),
        _ => match (node.attributes.get("value_float"), node.attributes.get("value_int")) {
            (Some(Attribute::Float(v)), _) => Ok(scalar(Data::Floats(vec![*v]))),
            (_, Some(Attribute::Int(v))) => Ok(scalar(Data::Ints(vec![*v]))),
            _ => Err("it holds neither a tensor nor numbers".to_owned()),
        },
    }
}
