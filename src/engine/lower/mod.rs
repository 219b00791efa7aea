//! From declared nodes to steps: shapes inferred, constants folded, settings turned into geometry.

mod binary;
mod cast;
mod constant;
mod convolution;
mod dispatch;
mod einsum;
mod inputs;
mod matmul;
mod movement;
mod normalize;
mod pool;
mod quantize;
mod reduce;
mod resample;
mod resample_axis;
mod unary;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::attribute::Node;
use super::builder::BuildError;
use super::graph::{Graph, Op, Step};
use super::network::Network;
use super::onnx::data_type;
use super::tensor::{self, Data, Tensor};

pub use dispatch::OPERATORS;

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
    let mut lowering = begin(network, given)?;
    for node in &network.nodes {
        lowering.node(node).map_err(|refusal| refused(node, refusal))?;
    }
    for output in &network.outputs {
        let value =
            lowering.output(&output.name).map_err(|found| BuildError::Output { name: output.name.clone(), found })?;
        lowering.graph.outputs.push((output.name.clone(), value));
    }
    Ok(lowering.graph)
}

/// Every node of `network` that cannot be computed, as far as that can be told: what reads from such a node is left
/// out.
///
/// # Errors
/// When an input has no fixed shape.
pub(super) fn refusals(
    network: &Network,
    given: &BTreeMap<String, Vec<usize>>,
) -> Result<Vec<(usize, BuildError)>, BuildError> {
    let mut lowering = begin(network, given)?;
    let mut refusals = Vec::new();
    for (index, node) in network.nodes.iter().enumerate() {
        let reachable = node.inputs.iter().all(|name| name.is_empty() || lowering.known.contains_key(name));
        match reachable.then(|| lowering.node(node)) {
            Some(Err(refusal)) => refusals.push((index, refused(node, refusal))),
            None if OPERATORS.binary_search(&node.operator.as_str()).is_err() => {
                refusals.push((index, refused(node, Refusal::Operator)));
            }
            _ => {}
        }
    }
    Ok(refusals)
}

fn refused(node: &Node, refusal: Refusal) -> BuildError {
    match refusal {
        Refusal::Found(found) => BuildError::Node { node: node.name.clone(), operator: node.operator.clone(), found },
        Refusal::Operator => BuildError::unsupported(node),
    }
}

/// Inputs and constants known, no node lowered yet.
fn begin(network: &Network, given: &BTreeMap<String, Vec<usize>>) -> Result<Lowering, BuildError> {
    let inside = network.nodes.iter().flat_map(|n| &n.inputs);
    let read = inside.chain(network.outputs.iter().map(|o| &o.name)).cloned().collect();
    let mut lowering = Lowering { opset: network.opset, read, ..Lowering::default() };
    if let Some(name) = given.keys().find(|name| !network.inputs.iter().any(|d| d.name == **name)) {
        let known = network.inputs.iter().map(|d| format!("`{}`", d.name)).collect::<Vec<_>>().join(", ");
        return Err(BuildError::UnknownInput { name: name.clone(), known });
    }
    for input in &network.inputs {
        let dtype = inputs::dtype_of(input)?;
        let shape = inputs::shape_of(input, given.get(&input.name))?;
        let value = lowering.value(&input.name, shape, dtype);
        lowering.graph.inputs.push(value);
        lowering.known.insert(input.name.clone(), Known::Value(value));
    }
    for (name, constant) in &network.constants {
        lowering.known.insert(name.clone(), Known::Constant(constant.clone()));
    }
    Ok(lowering)
}

/// Most elements that all folded constants together may take: a chain of nodes must not fill the memory.
const MAX_FOLDED: usize = 1 << 29;

/// The largest whole number up to which f32 has every one.
const EXACT: i64 = 1 << 24;

#[derive(Default)]
struct Lowering {
    opset: i64,
    /// Elements of the constants that were folded so far.
    folded: usize,
    graph: Graph,
    known: HashMap<String, Known>,
    /// Values made of constants, by the address of the constant: one that is read twice is stored once.
    constants: HashMap<*const Tensor, usize>,
    /// The type of each value in the file's words; whole numbers and truths are kept as floats.
    types: Vec<i32>,
    /// Names that a node reads or that are asked for from outside.
    read: HashSet<String>,
    /// The first value that the node at hand may have made.
    first: usize,
}

impl Lowering {
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

    /// A list of whole numbers: input `index` since some opset, the attribute `name` before.
    fn list(&self, node: &Node, index: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
        Ok(match self.constant(node, index, name)? {
            Some(tensor) => Some(tensor.to_ints()),
            None => node.ints(name)?.map(<[i64]>::to_vec),
        })
    }

    /// All inputs, where all of them are constant and there is at least one.
    fn all_constant(&self, node: &Node) -> Option<Vec<Arc<Tensor>>> {
        let constant = |i| match self.known(node, i) {
            Some(Known::Constant(tensor)) => Some(tensor),
            _ => None,
        };
        (!node.inputs.is_empty()).then(|| (0..node.inputs.len()).map(constant).collect())?
    }

    /// Input `index` as a value of floats; a constant becomes one.
    fn input(&mut self, node: &Node, index: usize) -> Result<usize, String> {
        let value = self.any_input(node, index)?;
        match self.types[value] {
            code if data_type::is_float(code) => Ok(value),
            code => Err(format!(
                "its input `{}` is of type {}; only floating types are computed here",
                node.inputs[index],
                data_type::name(code)
            )),
        }
    }

