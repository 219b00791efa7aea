//! An output cut into equal parts, each computed by one task.

use super::pool::{Pool, SharedMut};

/// Calls `task(i, part)` for every part of `length` values; the last one may be shorter.
pub(super) fn parts(pool: &Pool, output: &mut [f32], length: usize, task: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let (total, length) = (output.len(), length.max(1));
    let shared = SharedMut::new(output);
    pool.run(total.div_ceil(length), &|i| {
        let from = i * length;
        // SAFETY: parts of different tasks do not overlap.
        task(i, unsafe { shared.slice(from, length.min(total - from)) });
    });
}

/// Calls `task(i, row)` for every row of `length` values; short ones share a task.
pub(super) fn rows(pool: &Pool, output: &mut [f32], length: usize, task: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let many = rows_of(length);
    parts(pool, output, many * length, &|part, out| {
        out.chunks_exact_mut(length).enumerate().for_each(|(i, row)| task(part * many + i, row));
    });
}

/// How many rows of `row` values make a part that is worth a task.
pub(super) fn rows_of(row: usize) -> usize {
    (1usize << 13).div_ceil(row.max(1))
}
