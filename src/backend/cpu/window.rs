//! The arithmetic of windows that slide over a plane, shared by convolution and pooling.

/// Pixels that a kernel of `kernel` taps covers when they are `dilation` apart.
pub(super) const fn extent(kernel: usize, dilation: usize) -> usize {
    dilation.saturating_mul(kernel.saturating_sub(1)).saturating_add(1)
}

/// Windows that fit along one axis; 0 where not even one does.
///
/// # References
/// ONNX `Conv` and `MaxPool`: floor((in + pads - dilation·(kernel - 1) - 1) / stride) + 1, or with `ceil` the ceiling,
/// where a window that would start in the far padding is left out (as PyTorch and ONNX Runtime do).
pub(super) fn count(
    size: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
    dilation: usize,
    ceil: bool,
) -> usize {
    let padded = size.saturating_add(before).saturating_add(after);
    let extent = extent(kernel, dilation);
    if kernel == 0 || stride == 0 || padded < extent {
        return 0;
    }
    let room = padded - extent;
    if !ceil {
        return room / stride + 1;
    }
    let n = room.div_ceil(stride) + 1;
    if (n - 1) * stride >= size + before { n - 1 } else { n }
}

/// The range of window positions whose tap `tap` (in pixels) falls inside `0..size`, among `count`.
pub(super) fn inside(tap: usize, before: usize, stride: usize, size: usize, count: usize) -> std::ops::Range<usize> {
    // position · stride + tap - before must lie in 0..size.
    let first = before.saturating_sub(tap).div_ceil(stride);
    let end = (size + before).saturating_sub(tap).div_ceil(stride);
    first.min(count)..end.min(count).max(first.min(count))
}

/// Where part `i` of `n` parts of `total` begins, as equal as can be, the longer ones first.
pub(super) fn start(total: usize, n: usize, i: usize) -> usize {
    i * (total / n) + i.min(total % n)
}
