//! Arithmetic, device memory and mapped files; the only place with `unsafe`.

pub mod cpu;
pub mod cuda;
pub mod file_map;
