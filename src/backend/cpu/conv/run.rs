//! What a convolution is given for one picture.

use super::keep::{Codes, CodesWithCodes, Keep, Way, Within};
use crate::backend::cpu::activation::{Activation, clip};
use crate::backend::cpu::dot::Dot;
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Cells, CellsMut, Layout, Reader, Writer};
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

impl<'a> Finish<'a> {
    /// The shortest way from a sum to what is kept.
    #[inline(always)]
    pub fn way(&self) -> Way<'a> {
        let (low, high) = (self.low, self.high);
        match (self.output.cells(), self.residual.map(Reader::cells), self.late) {
            (CellsMut::Codes(to, grid), None, None) => Way::Codes(Codes::new(to, grid, low, high)),
            (CellsMut::Codes(to, grid), Some(Cells::Codes(added, own)), None) => {
                Way::CodesWithCodes(CodesWithCodes::new(Codes::new(to, grid, low, high), added, own))
            }
            (CellsMut::Floats(to), None, None) => Way::Floats(Within { to, low, high }),
            (CellsMut::Halves(to), None, None) => Way::Halves(Within { to, low, high }),
            _ => Way::Any(*self),
        }
    }

    /// Where the output begins.
    pub fn start(&self) -> *const f32 {
        self.output.start()
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

impl Keep for Finish<'_> {
    #[inline(always)]
    unsafe fn keep<D: Dot>(&self, at: usize, mut value: D::Lanes) {
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
}
