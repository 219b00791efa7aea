// Products of matrices of floats, perhaps of many at once: `backend/cpu/matmul.rs`.
//
//   dst(p) = a(first of pair p) · b(second of pair p) + bias
//
// Shapes      a: matrices of `rows` × `depth`; b: of `depth` × `columns`; dst: one of `rows` × `columns` for each pair, which are
//             as many as layers of blocks; bias: one a column, read where `has_bias` says so.
// A block     computes a tile of 16 × 16; each thread one value of it, all terms in their order.
// Tolerance   that of a sum of floats: multiply and add may be rounded once.
#include "common.cuh"

constexpr u32 TILE = 16;

extern "C" __global__ void matmul(
    const float* a, const float* b, const float* bias, u32 has_bias, float* dst, const u32* pairs, u32 rows, u32 depth,
    u32 columns
) {
    wait_for_previous();
    __shared__ float first[TILE][TILE + 1], second[TILE][TILE + 1];
    const u32 x = threadIdx.x % TILE, y = threadIdx.x / TILE;
    const u32 row = blockIdx.x * TILE + y, column = blockIdx.y * TILE + x;
    a += (u64)pairs[2 * blockIdx.z] * rows * depth;
    b += (u64)pairs[2 * blockIdx.z + 1] * depth * columns;
    float sum = has_bias && column < columns ? bias[column] : 0.0f;
    for (u32 k = 0; k < depth; k += TILE) {
        first[y][x] = row < rows && k + x < depth ? a[(u64)row * depth + k + x] : 0.0f;
        second[y][x] = column < columns && k + y < depth ? b[(u64)(k + y) * columns + column] : 0.0f;
        __syncthreads();
        // No zeros beyond the end: times what is infinite they would not be zero.
        const u32 terms = depth - k < TILE ? depth - k : TILE;
        for (u32 i = 0; i < terms; i++) sum += first[y][i] * second[i][x];
        __syncthreads();
    }
    if (row < rows && column < columns) dst[((u64)blockIdx.z * rows + row) * columns + column] = sum;
}
