// A convolution of codes: bytes that stand for numbers of a grid, scale · (code − zero), and weights that are multiples of a
// number for each output, as in `backend/cpu/conv/taps.rs`; with `up` 2 a transposed one, as in `conv.cu`, which includes this.
//
//   out(y, x, o) = clip(scale(o) · (start(o) + Σ src(…, c) · w(o, i, j, c)) + bias(o) + ratio · residual(y, x, o))
//
// where start = −zero · Σ w takes the grid's zero from all codes, taps outside of the picture read zero itself, and scale, bias
// and bounds are in steps of the output's grid already, or, where the result is halves, numbers.
//
// `…_pool` writes the largest of each square of 2 × 2 pixels too, as in `conv.cu`.
//
// Where the sum is split, each up² layers of blocks compute a part of the steps, which `conv_int8_sum` adds.
//
// Shapes      channels last. src: bytes, `in_pitch` and `ins` in pairs, multiples of 8; weights: up² × outs (to whole
//             tiles) × taps × ins (to whole steps) signed bytes, zeros beyond; outside: 16 times the zero of the grid;
//             starts, scales, bias: up² × outs. residual, dst: bytes, or halves where `added_halves` or `halves` is not 0,
//             their pitch apart. sums: where it is split, parts × the output's pixels × outs (to whole tiles).
// Tolerance   none of the sums, which are whole numbers; what follows is rounded as on the CPU.
#pragma once
#include "conv.cuh"

// What becomes of a sum.
struct Codes {
    const int* starts;
    const float *scales, *bias;
    const u8* residual;
    u32 residual_pitch, added_halves;
    float ratio;
    u8* dst;
    u32 out_pitch, outs, halves;
    float low, high;
};

// The half or the code of a sum, where its channel's numbers are these; `other` is what is added, where anything is.
__device__ inline u16 finished(const Codes& to, int sum, int start, float scale, float bias, u16 other) {
    float value = fmaf((float)(sum + start), scale, bias);
    if (to.residual_pitch > 0) value = fmaf(to.added_halves != 0 ? from_half(other) : (float)other, to.ratio, value);
    value = clipped(value, to.low, to.high);
    return to.halves != 0 ? to_half(value) : (u8)rintf(value);
}

template <int DOWN, int ACROSS, bool POOLED>
__device__ inline void convolve_codes(
    const Input& src, const u16* weights, const Codes& to, u32 out_height, u32 out_width, const Window& window, u32 up,
    int* part_sums, u8* pooled, u32 pooled_pitch
) {
    constexpr u32 PIXELS = DOWN * 32, CHANNELS = ACROSS * 32;
    __shared__ __align__(16) u16 tiles[STAGES * STAGE_OF<DOWN, ACROSS>];
    const u32 steps = window.height * window.width * ((src.ins + DEPTH - 1) / DEPTH);
    const u32 phase = blockIdx.z % (up * up), part = blockIdx.z / (up * up), parts = gridDim.z / (up * up);
    const u32 first_step = part * steps / parts, own_steps = (part + 1) * steps / parts - first_step;
    const u32 first_channel = blockIdx.y * CHANNELS;
    const u16* own_weights = weights + ((u64)phase * gridDim.y * CHANNELS + first_channel) * steps * DEPTH;
    int sums[2][4][4] = {};
    products<DOWN, ACROSS, POOLED>(sums, tiles, src, own_weights, window, out_width, first_step, own_steps);

    const u32 warp = threadIdx.x / 32, warp_pixel = blockIdx.x * PIXELS + warp % DOWN * 32;
    const u32 channel = first_channel + warp / DOWN * 32 + own_channel();
    const u32 count = to.outs > channel ? to.outs - channel : 0, numbers = phase * to.outs + channel;
    int starts[8];
    float scales[8], bias[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) {
        // Of a channel that is not there nothing is stored.
        const u32 own = numbers + (c < count ? c : 0);
        starts[c] = count > 0 ? to.starts[own] : 0;
        scales[c] = count > 0 ? to.scales[own] : 0.0f;
        bias[c] = count > 0 ? to.bias[own] : 0.0f;
    }
    if (!POOLED && parts > 1) {
        return store_sums(sums, [&](u32 own_pixel) -> int* {
            const u32 index = warp_pixel + own_pixel;
            if (index >= out_height * out_width) return nullptr;
            const u64 row = (u64)part * (out_height * out_width * up * up) + place_of<POOLED>(index, out_width, up, phase);
            return part_sums + row * (gridDim.y * CHANNELS) + channel - own_channel();
        });
    }
    hand_out<DOWN, ACROSS>(sums, tiles, [&](u32 own_pixel, const int (&values)[8]) {
        const u32 index = warp_pixel + own_pixel;
        const bool there = index < out_height * out_width;
        if (!POOLED && !there) return;
        const u64 place = place_of<POOLED>(index, out_width, up, phase);
        u16 added[8] = {}, words[8];
        if (to.residual_pitch > 0 && there) {
            const u64 from = place * to.residual_pitch + channel;
            if (to.added_halves != 0) {
                load_some(added, (const u16*)to.residual + from, count);
            } else {
                load_some(added, to.residual + from, count);
            }
        }
#pragma unroll
        for (u32 c = 0; c < 8; c++) words[c] = finished(to, values[c], starts[c], scales[c], bias[c], added[c]);
        auto store = [&](u8* dst, u64 at) {
            if (to.halves != 0) {
                store_some((u16*)dst + at, words, count);
            } else {
                store_some(dst + at, words, count);
            }
        };
        if (there) store(to.dst, place * to.out_pitch + channel);
        if (!POOLED) return;
        if (to.halves != 0) {
            pool_square<false>(words);
        } else {
            pool_square<true>(words);
        }
        if (there && index % 4 == 0) store(pooled, (u64)(index / 4) * pooled_pitch + channel);
    });
}

