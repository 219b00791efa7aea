// Convolution on tensor cores, with bias, residual and clipping: `backend/cpu/conv.rs`; and, with `up` 2, the
// transposed convolution that doubles height and width: `backend/cpu/conv_transpose.rs`.
//
//   out(y, x, o) = clip(bias(o) + Σ src(y·stride + i·dilation − top, x·stride + j·dilation − left, c) · w(o, i, j, c)
//                       + residual(y, x, o))
//
// as one product of matrices that is never written down: rows are pixels of the output, columns output channels, the sum
// runs over taps and input channels ("implicit GEMM": Chetlur et al., cuDNN, 2014). With `up` 2, block z computes the pixels
// at (z / 2, z % 2) of every square of 2 × 2 from weights of their own, zeros where one has no tap.
//
// Where there are few pixels the sum is split, so that more blocks run ("split-K"): each up² layers of blocks compute a part
// of the steps as floats, which `conv_sum` adds in order, so that every run gives the same bits.
//
// `…_pool` writes the largest of each square of 2 × 2 pixels too, from the registers: `backend/cpu/max_pool.rs`. Its
// output has even sides, is not split, and `up` is 1.
//
// Shapes      channels last, halves. src: in_height × in_width pixels, `in_pitch` halves from one to the next, of which
//             `ins` are read; dst, residual: as the output, `out_pitch` and `residual_pitch` apart, so that a tensor may be a
//             slice of a joined one; pooled: half as high and as wide, `pooled_pitch` apart; `ins` and pitches multiples of 8,
//             which the launcher sees to; dst, residual and pooled may lie at any half, sums at a multiple of eight bytes.
//             weights: up² × outs (to whole tiles) × taps × ins (to whole steps), zeros beyond; bias: outs floats;
//             sums: where it is split, parts × the output's pixels × outs (to whole tiles) floats.
// A warp      computes 32 pixels × 32 channels, of a block of four warps: 64 × 64 or 128 × 32. Steps of 32 input channels of
//             one tap come to shared memory by asynchronous copies, two steps ahead; sums leave through it, so that a lane
//             writes eight channels at once.
// Tolerance   that of halves: inputs and weights are halves, sums floats, the result is rounded once.
//
// The same loop multiplies bytes, two where there is a half: `conv_int8.cuh`.
#include "conv.cuh"
#include "conv_int8.cuh"

template <int DOWN, int ACROSS, bool POOLED>
__device__ inline void convolve(
    const Input& src, const u16* weights, const float* bias, const u16* residual, u32 residual_pitch,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 outs, const Window& window, u32 up,
    float low, float high, float* part_sums, u16* pooled, u32 pooled_pitch
) {
    constexpr u32 PIXELS = DOWN * 32, CHANNELS = ACROSS * 32;
    __shared__ __align__(16) u16 tiles[STAGES * STAGE_OF<DOWN, ACROSS>];
    const u32 steps = window.height * window.width * ((src.ins + DEPTH - 1) / DEPTH);
    const u32 phase = blockIdx.z % (up * up), part = blockIdx.z / (up * up), parts = gridDim.z / (up * up);
    const u32 first_step = part * steps / parts, own_steps = (part + 1) * steps / parts - first_step;
    const u32 first_channel = blockIdx.y * CHANNELS;
    const u16* own_weights = weights + ((u64)phase * gridDim.y * CHANNELS + first_channel) * steps * DEPTH;
    float sums[2][4][4] = {};
    products<DOWN, ACROSS, POOLED>(sums, tiles, src, own_weights, window, out_width, first_step, own_steps);

    const u32 warp = threadIdx.x / 32, pixels = out_height * out_width;
    const u32 warp_pixel = blockIdx.x * PIXELS + warp % DOWN * 32;
    const u32 channel = first_channel + warp / DOWN * 32 + own_channel(), count = outs > channel ? outs - channel : 0;
    float numbers[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) numbers[c] = c < count ? bias[channel + c] : 0.0f;
    if (!POOLED && parts > 1) {
        return store_sums(sums, [&](u32 own_pixel) -> float* {
            const u32 index = warp_pixel + own_pixel;
            if (index >= pixels) return nullptr;
            const u64 at = place_of<POOLED>(index, out_width, up, phase);
            return part_sums + ((u64)part * (pixels * up * up) + at) * (gridDim.y * CHANNELS) + channel - own_channel();
        });
    }
    hand_out<DOWN, ACROSS>(sums, tiles, [&](u32 own_pixel, const float (&values)[8]) {
        const u32 index = warp_pixel + own_pixel;
        const bool there = index < pixels;
        if (!POOLED && !there) return;
        const u64 at = place_of<POOLED>(index, out_width, up, phase);
        u16 added[8] = {}, halves[8];
        if (residual_pitch > 0 && there) load_some(added, residual + at * residual_pitch + channel, count);
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            float value = values[c] + numbers[c];
            if (residual_pitch > 0) value += from_half(added[c]);
            halves[c] = to_half(clipped(value, low, high));
        }
        if (there) store_some(dst + at * out_pitch + channel, halves, count);
        if (!POOLED) return;
        pool_square<false>(halves);
        if (there && index % 4 == 0) store_some(pooled + (u64)(index / 4) * pooled_pitch + channel, halves, count);
    });
}

