// From planes of floats to channels-last halves and back, and from halves to codes, bytes that stand for numbers of a grid,
// and back, or as they are: `backend/cpu/layout.rs` has the same between its own layouts.
//
// Shapes      planes: channels × pixels floats; halves and codes: `pixels` pixels, their pitch apart.
// A thread    moves eight halves of one pixel, sixteen where they are or become codes, or one.
// Tolerance   one rounding to a half or a code, where it lies halfway between two codes to either; none from halves to planes.
#include "tensor.cuh"

// `width` channels are written, a multiple of eight as `pitch` is: zeros beyond the `channels` that there are.
extern "C" __global__ void to_last(const float* src, u32 channels, u32 pixels, u16* dst, u32 pitch, u32 width) {
    wait_for_previous();
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
    wait_for_previous();
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x, channel = blockIdx.y;
    if (pixel >= pixels) return;
    dst[(u64)channel * pixels + pixel] = from_half(src[(u64)pixel * pitch + channel]);
}

//   code = x · steps + zero,  to the nearest
//
// `channels` and the pitch of the halves are multiples of eight; codes are written to whole chunks of sixteen, those of zero
// beyond the channels.
extern "C" __global__ void to_codes(
    const u16* src, u32 src_pitch, u32 pixels, u8* dst, u32 dst_pitch, u32 channels, float steps, float zero
) {
    wait_for_previous();
    const u32 groups = (channels + 15) / 16;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, first = thread % groups * 16;
    if (pixel >= pixels) return;
    // Two in a word of 16 bits.
    u16 codes[8];
#pragma unroll
    for (u32 part = 0; part < 2; part++) {
        u16 halves[8] = {};
        if (first + part * 8 < channels) load_chunk(halves, src + (u64)pixel * src_pitch + first + part * 8);
#pragma unroll
        for (u32 c = 0; c < 8; c += 2) {
            u32 pair = 0;
#pragma unroll
            for (u32 e = 0; e < 2; e++) {
                const float code = fmaf(from_half(halves[c + e]), steps, zero);
                pair |= (u32)rintf(fminf(fmaxf(code, 0.0f), 255.0f)) << e * 8;
            }
            codes[part * 4 + c / 2] = (u16)pair;
        }
    }
    store_chunk((u16*)(dst + (u64)pixel * dst_pitch + first), codes);
}

//   x = (code − zero) · scale
//
// `channels` and the pitch of the halves are multiples of eight; codes are read in whole chunks of sixteen.
extern "C" __global__ void to_halves(
    const u8* src, u32 src_pitch, u32 pixels, u16* dst, u32 dst_pitch, u32 channels, float scale, float zero
) {
    wait_for_previous();
    const u32 groups = (channels + 15) / 16;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, first = thread % groups * 16;
    if (pixel >= pixels) return;
    // Two in a word of 16 bits.
    u16 codes[8];
    load_chunk(codes, (const u16*)(src + (u64)pixel * src_pitch + first));
#pragma unroll
    for (u32 part = 0; part < 2; part++) {
        u16 halves[8];
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const u32 code = codes[part * 4 + c / 2] >> c % 2 * 8 & 255;
            halves[c] = to_half(((float)code - zero) * scale);
        }
        if (first + part * 8 < channels) store_chunk(dst + (u64)pixel * dst_pitch + first + part * 8, halves);
    }
}

// As they are, words of 16 bits: halves, or two codes in one. `width` and the pitches are multiples of eight.
extern "C" __global__ void copy_words(const u16* src, u32 src_pitch, u32 pixels, u16* dst, u32 dst_pitch, u32 width) {
    wait_for_previous();
    const u32 groups = width / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, first = thread % groups * 8;
    if (pixel >= pixels) return;
    u16 words[8];
    load_chunk(words, src + (u64)pixel * src_pitch + first);
    store_chunk(dst + (u64)pixel * dst_pitch + first, words);
}
