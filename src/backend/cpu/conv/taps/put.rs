//! From the sums of a tile to the output.

use super::Keep;
use super::tile::Task;
use crate::backend::cpu::dot::{Dot, Factor};
use crate::backend::cpu::lanes::{Lanes, Work};
use crate::backend::cpu::layout::BLOCK;
use crate::backend::cpu::unroll::unrolled;

impl Task<'_> {
    /// Keeps the sums of a tile.
    ///
    /// # Safety
    /// As for `tile`.
    #[inline(always)]
    pub(super) unsafe fn put<D: Dot, K: Keep, const T: usize, const V: usize>(
        &self,
        panel: usize,
        place: usize,
        sums: [[D::Lanes; V]; T],
        to: K,
    ) {
        // No loop, which would be too long to be unrolled.
        // SAFETY: the caller's promise.
        unsafe {
            self.put_vector::<D, K, T, V, 0>(panel, place, sums, to);
            if V > 1 {
                self.put_vector::<D, K, T, V, 1>(panel, place, sums, to);
            }
        }
    }

    /// Keeps vector `I` of all pixels of a tile.
    ///
    /// # Safety
    /// As for `tile`.
    #[inline(always)]
    unsafe fn put_vector<D: Dot, K: Keep, const T: usize, const V: usize, const I: usize>(
        &self,
        panel: usize,
        place: usize,
        sums: [[D::Lanes; V]; T],
        to: K,
    ) {
        let (first, step) = self.places::<D>(panel, place, I);
        // SAFETY: the caller's promise.
        unsafe {
            let (scale, bias) = self.affine::<D>(panel * self.taps.panel + I * D::Lanes::COUNT);
            let (scale, bias) = to.affine(scale, bias);
            if step == BLOCK {
                unrolled!(t in T {
                    if t % 4 == 0 && t + 4 <= T {
                        let values = [
                            D::total(sums[t][I]).multiply_add(scale, bias),
                            D::total(sums[t + 1][I]).multiply_add(scale, bias),
                            D::total(sums[t + 2][I]).multiply_add(scale, bias),
                            D::total(sums[t + 3][I]).multiply_add(scale, bias),
                        ];
                        to.keep_four::<D>(first + t * BLOCK, values);
                    } else if t >= T / 4 * 4 {
                        to.keep::<D>(first + t * BLOCK, D::total(sums[t][I]).multiply_add(scale, bias));
                    }
                });
                return;
            }
            unrolled!(t in T {
                to.keep::<D>(first + t * step, D::total(sums[t][I]).multiply_add(scale, bias));
            });
        }
    }

    /// Where in the output vector `i` of the first pixel lies, and how far the next pixel is.
    #[inline(always)]
    fn places<D: Dot>(&self, panel: usize, place: usize, i: usize) -> (usize, usize) {
        let taps = self.taps;
        let area = taps.out_size[0] * taps.out_size[1];
        let channel = panel * taps.panel + i * D::Lanes::COUNT;
        ((channel / BLOCK * area + place) * BLOCK + channel % BLOCK, taps.out_stride[1] * BLOCK)
    }

    /// What the sums of a vector of channels are multiplied by where they are whole numbers, and what is added.
    ///
    /// # Safety
    /// The processor has the instructions of `D`, and the panels have these channels.
    #[inline(always)]
    unsafe fn affine<D: Dot>(&self, channel: usize) -> (D::Lanes, D::Lanes) {
        // SAFETY: the caller's promise; scale and bias have a number for every channel of a panel.
        unsafe {
            let scale = match D::FACTOR {
                Factor::Int8 => D::Lanes::load(self.taps.scale.as_ptr().add(channel)),
                _ => D::Lanes::splat(1.0),
            };
            (scale, D::Lanes::load(self.taps.bias.as_ptr().add(channel)))
        }
    }
}

/// The sums of a tile, to be kept any way.
pub(super) struct AnyWay<'a, D: Dot, const V: usize> {
    pub task: &'a Task<'a>,
    pub panel: usize,
    pub place: usize,
    pub sums: &'a [[D::Lanes; V]],
}

impl<D: Dot, const V: usize> Work for AnyWay<'_, D, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { task, panel, place, sums } = self;
        for i in 0..V {
            let (first, step) = task.places::<D>(panel, place, i);
            // SAFETY: the caller's promise.
            unsafe {
                let (scale, bias) = task.affine::<D>(panel * task.taps.panel + i * D::Lanes::COUNT);
                for (t, sums) in sums.iter().enumerate() {
                    task.finish.keep::<D>(first + t * step, D::total(sums[i]).multiply_add(scale, bias));
                }
            }
        }
    }
}

/// The sums of a tile, to be written to planes, value by value: for the few channels of a head.
pub(super) struct ToPlanes<'a, D: Dot, const V: usize> {
    pub task: &'a Task<'a>,
    pub panel: usize,
    pub place: usize,
    pub sums: &'a [[D::Lanes; V]],
}

impl<D: Dot, const V: usize> Work for ToPlanes<'_, D, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { task, panel, place, sums } = self;
        let (taps, area) = (task.taps, task.taps.out_size[0] * task.taps.out_size[1]);
        let first = panel * taps.panel;
        let mut values = [0.0f32; 2 * BLOCK];
        for (t, sums) in sums.iter().enumerate() {
            for (i, sum) in sums.iter().enumerate() {
                // SAFETY: a panel is at most two blocks wide.
                unsafe {
                    let (scale, bias) = task.affine::<D>(first + i * D::Lanes::COUNT);
                    let value = D::total(*sum).multiply_add(scale, bias);
                    value.store(values.as_mut_ptr().add(i * D::Lanes::COUNT));
                }
            }
            for o in first..(first + taps.panel).min(taps.outs) {
                // SAFETY: the value of this pixel of this plane, which belongs to this task.
                unsafe { task.finish.store_planar(o * area + place + t * taps.out_stride[1], values[o - first]) };
            }
        }
    }
}
