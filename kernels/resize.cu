// A picture brought to the size of a network and normalised: `backend/cpu/resize.rs`.
//
//   out(c, y, x) = factor(c) · Σ down(y, i) Σ across(x, j) · src(first_down(y) + i, first_across(x) + j) + addend(c)
//
// around the picture, where it does not fill the tensor, addend(c): black. The tables of the CPU say which pixels count, so
// that bilinear, area and nearest are one kernel.
//
// Shapes      src: rows of `stride` bytes; of each axis `first` one and `weights` `taps` for every position of the picture;
//             scale: factor and addend of each channel; out: channels × height × width floats.
// A thread    computes one pixel of all channels; a block 32 × 8 of them.
// Tolerance   0.01 of 255 before the factor: products are summed in another order.
#include "common.cuh"

extern "C" __global__ void resize_u8(
    const u8* src, u32 stride,
    const u32* down_first, const float* down_weights, u32 down_taps,
    const u32* across_first, const float* across_weights, u32 across_taps,
    const float* scale, u32 channels,
    float* out, u32 width, u32 height,
    u32 left, u32 top, u32 picture_width, u32 picture_height
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    // Wraps to something large before the picture.
    const u32 u = x - left, v = y - top;
    const bool is_picture = u < picture_width && v < picture_height;
    float sum = 0.0f;
    if (is_picture) {
        const u8* rows = src + (u64)down_first[v] * stride + across_first[u];
        for (u32 i = 0; i < down_taps; i++) {
            float row = 0.0f;
            for (u32 j = 0; j < across_taps; j++) {
                row += (float)rows[(u64)i * stride + j] * across_weights[(u64)u * across_taps + j];
            }
            sum += down_weights[(u64)v * down_taps + i] * row;
        }
    }
    const u64 area = (u64)width * height, at = (u64)y * width + x;
    for (u32 c = 0; c < channels; c++) {
        out[c * area + at] = is_picture ? sum * scale[2 * c] + scale[2 * c + 1] : scale[2 * c + 1];
    }
}
