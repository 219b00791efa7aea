// From planes of floats to channels-last halves and back: `backend/cpu/layout.rs` has the same between its own layouts.
//
// Shapes      planes: channels × pixels floats; halves: `pixels` pixels, `pitch` apart.
// A thread    moves eight channels of one pixel, or one channel of one.
// Tolerance   one rounding to a half; none on the way back.
#include "tensor.cuh"

// `width` channels are written, a multiple of eight as `pitch` is: zeros beyond the `channels` that there are.
extern "C" __global__ void to_last(const float* src, u32 channels, u32 pixels, u16* dst, u32 pitch, u32 width) {
    const u32 groups = width / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, first = thread % groups * 8;
    if (pixel >= pixels) return;
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) {
        halves[c] = first + c < channels ? to_half(src[(u64)(first + c) * pixels + pixel]) : to_half(0.0f);
    }
    store_chunk(dst + (u64)pixel * pitch + first, halves);
}

// Row y of blocks is channel y.
extern "C" __global__ void to_planes(const u16* src, u32 pitch, u32 pixels, float* dst) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x, channel = blockIdx.y;
    if (pixel >= pixels) return;
    dst[(u64)channel * pixels + pixel] = from_half(src[(u64)pixel * pitch + channel]);
}
