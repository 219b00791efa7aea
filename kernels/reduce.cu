// Values taken together: `backend/cpu/reduce.rs`. First all pixels of each channel, channels-last halves:
//
//   dst(c) = Σ src(p, c) / pixels,  or the largest
//
// Shapes      src: `pixels` pixels, `pitch` halves apart, of which as many channels are taken as there are blocks of eight;
//             dst: one pixel.
// A block     takes eight channels: 256 threads every 256th pixel each, then two and two together, in one order always.
// Tolerance   one rounding to a half.
#include "axes.cuh"
#include "tensor.cuh"
#include "together.cuh"

constexpr u32 REDUCE_THREADS = 256;

extern "C" __global__ void reduce_pixels(const u16* src, u32 pixels, u32 pitch, u16* dst, u32 largest) {
    wait_for_previous();
    __shared__ float parts[8][REDUCE_THREADS];
    const u32 channel = blockIdx.x * 8, thread = threadIdx.x;
    float own[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) own[c] = largest ? from_half(0xfc00) : 0.0f;
    for (u32 pixel = thread; pixel < pixels; pixel += REDUCE_THREADS) {
        u16 halves[8];
        load_chunk(halves, src + (u64)pixel * pitch + channel);
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const float x = from_half(halves[c]);
            own[c] = largest ? larger_of(own[c], x) : own[c] + x;
        }
    }
#pragma unroll
    for (u32 c = 0; c < 8; c++) parts[c][thread] = own[c];
    for (u32 step = REDUCE_THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread >= step) continue;
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const float x = parts[c][thread], y = parts[c][thread + step];
            parts[c][thread] = largest ? larger_of(x, y) : x + y;
        }
    }
    if (thread > 0) return;
    u16 halves[8];
#pragma unroll
    for (u32 c = 0; c < 8; c++) halves[c] = to_half(largest ? parts[c][0] : parts[c][0] / (float)pixels);
    store_chunk(dst + channel, halves);
}

// Floats of any axes, sums in double: `dst` of each place of the axes that are kept, from all places of the others.
//
// Shapes      axes: length and distance of neighbours of each of `kept` axes, then of each of `taken`; `outs` and `together` are
//             the products of their lengths.
// A thread    takes every `lanes`-th value of one result.
// Tolerance   that of the order of a sum, and some units of the last place where there is an exponential or a logarithm.

// In the order in which `backend/cuda/reduce.rs` numbers them.
enum : u32 { SUM, MEAN, MAX, MIN, PROD, L1, L2, SUM_SQUARE, LOG_SUM, LOG_SUM_EXP };

extern "C" __global__ void reduce(
    const float* src, float* dst, const u32* axes, u32 kept, u32 taken, u32 outs, u32 together, u32 reduction, u32 lanes
) {
    wait_for_previous();
    __shared__ double parts[TOGETHER_THREADS];
    const u32 out = blockIdx.x * (TOGETHER_THREADS / lanes) + threadIdx.x / lanes, lane = threadIdx.x % lanes;
    const u32 count = out < outs ? together : 0;
    const float* from = src + places<1>(axes, kept, out).of[0];
    const auto value = [&](u32 k) { return from[places<1>(axes + 2 * kept, taken, k).of[0]]; };
    const double infinite = __uint_as_float(0x7f800000);
    const auto sum = [](double a, double b) { return a + b; };
    // What exponentials are taken after, so that none is infinite.
    float shift = 0.0f;
    if (reduction == LOG_SUM_EXP) {
        double largest = -infinite;
        for (u32 k = lane; k < count; k += lanes) largest = larger_of<double>(largest, value(k));
        largest = joined(parts, largest, lanes, larger_of<double>);
        if (largest - largest == 0.0) shift = (float)largest;
    }
    double own = reduction == MAX ? -infinite : (reduction == MIN ? infinite : (reduction == PROD ? 1.0 : 0.0));
    for (u32 k = lane; k < count; k += lanes) {
        const float x = value(k);
        switch (reduction) {
            case MAX: own = larger_of<double>(own, x); break;
            case MIN: own = smaller_of<double>(own, x); break;
            case PROD: own *= x; break;
            case L1: own += fabsf(x); break;
            case L2:
            case SUM_SQUARE: own += x * x; break;
            case LOG_SUM_EXP: own += expf(x - shift); break;
            default: own += x;
        }
    }
    switch (reduction) {
        case MAX: own = joined(parts, own, lanes, larger_of<double>); break;
        case MIN: own = joined(parts, own, lanes, smaller_of<double>); break;
        case PROD: own = joined(parts, own, lanes, [](double a, double b) { return a * b; }); break;
        default: own = joined(parts, own, lanes, sum);
    }
    if (out >= outs || lane > 0) return;
    if (reduction == MEAN) own /= together;
    if (reduction == L2) own = sqrt(own);
    if (reduction == LOG_SUM || reduction == LOG_SUM_EXP) own = log(own) + shift;
    dst[out] = (float)own;
}

// The number of the largest value along an axis, or of the smallest; of equal ones the first, or the last.
//
// Shapes      src: outer × `axis` × `inner` floats; dst: outer × `inner`, which are `count`.
// A thread    finds one number.
extern "C" __global__ void arg_extreme(
    const float* src, float* dst, u32 axis, u32 inner, u32 smallest, u32 last, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float* from = src + i / inner * axis * inner + i % inner;
    float best = from[0];
    u32 found = 0;
    for (u32 k = 1; k < axis; k++) {
        const float x = from[k * inner];
        if (!((smallest ? x < best : x > best) || (last && x == best))) continue;
        best = x;
        found = k;
    }
    dst[i] = (float)found;
}
