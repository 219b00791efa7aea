// The product of matrices that a convolution is (`conv.cu`), of halves or of bytes (`conv_int8.cuh`).
#pragma once
#include "tensor.cuh"

constexpr u32 WARPS = 4;
constexpr u32 STAGES = 3;
// Words of 16 bits of a step: input channels, two of them in a word where they are codes.
constexpr u32 DEPTH = 32;
constexpr u32 CHUNKS = DEPTH / 8;
// Words from one row of a tile to the next: eight rows of 16 bytes lie in different banks.
constexpr u32 TILE_PITCH = DEPTH + 8;

// What is not a number stays so.
__device__ inline float clipped(float value, float low, float high) {
    return value < low ? low : (value > high ? high : value);
}

// The parts of a sum that was split, in order, each `stride` after the one before.
template <typename Sum>
__device__ inline Sum joined(const Sum* first, u32 parts, u64 stride) {
    Sum sum = 0;
    // The loads of several parts are on their way at once.
#pragma unroll 4
    for (u32 part = 0; part < parts; part++) sum += first[part * stride];
    return sum;
}

struct Pixel {
    u32 y, x;
};

// Pixel `index` of an output of `width`: row by row; with SQUARES one square of 2 × 2 after the other, so that the four
// that are pooled are in four neighbouring groups of lanes.
template <bool SQUARES>
__device__ inline Pixel pixel_at(u32 index, u32 width) {
    if (!SQUARES) return {index / width, index % width};
    const u32 square = index / 4, across = width / 2;
    return {square / across * 2 + index / 2 % 2, square % across * 2 + index % 2};
}

// Where that pixel lies in the output; with `up` 2 that of its square which a phase computes.
template <bool SQUARES>
__device__ inline u64 place_of(u32 index, u32 width, u32 up, u32 phase) {
    const Pixel pixel = pixel_at<SQUARES>(index, width);
    return (u64)(pixel.y * up + phase / up) * (width * up) + pixel.x * up + phase % up;
}

// The largest of a square, of eight channels, in the lanes that have its first pixel: 4 lanes apart is the neighbour
// across, 8 apart that below. All lanes of a warp take part.
template <bool CODES>
__device__ inline void pool_square(u16 (&words)[8]) {
#pragma unroll
    for (u32 i = 0; i < 8; i++) words[i] = larger<CODES>(LEAST<CODES>, words[i]);
#pragma unroll
    for (u32 apart = 4; apart <= 8; apart *= 2) {
#pragma unroll
        for (u32 i = 0; i < 8; i += 2) {
            const u32 other = shuffle((u32)words[i] | (u32)words[i + 1] << 16, apart);
            words[i] = larger<CODES>(words[i], (u16)other);
            words[i + 1] = larger<CODES>(words[i + 1], (u16)(other >> 16));
        }
    }
}

// Words of 16 bits: of a pixel `ins`, from one to the next `pitch`.
struct Input {
    const u16* words;
    // Eight words that a tap outside of the picture reads; none for zeros.
    const u16* outside;
    u32 height, width, pitch, ins;
};

struct Window {
    u32 height, width, stride, dilation, top, left;
};

// Words of a stage of a block: a tile of pixels, and one of channels behind it.
template <int DOWN, int ACROSS>
constexpr u32 STAGE_OF = (DOWN + ACROSS) * 32 * TILE_PITCH;

// Where the next stage of so many words begins; the first after the last.
template <u32 WORDS>
__device__ inline u32 next_stage(u32 at) {
    return at == (STAGES - 1) * WORDS ? 0 : at + WORDS;
}

