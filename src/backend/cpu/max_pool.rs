//! The largest, or the average, of every window of a plane.

use serde::{Deserialize, Serialize};

use super::blocked;
use super::error::KernelError;
use super::layout::Layout;
use super::pool::{Pool, SharedMut};
use super::window::{count, extent, inside};

/// Sizes of a pooling of one picture.
///
/// # References
/// ONNX `MaxPool` and `AveragePool`, opset 19; dilation and `ceil_mode` as ONNX Runtime and PyTorch read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolShape {
    /// Planes.
    pub channels: usize,
    /// Height and width of the input.
    pub in_size: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Rows and columns around the input: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance between taps, down and across.
    pub dilation: [usize; 2],
    /// Whether a last window that does not fit wholly is kept.
    pub ceil_mode: bool,
}

impl PoolShape {
    /// Height and width of the output; zero where no window fits.
    pub fn out_size(&self) -> [usize; 2] {
        [0, 1].map(|i| {
            let (size, kernel, stride) = (self.in_size[i], self.kernel[i], self.stride[i]);
            count(size, kernel, stride, self.pads[i], self.pads[i + 2], self.dilation[i], self.ceil_mode)
        })
    }

    /// Values of the input.
    pub fn in_len(&self) -> usize {
        self.channels * self.in_size[0] * self.in_size[1]
    }

    /// Values of the output.
    pub fn out_len(&self) -> usize {
        let [h, w] = self.out_size();
        self.channels * h * w
    }

    /// Whether the sizes make a pooling.
    ///
    /// # Errors
    /// When a size is zero, no window fits, or the padding is as large as a window, so that one would lie outside.
    pub fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.in_size, self.kernel, self.stride, self.dilation];
        if self.channels == 0 || sizes.iter().flatten().any(|&n| n == 0) {
            return Err(KernelError::shape("max_pool", "sizes of at least 1", format!("{self:?}")));
        }
        let window = [0, 1].map(|i| extent(self.kernel[i], self.dilation[i]));
        if (0..4).any(|i| self.pads[i] >= window[i % 2]) {
            return Err(KernelError::shape("max_pool", "pads smaller than the window", format!("{self:?}")));
        }
        if self.out_size().contains(&0) {
            let found = format!("{self:?}");
            return Err(KernelError::shape("max_pool", "a window that fits into the padded input", found));
        }
        Ok(())
    }
}

/// The largest value of every window; padding is never the largest.
///
/// # Shapes
/// `input` channels × height × width; `output` channels × height × width of [`PoolShape::out_size`].
///
/// # Panics
/// When a slice has another length.
pub fn max_pool(pool: &Pool, shape: &PoolShape, input: &[f32], output: &mut [f32]) {
    let larger = |out: &mut f32, v: f32| *out = if v > *out { v } else { *out };
    let pairs = shape.kernel == [2, 2] && shape.stride == [2, 2] && shape.pads == [0; 4] && shape.dilation == [1, 1];
    rows(pool, shape, input, output, &|plane, y, out| {
        let [h, w] = shape.in_size;
        if pairs && 2 * y + 1 < h && 2 * out.len() <= w {
            // The pooling of every U-Net: both rows are read once.
            let (upper, lower) =
                (plane[2 * y * w..][..w].chunks_exact(2), plane[(2 * y + 1) * w..][..w].chunks_exact(2));
            for ((out, a), b) in out.iter_mut().zip(upper).zip(lower) {
                *out = f32::NEG_INFINITY;
                [a[0], a[1], b[0], b[1]].into_iter().for_each(|v| larger(out, v));
            }
            return;
        }
        out.fill(f32::NEG_INFINITY);
        taps(shape, plane, y, out, &larger);
    });
}

/// The average of every window over the values inside the input.
///
/// # Shapes
/// As for [`max_pool`].
///
/// # Panics
/// When a slice has another length.
pub fn average_pool(pool: &Pool, shape: &PoolShape, input: &[f32], output: &mut [f32]) {
    average(pool, shape, input, output, false);
}

