// Mean and variance of the square window around every pixel of a block.
#pragma once
#include "common.cuh"

struct Statistics {
    float pixel, mean, variance;
    // The pixel in the tile, whose rows are `pitch` bytes.
    const u8* at;
    u32 pitch;
};

// The statistics of this thread's pixel. All threads of the block take part.
//
// Sums of rows first, then of columns of these, in whole numbers, so that an even window has a variance of exactly 0.
__device__ inline Statistics statistics(const u8* src, u32 width, u32 height, u32 radius) {
    __shared__ u8 tile[TILE_HEIGHT * TILE_WIDTH];
    __shared__ u32 sums[TILE_HEIGHT * BLOCK_WIDTH];
    __shared__ u32 squares[TILE_HEIGHT * BLOCK_WIDTH];
    const u32 side = 2 * radius + 1, pitch = BLOCK_WIDTH + 2 * radius, rows = BLOCK_HEIGHT + 2 * radius;
    load_tile(src, width, height, BLOCK_HEIGHT, radius, tile, pitch);
    for (u32 row = threadIdx.y; row < rows; row += BLOCK_HEIGHT) {
        u32 sum = 0, square = 0;
        for (u32 u = 0; u < side; u++) {
            const u32 pixel = tile[row * pitch + threadIdx.x + u];
            sum += pixel;
            square += pixel * pixel;
        }
        sums[row * BLOCK_WIDTH + threadIdx.x] = sum;
        squares[row * BLOCK_WIDTH + threadIdx.x] = square;
    }
    __syncthreads();
    u32 sum = 0, square = 0;
    for (u32 v = 0; v < side; v++) {
        sum += sums[(threadIdx.y + v) * BLOCK_WIDTH + threadIdx.x];
        square += squares[(threadIdx.y + v) * BLOCK_WIDTH + threadIdx.x];
    }
    const u32 area = side * side;
    const u64 spread = (u64)square * area - (u64)sum * sum;
    Statistics found;
    found.at = tile + (threadIdx.y + radius) * pitch + threadIdx.x + radius;
    found.pitch = pitch;
    found.pixel = *found.at;
    found.mean = (float)sum / (float)area;
    found.variance = (float)spread / (float)(area * area);
    return found;
}
