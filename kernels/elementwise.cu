// Value by value: `backend/cpu/elementwise.rs`, and `backend/cpu/activation.rs` of the result. First channels-last halves:
//
// Shapes      a, b, src, dst: `pixels` pixels, so many halves apart as their pitch says; `channels` and pitches multiples of
//             eight.
// A thread    computes eight channels of one pixel.
// Tolerance   one rounding to a half, and some units of the last place where there is an exponential.
#include "activation.cuh"
#include "axes.cuh"
#include "tensor.cuh"

// Two values, by the numbers that `backend/cuda/elementwise.rs` gives operations; a truth is 1, what is not a number stays so.
__device__ inline float combined(float a, float b, u32 operation) {
    switch (operation) {
        case 0: return a + b;
        case 1: return a - b;
        case 2: return a * b;
        case 3: return a / b;
        case 4: return a < b || a != a ? a : b;
        case 5: return a > b || a != a ? a : b;
        case 6: return powf(a, b);
        case 7: {
            const float rest = fmodf(a, b);
            return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
        }
        case 8: return fmodf(a, b);
        case 9: return a < 0.0f ? a * b : a;
        case 10: return truth(a == b);
        case 11: return truth(a > b);
        case 12: return truth(a >= b);
        case 13: return truth(a < b);
        case 14: return truth(a <= b);
        case 15: return truth(a != 0.0f && b != 0.0f);
        case 16: return truth(a != 0.0f || b != 0.0f);
        default: return truth((a != 0.0f) != (b != 0.0f));
    }
}

//   dst = f(src · scale + shift),  or without numbers f(src); in place where `dst` is `src`
//
// numbers: a scale for each channel, then a shift for each.
extern "C" __global__ void affine(
    const u16* src, u32 src_pitch, const float* numbers, u32 has_numbers,
    u16* dst, u32 dst_pitch, u32 pixels, u32 channels, u32 function, float p, float q
) {
    wait_for_previous();
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= pixels) return;
    u16 halves[8];
    load_chunk(halves, src + (u64)pixel * src_pitch + channel);
#pragma unroll
    for (u32 c = 0; c < 8; c++) {
        float x = from_half(halves[c]);
        if (has_numbers) x = x * numbers[channel + c] + numbers[channels + channel + c];
        halves[c] = to_half(activated(x, function, p, q));
    }
    store_chunk(dst + (u64)pixel * dst_pitch + channel, halves);
}

//   dst = f(a ∘ b),  with  ∘  one of  +  −  ·
//
// An operand of one pixel has a pitch of 0; of one that is `single` the first channel stands for all.
extern "C" __global__ void binary(
    const u16* a, u32 a_pitch, u32 a_single, const u16* b, u32 b_pitch, u32 b_single,
    u16* dst, u32 dst_pitch, u32 pixels, u32 channels, u32 operation, u32 function, float p, float q
) {
    wait_for_previous();
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= pixels) return;
    u16 first[8], second[8];
    load_chunk(first, a + (u64)pixel * a_pitch + (a_single ? 0 : channel));
    load_chunk(second, b + (u64)pixel * b_pitch + (b_single ? 0 : channel));
    // Functions in a loop of their own: the compiler writes out each loop once for every case of what is the same in all its rounds.
    float found[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) {
        const float x = from_half(a_single ? first[0] : first[c]), y = from_half(b_single ? second[0] : second[c]);
        found[c] = operation == 0 ? x + y : (operation == 1 ? x - y : x * y);
    }
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(activated(found[c], function, p, q));
    store_chunk(dst + (u64)pixel * dst_pitch + channel, halves);
}

//   dst = a ∘ b,  floats, each tensor repeated where it has one value for many
//
// Shapes      axes: for each of `rank` axes of the result its length, and the distance of neighbours in each of the two, 0
//             where one is repeated; dst: `count` floats.
// A thread    computes one value.
// Tolerance   none but for powers: some units of the last place.
extern "C" __global__ void combine(
    const float* a, const float* b, float* dst, const u32* axes, u32 rank, u32 operation, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const auto at = places<2>(axes, rank, i);
    dst[i] = combined(a[at.of[0]], b[at.of[1]], operation);
}

//   dst = src · scale + shift,  floats
//
// Shapes      src, dst: `count` floats; numbers: a scale for each channel, then a shift for each; `plane` values in a row share
//             one pair, and `channels` take turns.
// A thread    computes one value.
extern "C" __global__ void scale(
    const float* src, float* dst, const float* numbers, u32 channels, u32 plane, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u32 c = i / plane % channels;
    dst[i] = src[i] * numbers[c] + numbers[channels + c];
}
