// The last convolution of a network, 1 × 1, from channels-last halves to planes of floats: a tactic of `backend/cpu/conv.rs`.
//
//   out(o, y, x) = bias(o) + Σ src(y, x, c) · w(o, c)
//
// Shapes      src: `pixels` pixels, `in_pitch` halves apart, multiples of eight of which `ins` are read, a multiple of eight
//             too; weights: outs × ins floats; bias: outs; dst: outs × pixels floats.
// A thread    computes one channel of one pixel; block row y is channel y.
// Tolerance   that of a sum of floats.
#include "tensor.cuh"

extern "C" __global__ void conv_head(
    const u16* src, u32 pixels, u32 in_pitch, u32 ins, const float* weights, const float* bias, float* dst
) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x, o = blockIdx.y;
    if (pixel >= pixels) return;
    const u16* from = src + (u64)pixel * in_pitch;
    float sum = bias[o];
    for (u32 c = 0; c < ins; c += 8) {
        // Eight halves are 16 bytes, which are read at once.
        u16 halves[8];
        load_chunk(halves, from + c);
#pragma unroll
        for (u32 i = 0; i < 8; i++) sum += from_half(halves[i]) * weights[o * ins + c + i];
    }
    dst[(u64)o * pixels + pixel] = sum;
}
