// Non-local means: `backend/cpu/nlm.rs`.
//
//   out(p) = Σ g(q) · w / Σ w,  w = 2^(fall · Σ (patch(p) − patch(q))²)
//
// over a square search window. Buades, Coll, Morel, CVPR 2005 and IPOL 1, 2011.
//
// Shapes      src, dst: height × width bytes. `fall`: −log₂ e / (pixels of a patch · strength²).
// A thread    computes ROWS pixels, one below the other: squared differences of a row of a patch are summed once for all
//             pixels whose patches have that row. A block computes 32 × 8·ROWS pixels, from a tile in shared memory.
// Tolerance   one grey level, where a value lies half way between two.
#include "common.cuh"

constexpr u32 MAX_PATCH = 4;
constexpr u32 ROWS = 4;
constexpr u32 SIDE = BLOCK_HEIGHT * ROWS;
constexpr u32 REACH = MAX_PATCH + MAX_RADIUS;

template <int PATCH>
__device__ inline void nlm(const u8* src, u8* dst, u32 width, u32 height, u32 search, float fall) {
    __shared__ u8 tile[(SIDE + 2 * REACH) * (BLOCK_WIDTH + 2 * REACH)];
    const u32 border = search + PATCH, pitch = BLOCK_WIDTH + 2 * border;
    load_tile(src, width, height, SIDE, border, tile, pitch);
    // The upper left pixel of this thread's first patch, and of the patches that it is compared with.
    const u8* own = tile + (threadIdx.y * ROWS + search) * pitch + threadIdx.x + search;
    const u8* first = tile + threadIdx.y * ROWS * pitch + threadIdx.x;
    float sums[ROWS] = {}, weights[ROWS] = {};
    for (u32 dy = 0; dy <= 2 * search; dy++) {
        for (u32 dx = 0; dx <= 2 * search; dx++) {
            const u8* other = first + dy * pitch + dx;
            u32 squares[ROWS] = {};
#pragma unroll
            for (int v = 0; v < (int)ROWS + 2 * PATCH; v++) {
                u32 row = 0;
#pragma unroll
                for (int u = 0; u <= 2 * PATCH; u++) {
                    const int difference = (int)own[v * pitch + u] - (int)other[v * pitch + u];
                    row += (u32)(difference * difference);
                }
#pragma unroll
                for (int r = 0; r < (int)ROWS; r++) {
                    if (r <= v && v <= r + 2 * PATCH) squares[r] += row;
                }
            }
#pragma unroll
            for (u32 r = 0; r < ROWS; r++) {
                const float weight = exp2f(fall * (float)squares[r]);
                sums[r] += weight * (float)other[(r + PATCH) * pitch + PATCH];
                weights[r] += weight;
            }
        }
    }
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x;
    for (u32 r = 0; r < ROWS; r++) {
        const u32 y = blockIdx.y * SIDE + threadIdx.y * ROWS + r;
        if (x < width && y < height) dst[(u64)y * width + x] = grey(sums[r] / weights[r]);
    }
}

// One kernel for each radius of a patch, since loops over constants stay in registers.
#define NLM(patch)                                                                                                   \
    extern "C" __global__ void nlm##patch(                                                                           \
        const u8* src, u8* dst, u32 width, u32 height, u32 search, float fall                                        \
    ) {                                                                                                              \
        wait_for_previous();                                                                                         \
        nlm<patch>(src, dst, width, height, search, fall);                                                           \
    }
NLM(0)
NLM(1)
NLM(2)
NLM(3)
NLM(4)
