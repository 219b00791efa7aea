//! Floats that begin at a cache line, so that no vector lies across two.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of a large page, where there are such.
const LARGE_PAGE: usize = 2 << 20;

/// A run of floats whose first lies at a multiple of 64 bytes.
///
/// A long run asks the system for large pages: weights that are read from end to end for every frame are then found
/// through a few entries of the processor's table of pages rather than through thousands.
#[derive(Debug)]
pub struct Aligned {
    start: NonNull<f32>,
    length: usize,
}

// SAFETY: it owns its floats, as a vector does.
unsafe impl Send for Aligned {}
// SAFETY: as above; shared, it is only read.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// Floats of a cache line.
    pub const LINE: usize = 16;

    /// `length` zeros.
    ///
    /// # Panics
    /// When that is more than memory can hold.
    pub fn zeros(length: usize) -> Self {
        if length == 0 {
            return Self::default();
        }
        let layout = Self::layout(length);
        // SAFETY: the layout is not empty.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }.cast::<f32>()) else { handle_alloc_error(layout) };
        if layout.align() == LARGE_PAGE {
            ask_for_large_pages(start, layout.size());
        }
        // SAFETY: the memory is `length` floats long, and zeros are floats.
        unsafe { start.write_bytes(0, length) };
        Self { start, length }
    }

    /// `values`, and zeros up to a multiple of `multiple`.
    pub fn padded(values: &[f32], multiple: usize) -> Self {
        let mut own = Self::zeros(values.len().next_multiple_of(multiple));
        own[..values.len()].copy_from_slice(values);
        own
    }

    fn layout(length: usize) -> Layout {
        let bytes = length.checked_mul(size_of::<f32>()).expect("floats that memory can hold");
        let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { 4 * Self::LINE };
        Layout::from_size_align(bytes, align).expect("floats that memory can hold")
    }
}

#[cfg(target_os = "linux")]
fn ask_for_large_pages(start: NonNull<f32>, bytes: usize) {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the advice changes nothing but where the memory comes from. Where it is not taken, pages are small.
    let _ = unsafe { madvise(start.as_ptr().cast(), bytes, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: NonNull<f32>, _: usize) {}

impl Default for Aligned {
    fn default() -> Self {
        Self { start: NonNull::dangling(), length: 0 }
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        Self::padded(self, 1)
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: allocated with the same layout, in `zeros`.
            unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.length)) };
        }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `length` floats that are its own; of none the pointer is aligned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}
