// The largest of each window, of channels-last halves or codes or of planes of floats, or the average, not of codes: `backend/cpu/max_pool.rs`.
//
// Shapes      src: in_height × in_width pixels, `in_pitch` words of 16 bits apart; dst: out_height × out_width, `out_pitch`
//             apart; `channels` words are computed, a multiple of eight as the pitches are. A word is a half, or two codes.
// A thread    computes eight words of one pixel.
// Tolerance   none: equal to the CPU on the same halves or codes; what is not a number is passed over there too. Of an
//             average one rounding to a half.
#include "tensor.cuh"

template <bool CODES>
__device__ inline void pool(
    const u16* src, u32 in_height, u32 in_width, u32 in_pitch,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 channels,
    u32 kernel_height, u32 kernel_width, u32 stride, u32 top, u32 left
) {
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= out_height * out_width) return;
    const u32 y = pixel / out_width * stride - top, x = pixel % out_width * stride - left;
    u16 largest[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) largest[c] = LEAST<CODES>;
    for (u32 i = 0; i < kernel_height; i++) {
        for (u32 j = 0; j < kernel_width; j++) {
            // Wraps to something large before the picture.
            const u32 v = y + i, u = x + j;
            if (v >= in_height || u >= in_width) continue;
            u16 words[8];
            load_chunk(words, src + ((u64)v * in_width + u) * in_pitch + channel);
#pragma unroll
            for (u32 c = 0; c < 8; c++) largest[c] = larger<CODES>(largest[c], words[c]);
        }
    }
    store_chunk(dst + (u64)pixel * out_pitch + channel, largest);
}

#define MAX_POOL(name, codes)                                                                                        \
    extern "C" __global__ void name(                                                                                 \
        const u16* src, u32 in_height, u32 in_width, u32 in_pitch,                                                   \
        u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 channels,                                        \
        u32 kernel_height, u32 kernel_width, u32 stride, u32 top, u32 left                                           \
    ) {                                                                                                              \
        wait_for_previous();                                                                                         \
        pool<codes>(src, in_height, in_width, in_pitch, dst, out_height, out_width, out_pitch, channels,              \
                    kernel_height, kernel_width, stride, top, left);                                                 \
    }

MAX_POOL(max_pool, false)
MAX_POOL(max_pool_codes, true)

// The average of the values of each window that lie in the picture; with `padded` what is around it counts as zeros, as
// far as `bottom` and `right` say.
extern "C" __global__ void average_pool(
    const u16* src, u32 in_height, u32 in_width, u32 in_pitch,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 channels,
    u32 kernel_height, u32 kernel_width, u32 stride, u32 top, u32 left, u32 bottom, u32 right, u32 padded
) {
    wait_for_previous();
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= out_height * out_width) return;
    const u32 y = pixel / out_width * stride, x = pixel % out_width * stride;
    float sums[8] = {};
    u32 there = 0;
    for (u32 i = 0; i < kernel_height; i++) {
        for (u32 j = 0; j < kernel_width; j++) {
            // Wraps to something large before the picture.
            const u32 v = y + i - top, u = x + j - left;
            const bool own = v < in_height && u < in_width;
            if (own || (padded && y + i < top + in_height + bottom && x + j < left + in_width + right)) there++;
            if (!own) continue;
            u16 halves[8];
            load_chunk(halves, src + ((u64)v * in_width + u) * in_pitch + channel);
#pragma unroll
            for (u32 c = 0; c < 8; c++) sums[c] += from_half(halves[c]);
        }
    }
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(sums[c] / (float)(there > 0 ? there : 1));
    store_chunk(dst + (u64)pixel * out_pitch + channel, halves);
}

// The largest or the average of each window of planes of floats, of any steps and distances between taps.
//
// Shapes      src: planes × in_height × in_width floats; dst: planes × out_height × out_width, which are `count`; `mode` 0: the
//             largest, 1: the average of what lies in the picture, 2: the average where what is around it counts as zeros, as
//             far as `bottom` and `right` say.
// A thread    computes one value.
// Tolerance   of the largest none; of an average that of a sum of floats.
extern "C" __global__ void pool_planes(
    const float* src, u32 in_height, u32 in_width, float* dst, u32 out_height, u32 out_width, u32 kernel_height,
    u32 kernel_width, u32 stride_down, u32 stride_across, u32 tap_down, u32 tap_across, u32 top, u32 left, u32 bottom,
    u32 right, u32 mode, u32 count
) {
    wait_for_previous();
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= count) return;
    const u32 pixels = out_height * out_width, pixel = thread % pixels;
    const u32 y = pixel / out_width * stride_down, x = pixel % out_width * stride_across;
    const float* from = src + (u64)(thread / pixels) * in_height * in_width;
    float largest = __uint_as_float(0xff800000), sum = 0.0f;
    u32 there = 0;
    for (u32 i = 0; i < kernel_height; i++) {
        for (u32 j = 0; j < kernel_width; j++) {
            const u32 down = y + i * tap_down, across = x + j * tap_across;
            // Wraps to something large before the picture.
            const u32 v = down - top, u = across - left;
            const bool own = v < in_height && u < in_width;
            if (own || (mode == 2 && down < top + in_height + bottom && across < left + in_width + right)) there++;
            if (!own) continue;
            const float value = from[(u64)v * in_width + u];
            largest = value > largest ? value : largest;
            sum += value;
        }
    }
    dst[thread] = mode == 0 ? largest : sum / (float)(there > 0 ? there : 1);
}
