// Bilateral filter over a disc: `backend/cpu/bilateral.rs`.
//
//   out(p) = Σ g(q) · s(|p − q|) · r(|g(p) − g(q)|) / Σ s · r,  s and r: e^(factor · d²)
//
// Tomasi, Manduchi, ICCV 1998.
//
// Shapes      src, dst: height × width bytes. `space`, `range`: −1 / 2σ² of distances and of grey levels.
// A thread    computes one pixel; a block 32 × 8 of them, from a tile and tables of both weights in shared memory.
// Tolerance   one grey level, where a value lies half way between two.
#include "common.cuh"

extern "C" __global__ void bilateral(
    const u8* src, u8* dst, u32 width, u32 height, u32 radius, float space, float range
) {
    wait_for_previous();
    __shared__ u8 tile[TILE_HEIGHT * TILE_WIDTH];
    __shared__ float similar[BLOCK_THREADS];
    __shared__ float near[(MAX_RADIUS + 1) * (MAX_RADIUS + 1)];
    const u32 t = thread_of_block();
    similar[t] = expf(range * (float)(t * t));
    // A weight for each distance in rows and columns; none beyond the disc.
    for (u32 i = t; i < (radius + 1) * (radius + 1); i += BLOCK_THREADS) {
        const u32 u = i % (radius + 1), v = i / (radius + 1), squared = u * u + v * v;
        near[i] = squared <= radius * radius ? expf(space * (float)squared) : 0.0f;
    }
    const u32 pitch = BLOCK_WIDTH + 2 * radius;
    load_tile(src, width, height, BLOCK_HEIGHT, radius, tile, pitch);
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u8* window = tile + threadIdx.y * pitch + threadIdx.x;
    const int middle = window[radius * pitch + radius];
    float sum = 0.0f, weights = 0.0f;
    for (u32 v = 0; v <= 2 * radius; v++) {
        const float* row = near + (v < radius ? radius - v : v - radius) * (radius + 1);
        for (u32 u = 0; u <= 2 * radius; u++) {
            const int pixel = window[v * pitch + u];
            const float weight = row[u < radius ? radius - u : u - radius] * similar[abs(pixel - middle)];
            sum += weight * (float)pixel;
            weights += weight;
        }
    }
    dst[(u64)y * width + x] = grey(sum / weights);
}
