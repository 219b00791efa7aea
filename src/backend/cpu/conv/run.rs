//! What a convolution is given for one picture.

use crate::backend::cpu::activation::{Activation, clip};
use crate::backend::cpu::dot::Dot;
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Grid, Layout, Reader, Writer};
use crate::backend::cpu::pool::Pool;

/// One run of a tactic: output = act(convolution + bias + residual).
pub(in crate::backend::cpu) struct Run<'a> {
    pub pool: &'a Pool,
    pub input: &'a [f32],
    /// Added before the activation.
    pub residual: Option<Reader<'a>>,
    pub activation: Activation,
    pub output: &'a mut [f32],
    pub scratch: &'a mut [f32],
}

impl<'a> Run<'a> {
    /// What happens to its sums on their way to the output, which has this layout.
    pub fn finish(&mut self, layout: Layout) -> Finish<'a> {
        let (low, high) = self.bounds();
        let late = matches!(layout, Layout::BlockedU8(_)) && self.activation.bounds().is_none();
        let late = late.then_some(self.activation);
        Finish { residual: self.residual, low, high, late, output: Writer::new(self.output.as_mut_ptr(), layout) }
    }

    /// What the values are held between in registers; the other activations follow.
    pub fn bounds(&self) -> (f32, f32) {
        self.activation.bounds().unwrap_or((f32::NEG_INFINITY, f32::INFINITY))
    }
}

/// From a sum with its bias to what is kept: residual, activation, rounding.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Finish<'a> {
    residual: Option<Reader<'a>>,
    low: f32,
    high: f32,
    /// An activation that is more than bounds, where what is kept is too coarse to apply it later.
    late: Option<Activation>,
    output: Writer,
}

impl Finish<'_> {
    /// The output as codes that values can be brought to in one step: bytes, without a residual, between bounds.
    #[inline(always)]
    pub fn codes(&self) -> Option<Codes> {
        match (self.output.codes(), self.residual, self.late) {
            (Some((to, grid)), None, None) => {
                let code = |x: f32| (x * grid.steps() + f32::from(grid.zero)).clamp(0.0, 255.0);
                Some(Codes { to, grid, low: code(self.low), high: code(self.high) })
            }
            _ => None,
        }
    }

    /// Keeps the values from value `at` of the output on.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, the output and the residual have that many values, and nobody else
    /// uses those of the output.
    #[inline(always)]
    pub unsafe fn store<D: Dot>(&self, at: usize, mut value: D::Lanes) {
        // SAFETY: the caller's promise; no register has more lanes than a block.
        unsafe {
            if let Some(residual) = self.residual {
                value = value.add(residual.load(at));
            }
            value = value.clip(D::Lanes::splat(self.low), D::Lanes::splat(self.high));
            if let Some(activation) = self.late {
                let mut lanes = [0.0; BLOCK];
                value.store(lanes.as_mut_ptr());
                activation.apply(&mut lanes[..D::Lanes::COUNT]);
                value = D::Lanes::load(lanes.as_ptr());
            }
            self.output.store::<D>(at, value);
        }
    }

    /// Keeps value `at` of an output of planes.
    ///
    /// # Safety
    /// The output and the residual have such a value, and nobody else uses it.
    #[inline(always)]
    pub unsafe fn store_planar(&self, at: usize, value: f32) {
        let value = value + self.residual.map_or(0.0, |r| r.planar(at));
        // SAFETY: the caller's promise.
        unsafe { self.output.store_planar(at, clip(value, self.low, self.high)) };
    }
}

/// An output of bytes.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Codes {
    to: *mut u8,
    grid: Grid,
    low: f32,
    high: f32,
}

impl Codes {
    /// Factor and summand that make codes of sums, from those that make values.
    ///
    /// # Safety
    /// The processor has the instructions of `L`; so below.
    #[inline(always)]
    pub unsafe fn affine<L: Lanes>(&self, scale: L, bias: L) -> (L, L) {
        // SAFETY: the caller's promise.
        unsafe {
            let steps = L::splat(self.grid.steps());
            let none = L::splat(0.0);
            (scale.multiply_add(steps, none), bias.multiply_add(steps, L::splat(f32::from(self.grid.zero))))
        }
    }

    /// Keeps codes from value `at` of the output on.
    ///
    /// # Safety
    /// The output has that many values, and nobody else uses them.
    #[inline(always)]
    pub unsafe fn store<L: Lanes>(&self, at: usize, codes: L) {
        // SAFETY: the caller's promise.
        unsafe { codes.clip(L::splat(self.low), L::splat(self.high)).store_codes(self.to.add(at)) };
    }
}
