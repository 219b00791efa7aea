// Kernels with one mistake each, which the emulation has to find; no test of a kernel means anything without them.
#include "tensor.cuh"

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

// Reads what it has copied asynchronously, without waiting.
extern "C" __global__ void planted_no_wait(u8* out) {
    __shared__ __align__(16) u8 rows[64 * 16];
    copy_async(rows + threadIdx.x * 16, out + threadIdx.x * 16, true);
    commit_async();
    for (u32 i = 0; i < 16; i++) out[threadIdx.x * 16 + i] = rows[threadIdx.x * 16 + i] + 1;
}

// Waits for all but the last group, and reads the last.
extern "C" __global__ void planted_early(u8* out) {
    __shared__ __align__(16) u8 rows[64 * 16];
    commit_async();
    copy_async(rows + threadIdx.x * 16, out + threadIdx.x * 16, true);
    commit_async();
    wait_async<1>();
    for (u32 i = 0; i < 16; i++) out[threadIdx.x * 16 + i] = rows[threadIdx.x * 16 + i] + 1;
}

// Overwrites what its neighbour may not have read yet, by a copy that is not waited for.
extern "C" __global__ void planted_over(u8* out) {
    __shared__ __align__(16) u8 rows[64 * 16];
    for (u32 i = 0; i < 16; i++) rows[threadIdx.x * 16 + i] = 1;
    __syncthreads();
    copy_async(rows + threadIdx.x * 16, out + threadIdx.x * 16, false);
    commit_async();
    const u8 next = rows[(threadIdx.x + 1) % 64 * 16];
    wait_async<0>();
    for (u32 i = 0; i < 16; i++) out[threadIdx.x * 16 + i] = next;
}

// The same without a mistake.
extern "C" __global__ void planted_waits(u8* out) {
    __shared__ __align__(16) u8 rows[64 * 16];
    copy_async(rows + threadIdx.x * 16, out + threadIdx.x * 16, true);
    commit_async();
    wait_async<0>();
    __syncthreads();
    const u8 next = rows[(threadIdx.x + 1) % 64 * 16];
    for (u32 i = 0; i < 16; i++) out[threadIdx.x * 16 + i] = next + 1;
}

// A product of which half a warp knows nothing.
extern "C" __global__ void planted_half_a_warp(float* out) {
    float sums[4] = {};
    const u32 a[4] = {};
    if (threadIdx.x % 32 < 16) multiply(sums, a, 0, 0);
    out[threadIdx.x] = sums[0];
}

// Reads what the other warp writes, without a barrier; a product that each warp meets at looks like one.
extern "C" __global__ void planted_meeting(u8* out) {
    __shared__ u8 row[64];
    float sums[4] = {};
    const u32 a[4] = {};
    row[threadIdx.x] = (u8)threadIdx.x;
    multiply(sums, a, 0, 0);
    out[threadIdx.x] = row[(threadIdx.x + 32) % 64];
}
