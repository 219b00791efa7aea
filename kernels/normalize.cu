// Normalisation by the mean and variance of groups of channels over all pixels, channels-last halves:
// `backend/cpu/normalize.rs`.
//
//   dst(p, c) = (src(p, c) − mean) / √(variance + ε) · scale(c) + bias(c) = src(p, c) · factor(c) + addend(c)
//
// `normalize_parts` sums, `normalize_numbers` makes factors and addends of the sums, `affine` (`elementwise.cu`)
// applies them. What is summed is the difference from a pixel of the same part and channel, so that a mean far from
// zero costs no digits, and variances of parts and channels are put together to that of their group: Chan, Golub,
// LeVeque, "Algorithms for computing the sample variance", The American Statistician, 1983.
//
// Tolerance   some units of the last place of a half, as long as the pixel in the middle of a part is within some hundred
//             deviations of the others: sums are floats, the CPU's are doubles.
#include "tensor.cuh"
#include "together.cuh"

constexpr u32 NORMALIZE_THREADS = 256;

// The first pixel of a part.
__device__ inline u32 first_of(u32 part, u32 parts, u32 pixels) { return (u32)((u64)pixels * part / parts); }

// Shapes      src: `pixels` pixels, `pitch` halves apart, of which as many channels are taken as there are blocks of eight;
//             moments: for each part (blocks down) and channel the mean and the sum of squared differences from it.
// A block     takes eight channels of a part of the pixels: 256 threads every 256th each, then two and two together, in one
//             order always.
extern "C" __global__ void normalize_parts(const u16* src, u32 pixels, u32 pitch, float* moments) {
    wait_for_previous();
    __shared__ float parts[16][NORMALIZE_THREADS];
    const u32 channel = blockIdx.x * 8, channels = gridDim.x * 8, thread = threadIdx.x;
    const u32 first = first_of(blockIdx.y, gridDim.y, pixels), end = first_of(blockIdx.y + 1, gridDim.y, pixels);
    u16 origins[8];
    load_chunk(origins, src + (u64)((first + end) / 2) * pitch + channel);
    float own[16] = {};
    for (u32 pixel = first + thread; pixel < end; pixel += NORMALIZE_THREADS) {
        u16 halves[8];
        load_chunk(halves, src + (u64)pixel * pitch + channel);
#pragma unroll
        for (u32 c = 0; c < 8; c++) {
            const float d = from_half(halves[c]) - from_half(origins[c]);
            own[c] += d;
            own[8 + c] += d * d;
        }
    }
#pragma unroll
    for (u32 i = 0; i < 16; i++) parts[i][thread] = own[i];
    for (u32 step = NORMALIZE_THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread >= step) continue;
#pragma unroll
        for (u32 i = 0; i < 16; i++) parts[i][thread] += parts[i][thread + step];
    }
    if (thread > 0) return;
    float* to = moments + 2 * ((u64)blockIdx.y * channels + channel);
    const float count = (float)(end - first);
#pragma unroll
    for (u32 c = 0; c < 8; c++) {
        const float mean = parts[c][0] / count, apart = parts[8 + c][0] - parts[c][0] * mean;
        // What is not a number stays so.
        store_pair(to + 2 * c, from_half(origins[c]) + mean, apart < 0.0f ? 0.0f : apart);
    }
}

// Shapes      of_parts: `parts` × `width` pairs, as above; places: where in a pixel each of `channels` is; scales, biases: one of
//             each a channel; moments: the same pair of all pixels, one a channel, to work in; numbers: a factor for each of
//             `width` places, then an addend for each; zeros where no channel is.
// A block     the only one: its threads take every 256th channel each. `group` channels make a group; without `centered` the
//             mean is not taken away.
extern "C" __global__ void normalize_numbers(
    const float* of_parts, u32 pixels, u32 parts, u32 width, const u32* places, const float* scales, const float* biases,
    u32 channels, u32 group, u32 centered, float epsilon, float* moments, float* numbers
) {
    wait_for_previous();
    for (u32 place = threadIdx.x; place < 2 * width; place += NORMALIZE_THREADS) numbers[place] = 0.0f;
    for (u32 c = threadIdx.x; c < channels; c += NORMALIZE_THREADS) {
        const float* own = of_parts + 2 * places[c];
        float mean = 0.0f, apart = 0.0f;
        for (u32 part = 0; part < parts; part++) {
            const u32 count = first_of(part + 1, parts, pixels) - first_of(part, parts, pixels);
            mean += own[(u64)part * 2 * width] * ((float)count / (float)pixels);
        }
        for (u32 part = 0; part < parts; part++) {
            const u32 count = first_of(part + 1, parts, pixels) - first_of(part, parts, pixels);
            const float d = own[(u64)part * 2 * width] - mean;
            apart += own[(u64)part * 2 * width + 1] + (float)count * d * d;
        }
        store_pair(moments + 2 * c, mean, apart);
    }
    __syncthreads();
    const float count = (float)pixels;
    for (u32 c = threadIdx.x; c < channels; c += NORMALIZE_THREADS) {
        const float* own = moments + 2 * (c / group * group);
        float mean = 0.0f, apart = 0.0f;
        for (u32 i = 0; i < group && centered != 0; i++) mean += own[2 * i];
        mean /= (float)group;
        for (u32 i = 0; i < group; i++) apart += own[2 * i + 1] + count * (own[2 * i] - mean) * (own[2 * i] - mean);
        const float factor = scales[c] / sqrtf(apart / (count * (float)group) + epsilon);
        numbers[places[c]] = factor;
        numbers[width + places[c]] = biases[c] - mean * factor;
    }
}

// Floats of any runs of values that lie side by side, sums in double.
//
// Shapes      src, dst: runs of `length` floats, as many as there are blocks; scales, biases: one of each a channel; `plane` values
//             in a row share one, and `channels` take turns.
// A block     normalises one run, 256 threads every 256th value each.
// Tolerance   that of the order of a sum.
extern "C" __global__ void normalize(
    const float* src, const float* scales, const float* biases, float* dst, u32 length, u32 plane, u32 channels, u32 centered,
    float epsilon
) {
    wait_for_previous();
    __shared__ double parts[TOGETHER_THREADS];
    const u32 first = blockIdx.x * length;
    const auto sum = [](double a, double b) { return a + b; };
    double own = 0.0;
    for (u32 i = threadIdx.x; i < length; i += TOGETHER_THREADS) own += src[first + i];
    const double total = joined(parts, own, TOGETHER_THREADS, sum);
    const float mean = centered ? (float)(total / length) : 0.0f;
    own = 0.0;
    for (u32 i = threadIdx.x; i < length; i += TOGETHER_THREADS) {
        const float apart = src[first + i] - mean;
        own += apart * apart;
    }
    const double variance = joined(parts, own, TOGETHER_THREADS, sum) / length;
    const float factor = (float)(1.0 / sqrt(variance + (double)epsilon));
    for (u32 i = threadIdx.x; i < length; i += TOGETHER_THREADS) {
        const u32 c = (first + i) / plane % channels;
        dst[first + i] = (src[first + i] - mean) * (scales[c] * factor) + biases[c];
    }
}
