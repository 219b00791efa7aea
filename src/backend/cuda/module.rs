//! The kernels as PTX, which the driver compiles for the device that it finds.

/// All kernels for chips from one on.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// What it was compiled for: `compute_75`.
    pub target: &'static str,
    /// Compute capability of the oldest device that runs it: 75 is 7.5.
    pub capability: u32,
    /// The text.
    pub ptx: &'static str,
}

macro_rules! module {
    ($capability:literal) => {
        Module {
            target: concat!("compute_", $capability),
            capability: $capability,
            ptx: include_str!(concat!("../../../kernels/ptx/compute_", $capability, ".ptx")),
        }
    };
}

/// SHA-256 of the sources and the compiler that they were made of.
pub const SOURCES: &str = include_str!("../../../kernels/ptx/sources.sha256");

/// All modules, the oldest devices first.
pub const MODULES: [Module; 3] = [module!(75), module!(80), module!(90)];

impl Module {
    /// The newest module that a device of this capability runs; none for one that is too old.
    pub fn newest(capability: u32) -> Option<Self> {
        MODULES.into_iter().rev().find(|module| module.capability <= capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_gets_the_newest_module_that_it_runs() {
        let target = |capability| Module::newest(capability).map(|module| module.target);
        assert_eq!(target(70), None);
        assert_eq!(
            [75, 79, 86, 89, 90, 120].map(target),
            [
                Some("compute_75"),
                Some("compute_75"),
                Some("compute_80"),
                Some("compute_80"),
                Some("compute_90"),
                Some("compute_90"),
            ]
        );
    }
}
