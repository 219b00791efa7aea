//! The specification of every operation, in plain Rust, and the same made fast.
