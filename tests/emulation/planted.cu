// Kernels with one mistake each, which the emulation has to find; no test of a kernel means anything without them.
#include "common.cuh"

// Writes one float behind its buffer, where `length` is that of the buffer.
extern "C" __global__ void planted_write_behind(float* out, u32 length) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= length) out[i] = 1.0f;
}

// Reads one byte behind a row in shared memory.
extern "C" __global__ void planted_shared_behind(u8* out) {
    __shared__ u8 row[64];
    row[threadIdx.x] = (u8)threadIdx.x;
    __syncthreads();
    // By a pointer, which no longer knows where its array ends.
    const u8* next = row + 1;
    out[threadIdx.x] = next[threadIdx.x];
}

// Reads what the next thread writes, without a barrier between.
extern "C" __global__ void planted_no_barrier(u8* out) {
    __shared__ u8 row[64];
    row[threadIdx.x] = (u8)threadIdx.x;
    out[threadIdx.x] = row[(threadIdx.x + 1) % 64];
}

// The same without its mistake.
extern "C" __global__ void planted_nothing(u8* out) {
    __shared__ u8 row[64];
    row[threadIdx.x] = (u8)threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = row[(threadIdx.x + 1) % 64];
}

// Half of the threads leave before the barrier.
extern "C" __global__ void planted_half_a_barrier(u8* out) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

// The threads part, and each half waits at a barrier of its own.
extern "C" __global__ void planted_two_barriers(u8* out) {
    if (threadIdx.x < 32) {
        __syncthreads();
        out[threadIdx.x] = 1;
    } else {
        __syncthreads();
        out[threadIdx.x] = 2;
    }
}

// Counts on shared memory that is zero.
extern "C" __global__ void planted_not_set(u8* out) {
    __shared__ u8 sums[64];
    sums[threadIdx.x] += 1;
    out[threadIdx.x] = sums[threadIdx.x];
}

// Counts on what the block before has left in shared memory.
extern "C" __global__ void planted_left_over(u8* out) {
    __shared__ u8 row[64];
    if (blockIdx.x == 0) row[threadIdx.x] = (u8)threadIdx.x;
    __syncthreads();
    out[blockIdx.x * 64 + threadIdx.x] = row[threadIdx.x];
}
