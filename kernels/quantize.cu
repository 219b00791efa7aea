// Between numbers and the whole numbers that stand for them, here kept as floats: `backend/cpu/quantize.rs`.
//
// Shapes      src, dst: `count` floats; numbers: a scale for each channel, then a zero point for each; `inner` values in a row
//             share one pair, and `channels` take turns.
// A thread    computes one value.
// Tolerance   none.
#include "common.cuh"

//   dst = round(src / scale) + zero, held between the smallest and the largest whole number; halves go to the even one
extern "C" __global__ void quantize(
    const float* src, float* dst, const float* numbers, u32 channels, u32 inner, float low, float high, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u32 c = i / inner % channels;
    const float x = rintf(src[i] / numbers[c]) + numbers[channels + c];
    const float above = x < low ? low : x;
    dst[i] = above > high ? high : above;
}

//   dst = (src − zero) · scale
extern "C" __global__ void dequantize(
    const float* src, float* dst, const float* numbers, u32 channels, u32 inner, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u32 c = i / inner % channels;
    dst[i] = (src[i] - numbers[channels + c]) * numbers[c];
}
