// Speckle reducing anisotropic diffusion: `backend/cpu/srad.rs`.
//
//   A = e^((g/255 − 1) · range), then each iteration  A += step/4 · div(c ∇A), then back to grey levels
//   c = min(1, q₀² (1 + q₀²) D / (n + q₀⁴ D)),  D = (A + ¼ Σd)²,  n = ½ Σd² − ¹⁄₁₆ (Σd)²
//
// with the differences d to the four neighbours. Yu, Acton, IEEE TIP 11(11), 2002. q₀ follows from the iteration alone, so
// that no iteration waits for a sum over the picture.
//
// Shapes      src, dst of the ends: height × width bytes; planes between: height × width floats. `range`: nepers from black
//             to white. `q2`: q₀² of the iteration.
// A thread    computes one pixel; a block 32 × 8 of them. A step is one kernel: the amplitudes of a block and two around
//             it, the coefficients of a block and of the pixels right of it and below, then the flow.
// Tolerance   one grey level, where a value lies half way between two.
#include "common.cuh"

extern "C" __global__ void srad_amplitude(const u8* src, float* dst, u32 pixels, float range) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < pixels) dst[i] = expf(((float)src[i] / 255.0f - 1.0f) * range);
}

extern "C" __global__ void srad_grey(const float* src, u8* dst, u32 pixels, float range) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    // The smallest normal float, below which there is no logarithm.
    if (i < pixels) dst[i] = grey(255.0f * (logf(fmaxf(src[i], 1.17549435e-38f)) / range + 1.0f));
}

// A block with one pixel before and two behind.
constexpr u32 WIDE = BLOCK_WIDTH + 3, HIGH = BLOCK_HEIGHT + 3;

extern "C" __global__ void srad_step(const float* src, float* dst, u32 width, u32 height, float step, float q2) {
    wait_for_previous();
    __shared__ float a[HIGH * WIDE];
    __shared__ float c[(BLOCK_HEIGHT + 1) * (BLOCK_WIDTH + 1)];
    const u32 left = blockIdx.x * BLOCK_WIDTH, top = blockIdx.y * BLOCK_HEIGHT;
    for (u32 i = thread_of_block(); i < HIGH * WIDE; i += BLOCK_THREADS) {
        const u64 row = clamped((int)(top + i / WIDE) - 1, height - 1);
        a[i] = src[row * width + clamped((int)(left + i % WIDE) - 1, width - 1)];
    }
    __syncthreads();
    for (u32 i = thread_of_block(); i < (BLOCK_HEIGHT + 1) * (BLOCK_WIDTH + 1); i += BLOCK_THREADS) {
        // Beyond the border it is any number, since nothing flows there.
        const float* at = a + (i / (BLOCK_WIDTH + 1) + 1) * WIDE + i % (BLOCK_WIDTH + 1) + 1;
        const float own = at[0];
        const float up = at[-(int)WIDE] - own, before = at[-1] - own, after = at[1] - own, down = at[WIDE] - own;
        const float squares = up * up + before * before + after * after + down * down;
        const float sum = up + before + after + down;
        const float numerator = 0.5f * squares - sum * sum * (1.0f / 16.0f);
        const float denominator = (own + 0.25f * sum) * (own + 0.25f * sum);
        const float found = q2 * (1.0f + q2) * denominator / (numerator + q2 * q2 * denominator);
        c[i] = found < 1.0f ? found : 1.0f;
    }
    __syncthreads();
    const u32 x = left + threadIdx.x, y = top + threadIdx.y;
    if (x >= width || y >= height) return;
    const float* at = a + (threadIdx.y + 1) * WIDE + threadIdx.x + 1;
    const float* flow = c + threadIdx.y * (BLOCK_WIDTH + 1) + threadIdx.x;
    const float ahead = flow[BLOCK_WIDTH + 1] * (at[WIDE] - at[0]) + flow[1] * (at[1] - at[0]);
    const float back = flow[0] * ((at[-(int)WIDE] - at[0]) + (at[-1] - at[0]));
    dst[(u64)y * width + x] = at[0] + 0.25f * step * (ahead + back);
}
