// Another height and width between layers, channels-last halves: `backend/cpu/resize_tensor.rs`.
//
//   out(y, x) = mix(mix(src(y₀, x₀), src(y₀, x₁), u), mix(src(y₁, x₀), src(y₁, x₁), u), v),  mix(a, b, w) = a (1 − w) + b w
//
// with the neighbours and weights of the tables of the CPU; the nearest one is a neighbour whose second has no weight.
//
// Shapes      src: in_height × in_width pixels, `in_pitch` halves apart; dst: out_height × out_width, `out_pitch` apart;
//             `channels` and pitches multiples of eight. Of each axis `first`, `second` and `weight` of the second for every
//             position of the output.
// A thread    computes eight channels of one pixel.
// Tolerance   one rounding to a half.
#include "tensor.cuh"

extern "C" __global__ void resize_tensor(
    const u16* src, u32 in_width, u32 in_pitch,
    const u32* down_first, const u32* down_second, const float* down_weight,
    const u32* across_first, const u32* across_second, const float* across_weight,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 channels
) {
    wait_for_previous();
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= out_height * out_width) return;
    const u32 y = pixel / out_width, x = pixel % out_width;
    // What has no weight is not looked at: it might be no number.
    const float below = down_weight[y], beside = across_weight[x];
    float values[8] = {};
    for (u32 i = 0; i < (below > 0.0f ? 2u : 1u); i++) {
        const float high = i == 0 ? 1.0f - below : below;
        const u64 row = (u64)(i == 0 ? down_first[y] : down_second[y]) * in_width;
        for (u32 j = 0; j < (beside > 0.0f ? 2u : 1u); j++) {
            const float share = high * (j == 0 ? 1.0f - beside : beside);
            u16 halves[8];
            load_chunk(halves, src + (row + (j == 0 ? across_first[x] : across_second[x])) * in_pitch + channel);
#pragma unroll
            for (u32 c = 0; c < 8; c++) values[c] += from_half(halves[c]) * share;
        }
    }
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(values[c]);
    store_chunk(dst + (u64)pixel * out_pitch + channel, halves);
}

// The same of planes of floats: src planes × in_height × in_width, dst planes × out_height × out_width, which are `count`.
//
// A thread    computes one value.
// Tolerance   that of a sum of floats.
extern "C" __global__ void resize_planes(
    const float* src, u32 in_height, u32 in_width,
    const u32* down_first, const u32* down_second, const float* down_weight,
    const u32* across_first, const u32* across_second, const float* across_weight,
    float* dst, u32 out_height, u32 out_width, u32 count
) {
    wait_for_previous();
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= count) return;
    const u32 pixels = out_height * out_width, y = thread % pixels / out_width, x = thread % out_width;
    const float* from = src + (u64)(thread / pixels) * in_height * in_width;
    const float below = down_weight[y], beside = across_weight[x];
    float value = 0.0f;
    for (u32 i = 0; i < (below > 0.0f ? 2u : 1u); i++) {
        const float* row = from + (u64)(i == 0 ? down_first[y] : down_second[y]) * in_width;
        const float high = i == 0 ? 1.0f - below : below;
        for (u32 j = 0; j < (beside > 0.0f ? 2u : 1u); j++) {
            value += row[j == 0 ? across_first[x] : across_second[x]] * high * (j == 0 ? 1.0f - beside : beside);
        }
    }
    dst[thread] = value;
}
