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

#[cfg(feature = "camera")]
fn cameras() -> Vec<DeviceInfo> {
    super::camera::list()
}

#[cfg(not(feature = "camera"))]
fn cameras() -> Vec<DeviceInfo> {
    Vec::new()
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
