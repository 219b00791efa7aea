//! Arithmetic and device memory; the only place with `unsafe`.

pub mod cpu;
pub mod cuda;
