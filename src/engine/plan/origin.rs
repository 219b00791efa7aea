//! Where a plan comes from, and the command that builds it again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::builder::Precision;
use crate::engine::device::Device;

/// Where a plan comes from: nothing of it changes what is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model as it was named when the plan was built.
    pub model: String,
    /// Options that build it again.
    pub options: Vec<String>,
    /// Name of the graph.
    pub name: String,
    /// What wrote the model.
    pub producer: String,
    /// What the model says beside the graph.
    pub metadata: BTreeMap<String, String>,
}

impl Origin {
    /// The command that builds such a plan to `file`.
    pub(super) fn command(&self, file: &Path) -> String {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { quoted(text) };
        let mut words = vec![or(&self.model, "MODEL.onnx"), "-o".to_owned(), or(&file.to_string_lossy(), "FILE.plan")];
        words.extend(self.options.iter().map(|o| quoted(o)));
        format!("sonoplex build {}", words.join(" "))
    }
}

impl Origin {
    /// The same without an option and its value.
    pub(super) fn without(&self, option: &str) -> Self {
        let mut own = self.clone();
        if let Some(at) = own.options.iter().position(|o| o == option) {
            own.options.drain(at..(at + 2).min(own.options.len()));
        }
        own
    }

    /// The same for a GPU, or for the processor, without a precision that it does not compute in.
    pub(super) fn for_device(&self, gpu: Option<Device>) -> Self {
        let int8 = Precision::Int8.to_string();
        let mut own = self.without("--device");
        if !own.options.windows(2).any(|pair| pair[0] == "--precision" && pair[1] == int8) {
            own = own.without("--precision");
        }
        own.options.extend(gpu.iter().flat_map(|device| ["--device".to_owned(), device.to_string()]));
        own
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