// The sums of a block over `own_steps` steps, of pixels of an output of `out_width`; `weights` are those of its first channel,
// `tiles` shared memory for all stages.
template <int DOWN, int ACROSS, bool SQUARES, typename Sum>
__device__ inline void products(
    Sum (&sums)[2][4][4], u16* tiles, const Input& src, const u16* weights, const Window& window, u32 out_width,
    u32 first_step, u32 own_steps
) {
    constexpr u32 PIXELS = DOWN * 32, CHANNELS = ACROSS * 32;
    constexpr u32 THREADS = WARPS * 32;
    constexpr u32 STAGE = STAGE_OF<DOWN, ACROSS>;
    const u32 thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const u32 first_pixel = blockIdx.x * PIXELS;
    const u32 blocks = (src.ins + DEPTH - 1) / DEPTH;
    const u32 pixel_bytes = src.pitch * sizeof(u16);
    const u64 weight_row = (u64)(window.height * window.width * blocks) * DEPTH;
    // Of what this thread copies, four threads to a row of a tile: the row, and the words of a step.
    const u32 own_row = thread / CHUNKS, own_word = thread % CHUNKS * 8;

    // The pixels that it copies: where their windows begin.
    constexpr u32 COPIES = PIXELS * CHUNKS / THREADS;
    int window_y[COPIES], window_x[COPIES];
#pragma unroll
    for (u32 n = 0; n < COPIES; n++) {
        const Pixel pixel = pixel_at<SQUARES>(first_pixel + own_row + n * (THREADS / CHUNKS), out_width);
        window_y[n] = (int)(pixel.y * window.stride) - (int)window.top;
        window_x[n] = (int)(pixel.x * window.stride) - (int)window.left;
    }

    // The step that is copied next. What changes from one to the next is added: dividing would take more instructions than
    // the products.
    u32 block = first_step % blocks, tap_x = first_step / blocks % window.width;
    int down = (int)(first_step / blocks / window.width * window.dilation), across = (int)(tap_x * window.dilation);
    const u16* own_weights = weights + own_row * weight_row + (u64)first_step * DEPTH + own_word;
    // Where its stage begins.
    u32 stage_to = 0;
    auto load = [&]() {
        u16* to = tiles + stage_to + own_row * TILE_PITCH + own_word;
        const u32 word = block * DEPTH + own_word;
        const u8* own_words = (const u8*)(src.words + word);
#pragma unroll
        for (u32 n = 0; n < COPIES; n++) {
            const int y = window_y[n] + down, x = window_x[n] + across;
            const bool there = (u32)y < src.height && (u32)x < src.width && word < src.ins;
            const u8* other = (const u8*)(src.outside ? src.outside : src.words);
            const u8* from = there ? own_words + (u64)(y * src.width + x) * pixel_bytes : other;
            copy_async(to + n * (THREADS / CHUNKS) * TILE_PITCH, from, there || src.outside);
        }
#pragma unroll
        for (u32 n = 0; n < CHANNELS * CHUNKS / THREADS; n++) {
            const u32 row = n * (THREADS / CHUNKS);
            copy_async(to + (PIXELS + row) * TILE_PITCH, own_weights + row * weight_row, true);
        }
        own_weights += DEPTH;
        stage_to = next_stage<STAGE>(stage_to);
        if (++block == blocks) {
            block = 0;
            across += (int)window.dilation;
            if (++tap_x == window.width) {
                tap_x = 0;
                across = 0;
                down += (int)window.dilation;
            }
        }
    };

    const u32 warp_pixel = warp % DOWN * 32, warp_channel = warp / DOWN * 32;
    for (u32 step = 0; step < STAGES - 1; step++) {
        if (step < own_steps) load();
        commit_async();
    }
    // From where in a stage the fragments of this lane are read.
    const u16* own_pixels = tiles + (warp_pixel + lane % 16) * TILE_PITCH + lane / 16 * 8;
    const u16* own_channels = tiles + (PIXELS + warp_channel + lane % 8 + lane / 16 * 8) * TILE_PITCH + lane / 8 % 2 * 8;
    u32 stage = 0;
    for (u32 step = 0; step < own_steps; step++) {
        wait_async<STAGES - 2>();
        // Now the step has arrived for all, and nobody reads the one before, whose place is filled next.
        __syncthreads();
        if (step + STAGES - 1 < own_steps) load();
        commit_async();
#pragma unroll
        for (u32 k = 0; k < DEPTH; k += 16) {
            u32 a[2][4], b[2][4];
#pragma unroll
            for (u32 m = 0; m < 2; m++) {
                load_fragments(a[m], own_pixels + stage + m * 16 * TILE_PITCH + k);
            }
#pragma unroll
            for (u32 n = 0; n < 2; n++) {
                load_fragments(b[n], own_channels + stage + n * 16 * TILE_PITCH + k);
            }
#pragma unroll
            for (u32 m = 0; m < 2; m++) {
#pragma unroll
                for (u32 n = 0; n < 4; n++) multiply(sums[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
            }
        }
        stage = next_stage<STAGE>(stage);
    }
}

// Writes the sums of a warp as they are, eight bytes a lane: `row(pixel)` is where the channels of a pixel begin, or nothing;
// both count from the warp's first. Four lanes fill 32 bytes of a pixel.
template <typename Sum, typename Row>
__device__ inline void store_sums(const Sum (&sums)[2][4][4], Row row) {
    const u32 lane = threadIdx.x % 32;
    // A lane has two neighbouring channels of pixels g and g + 8 of each fragment.
#pragma unroll
    for (u32 m = 0; m < 4; m++) {
        Sum* to = row(m * 8 + lane / 4);
        if (!to) continue;
#pragma unroll
        for (u32 n = 0; n < 4; n++) {
            store_pair(to + n * 8 + lane % 4 * 2, sums[m / 2][n][m % 2 * 2], sums[m / 2][n][m % 2 * 2 + 1]);
        }
    }
}

// From one pixel to the next in what a warp lays out. With it, and with the halves of every other pixel's eight channels changed
// about, no two lanes meet in a bank when they write and when they read.
constexpr u32 SUMS_PITCH = 32 + 8;

// The first of the channels, among those of its warp, that a lane is handed: the same for each pixel; four lanes share a pixel.
__device__ inline u32 own_channel() { return threadIdx.x % 4 * 8; }

// Hands the sums of a warp on, eight neighbouring channels of a pixel at once: `put(pixel, sums)`, where pixels count from the
// warp's first and channels from `own_channel()`. `tiles` is the shared memory of `products`.
template <int DOWN, int ACROSS, typename Sum, typename Put>
__device__ inline void hand_out(const Sum (&sums)[2][4][4], u16* tiles, Put put) {
    static_assert(sizeof(Sum) == 4 && WARPS * 32 * SUMS_PITCH * 4 <= STAGES * STAGE_OF<DOWN, ACROSS> * sizeof(u16), "they fit");
    const u32 lane = threadIdx.x % 32, half = lane / 4 % 2 * 4;
    Sum* own = (Sum*)tiles + threadIdx.x / 32 * 32 * SUMS_PITCH;
    // All warps have left the tiles behind.
    __syncthreads();
#pragma unroll
    for (u32 m = 0; m < 4; m++) {
        Sum* to = own + (m * 8 + lane / 4) * SUMS_PITCH + (lane % 4 * 2 ^ half);
#pragma unroll
        for (u32 n = 0; n < 4; n++) store_pair(to + n * 8, sums[m / 2][n][m % 2 * 2], sums[m / 2][n][m % 2 * 2 + 1]);
    }
    __syncthreads();
    // What follows is long: written out once, it is quickly compiled.
#pragma unroll 1
    for (u32 m = 0; m < 4; m++) {
        const u32 pixel = m * 8 + lane / 4;
        const Sum* from = own + pixel * SUMS_PITCH + own_channel();
        Sum values[8];
#pragma unroll
        for (u32 i = 0; i < 4; i++) values[i] = from[half + i];
#pragma unroll
        for (u32 i = 0; i < 4; i++) values[4 + i] = from[4 - half + i];
        put(pixel, values);
    }
}
