// What several threads of a block find together: so many lanes in a row, a power of two, work on one result.
#pragma once
#include "common.cuh"

constexpr u32 TOGETHER_THREADS = 256;

// What `join` makes of the values of all lanes, for each of them, in one order always. All threads of the block take part;
// `parts` is shared memory for one value of each.
template <typename Join>
__device__ inline double joined(double* parts, double own, u32 lanes, Join join) {
    if (lanes == 1) return own;
    const u32 thread = threadIdx.x, lane = thread % lanes;
    parts[thread] = own;
    for (u32 step = lanes / 2; step > 0; step /= 2) {
        __syncthreads();
        if (lane < step) parts[thread] = join(parts[thread], parts[thread + step]);
    }
    __syncthreads();
    const double found = parts[thread - lane];
    __syncthreads();
    return found;
}

// What is not a number stays so.
template <typename T>
__device__ inline T larger_of(T a, T b) { return b > a || b != b ? b : a; }
template <typename T>
__device__ inline T smaller_of(T a, T b) { return b < a || b != b ? b : a; }