/// The average of every window where padding counts as zeros (`count_include_pad`).
///
/// # Shapes
/// As for [`max_pool`].
///
/// # Panics
/// When a slice has another length.
pub fn average_pool_padded(pool: &Pool, shape: &PoolShape, input: &[f32], output: &mut [f32]) {
    average(pool, shape, input, output, true);
}

/// Taps of the window at `at` that count along one axis; beyond the padding (ceil mode) nothing counts.
fn counted(shape: &PoolShape, padded: bool, at: usize, axis: usize) -> usize {
    let (before, after) = (shape.pads[axis], shape.pads[axis + 2]);
    (0..shape.kernel[axis])
        .map(|tap| at * shape.stride[axis] + tap * shape.dilation[axis])
        .filter(|&p| match padded {
            true => p < shape.in_size[axis] + before + after,
            false => p >= before && p < shape.in_size[axis] + before,
        })
        .count()
}

/// [`max_pool`] on blocks of sixteen channels.
pub fn max_pool_blocked(pool: &Pool, layout: Layout, shape: &PoolShape, input: &[f32], output: &mut [f32]) {
    blocked::pool(pool, layout, shape, None, input, output);
}

/// [`average_pool`], or with `padded` [`average_pool_padded`], on blocks of sixteen channels.
pub fn average_pool_blocked(
    pool: &Pool,
    layout: Layout,
    shape: &PoolShape,
    padded: bool,
    input: &[f32],
    output: &mut [f32],
) {
    let count = |y: usize, x: usize| (counted(shape, padded, y, 0) * counted(shape, padded, x, 1)).max(1) as f32;
    blocked::pool(pool, layout, shape, Some(&count), input, output);
}

fn average(pool: &Pool, shape: &PoolShape, input: &[f32], output: &mut [f32], padded: bool) {
    let counted = |at: usize, axis: usize| counted(shape, padded, at, axis);
    rows(pool, shape, input, output, &|plane, y, out| {
        out.fill(0.0);
        taps(shape, plane, y, out, &|out: &mut f32, v| *out += v);
        let down = counted(y, 0);
        for (x, out) in out.iter_mut().enumerate() {
            *out /= (down * counted(x, 1)).max(1) as f32;
        }
    });
}

/// Fills one row of the output from a plane: `row(plane, y, out)`.
type Row<'a> = dyn Fn(&[f32], usize, &mut [f32]) + Sync + 'a;

/// Calls `row(plane, y, out)` for every row of the output.
fn rows(pool: &Pool, shape: &PoolShape, input: &[f32], output: &mut [f32], row: &Row) {
    assert_eq!(input.len(), shape.in_len(), "values of the input");
    assert_eq!(output.len(), shape.out_len(), "values of the output");
    let ([h, w], [oh, ow]) = (shape.in_size, shape.out_size());
    let output = SharedMut::new(output);
    pool.run(shape.channels, &|c| {
        // SAFETY: one plane a task.
        let out = unsafe { output.slice(c * oh * ow, oh * ow) };
        for (y, out) in out.chunks_exact_mut(ow.max(1)).enumerate() {
            row(&input[c * h * w..][..h * w], y, out);
        }
    });
}

/// Calls `take(out, value)` for every tap of the windows of one output row that lies inside the plane.
fn taps(shape: &PoolShape, plane: &[f32], y: usize, out: &mut [f32], take: &impl Fn(&mut f32, f32)) {
    let ([h, w], [kh, kw], [sy, sx], [dy, dx]) = (shape.in_size, shape.kernel, shape.stride, shape.dilation);
    for i in 0..kh {
        let Some(v) = (y * sy + i * dy).checked_sub(shape.pads[0]).filter(|&v| v < h) else { continue };
        for j in 0..kw {
            let range = inside(j * dx, shape.pads[1], sx, w, out.len());
            if range.is_empty() {
                continue;
            }
            let start = range.start * sx + j * dx - shape.pads[1];
            for (out, &v) in out[range].iter_mut().zip(plane[v * w + start..(v + 1) * w].iter().step_by(sx)) {
                take(out, v);
            }
        }
    }
}
