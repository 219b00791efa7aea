// The median of a square window, outside the picture the nearest pixel: `backend/cpu/median.rs`.
//
// The smallest value that more than half of the window is not above, found bit by bit from the highest: a bit is set where
// at most half of the window lies below. Eight counts of the window, whatever its size, and no sorting.
//
// Shapes      src, dst: height × width bytes.
// A thread    computes one pixel; a block 32 × 8 of them, from a tile in shared memory.
// Tolerance   none: equal to the CPU.
#include "common.cuh"

extern "C" __global__ void median(const u8* src, u8* dst, u32 width, u32 height, u32 radius) {
    wait_for_previous();
    __shared__ u8 tile[TILE_HEIGHT * TILE_WIDTH];
    const u32 side = 2 * radius + 1, pitch = BLOCK_WIDTH + 2 * radius;
    load_tile(src, width, height, BLOCK_HEIGHT, radius, tile, pitch);
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u8* window = tile + threadIdx.y * pitch + threadIdx.x;
    const u32 half = side * side / 2;
    u32 median = 0;
    for (u32 bit = 128; bit > 0; bit /= 2) {
        const u32 tried = median | bit;
        u32 below = 0;
        for (u32 v = 0; v < side; v++) {
            for (u32 u = 0; u < side; u++) below += window[v * pitch + u] < tried;
        }
        if (below <= half) median = tried;
    }
    dst[(u64)y * width + x] = (u8)median;
}
