// The first convolution of a network, from planes of floats to channels-last halves: a tactic of `backend/cpu/conv.rs`.
//
//   out(y, x, o) = clip(bias(o) + Σ src(c, y·stride + i − top, x·stride + j − left) · w(c, i, j, o))
//
// A picture has one plane, or three: too few for a step of tensor cores, and little to read. Its inputs stay floats.
//
// Shapes      src: ins × in_height × in_width floats; weights: ins × taps × outs floats; bias: outs; dst: out_height ×
//             out_width pixels, `out_pitch` halves apart.
// A thread    computes eight channels of one pixel; 32 threads of a row share weights, which come through the cache.
// Tolerance   one rounding to a half.
#include "tensor.cuh"

constexpr u32 GROUP = 8;

extern "C" __global__ void conv_first(
    const float* src, u32 ins, u32 in_height, u32 in_width, const float* weights, const float* bias,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 outs,
    u32 kernel_height, u32 kernel_width, u32 stride, u32 top, u32 left, float low, float high
) {
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    const u32 first = blockIdx.z * GROUP;
    if (x >= out_width || y >= out_height) return;
    float sums[GROUP] = {};
    const float* row = weights + first;
    for (u32 c = 0; c < ins; c++) {
        for (u32 i = 0; i < kernel_height; i++) {
            // Wraps to something large before the picture.
            const u32 v = y * stride + i - top;
            for (u32 j = 0; j < kernel_width; j++, row += outs) {
                const u32 u = x * stride + j - left;
                if (v >= in_height || u >= in_width) continue;
                const float value = src[((u64)c * in_height + v) * in_width + u];
#pragma unroll
                for (u32 o = 0; o < GROUP; o++) {
                    if (first + o < outs) sums[o] += value * row[o];
                }
            }
        }
    }
    u16* to = dst + ((u64)y * out_width + x) * out_pitch + first;
#pragma unroll
    for (u32 o = 0; o < GROUP; o++) {
        if (first + o >= outs) break;
        const float value = sums[o] + bias[first + o];
        // What is not a number stays so.
        to[o] = to_half(value < low ? low : (value > high ? high : value));
    }
}
