//! The kernels of `kernels/` and what launches them, one file for each of theirs.
//!
//! A launcher checks lengths and makes a [`Launch`](launch::Launch), a plain value. A [`Gpu`](gpu::Gpu) runs it; a test
//! runs it on the host.

pub mod activation;
mod bilateral;
pub mod components;
pub mod conv;
pub mod crop;
pub mod despeckle;
pub mod elementwise;
mod frost;
pub mod gpu;
mod kuan;
pub mod launch;
pub mod layout;
mod lee;
pub mod mask;
pub mod matmul;
pub mod max_pool;
mod median;
pub mod module;
mod nlm;
pub mod normalize;
pub mod quantize;
pub mod reduce;
pub mod resize;
pub mod resize_axis;
pub mod resize_tensor;
pub mod select;
pub mod softmax;
mod srad;
pub mod strided;
pub mod take;

/// Whether the library of the NVIDIA driver can be loaded; every other call of `cudarc` panics without it.
pub fn driver_present() -> bool {
    // SAFETY: it loads and unloads the driver's own library, and calls nothing in it.
    unsafe { cudarc::driver::sys::is_culib_present() }
}
