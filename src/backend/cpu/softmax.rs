//! Softmax: e^(x − max) / Σ e^(x − max).

use std::ops::Range;

use super::pool::{Pool, SharedMut};

/// Columns that are computed side by side.
const SIDE: usize = 64;
/// Values of a task, about.
const PART: usize = 1 << 12;

/// Softmax along the middle axis, in place, on all threads.
///
/// # Shapes
/// `data` outer × axis × inner.
///
/// # Panics
/// When `data` has another length.
pub fn softmax(pool: &Pool, data: &mut [f32], [outer, axis, inner]: [usize; 3]) {
    assert_eq!(data.len(), outer * axis * inner, "values of the tensor");
    if data.is_empty() {
        return;
    }
    let data = SharedMut::new(data);
    let run = (PART / axis).max(1);
    pool.run((outer * inner).div_ceil(run), &|i| {
        let mut at = i * run;
        let end = (at + run).min(outer * inner);
        while at < end {
            let (part, first) = (at / inner, at % inner);
            let last = inner.min(first + end - at);
            // SAFETY: columns of a part of the data, which belong to this task alone.
            unsafe { columns(data.as_mut_ptr().add(part * axis * inner), axis, inner, first..last) };
            at += last - first;
        }
    });
}

/// Softmax of these columns of `axis` rows, `pitch` values below each other.
///
/// # Safety
/// The values exist, and nobody else uses them.
pub(super) unsafe fn columns(data: *mut f32, axis: usize, pitch: usize, columns: Range<usize>) {
    for first in columns.clone().step_by(SIDE) {
        let count = SIDE.min(columns.end - first);
        let (mut largest, mut sums) = ([f32::NEG_INFINITY; SIDE], [0.0; SIDE]);
        // SAFETY: one row of the columns at a time, as the caller promises.
        let row = |k: usize| unsafe { std::slice::from_raw_parts_mut(data.add(k * pitch + first), count) };
        for k in 0..axis {
            largest.iter_mut().zip(&*row(k)).for_each(|(largest, x)| *largest = largest.max(*x));
        }
        for k in 0..axis {
            for ((x, largest), sum) in row(k).iter_mut().zip(&largest).zip(&mut sums) {
                *x = (*x - largest).exp();
                *sum += *x;
            }
        }
        for k in 0..axis {
            row(k).iter_mut().zip(&sums).for_each(|(x, sum)| *x /= sum);
        }
    }
}
