//! Where a plan runs.

use serde::{Deserialize, Serialize};

/// A choice of device: `auto`, `cpu` or `cuda:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The best that has proven itself: the CPU, until a GPU has shown that it computes the same.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
}

impl Device {
    /// The device that is meant, where this build can run on it.
    ///
    /// # Errors
    /// For a GPU where no NVIDIA driver is; whether there is such a device is known when it is opened.
    pub fn resolve(self) -> Result<Self, DeviceError> {
        match self {
            Self::Auto | Self::Cpu => Ok(Self::Cpu),
            Self::Cuda(_) if crate::backend::cuda::driver_present() => Ok(self),
            Self::Cuda(_) => Err(DeviceError::Unavailable { device: self }),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown { found: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// Not a device.
    #[error("cannot understand the device `{found}`: expected `auto`, `cpu` or `cuda:0`")]
    Unknown {
        /// What was written.
        found: String,
    },
    /// Not here.
    #[error("cannot compute on `{device}`: no NVIDIA driver was found (libcuda is missing); use `--device cpu`")]
    Unavailable {
        /// What was asked for.
        device: Device,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_wrong_ones_are_refused() {
        for name in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<Device>().map(|d| d.to_string()).as_deref(), Ok(name));
        }
        for name in ["", "gpu", "cuda:", "cuda:-1", "CPU"] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_gpu_is_a_sentence_and_not_a_panic() {
        match Device::Cuda(0).resolve() {
            Ok(device) => assert!(crate::backend::cuda::driver_present() && device == Device::Cuda(0)),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("driver was found") && said.contains("--device cpu"), "{said}");
            }
        }
    }
}
