//! Floats that begin at a cache line, so that no vector lies across two.

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; Aligned::LINE]);

/// A run of floats whose first lies at a multiple of 64 bytes.
#[derive(Clone, Debug, Default)]
pub struct Aligned {
    lines: Vec<Line>,
    length: usize,
}

impl Aligned {
    /// Floats of a cache line.
    pub const LINE: usize = 16;

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        Self { lines: vec![Line([0.0; Self::LINE]); length.div_ceil(Self::LINE)], length }
    }

    /// `values`, and zeros up to a multiple of `multiple`.
    pub fn padded(values: &[f32], multiple: usize) -> Self {
        let mut own = Self::zeros(values.len().next_multiple_of(multiple));
        own[..values.len()].copy_from_slice(values);
        own
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are floats without gaps, `length` of them at most; an empty vector's pointer is aligned.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
