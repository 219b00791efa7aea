// All pixels of each channel taken together, channels-last halves: `backend/cpu/reduce.rs`.
//
//   dst(c) = Σ src(p, c) / pixels,  or the largest
//
// Shapes      src: `pixels` pixels, `pitch` halves apart, of which as many channels are taken as there are blocks of eight;
//             dst: one pixel.
// A block     takes eight channels: 256 threads every 256th pixel each, then two and two together, in one order always.
// Tolerance   one rounding to a half.
#include "tensor.cuh"

constexpr u32 REDUCE_THREADS = 256;

// What is not a number stays so.
__device__ inline float larger(float a, float b) { return b > a || b != b ? b : a; }

extern "C" __global__ void reduce_pixels(const u16* src, u32 pixels, u32 pitch, u16* dst, u32 largest) {
    wait_for_previous();
    __shared__ float parts[8][REDUCE_THREADS];
    const u32 channel = blockIdx.x * 8, thread = threadIdx.x;
    float own[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) own[c] = largest ? from_half(0xfc00) : 0.0f;
    for (u32 pixel = thread; pixel < pixels; pixel += REDUCE_THREADS) {
        u16 halves[8];
        load_chunk(halves, src + (u64)pixel * pitch + channel);
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const float x = from_half(halves[c]);
            own[c] = largest ? larger(own[c], x) : own[c] + x;
        }
    }
#pragma unroll
    for (u32 c = 0; c < 8; c++) parts[c][thread] = own[c];
    for (u32 step = REDUCE_THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread >= step) continue;
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const float x = parts[c][thread], y = parts[c][thread + step];
            parts[c][thread] = largest ? larger(x, y) : x + y;
        }
    }
    if (thread > 0) return;
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(largest ? parts[c][0] : parts[c][0] / (float)pixels);
    store_chunk(dst + channel, halves);
}