#define CONV(name, down, across, with_pool)                                                                          \
    extern "C" __global__ void name(                                                   \
        const u16* src, u32 in_height, u32 in_width, u32 in_pitch, u32 ins,                                          \
        const u16* weights, const float* bias, const u16* residual, u32 residual_pitch,                              \
        u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 outs,                                            \
        u32 kernel_height, u32 kernel_width, u32 stride, u32 dilation, u32 top, u32 left, u32 up,                    \
        float low, float high, float* part_sums, u16* pooled, u32 pooled_pitch                                       \
    ) {                                                                                                              \
        wait_for_previous();                                                                                         \
        convolve<down, across, with_pool>(                                                                           \
            {src, nullptr, in_height, in_width, in_pitch, ins}, weights, bias, residual, residual_pitch,             \
            dst, out_height, out_width, out_pitch, outs,                                                             \
            {kernel_height, kernel_width, stride, dilation, top, left}, up, low, high, part_sums,                    \
            pooled, pooled_pitch);                                                                                   \
    }

// Few channels: more pixels instead.
CONV(conv_128x32, 4, 1, false)
CONV(conv_64x64, 2, 2, false)
CONV(conv_128x32_pool, 4, 1, true)
CONV(conv_64x64_pool, 2, 2, true)

// The sums of a convolution that was split, with bias, residual and clipping.
//
// Shapes      part_sums: `parts` × `pixels` × `pitch` floats, of which `outs` are read; all else as above.
// A thread    computes one channel of one pixel, from the first part to the last.
// Tolerance   as above.
extern "C" __global__ void conv_sum(
    const float* part_sums, u32 parts, u32 pitch, u32 pixels, u32 outs, const float* bias,
    const u16* residual, u32 residual_pitch, u16* dst, u32 out_pitch, float low, float high
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x, pixel = i / outs, channel = i % outs;
    if (pixel >= pixels) return;
    const float* first = part_sums + (u64)pixel * pitch + channel;
    float sum = joined(first, parts, (u64)pixels * pitch) + bias[channel];
    if (residual_pitch > 0) sum += from_half(residual[(u64)pixel * residual_pitch + channel]);
    dst[(u64)pixel * out_pitch + channel] = to_half(clipped(sum, low, high));
}

// A convolution whose channels stand each for itself (depthwise).
//
// Shapes      src: in_height × in_width pixels, `in_pitch` halves apart; weights: kernel_height × kernel_width × `channels`
//             floats; bias: channels; dst: out_height × out_width pixels, `out_pitch` apart; `channels` and pitches multiples
//             of eight.
// A thread    computes eight channels of one pixel.
// Tolerance   one rounding to a half: sums are floats.
extern "C" __global__ void conv_depthwise(
    const u16* src, u32 in_height, u32 in_width, u32 in_pitch, const float* weights, const float* bias,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 channels,
    u32 kernel_height, u32 kernel_width, u32 stride, u32 dilation, u32 top, u32 left, float low, float high
) {
    wait_for_previous();
    const u32 groups = channels / 8;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 pixel = thread / groups, channel = thread % groups * 8;
    if (pixel >= out_height * out_width) return;
    const u32 y = pixel / out_width * stride - top, x = pixel % out_width * stride - left;
    float sums[8] = {};
    for (u32 i = 0; i < kernel_height; i++) {
        for (u32 j = 0; j < kernel_width; j++) {
            // Wraps to something large before the picture.
            const u32 v = y + i * dilation, u = x + j * dilation;
            if (v >= in_height || u >= in_width) continue;
            u16 halves[8];
            load_chunk(halves, src + ((u64)v * in_width + u) * in_pitch + channel);
            const float* row = weights + (u64)(i * kernel_width + j) * channels + channel;
#pragma unroll
            for (u32 c = 0; c < 8; c++) sums[c] += from_half(halves[c]) * row[c];
        }
    }
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(clipped(sums[c] + bias[channel + c], low, high));
    store_chunk(dst + (u64)pixel * out_pitch + channel, halves);
}

// The first convolution of a network, from planes of floats to channels-last halves.
//
// A picture has one plane, or three: too few for a step of tensor cores, and little to read. Its inputs stay floats.
//
// Shapes      src: ins × in_height × in_width floats; weights: ins × taps × outs floats; bias: outs; dst: out_height ×
//             out_width pixels, `out_pitch` halves apart.
// A thread    computes eight channels of one pixel; 32 threads of a row share weights, which come through the cache.
// Tolerance   one rounding to a half.
constexpr u32 GROUP = 8;

