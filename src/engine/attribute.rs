//! A node of the network with its settings, before its shapes are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tensor::Tensor;

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One integer.
    Int(i64),
    /// One number.
    Float(f32),
    /// A word.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// A constant.
    Tensor(Arc<Tensor>),
    /// A graph within the graph, as control flow has it.
    Graph,
}

/// One operation of the network: what it is called, what it does, what it reads and writes by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name, unique in the network.
    pub name: String,
    /// Operator, in ONNX's words; `domain.operator` where it is not ONNX's own.
    pub operator: String,
    /// Names of the tensors it reads; an empty name is an optional one left out.
    pub inputs: Vec<String>,
    /// Names of the tensors it writes.
    pub outputs: Vec<String>,
    /// Settings by name.
    pub attributes: BTreeMap<String, Attribute>,
}

impl Node {
    /// An integer setting, or `default` where it is not given.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(other) => Err(wrong(name, "an integer", other)),
        }
    }

    /// A setting that is a number, or `default`; infinities become the largest numbers.
    pub fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(v)) if v.is_nan() => Err(format!("its attribute `{name}` is not a number")),
            Some(Attribute::Float(v)) => Ok(v.clamp(f32::MIN, f32::MAX)),
            Some(other) => Err(wrong(name, "a number", other)),
        }
    }

    /// A setting that is a word, or `default`.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, String> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Text(v)) => Ok(v),
            Some(other) => Err(wrong(name, "a word", other)),
        }
    }

    /// A list of integers, where it is given.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(other) => Err(wrong(name, "a list of integers", other)),
        }
    }

    /// A list of numbers, where it is given.
    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(other) => Err(wrong(name, "a list of numbers", other)),
        }
    }
}

fn wrong(name: &str, expected: &str, found: &Attribute) -> String {
    let found = match found {
        Attribute::Int(v) => format!("the integer {v}"),
        Attribute::Float(v) => format!("the number {v}"),
        Attribute::Text(v) => format!("the word `{v}`"),
        Attribute::Ints(v) => format!("a list of {} integers", v.len()),
        Attribute::Floats(v) => format!("a list of {} numbers", v.len()),
        Attribute::Tensor(t) => format!("a tensor of shape {:?}", t.shape),
        Attribute::Graph => "a graph".to_owned(),
    };
    format!("its attribute `{name}` should be {expected}, found {found}")
}
