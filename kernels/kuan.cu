// Kuan filter for multiplicative noise: `backend/cpu/kuan.rs`.
//
//   out = m + k · (g − m),  k = max(0, (1 − m²·noise² / v) / (1 + noise²))
//
// with mean m and variance v of a square window. Kuan et al., IEEE TPAMI 7(2), 1985.
//
// Shapes      src, dst: height × width bytes. `noise2`: square of the noise's coefficient of variation.
// A thread    computes one pixel; a block 32 × 8 of them, sums of rows and columns in shared memory.
// Tolerance   one grey level, where a value lies half way between two.
#include "statistics.cuh"

extern "C" __global__ void kuan(const u8* src, u8* dst, u32 width, u32 height, u32 radius, float noise2) {
    wait_for_previous();
    const Statistics at = statistics(src, width, height, radius);
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const float under = fmaxf((at.variance - at.mean * at.mean * noise2) / (1.0f + noise2), 0.0f);
    const float gain = at.variance > 0.0f ? under / at.variance : 0.0f;
    dst[(u64)y * width + x] = grey(at.mean + gain * (at.pixel - at.mean));
}