extern "C" __global__ void conv_first(
    const float* src, u32 ins, u32 in_height, u32 in_width, const float* weights, const float* bias,
    u16* dst, u32 out_height, u32 out_width, u32 out_pitch, u32 outs,
    u32 kernel_height, u32 kernel_width, u32 stride, u32 top, u32 left, float low, float high
) {
    wait_for_previous();
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
        to[o] = to_half(clipped(sums[o] + bias[first + o], low, high));
    }
}

// The last convolution of a network, 1 × 1, from channels-last halves to planes of floats.
//
// Shapes      src: `pixels` pixels, `in_pitch` halves apart, of which `ins` are read, both multiples of eight; weights:
//             outs × ins floats; bias: outs; dst: outs × pixels floats.
// A thread    computes one channel of one pixel; row y of blocks is channel y.
// Tolerance   that of a sum of floats.
extern "C" __global__ void conv_head(
    const u16* src, u32 pixels, u32 in_pitch, u32 ins, const float* weights, const float* bias, float* dst
) {
    wait_for_previous();
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

// Any convolution, transposed or not, from planes of floats to planes of floats: of other steps down than across, of groups, of
// several pictures, and whatever else the kernels above do not compute.
//
//   out(o, y, x) = bias(o) + Σ src(c, v / apart, u / apart) · w(o, c, i, j) + residual(o, y, x)
//
// of all taps at (v, u) = (y, x) · step + (i, j) · tap + first that fall on a pixel. A convolution has the stride as its step, the
// dilation between taps, and pixels that lie 1 apart; a transposed one goes by single steps against its taps, and its pixels lie
// a stride apart.
//
// Shapes      src: pictures × ins × in_height × in_width floats; weights: groups × quads of four output channels (to whole
//             quads, zeros beyond) × taps × ins of a group × 4; bias: outs; dst, residual: pictures × outs × out_height ×
//             out_width, residual read where `has_residual` says so; `count` threads: pictures × groups × quads × pixels.
// A thread    computes four channels of one pixel; 32 threads of a row share weights, which come through the cache.
// Tolerance   that of a sum of floats.
constexpr u32 QUAD = 4;

extern "C" __global__ void conv_direct(
    const float* src, u32 ins, u32 in_height, u32 in_width, const float* weights, const float* bias,
    const float* residual, u32 has_residual, float* dst, u32 outs, u32 out_height, u32 out_width, u32 groups,
    u32 kernel_height, u32 kernel_width, u32 step_down, u32 step_across, u32 tap_down, u32 tap_across,
    u32 first_down, u32 first_across, u32 apart_down, u32 apart_across, u32 count
) {
    wait_for_previous();
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= count) return;
    const u32 pixels = out_height * out_width, pixel = thread % pixels;
    const u32 group_ins = ins / groups, group_outs = outs / groups, quads = (group_outs + QUAD - 1) / QUAD;
    const u32 block = thread / pixels % (groups * quads), picture = thread / pixels / (groups * quads);
    const u32 group = block / quads, first = group * group_outs + block % quads * QUAD;
    const u32 own = group_outs - block % quads * QUAD < QUAD ? group_outs - block % quads * QUAD : QUAD;
    const u32 y = pixel / out_width * step_down + first_down, x = pixel % out_width * step_across + first_across;
    const u32 plane = in_height * in_width;
    const float* from = src + ((u64)picture * ins + group * group_ins) * plane;
    const float* row = weights + (u64)block * kernel_height * kernel_width * group_ins * QUAD;
    float sums[QUAD] = {};
    for (u32 i = 0; i < kernel_height; i++) {
        for (u32 j = 0; j < kernel_width; j++, row += group_ins * QUAD) {
            // Wraps to something large before the picture.
            const u32 v = y + i * tap_down, u = x + j * tap_across;
            if (v % apart_down != 0 || u % apart_across != 0) continue;
            if (v / apart_down >= in_height || u / apart_across >= in_width) continue;
            const float* at = from + v / apart_down * in_width + u / apart_across;
            for (u32 c = 0; c < group_ins; c++) {
                const float value = at[(u64)c * plane];
#pragma unroll
                for (u32 o = 0; o < QUAD; o++) sums[o] += value * row[c * QUAD + o];
            }
        }
    }
    const u64 to = ((u64)picture * outs + first) * pixels + pixel;
#pragma unroll
    for (u32 o = 0; o < QUAD; o++) {
        if (o >= own) break;
        const float sum = sums[o] + bias[first + o];
        dst[to + (u64)o * pixels] = has_residual ? sum + residual[to + (u64)o * pixels] : sum;
    }
}