    /// Input `index` as a value of any type; a constant becomes one.
    fn any_input(&mut self, node: &Node, index: usize) -> Result<usize, String> {
        match self.known(node, index).ok_or_else(|| format!("its input {index} is missing"))? {
            Known::Value(value) => Ok(value),
            Known::Constant(tensor) => {
                let key = Arc::as_ptr(&tensor);
                if let Some(&value) = self.constants.get(&key) {
                    return Ok(value);
                }
                if let Data::Ints(list) = &tensor.data
                    && list.iter().any(|v| !(-EXACT..=EXACT).contains(v))
                {
                    let name = &node.inputs[index];
                    return Err(format!("its input `{name}` has whole numbers beyond {EXACT}, which f32 cannot hold"));
                }
                let value = self.value(&node.inputs[index], tensor.shape.clone(), tensor.dtype);
                self.graph.values[value].constant = Some(self.graph.weight(tensor.to_floats()));
                self.constants.insert(key, value);
                Ok(value)
            }
        }
    }

    /// Whether somebody reads output `index` of the node.
    fn is_read(&self, node: &Node, index: usize) -> bool {
        node.outputs.get(index).is_some_and(|name| !name.is_empty() && self.read.contains(name))
    }

    fn shape(&self, value: usize) -> &[usize] {
        &self.graph.values[value].shape
    }

    fn value(&mut self, name: &str, shape: Vec<usize>, dtype: i32) -> usize {
        self.types.push(dtype);
        self.graph.value(name, shape)
    }

    /// Adds a step whose output has `shape` and the type of its first input, and returns the output.
    fn emit(&mut self, node: &Node, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> Result<usize, Refusal> {
        if tensor::elements(&shape)? == 0 {
            return Err(format!("its output would have the shape {shape:?}, which holds nothing").into());
        }
        let name = format!("{}#{}", node.name, self.graph.values.len() - self.first);
        let dtype = inputs.first().map_or(data_type::FLOAT, |&v| self.types[v]);
        let output = self.value(&name, shape, dtype);
        self.graph.steps.push(Step { name, op, inputs, output });
        Ok(output)
    }

    /// Makes `value` output `index` of the node.
    fn bind(&mut self, node: &Node, index: usize, value: usize) -> Result<(), Refusal> {
        let Some(name) = node.outputs.get(index).filter(|n| !n.is_empty()) else {
            return if index == 0 { Err("it has no output".into()) } else { Ok(()) };
        };
        if value >= self.first && self.graph.values[value].constant.is_none() {
            self.graph.values[value].name.clone_from(name);
            if index == 0
                && let Some(step) = self.graph.steps.iter_mut().rev().find(|s| s.output == value)
            {
                step.name.clone_from(&node.name);
            }
        }
        self.known.insert(name.clone(), Known::Value(value));
        Ok(())
    }

    /// Makes a constant output `index` of the node.
    fn bind_constant(&mut self, node: &Node, index: usize, tensor: Tensor) -> Result<(), Refusal> {
        self.folded += tensor.data.len();
        if self.folded > MAX_FOLDED {
            return Err(format!("constants that are computed take more than {MAX_FOLDED} elements").into());
        }
        if let Some(name) = node.outputs.get(index).filter(|n| !n.is_empty()) {
            self.known.insert(name.clone(), Known::Constant(Arc::new(tensor)));
        }
        Ok(())
    }

    /// Adds a step whose output is the first one of the node.
    fn step(&mut self, node: &Node, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> Result<(), Refusal> {
        let output = self.emit(node, op, inputs, shape)?;
        self.bind(node, 0, output)
    }

    /// The same with another type than that of the first input.
    fn step_of(
        &mut self,
        node: &Node,
        op: Op,
        inputs: Vec<usize>,
        shape: Vec<usize>,
        dtype: i32,
    ) -> Result<(), Refusal> {
        let output = self.emit(node, op, inputs, shape)?;
        self.types[output] = dtype;
        self.bind(node, 0, output)
    }

    /// `value` under another shape of as many elements.
    fn reshaped(&mut self, node: &Node, value: usize, shape: &[usize]) -> Result<usize, Refusal> {
        if self.shape(value) == shape {
            return Ok(value);
        }
        self.emit(node, Op::Copy, vec![value], shape.to_vec())
    }

    /// A value of constant floats that the file has not.
    fn made(&mut self, node: &Node, shape: Vec<usize>, numbers: Vec<f32>) -> usize {
        let name = format!("{}#{}", node.name, self.graph.values.len() - self.first);
        let value = self.value(&name, shape, data_type::FLOAT);
        self.graph.values[value].constant = Some(self.graph.weight(numbers));
        value
    }

    /// The output is the input under another name.
    fn same(&mut self, node: &Node) -> Result<(), Refusal> {
        let known = self.known(node, 0).ok_or("its input is missing")?;
        let name = node.outputs.first().filter(|n| !n.is_empty()).ok_or("it has no output")?;
        self.known.insert(name.clone(), known);
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
                self.any_input(&node, 0)?
            }
        };
        let shape = self.shape(value).to_vec();
        if tensor::elements(&shape)? == 0 {
            return Err("it holds nothing".to_owned());
        }
        let output = self.value(name, shape, self.types[value]);
        self.graph.steps.push(Step { name: format!("output {name}"), op: Op::Copy, inputs: vec![value], output });
        Ok(output)
    }
}
