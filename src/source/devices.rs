//! What can be captured from here.

use serde::Serialize;

/// One thing that `sonoplex live` can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// What to write on the command line: `camera:0`, `phantom:`.
    pub spec: String,
    /// Its name for people.
    pub name: String,
    /// What is known of it: its formats, or why it cannot be used now.
    pub notes: Vec<String>,
}

/// The capture devices of this machine, and always `phantom:`.
///
/// Nodes that give metadata or take pictures are left out. A machine without cameras, or a build without the feature
/// `camera`, is no error: the list is then short.
pub fn list() -> Vec<DeviceInfo> {
    let mut found = cameras();
    found.push(DeviceInfo {
        spec: "phantom:".into(),
        name: "built-in ultrasound phantom".into(),
        notes: vec!["needs no hardware".into()],
    });
    found
}

/// One half sentence that names what can be opened instead.
pub fn advice() -> String {
    let specs: Vec<_> = list().into_iter().map(|d| format!("`{}` ({})", d.spec, d.name)).collect();
    format!("there is {}", specs.join(", "))
}

/// Every `/dev/videoN` that captures: through nokhwa, and what it cannot read through GStreamer.
///
/// nokhwa's own list has the metadata and output nodes too, and panics at a node without a number.
fn cameras() -> Vec<DeviceInfo> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("video").and_then(|n| n.parse().ok());
    let mut indices: Vec<u32> = entries.filter_map(|e| number(e.file_name().to_str()?)).collect();
    indices.sort_unstable();
    indices.into_iter().filter_map(probe).collect()
}

#[cfg(not(any(feature = "camera", feature = "video")))]
fn probe(_index: u32) -> Option<DeviceInfo> {
    None
}

#[cfg(any(feature = "camera", feature = "video"))]
fn probe(index: u32) -> Option<DeviceInfo> {
    #[cfg(feature = "camera")]
    if let Some(found) = super::camera::probe(index) {
        return Some(found);
    }
    #[cfg(feature = "video")]
    if let Some(found) = super::gst::probe(index) {
        return Some(found);
    }
    None
}

/// The note of a device on what its capture stamps are.
#[cfg(any(feature = "video", feature = "camera"))]
pub(super) fn stamped(by_driver: bool) -> &'static str {
    if by_driver {
        "capture stamps are those of the driver"
    } else {
        "capture stamps are those of the receipt: the driver gives none that can be used"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phantom_is_always_there() {
        let list = list();
        assert_eq!(list.last().map(|d| d.spec.as_str()), Some("phantom:"));
        assert!(advice().contains("`phantom:`"));
    }
}