#define CONV_INT8(name, down, across, with_pool)                                                                     \
    extern "C" __global__ void name(                                                   \
        const u16* src, const u16* outside, u32 in_height, u32 in_width, u32 in_pitch, u32 ins,                      \
        const u16* weights, const int* starts, const float* scales, const float* bias,                               \
        const u8* residual, u32 residual_pitch, u32 added_halves, float ratio,                                       \
        u8* dst, u32 out_pitch, u32 outs, u32 halves, float low, float high, u32 out_height, u32 out_width, u32 up,  \
        u32 kernel_height, u32 kernel_width, u32 stride, u32 dilation, u32 top, u32 left, int* part_sums,            \
        u8* pooled, u32 pooled_pitch                                                                                 \
    ) {                                                                                                              \
        wait_for_previous();                                                                                         \
        convolve_codes<down, across, with_pool>(                                                                     \
            {src, outside, in_height, in_width, in_pitch, ins}, weights,                                             \
            {starts, scales, bias, residual, residual_pitch, added_halves, ratio, dst, out_pitch, outs, halves, low, high}, \
            out_height, out_width, {kernel_height, kernel_width, stride, dilation, top, left}, up, part_sums,         \
            pooled, pooled_pitch);                                                                                   \
    }

CONV_INT8(conv_int8_128x32, 4, 1, false)
CONV_INT8(conv_int8_64x64, 2, 2, false)
CONV_INT8(conv_int8_128x32_pool, 4, 1, true)
CONV_INT8(conv_int8_64x64_pool, 2, 2, true)

// The sums of a convolution that was split, as codes or halves.
//
// Shapes      part_sums: `parts` × the output's pixels × `pitch` whole numbers, of which `outs` are read; all else as above.
// A thread    computes one channel of one pixel.
extern "C" __global__ void conv_int8_sum(
    const int* part_sums, u32 parts, u32 pitch, const int* starts, const float* scales, const float* bias,
    const u8* residual, u32 residual_pitch, u32 added_halves, float ratio,
    u8* dst, u32 out_pitch, u32 outs, u32 halves, float low, float high, u32 out_height, u32 out_width, u32 up
) {
    wait_for_previous();
    const u32 pixels = out_height * out_width * up * up;
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x, place = i / outs, channel = i % outs;
    if (place >= pixels) return;
    const int sum = joined(part_sums + (u64)place * pitch + channel, parts, (u64)pixels * pitch);
    const u32 y = place / (out_width * up), x = place % (out_width * up), phase = y % up * up + x % up;
    const Codes to = {starts, scales, bias, residual, residual_pitch, added_halves, ratio, dst, out_pitch, outs, halves, low, high};
    const u32 own = phase * outs + channel;
    const u64 from = (u64)place * residual_pitch + channel, at = (u64)place * out_pitch + channel;
    u16 other = 0;
    if (residual_pitch > 0) other = added_halves != 0 ? ((const u16*)residual)[from] : residual[from];
    const u16 word = finished(to, sum, starts[own], scales[own], bias[own], other);
    if (halves != 0) {
        ((u16*)dst)[at] = word;
    } else {
        dst[at] = (u8)word;
    }
}
