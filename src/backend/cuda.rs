//! What can be asked of an NVIDIA driver before there is one.

/// Whether the library of the NVIDIA driver can be loaded; every other call of `cudarc` panics without it.
pub fn driver_present() -> bool {
    // SAFETY: it loads and unloads the driver's own library, and calls nothing in it.
    unsafe { cudarc::driver::sys::is_culib_present() }
}
