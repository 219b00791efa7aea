//! Asks the Python oracle: many cases, one start of the interpreter.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

/// Cases for `tests/oracles/kernels.py`.
pub struct Oracle {
    python: PathBuf,
    folder: tempfile::TempDir,
    cases: Vec<Value>,
    files: usize,
}

/// One tensor of a case.
pub enum Tensor<'a> {
    Floats(&'a [f32], &'a [usize]),
    Bytes(&'a [u8], &'a [usize]),
    Integers(&'a [i64]),
    Absent,
}

impl Oracle {
    /// None, with a printed line, where there is no Python.
    pub fn find() -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("SONOPLEX_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
        if !python.exists() {
            println!("skipped: no Python at {}; `make test` installs it, or set SONOPLEX_PYTHON", python.display());
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { python, folder, cases: Vec::new(), files: 0 })
    }

    /// Adds a case; its answer is the one of the same index in [`Oracle::ask`].
    pub fn add(&mut self, op: &str, attributes: Value, inputs: &[Tensor]) {
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|tensor| {
                let (bytes, shape, dtype) = match tensor {
                    Tensor::Absent => return Value::Null,
                    Tensor::Floats(data, shape) => (bytemuck::cast_slice(data), shape.to_vec(), "float32"),
                    Tensor::Bytes(data, shape) => (*data, shape.to_vec(), "uint8"),
                    Tensor::Integers(data) => (bytemuck::cast_slice(data), vec![data.len()], "int64"),
                };
                self.files += 1;
                let file = format!("{}.in", self.files);
                std::fs::write(self.folder.path().join(&file), bytes).expect("the input of a case");
                json!({ "file": file, "shape": shape, "dtype": dtype })
            })
            .collect();
        self.cases.push(json!({ "op": op, "attributes": attributes, "inputs": inputs }));
    }

    /// The bytes and the shape of every answer.
    pub fn ask(self) -> Vec<(Vec<u8>, Vec<usize>)> {
        let folder = self.folder.path();
        std::fs::write(folder.join("cases.json"), Value::from(self.cases).to_string()).expect("the list of cases");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/kernels.py");
        let output = Command::new(&self.python).arg(script).arg(folder).output().expect("a Python that starts");
        assert!(output.status.success(), "the oracle failed: {}", String::from_utf8_lossy(&output.stderr));
        let shapes = std::fs::read(folder.join("shapes.json")).expect("the shapes of the answers");
        let shapes: Vec<Vec<usize>> = serde_json::from_slice(&shapes).expect("shapes as a list");
        let answer = |i: usize| std::fs::read(folder.join(format!("{i}.out"))).expect("an answer");
        shapes.into_iter().enumerate().map(|(i, shape)| (answer(i), shape)).collect()
    }
}

/// Bytes as floats.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
