//! What can be wrong with what an operation was given.

use super::isa::Isa;

/// Why an operation cannot be prepared.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// Sizes that contradict each other.
    #[error("cannot prepare `{operation}`: expected {expected}, found {found}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// What would fit.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A tactic that this operation does not have.
    #[error("cannot prepare `{operation}` with the tactic `{found}`: it has {known}; rebuild the plan")]
    Tactic {
        /// The operation.
        operation: &'static str,
        /// The tactic asked for.
        found: String,
        /// The tactics there are.
        known: String,
    },
    /// A tactic that this processor cannot run.
    #[error(
        "cannot prepare `{operation}` with the tactic `{tactic}`: it needs {needed}, this processor has {found}; rebuild the plan on this machine"
    )]
    Isa {
        /// The operation.
        operation: &'static str,
        /// The tactic asked for.
        tactic: String,
        /// What it needs.
        needed: Isa,
        /// What there is.
        found: Isa,
    },
}

impl KernelError {
    /// A [`KernelError::Shape`].
    pub(crate) fn shape(operation: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Shape { operation, expected: expected.into(), found: found.to_string() }
    }
}
