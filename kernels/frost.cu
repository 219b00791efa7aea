// Frost filter for multiplicative noise: `backend/cpu/frost.rs`.
//
//   out(p) = Σ g(q) · e^(−α·|p − q|) / Σ e^(−α·|p − q|),  α = damping · v / m²
//
// over a square window with mean m and variance v. Frost et al., IEEE TPAMI 4(2), 1982.
//
// Shapes      src, dst: height × width bytes.
// A thread    computes one pixel; a block 32 × 8 of them. Pixels at the same distance in columns and in rows weigh the
//             same, so that a weight is computed once for four of them.
// Tolerance   one grey level, where a value lies half way between two.
#include "statistics.cuh"

extern "C" __global__ void frost(const u8* src, u8* dst, u32 width, u32 height, u32 radius, float damping) {
    wait_for_previous();
    const Statistics at = statistics(src, width, height, radius);
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const float alpha = at.mean > 0.0f ? fminf(damping * at.variance / (at.mean * at.mean), 1e30f) : 0.0f;
    float sum = at.pixel, weights = 1.0f;
    // A quarter of the window: rows below, columns to the right and the middle one; the rest by turning it.
    for (int v = 1; v <= (int)radius; v++) {
        for (int u = 0; u <= (int)radius; u++) {
            const float weight = expf(-alpha * sqrtf((float)(u * u + v * v)));
            const int at_p = v * (int)at.pitch + u, at_q = u * (int)at.pitch - v;
            sum += weight * (float)(at.at[at_p] + at.at[-at_p] + at.at[at_q] + at.at[-at_q]);
            weights += 4.0f * weight;
        }
    }
    dst[(u64)y * width + x] = grey(sum / weights);
}
